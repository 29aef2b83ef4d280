"""Document ids and the xxh3 hashes of ids, texts, partitions and blocks (seed 0 everywhere).

Words, lines and shingles use the kernel hash of `dataproc.kernels.hashing` instead. Python's own `hash` is never used: it
differs between processes.
"""

from __future__ import annotations

import os

import xxhash

DOC_ID_BYTES = 16


def doc_id(input_name: str, position: int) -> bytes:
    """Return the 16-byte id of the document at `position` of `input_name`: xxh3_128 of `input NUL position`.

    `position` is the byte offset of the gzip member or record (WARC, WET) or the row number from 0 (Parquet, JSONL).
    Example: doc_id("a.warc.gz", 0).hex() == xxhash.xxh3_128_hexdigest(b"a.warc.gz\\x000")
    """
    return xxhash.xxh3_128_digest(f"{input_name}\0{position}".encode())


def hash64(data: bytes) -> int:
    """Return xxh3_64 of the bytes, bit-cast to a signed int64 (engines have no unsigned types)."""
    return signed64(xxhash.xxh3_64_intdigest(data))


def signed64(value: int) -> int:
    """Bit-cast an unsigned 64-bit integer to signed. Example: signed64(2**64 - 1) == -1."""
    return value - (1 << 64) if value >= 1 << 63 else value


def file_hash(path: str | os.PathLike[str], chunk_bytes: int = 1 << 20) -> str:
    """Return the xxh3_64 of a file as 16 hex digits, reading it in chunks. Raises OSError when it cannot be read."""
    digest = xxhash.xxh3_64()
    with open(path, "rb") as file:
        while chunk := file.read(chunk_bytes):
            digest.update(chunk)
    return digest.hexdigest()
