"""Token shards: raw files that any trainer can read, and a table that leads every token back to its page.

    tokens/eng-news-high/
        shard-00000.bin            token ids, little-endian uint16 or uint32, nothing else
        shard-00000.docs.parquet   one row per document: doc_id, offset, length, then where it came from
        shard-00000.xxh3           xxh3_64 of each block of the .bin, little-endian uint64
        manifest.json              tokenizer, dtype, counts; bytes and xxh3 of each shard's files

The manifest vouches for the .xxh3 file, which vouches for each block of tokens. So a bucket of any size is opened by
reading one small file, and only the blocks that are read are checked. Writing streams: memory is one batch and one
Parquet row group.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from pydantic import Field

from dataproc.config import Config, validate
from dataproc.errors import ConfigError, SchemaError, ShardError
from dataproc.ids import DOC_ID_BYTES, file_hash
from dataproc.stage import with_columns
from dataproc.storage import Folder
from dataproc.tables import ParquetFile

Ids = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]

BLOCK_BYTES = 1 << 16
"""Bytes under one checksum: what a loader reads at least, so small; 8 bytes of checksum for each are 0.01%."""

MANIFEST = "manifest.json"
LARGEST_UINT16 = 65_535

SOURCE_COLUMNS = pa.schema(
    [("url", pa.string()), ("language", pa.string()), ("input", pa.string()), ("position", pa.int64())]
)
"""Where a document came from, as the documents dataset names it."""


class TokenizerInfo(Config):
    """What a token id means: the tokenizer's name, its checksum and its special ids."""

    name: str
    sha256: str
    """Checksum of the vocabulary file; two buckets of one mixture must agree on it."""
    vocab_size: int = Field(gt=0)
    max_id: int = Field(ge=0)
    """The largest id that can occur, special tokens included."""
    eos_id: int = Field(ge=0)
    """Ends every document."""
    bos_id: int | None = None
    """Opens every document; null when off."""

    @property
    def dtype(self) -> Literal["uint16", "uint32"]:
        """Return the type of the ids on disk: uint16 exactly when every id fits."""
        return "uint16" if self.max_id <= LARGEST_UINT16 else "uint32"


class FileInfo(Config):
    """Size and xxh3_64 (16 hex digits) of a file."""

    bytes: int
    xxh3: str


class ShardReport(Config):
    """What one shard holds; JSON both ways, so that a resumed run can keep it."""

    index: int
    tokens: int
    documents: int
    block_bytes: int
    files: dict[str, FileInfo]


class Manifest(Config):
    """tokens/<bucket>/manifest.json: what the bucket holds and what its tokens mean; no times, no paths."""

    format: Literal["dataproc-tokens"] = "dataproc-tokens"
    version: Literal[1] = 1
    bucket: str
    tokenizer: TokenizerInfo
    dtype: Literal["uint16", "uint32"]
    tokens: int
    documents: int
    shards: tuple[ShardReport, ...]


def shard_name(index: int) -> str:
    """Return the name that a shard's files share.

    Example: shard_name(3) == "shard-00003"
    """
    return f"shard-{index:05d}"


def docs_schema(columns: pa.Schema) -> pa.Schema:
    """Return the schema of a document table: doc_id, offset and length in tokens (EOS included), then `columns`."""
    head = [pa.field("doc_id", pa.binary()), pa.field("offset", pa.int64()), pa.field("length", pa.int64())]
    return pa.schema([*head, *columns])


