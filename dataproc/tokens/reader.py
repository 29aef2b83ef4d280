"""Reads a bucket's shards as one stream of tokens: documents in shard order, across shard ends.

Each block is checked against its checksum when it is fetched. What is held is bounded, however large the bucket is:
blocks, and 8 bytes for each document of the shards used last.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from dataproc.errors import ShardError
from dataproc.storage import Folder
from dataproc.tables import open_parquet
from dataproc.tokens.ranges import Cache, RangeFile, open_range
from dataproc.tokens.shards import Ids, ShardReport, read_manifest, shard_name

REPAIR = "Restore the file from a copy, or rebuild the tokens with --redo tokens."


class ReadCache:
    """What readers hold between reads; one for all the readers of a process bounds them together.

    block_bytes: checked blocks of tokens. table_bytes: document offsets and block checksums. open_files: handles.
    """

    def __init__(self, block_bytes: int = 256 << 20, table_bytes: int = 128 << 20, open_files: int = 128) -> None:
        self.blocks: Cache[tuple[str, int], bytes] = Cache(block_bytes, len)
        self.tables: Cache[str, npt.NDArray[Any]] = Cache(table_bytes, lambda table: table.nbytes)
        self.files: Cache[str, RangeFile] = Cache(open_files)


class TokenReader:
    """Reads the bucket in `folder` (a path, a URL or a Folder); any thread may use it.

    Raises ShardError when the manifest is missing or wrong, and at a read of a file that is not what the manifest says.
    Example: TokenReader("runs/x/tokens/eng-news-high").read(0, 5) -> array([464, 3290, 318, 13, 50256], dtype=uint16)
    """

    def __init__(self, folder: str | os.PathLike[str] | Folder, cache: ReadCache | None = None) -> None:
        self.folder = folder if isinstance(folder, Folder) else Folder(folder)
        self.manifest = read_manifest(self.folder)
        self.dtype = np.dtype(self.manifest.dtype).newbyteorder("<")
        self._cache = cache or ReadCache()
        self._shards = self.manifest.shards
        self._first_token = np.concatenate([[0], np.cumsum([shard.tokens for shard in self._shards], dtype=np.int64)])
        self._first_row = np.concatenate([[0], np.cumsum([shard.documents for shard in self._shards], dtype=np.int64)])

    @property
    def tokens(self) -> int:
        """Return the length of the stream."""
        return self.manifest.tokens

    @property
    def documents(self) -> int:
        """Return the number of documents; they are numbered from 0 in the order of the stream."""
        return self.manifest.documents

    def read(self, start: int, stop: int, out: npt.NDArray[np.uint32] | None = None) -> Ids | npt.NDArray[np.uint32]:
        """Return tokens [start, stop) of the stream, in the dtype on disk or written into `out`.

        Raises IndexError outside [0, tokens], ShardError naming file, block and tokens when a block is damaged.
        """
        self._check_range(start, stop)
        result = np.empty(stop - start, dtype=self.manifest.dtype) if out is None else out
        at = start
        while at < stop:
            number = self._shard_of(at)
            here = at - int(self._first_token[number])
            until = min(stop - at, self._shards[number].tokens - here) + here
            self._read_shard(self._shards[number], here, until, result[at - start :])
            at += until - here
        return result

    def _check_range(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= self.tokens:
            raise IndexError(f"{self.folder.url}: a range must lie in [0, {self.tokens}], got [{start}, {stop}).")

    def _shard_of(self, token: int) -> int:
        return int(np.searchsorted(self._first_token, token, side="right")) - 1

    def _read_shard(self, shard: ShardReport, start: int, stop: int, out: npt.NDArray[Any]) -> None:
        """Copy tokens [start, stop) of one shard to the head of `out`, block by block."""
        per_block = shard.block_bytes // self.dtype.itemsize
        at = start
        while at < stop:
            block, skip = divmod(at, per_block)
            ids = np.frombuffer(self._block(shard, block), self.dtype)
            taken = min(stop - at, per_block - skip)
            out[at - start : at - start + taken] = ids[skip : skip + taken]
            at += taken

    def _block(self, shard: ShardReport, block: int) -> bytes:
        name = f"{shard_name(shard.index)}.bin"
        return self._cache.blocks.get((f"{self.folder.url}/{name}", block), lambda: self._fetch(shard, name, block))

    def _fetch(self, shard: ShardReport, name: str, block: int) -> bytes:
        want = self._checksums(shard)[block]
        file = self._open(name)
        start = block * shard.block_bytes
        data = file.read(start, min(shard.block_bytes, shard.files[name].bytes - start))
        if file.size != shard.files[name].bytes:
            raise ShardError(
                f"{self.folder.url}/{name} must have {shard.files[name].bytes} bytes, got {file.size}. {REPAIR}"
            )
        if (got := xxhash.xxh3_64_intdigest(data)) != want:
            first = start // self.dtype.itemsize
            raise ShardError(
                f"{self.folder.url}/{name} block {block} (bytes {start}-{start + len(data)}, tokens"
                f" {first}-{first + len(data) // self.dtype.itemsize}) must have xxh3 {int(want):016x},"
                f" got {got:016x}. {REPAIR}"
            )
        return data

    def _open(self, name: str) -> RangeFile:
        try:
            return self._cache.files.get(f"{self.folder.url}/{name}", lambda: open_range(self.folder, name))
        except FileNotFoundError as error:
            raise ShardError(f"{self.folder.url}/{name} must exist, got no such file. {REPAIR}") from error

    def _checksums(self, shard: ShardReport) -> npt.NDArray[np.uint64]:
        name = f"{shard_name(shard.index)}.xxh3"
        return self._cache.tables.get(f"{self.folder.url}/{name}", lambda: self._load_checksums(shard, name))

    def _load_checksums(self, shard: ShardReport, name: str) -> npt.NDArray[np.uint64]:
        file, info = self._open(name), shard.files[name]
        data = file.read(0, file.size)
        if len(data) != info.bytes or xxhash.xxh3_64_hexdigest(data) != info.xxh3:
            raise ShardError(f"{self.folder.url}/{name} must have xxh3 {info.xxh3}, got other bytes. {REPAIR}")
        return np.frombuffer(data, dtype="<u8")

    def _starts(self, shard: ShardReport) -> npt.NDArray[np.int64]:
        """Return where each document of a shard begins, in the shard's tokens."""
        name = f"{shard_name(shard.index)}.docs.parquet"
        return self._cache.tables.get(f"{self.folder.url}/{name}", lambda: self._load_starts(shard, name))

    def _load_starts(self, shard: ShardReport, name: str) -> npt.NDArray[np.int64]:
        table = self._read_table(name, ["offset", "length"])
        starts: npt.NDArray[np.int64] = table["offset"].to_numpy()
        lengths: npt.NDArray[np.int64] = table["length"].to_numpy()
        sound = (starts == np.cumsum(lengths) - lengths).all() and (lengths > 0).all()
        if not sound or (len(starts), lengths.sum()) != (shard.documents, shard.tokens):
            raise ShardError(
                f"{self.folder.url}/{name} must cover the shard's {shard.tokens} tokens without gaps. {REPAIR}"
            )
        return starts

    def _read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        try:
            with self.folder.open(name) as file:
                return open_parquet(file).read(columns=columns, use_threads=False)
        except FileNotFoundError as error:
            raise ShardError(f"{self.folder.url}/{name} must exist, got no such file. {REPAIR}") from error
        except (pa.ArrowInvalid, OSError) as error:
            raise ShardError(f"{self.folder.url}/{name} must be readable, got: {error} {REPAIR}") from error

    def document_starts(self, start: int, stop: int) -> tuple[int, npt.NDArray[np.int64]]:
        """Return the number of the document that holds token `start`, and where the next ones begin in (start, stop).

        Example, documents of 3, 4 and 2 tokens: document_starts(1, 9) == (0, [3, 7]).
        """
        self._check_range(start, max(stop, start + 1))
        first = self._shard_of(start)
        last = self._shard_of(stop - 1)
        found = []
        for number in range(first, last + 1):
            base = self._first_token[number]
            starts = self._starts(self._shards[number])
            low = np.searchsorted(starts, start - base, side="right")
            high = np.searchsorted(starts, stop - base, side="left")
            found.append(starts[low:high] + base)
            if number == first:
                row = int(self._first_row[number] + low) - 1
        return row, np.concatenate(found)

    def locate(self, token: int) -> int:
        """Return the number of the document that holds a token of the stream."""
        return self.document_starts(token, token + 1)[0]

    def document_table(self, rows: npt.NDArray[np.int64]) -> pa.Table:
        """Return the rows of the numbered documents: doc_id, source columns, then `start` and `stop` in the stream."""
        shards = np.searchsorted(self._first_row, rows, side="right") - 1
        order = np.argsort(shards, kind="stable")
        pieces = [self._rows_of_shard(number, rows[shards == number]) for number in np.unique(shards)]
        if not pieces:
            return self._rows_of_shard(0, rows)
        return pa.concat_tables(pieces).take(np.argsort(order, kind="stable"))

    def _rows_of_shard(self, number: int, rows: npt.NDArray[np.int64]) -> pa.Table:
        table = self._read_table(f"{shard_name(self._shards[number].index)}.docs.parquet")
        table = table.take(pa.array(rows - self._first_row[number], pa.int64()))
        start = table["offset"].to_numpy() + self._first_token[number]
        stop = start + table["length"].to_numpy()
        table = table.drop_columns(["offset", "length"])
        return table.append_column("start", pa.array(start)).append_column("stop", pa.array(stop))

    def find(self, doc_id: bytes) -> int | None:
        """Return the number of the document with this id, None when it is not in the bucket; reads the tables."""
        for number, shard in enumerate(self._shards):
            ids = self._read_table(f"{shard_name(shard.index)}.docs.parquet", ["doc_id"])["doc_id"]
            row = pc.index(ids, pa.scalar(doc_id, ids.type)).as_py()
            if row >= 0:
                return int(self._first_row[number]) + int(row)
        return None
