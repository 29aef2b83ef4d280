"""Regrouping rows by a partition id that we compute: everything about `exchange` that is the same on every engine.

The map side cuts a unit's rows into pieces bounded by bytes and serialises the rows of each partition as one opaque
block. An engine moves blocks, never rows. The reduce side sorts a partition's blocks, through sorted runs on disk when
they exceed the same bound, and feeds the reducer. Types are few (see `TYPES`) so that any engine can carry them and
compare them alike.

A block is a series of Arrow record batches, each as one IPC message in LZ4 behind three uint64: its bytes before and
after, and the xxh3_64 of the latter with the former as seed. An IPC stream, with a schema and a compression of each
column's buffers of its own, costs ten times as much for the few rows that a block has when there are many partitions.
"""

from __future__ import annotations

import itertools
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from dataproc.disk import storing
from dataproc.errors import SchemaError, ShardError, suggest

TYPES = (pa.bool_(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.string(), pa.binary())

BLOCK_FORMAT = 4
"""Of blocks and spills; those that a killed run left in another are not read."""

PIECE_BYTES = 64 << 20
"""Content a map task holds before it sorts and cuts blocks; also what a reduce task merges in memory at once."""

BATCH_ROWS, BATCH_BYTES = 4096, 1 << 20
"""Largest batch that a reducer is handed, and that a merge holds of each run."""

MAX_RUNS = 64
"""Sorted runs merged at once; what they become is a run, too."""

Rows = Iterator[pa.RecordBatch]

_LZ4 = pa.Codec("lz4_raw")
_HEAD = struct.Struct("<QQQ")


class Block(NamedTuple):
    """Rows of one partition from one piece of one unit."""

    partition: int
    data: pa.Buffer


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One regrouping. All callables are pure and picklable.

    source(unit) yields batches of `schema`, which has the int32 column named by `partition` with ids in [0,
    num_partitions). reduce_fn takes a partition's rows sorted by `sort_by` and yields batches; a group may span
    batches. sink(partition, rows) stores them and returns a report; it is called for empty partitions too. `sort_by`
    must end in something that makes the order total, such as doc_id.
    """

    name: str
    source: Callable[[Any], Rows]
    schema: pa.Schema
    partition: str
    sort_by: tuple[str, ...]
    num_partitions: int
    reduce_fn: Callable[[Rows], Rows]
    sink: Callable[[int, Rows], Any]
    piece_bytes: int = PIECE_BYTES

    def __post_init__(self) -> None:
        for column in self.schema:
            if column.type not in TYPES:
                raise SchemaError(
                    f"Exchange.schema of {self.name}: {column.name} must be one of {', '.join(map(str, TYPES))},"
                    f" got {column.type}."
                    " Cast it (unsigned integers bit-cast to int64)."
                )
        for key, names in {"partition": (self.partition,), "sort_by": self.sort_by}.items():
            for name in names:
                if name not in self.schema.names:
                    raise SchemaError(
                        f"Exchange.{key} of {self.name} must name columns of the schema, got {name!r}."
                        f"{suggest(name, self.schema.names)}"
                    )

    def split(self, unit: Any) -> Iterator[Block]:
        """Yield the blocks of one unit."""
        held: list[pa.RecordBatch] = []
        size = 0
        for batch in self.source(unit):
            if batch.schema != self.schema:
                batch = pa.RecordBatch.from_arrays([batch[field.name] for field in self.schema], schema=self.schema)
            held.append(batch)
            size += batch.nbytes
            if size >= self.piece_bytes:
                yield from self._cut(held)
                size = 0
        if held:
            yield from self._cut(held)

    def _cut(self, held: list[pa.RecordBatch]) -> Iterator[Block]:
        table = _sorted(held, (self.partition,))
        partitions = table[self.partition].to_numpy()
        if not len(partitions):
            return
        if partitions[0] < 0 or partitions[-1] >= self.num_partitions:
            raise SchemaError(
                f"Exchange.partition of {self.name} must be in [0, {self.num_partitions}),"
                f" got {partitions[0]}..{partitions[-1]}."
            )
        starts = np.flatnonzero(np.diff(partitions, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], len(partitions)], strict=True):
            sink = pa.BufferOutputStream()
            _write(sink, table.slice(start, stop - start))
            yield Block(int(partitions[start]), sink.getvalue())

    def reduce(self, partition: int, blocks: Iterable[pa.Buffer], scratch: Path) -> Any:
        """Sort the blocks of a partition, reduce and store; return the sink's report.

        Memory is about twice `piece_bytes`; what exceeds it goes through sorted runs in the folder `scratch`, of which
        at most `MAX_RUNS` are merged at once, with some 3 `BATCH_BYTES` each. Raises ShardError for a damaged block.
        """
        with storing(scratch):
            made = tempfile.TemporaryDirectory(dir=scratch)
        with made as folder:
            rows = self._sorted_rows(blocks, Path(folder), f"{scratch}: a block of partition {partition}")
            return self.sink(partition, self.reduce_fn(rows))

    def _sorted_rows(self, blocks: Iterable[pa.Buffer], folder: Path, where: str) -> Rows:
        runs = _Runs(self.schema, self.sort_by, folder)
        held: list[pa.RecordBatch] = []
        size = 0
        for block in blocks:
            for batch in _read(pa.BufferReader(block), self.schema, where):
                held.append(batch)
                size += batch.nbytes
                if size >= self.piece_bytes:
                    runs.add(_sorted(held, self.sort_by).to_batches())
                    size = 0
        if runs:
            if held:
                runs.add(_sorted(held, self.sort_by).to_batches())
            yield from runs.merged()
        elif held:
            table = _sorted(held, self.sort_by)
            yield from table.to_batches(max_chunksize=_batch_rows(table))


def _batch_rows(table: pa.Table) -> int:
    return max(1, min(BATCH_ROWS, BATCH_BYTES * int(table.num_rows) // max(1, int(table.nbytes))))


def _write(sink: Any, table: pa.Table) -> None:
    """Write the rows in small batches, so that a reader can hold one at a time."""
    for batch in table.to_batches(max_chunksize=_batch_rows(table)):
        message = batch.serialize()
        packed = _LZ4.compress(message)
        sink.write(_HEAD.pack(message.size, packed.size, xxhash.xxh3_64_intdigest(packed, message.size)))
        sink.write(packed)


def _read(source: Any, schema: pa.Schema, where: str) -> Rows:
    """Yield the batches; raise ShardError, which begins with `where`, for one that is not as it was written.

    Sizes are held against what is left before memory is taken for them, and Arrow sees no byte that is not ours.
    """
    left = source.size()
    while left:
        head = source.read(_HEAD.size)
        size, packed, checksum = _HEAD.unpack(head.ljust(_HEAD.size, b"\0"))
        left -= len(head) + packed
        data = source.read_buffer(packed if left >= 0 else 0)
        if left < 0 or xxhash.xxh3_64_intdigest(data, size) != checksum:
            got = f"{-left:,} bytes too few" if left < 0 else "another checksum"
            raise ShardError(
                f"{where} must be as it was written, got {got}. Remove its folder where it is still there, and resume"
                " the run: all that is in it is made again."
            )
        yield pa.ipc.read_record_batch(_LZ4.decompress(data, size), schema)


def _sorted(held: list[pa.RecordBatch], keys: Sequence[str]) -> pa.Table:
    """Return the rows sorted; the list is emptied, so that they are in memory twice, not three times.

    Arrow sorts, and takes from, one chunk several times as fast as many.
    """
    table = pa.Table.from_batches(held)
    held.clear()
    table = table.combine_chunks()
    order = pc.sort_indices(table, sort_keys=[(key, "ascending") for key in keys])
    return table.take(order).combine_chunks()


class _Runs:
    """Sorted files; whenever there are `MAX_RUNS` of a level, they become one of the next.

    So few are open, and in memory with a batch, however large the partition.
    """

    def __init__(self, schema: pa.Schema, keys: Sequence[str], folder: Path) -> None:
        self._schema, self._keys, self._folder = schema, keys, folder
        self._levels: list[list[_Run]] = []
        self._names = itertools.count()

    def __bool__(self) -> bool:
        return bool(self._levels)

    def add(self, rows: Iterable[pa.RecordBatch], level: int = 0) -> None:
        """Store sorted rows."""
        path = self._folder / str(next(self._names))
        with storing(path), pa.OSFile(str(path), "wb") as sink:
            for batch in rows:
                _write(sink, pa.Table.from_batches([batch]))
        if level == len(self._levels):
            self._levels.append([])
        self._levels[level].append(_Run(path, self._schema))
        if len(self._levels[level]) == MAX_RUNS:
            self._raise(level)

    def _raise(self, level: int) -> None:
        """Make one run of the next level of all of this one."""
        runs, self._levels[level] = self._levels[level], []
        self.add(merge(runs, self._keys), level + 1)
        for run in runs:
            run.path.unlink()

    def merged(self) -> Rows:
        """Yield all rows in order."""
        for level in range(len(self._levels) - 1):
            if self._levels[level] and sum(map(len, self._levels)) > MAX_RUNS:
                self._raise(level)
        return merge([run for level in self._levels for run in level], self._keys)


class _Run:
    """A sorted file read batch by batch; `head` is what is not yet merged, empty at the end."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self._batches = _read(pa.OSFile(str(path), "rb"), schema, str(path))
        self.head: pa.RecordBatch = next(self._batches)
        self._full = self.head.num_rows

    def take(self, rows: int) -> bool:
        """Leave out the first rows of the head, fill it up when less than half is left; say whether there is any."""
        self.head = self.head.slice(rows)
        if 2 * self.head.num_rows <= self._full:
            self.head = pa.concat_batches([self.head, *itertools.islice(self._batches, 1)])
        return bool(self.head.num_rows)


def merge(runs: list[_Run], keys: Sequence[str]) -> Rows:
    """Yield the rows of sorted runs in one sorted order.

    Each round sorts the heads together and emits up to the first place where some run's head is used up: rows beyond it
    might come after rows that this run has not shown yet. Heads are filled up before they are short, so that a round
    emits a good part of what it sorts, however many runs there are.
    """
    while runs:
        table = pa.Table.from_batches([run.head for run in runs])
        owner = np.repeat(np.arange(len(runs)), [run.head.num_rows for run in runs])
        order = pc.sort_indices(table, sort_keys=[(key, "ascending") for key in keys]).to_numpy()
        owner = owner[order]
        last = np.zeros(len(runs), dtype=np.int64)
        last[owner] = np.arange(len(owner))  # the last position of each run, since later assignments win
        cut = int(last.min()) + 1
        yield from table.take(pa.array(order[:cut])).combine_chunks().to_batches(max_chunksize=BATCH_ROWS)
        used = np.bincount(owner[:cut], minlength=len(runs))
        runs = [run for run, rows in zip(runs, used.tolist(), strict=True) if run.take(rows)]