def write_shard(
    folder: Folder,
    bucket: str,
    index: int,
    rows: Iterable[pa.RecordBatch],
    tokenizer: TokenizerInfo,
    *,
    columns: pa.Schema = SOURCE_COLUMNS,
    block_bytes: int = BLOCK_BYTES,
) -> ShardReport:
    """Write the three files of shard `index` of a bucket folder ("tokens/eng-news-high"); return what they hold.

    rows: batches with `doc_id` (16 bytes), `tokens` (binary or large_binary: the ids as little-endian
    `tokenizer.dtype`, EOS last) and `columns`; other columns are ignored. Equal rows give equal bytes, however they are
    batched; no rows give an empty shard. The files appear when all are whole. Raises ShardError naming the doc_id of a
    document that is empty, has an id beyond `max_id` or does not end with EOS; SchemaError when columns are missing.
    """
    name = f"{bucket}/{shard_name(index)}"
    with ExitStack() as stack:
        paths = {end: stack.enter_context(folder.create(f"{name}{end}")) for end in (".bin", ".docs.parquet", ".xxh3")}
        with open(paths[".bin"], "wb") as file, ParquetFile(paths[".docs.parquet"], docs_schema(columns)) as documents:
            tokens = _TokenFile(file, name, tokenizer, block_bytes)
            for batch in rows:
                documents.write(tokens.write(batch))
        paths[".xxh3"].write_bytes(tokens.checksums().tobytes())
        files = {f"{shard_name(index)}{end}": _file_info(path) for end, path in paths.items() if end != ".bin"}
        files[f"{shard_name(index)}.bin"] = tokens.file_info()
    return ShardReport(
        index=index, tokens=tokens.num_tokens, documents=documents.rows, block_bytes=block_bytes, files=files
    )


