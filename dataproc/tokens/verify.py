"""Checks a bucket of token shards from end to end: every file, block, row and document end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from dataproc.errors import ShardError
from dataproc.storage import Folder
from dataproc.tables import open_parquet
from dataproc.tokens.shards import MANIFEST, FileInfo, Manifest, ShardReport, docs_schema, read_manifest, shard_name


@dataclass(frozen=True)
class Problem:
    """Something that is not as the manifest says; `row` is a row of the shard's document table, None for a file."""

    file: str
    row: int | None
    message: str

    def __str__(self) -> str:
        return f"{self.file}{'' if self.row is None else f' row {self.row}'}: {self.message}"


def verify_bucket(folder: Folder) -> Iterator[Problem]:
    """Yield every problem of a bucket folder, reading all of its bytes once; nothing when it is sound.

    Finds missing, extra and changed files, damaged blocks (naming the first document in them), tables that don't cover
    the tokens, documents that don't end with EOS, ids beyond the vocabulary, and totals that don't add up.
    """
    try:
        manifest = read_manifest(folder)
    except ShardError as error:
        yield Problem(MANIFEST, None, str(error))
        return
    known = {MANIFEST, *(name for shard in manifest.shards for name in shard.files)}
    for name in sorted(set(folder.files()) - known):
        yield Problem(name, None, "must not exist: the manifest does not name it.")
    for shard in manifest.shards:
        yield from _verify_shard(folder, manifest, shard)
    for what in ("tokens", "documents"):
        total = sum(getattr(shard, what) for shard in manifest.shards)
        if total != getattr(manifest, what):
            yield Problem(
                MANIFEST, None, f"{what} must be the sum over the shards, {total}, got {getattr(manifest, what)}."
            )
    if manifest.dtype != manifest.tokenizer.dtype:
        yield Problem(
            MANIFEST, None, f"dtype must be {manifest.tokenizer.dtype} for this tokenizer, got {manifest.dtype}."
        )


def _verify_shard(folder: Folder, manifest: Manifest, shard: ShardReport) -> Iterator[Problem]:
    missing = [name for name in shard.files if not folder.exists(name)]
    for name in missing:
        yield Problem(name, None, "must exist, got no such file.")
    if missing:
        return
    name = shard_name(shard.index)
    ends: npt.NDArray[np.int64] | None = None
    yield from _verify_hash(folder, f"{name}.docs.parquet", shard.files[f"{name}.docs.parquet"])
    try:
        table = _read_docs(folder, name)
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        yield Problem(f"{name}.docs.parquet", None, f"must be a document table, got: {error}")
    else:
        yield from _verify_table(f"{name}.docs.parquet", shard, table)
        ends = table["offset"].to_numpy() + table["length"].to_numpy()
    yield from _verify_hash(folder, f"{name}.xxh3", shard.files[f"{name}.xxh3"])
    yield from _verify_tokens(folder, manifest, shard, ends)


def _verify_hash(folder: Folder, name: str, info: FileInfo) -> Iterator[Problem]:
    digest, size = xxhash.xxh3_64(), 0
    with folder.open(name) as file:
        while data := file.read(1 << 20):
            digest.update(data)
            size += len(data)
    if (size, digest.hexdigest()) != (info.bytes, info.xxh3):
        yield Problem(
            name, None, f"must have {info.bytes} bytes and xxh3 {info.xxh3}, got {size} and {digest.hexdigest()}."
        )


def _read_docs(folder: Folder, name: str) -> pa.Table:
    with folder.open(f"{name}.docs.parquet") as file:
        names = docs_schema(pa.schema([])).names
        table = open_parquet(file).read(columns=names, use_threads=False)
        return table.select(names)  # read() passes over columns that are not there


def _verify_table(file: str, shard: ShardReport, table: pa.Table) -> Iterator[Problem]:
    offsets, lengths = table["offset"].to_numpy(), table["length"].to_numpy()
    if len(offsets) != shard.documents:
        yield Problem(file, None, f"must have {shard.documents} rows, got {len(offsets)}.")
    expected = np.concatenate([[0], np.cumsum(lengths)])
    for row in np.flatnonzero((offsets != expected[:-1]) | (lengths <= 0))[:1]:
        yield Problem(
            file, int(row), f"offset must be {expected[row]}, length above 0, got {offsets[row]} and {lengths[row]}."
        )
    if expected[-1] != shard.tokens:
        yield Problem(file, None, f"lengths must add up to {shard.tokens} tokens, got {expected[-1]}.")


def _verify_tokens(
    folder: Folder, manifest: Manifest, shard: ShardReport, ends: npt.NDArray[np.int64] | None
) -> Iterator[Problem]:
    """Check the .bin block by block: checksum, largest id, EOS at the document ends that lie in the block."""
    name = shard_name(shard.index)
    dtype = np.dtype(manifest.dtype).newbyteorder("<")
    with folder.open(f"{name}.xxh3") as file:
        stored = file.read()
    sums = np.frombuffer(stored, "<u8", len(stored) // 8)
    at = 0
    with folder.open(f"{name}.bin") as file:
        for block, data in enumerate(iter(lambda: file.read(shard.block_bytes), b"")):
            ids = np.frombuffer(data, dtype, len(data) // dtype.itemsize)
            inside = np.empty(0, np.int64) if ends is None else ends[(ends > at) & (ends <= at + len(ids))]
            row = None if ends is None else int(np.searchsorted(ends, at, side="right"))
            where = f"block {block} (tokens {at}-{at + len(ids)})"
            if block >= len(sums) or xxhash.xxh3_64_intdigest(data) != sums[block]:
                yield Problem(f"{name}.bin", row, f"{where} must have the checksum in {name}.xxh3, got other bytes.")
            elif len(ids) and ids.max() > manifest.tokenizer.max_id:
                yield Problem(
                    f"{name}.bin", row, f"{where} must hold ids up to {manifest.tokenizer.max_id}, got {ids.max()}."
                )
            elif (wrong := np.flatnonzero(ids[inside - at - 1] != manifest.tokenizer.eos_id)).size:
                row = int(np.searchsorted(ends, inside[wrong[0]], side="left")) if ends is not None else None
                yield Problem(f"{name}.bin", row, f"the document must end with EOS {manifest.tokenizer.eos_id}.")
            at += len(ids)
    size = shard.files[f"{name}.bin"].bytes
    if at * dtype.itemsize != size or at != shard.tokens:
        yield Problem(f"{name}.bin", None, f"must hold {shard.tokens} tokens in {size} bytes, got {at} tokens.")
