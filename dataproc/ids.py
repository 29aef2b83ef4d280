"""Document ids and the xxh3 hashes of ids, texts, partitions and blocks (seed 0 everywhere).

Words, lines and shingles use the kernel hash of `dataproc.kernels.hashing` instead. Python's own `hash` is never used:
it differs between processes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xxhash

DOC_ID_BYTES = 16


def doc_id(input_name: str, position: int) -> bytes:
    r"""Return the 16-byte id of the document at `position` of `input_name`: xxh3_128 of `input NUL position`.

    `position` is the byte offset of the gzip member or record (WARC, WET) or the row number from 0 (Parquet, JSONL).
    Example: doc_id("a.warc.gz", 0).hex() == xxhash.xxh3_128_hexdigest(b"a.warc.gz\x000")
    """
    return xxhash.xxh3_128_digest(f"{input_name}\0{position}".encode())


def hash64(data: bytes) -> int:
    """Compute xxh3_64 of the bytes, bit-cast to a signed int64 (engines have no unsigned types)."""
    return signed64(xxhash.xxh3_64_intdigest(data))


def hash64_each(ids: Sequence[bytes], seed: int) -> npt.NDArray[np.uint64]:
    """Compute xxh3_64 of the seed (int64, little-endian) and each id: a choice by id that differs between seeds.

    Example: hash64_each([b"a"], 0)[0] == xxhash.xxh3_64_intdigest(bytes(8) + b"a").
    """
    start = struct.pack("<q", seed)
    return np.array([xxhash.xxh3_64_intdigest(start + one) for one in ids], np.uint64)


def signed64(value: int) -> int:
    """Bit-cast an unsigned 64-bit integer to signed.

    Example: signed64(2**64 - 1) == -1.
    """
    return value - (1 << 64) if value >= 1 << 63 else value


def file_hash(path: str | os.PathLike[str], chunk_bytes: int = 1 << 20) -> str:
    """Return the xxh3_64 of a file as 16 hex digits, reading it in chunks. Raises OSError when it cannot be read."""
    digest = xxhash.xxh3_64()
    with open(path, "rb") as file:
        while chunk := file.read(chunk_bytes):
            digest.update(chunk)
    return digest.hexdigest()


def hash_int64(values: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Compute xxh3_64 (seed 0) of the 8 little-endian bytes of each of many integers at once.

    Example: int(hash_int64(np.array([7]))[0]) == xxhash.xxh3_64_intdigest((7).to_bytes(8, "little"))
    Source: XXH3 specification, inputs of 4 to 8 bytes.
    """
    unsigned = values.astype(np.int64).view(np.uint64)
    mixed = ((unsigned >> np.uint64(32)) | (unsigned << np.uint64(32))) ^ np.uint64(0xC73AB174C5ECD5A2)
    mixed ^= _rotate_left(mixed, 49) ^ _rotate_left(mixed, 24)
    mixed *= np.uint64(0x9FB21C651E98DF25)
    mixed ^= (mixed >> np.uint64(35)) + np.uint64(8)
    mixed *= np.uint64(0x9FB21C651E98DF25)
    return mixed ^ (mixed >> np.uint64(28))


def _rotate_left(values: npt.NDArray[np.uint64], bits: int) -> npt.NDArray[np.uint64]:
    return (values << np.uint64(bits)) | (values >> np.uint64(64 - bits))