class _TokenFile:
    """Appends documents to a .bin and keeps its checksums."""

    def __init__(self, file: BinaryIO, name: str, tokenizer: TokenizerInfo, block_bytes: int) -> None:
        self.num_tokens = 0
        self._file, self._name, self._tokenizer, self._block_bytes = file, name, tokenizer, block_bytes
        self._dtype = np.dtype(tokenizer.dtype).newbyteorder("<")
        if block_bytes <= 0 or block_bytes % self._dtype.itemsize:
            raise ConfigError(
                f"write_shard.block_bytes must be a multiple of {self._dtype.itemsize} above 0, got {block_bytes}."
            )
        self._whole, self._block = xxhash.xxh3_64(), xxhash.xxh3_64()
        self._bytes = 0
        self._sums: list[int] = []

    def write(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Append the batch's tokens, and return its rows with their offset and length."""
        ends = self._append(batch)
        lengths = np.diff(ends, prepend=0)
        offsets = self.num_tokens + ends - lengths
        self.num_tokens += int(lengths.sum())
        return with_columns(batch.drop_columns(["tokens"]), {"offset": offsets, "length": lengths})

    def _append(self, batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
        """Check and write the tokens of a batch; return where each document ends, in tokens from the batch's start."""
        for column in ("doc_id", "tokens"):
            if column not in batch.schema.names or batch[column].null_count:
                raise SchemaError(
                    f"{self._name}: batch.{column} must be there in every row, got {batch.schema.names} or a null."
                )
        data, bounds = _binary_parts(batch["tokens"])
        ids = np.frombuffer(data, self._dtype, len(data) // self._dtype.itemsize)
        ends = bounds[1:] // self._dtype.itemsize
        self._check(batch["doc_id"], bounds, ids, ends)
        self._file.write(data)
        self._hash(data)
        return ends

    def _check(self, doc_ids: pa.Array, bounds: npt.NDArray[np.int64], ids: Ids, ends: npt.NDArray[np.int64]) -> None:
        sizes = np.diff(bounds)
        self._refuse(
            doc_ids, (sizes == 0) | (sizes % self._dtype.itemsize != 0), sizes, "bytes of tokens", "whole and not empty"
        )
        lasts = ids[ends - 1]
        self._refuse(doc_ids, lasts != self._tokenizer.eos_id, lasts, "last token", f"EOS {self._tokenizer.eos_id}")
        if len(ids) and ids.max() > self._tokenizer.max_id:
            starts = np.concatenate([[0], ends[:-1]])
            largest = np.maximum.reduceat(ids, starts)
            self._refuse(
                doc_ids, largest > self._tokenizer.max_id, largest, "largest token", f"at most {self._tokenizer.max_id}"
            )
        lengths = pc.binary_length(doc_ids).to_numpy(zero_copy_only=False)
        self._refuse(doc_ids, lengths != DOC_ID_BYTES, lengths, "doc_id", f"{DOC_ID_BYTES} bytes")

    def _refuse(
        self, doc_ids: pa.Array, wrong: npt.NDArray[np.bool_], got: npt.ArrayLike, what: str, rule: str
    ) -> None:
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ShardError(
                f"{self._name}, doc_id {doc_ids[row].as_py().hex()}: {what} must be {rule}, got {np.asarray(got)[row]}."
                f" Encode documents with the tokenizer {self._tokenizer.name}, EOS on."
            )

    def _hash(self, data: memoryview) -> None:
        self._whole.update(data)
        while data:
            room = self._block_bytes - self._bytes % self._block_bytes
            self._block.update(data[:room])
            self._bytes += min(room, len(data))
            data = data[room:]
            if self._bytes % self._block_bytes == 0:
                self._sums.append(self._block.intdigest())
                self._block.reset()

    def checksums(self) -> npt.NDArray[np.uint64]:
        """Return the checksum of each block, the short last one included."""
        last = [self._block.intdigest()] if self._bytes % self._block_bytes else []
        return np.array(self._sums + last, dtype="<u8")

    def file_info(self) -> FileInfo:
        return FileInfo(bytes=self._bytes, xxh3=self._whole.hexdigest())


def _binary_parts(column: pa.Array) -> tuple[memoryview, npt.NDArray[np.int64]]:
    """Return the bytes of a binary column without a copy, and the offsets of its rows in them, from 0."""
    wide = pa.types.is_large_binary(column.type)
    if not (wide or pa.types.is_binary(column.type)):
        raise SchemaError(f"batch.tokens must be binary or large_binary, got {column.type}. Pass little-endian ids.")
    _, offsets, data = column.buffers()
    bounds = (
        np.frombuffer(offsets, np.int64 if wide else np.int32)[column.offset : column.offset + len(column) + 1]
        if offsets
        else [0]
    )
    bounds = np.asarray(bounds, dtype=np.int64)
    view = memoryview(data) if data else memoryview(b"")
    return view[bounds[0] : bounds[-1]], bounds - bounds[0]


def _file_info(path: Path) -> FileInfo:
    return FileInfo(bytes=path.stat().st_size, xxh3=file_hash(path))


def write_manifest(folder: Folder, bucket: str, tokenizer: TokenizerInfo, shards: Sequence[ShardReport]) -> Manifest:
    """Write manifest.json of the bucket folder `bucket`, after its shards are in place, and return it.

    Raises ShardError when two reports have one index. Equal reports give equal bytes, in whatever order they come.
    """
    shards = sorted(shards, key=lambda shard: shard.index)
    for before, after in pairwise(shards):
        if before.index == after.index:
            raise ShardError(
                f"{bucket}: shard indices must differ, got {after.index} twice. Give each partition its own index."
            )
    manifest = Manifest(
        bucket=bucket.rsplit("/", 1)[-1],
        tokenizer=tokenizer,
        dtype=tokenizer.dtype,
        tokens=sum(shard.tokens for shard in shards),
        documents=sum(shard.documents for shard in shards),
        shards=tuple(shards),
    )
    folder.write_text(f"{bucket}/{MANIFEST}", json.dumps(manifest.model_dump(), indent=1, sort_keys=True) + "\n")
    return manifest


def read_manifest(folder: Folder) -> Manifest:
    """Return the manifest of a bucket folder; raises ShardError when it is missing or is not one."""
    where = f"{folder.url}/{MANIFEST}"
    try:
        return validate(Manifest, json.loads(folder.read_text(MANIFEST)), where)
    except FileNotFoundError as error:
        raise ShardError(f"{where} must exist, got no such file. Run the tokens step to its end.") from error
    except (ConfigError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ShardError(f"{where} must be a manifest of token shards, got: {error}") from error
