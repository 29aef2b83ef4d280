"""Parquet parts: one writer whose bytes depend on the rows alone, and readers that hold sidecars to their documents.

Row groups are cut by rows and by bytes of content, whatever batches came in, and every writer option is fixed, so equal
rows give equal files on every engine. Sidecars are read by position; a doc_id that differs is an error naming part and
row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataproc.errors import SchemaError, ShardError
from dataproc.storage import Folder

GROUP_ROWS = 65_536
GROUP_BYTES = 16 << 20


def part_name(dataset: str, part: int) -> str:
    """Return the file name of a part.

    Example: part_name("documents", 3) == "documents/part-00000003.parquet".
    """
    return f"{dataset}/part-{part:08d}.parquet"


def cast_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return the batch with exactly the columns and types of `schema`; raises SchemaError for a missing column."""
    arrays = []
    for field in schema:
        if field.name not in batch.schema.names:
            if batch.num_rows:
                raise SchemaError(
                    f"batch.{field.name} must be there, got columns {batch.schema.names}. Write it in a stage."
                )
            arrays.append(pa.nulls(0, field.type))
        else:
            column = batch[field.name]
            arrays.append(column if column.type == field.type else column.cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def row_bytes(batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
    """Return the bytes of content of each row: lengths of strings, binaries and lists, 8 for anything else."""
    total = np.zeros(batch.num_rows, dtype=np.int64)
    for column in batch.columns:
        if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            total += 8 * pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        elif pa.types.is_fixed_size_list(column.type):
            total += 8 * column.type.list_size
        elif _is_binary(column.type):
            total += pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        else:
            total += 8
    return total


def _is_binary(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind) or types.is_large_binary(kind)
    )


class _Regroup:
    """Cuts a stream where the rows alone say: at `max_rows`, or after the row that fills `max_bytes`."""

    def __init__(self, max_rows: int, max_bytes: int) -> None:
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._held: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def push(self, batch: pa.RecordBatch) -> Iterator[pa.Table]:
        """Yield the tables that this batch completes."""
        ends = np.cumsum(row_bytes(batch))
        start = 0
        while start < batch.num_rows:
            before = int(ends[start - 1]) if start else 0
            by_bytes = int(np.searchsorted(ends, before + self._max_bytes - self._bytes)) + 1
            stop = min(batch.num_rows, by_bytes, start + self._max_rows - self._rows)
            self._held.append(batch.slice(start, stop - start))
            self._rows += stop - start
            self._bytes += int(ends[stop - 1]) - before
            start = stop
            if self._rows >= self._max_rows or self._bytes >= self._max_bytes:
                yield from self.flush()

    def flush(self) -> Iterator[pa.Table]:
        """Yield what is held, if anything."""
        if self._held:
            yield pa.Table.from_batches(self._held).combine_chunks()
        self._held, self._rows, self._bytes = [], 0, 0


class ParquetFile:
    """A Parquet file in the making, whose bytes depend on the rows alone; a context manager.

    Example: with ParquetFile(path, schema) as file: file.write(batch); file.rows
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.rows = 0
        self._schema = schema
        self._regroup = _Regroup(GROUP_ROWS, GROUP_BYTES)
        self._writer = pq.ParquetWriter(
            path,
            schema,
            version="2.6",
            compression="zstd",
            compression_level=3,
            use_dictionary=True,
            data_page_version="1.0",
            data_page_size=1 << 20,
            write_batch_size=1024,
            write_statistics=True,
            write_page_checksum=True,  # looked at whenever rows are read, not only by `dataproc verify`
        )

    def __enter__(self) -> ParquetFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is None:
            self._write(self._regroup.flush())
        self._writer.close()

    def write(self, batch: pa.RecordBatch) -> None:
        """Add the rows; columns are cast to the schema. Raises SchemaError for a missing column."""
        self._write(self._regroup.push(cast_batch(batch, self._schema)))
        self.rows += batch.num_rows

    def _write(self, tables: Iterator[pa.Table]) -> None:
        for table in tables:
            self._writer.write_table(table, row_group_size=table.num_rows)


def write_parquet(path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> int:
    """Write all rows to one Parquet file and return their number; no rows give a file without rows."""
    with ParquetFile(path, schema) as file:
        for batch in batches:
            file.write(batch)
    return file.rows


@contextmanager
def create_part(folder: Folder, name: str, schema: pa.Schema) -> Iterator[ParquetFile]:
    """Give a Parquet file to write; it takes its place in the folder when the block ends well."""
    with folder.create(name) as path, ParquetFile(path, schema) as file:
        yield file


def read_part(
    folder: Folder, dataset: str, part: int, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a part, one batch per row group.

    Raises ShardError when it is missing or unreadable (a page's checksum among what is read), or lacks a column.
    """
    with _reading(folder, name := part_name(dataset, part)), folder.open(name) as file:
        yield from read_groups(file, columns)


@contextmanager
def _reading(folder: Folder, name: str) -> Iterator[None]:
    """Turn what a missing or unreadable part raises into a ShardError that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise ShardError(
            f"{name} must exist, got no such file in {folder.url}. Run the step that writes it."
        ) from error
    except (pa.ArrowException, OSError) as error:
        raise ShardError(
            f"{name} must be a readable Parquet file, got: {error}. Run `dataproc verify` on the run."
        ) from error


class ColumnReader:
    """One binary column of a part, read at ascending rows: row groups without a wanted row are passed over.

    Raises ShardError for a part that is missing or unreadable, or ends before a wanted row.
    """

    def __init__(self, folder: Folder, dataset: str, part: int, column: str) -> None:
        self._folder, self._name, self._column = folder, part_name(dataset, part), column
        with _reading(folder, self._name):
            self._file = folder.open(self._name)
            self._parquet = open_parquet(self._file)
        sizes = [self._parquet.metadata.row_group(group).num_rows for group in range(self._parquet.num_row_groups)]
        self._ends = np.cumsum(sizes, dtype=np.int64)
        self._group, self._values = -1, pa.array([], pa.binary())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def at(self, rows: npt.NDArray[np.int64], wanted: npt.NDArray[np.bool_]) -> pa.Array:
        """Return the values of the wanted rows (ascending), null for the others."""
        groups = np.searchsorted(self._ends, rows, side="right")
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        pieces = [pa.array([], pa.binary())]
        for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
            here = wanted[start:stop]
            if here.any():
                values, first = self._load(int(groups[start]))
                pieces.append(values.take(pa.array(rows[start:stop] - first, mask=~here)))
            else:
                pieces.append(pa.nulls(stop - start, pa.binary()))
        return pa.concat_arrays(pieces)

    def _load(self, group: int) -> tuple[pa.Array, int]:
        if group >= len(self._ends):
            raise ShardError(
                f"{self._name} must hold every row that dedup names, got {self._ends[-1] if group else 0} rows."
                " Run `dataproc verify` on the run."
            )
        if group != self._group:
            with _reading(self._folder, self._name):
                table = self._parquet.read_row_group(group, columns=[self._column], use_threads=False)
            self._group, self._values = group, table[self._column].combine_chunks()
        return self._values, int(self._ends[group] - len(self._values))


def open_parquet(file: BinaryIO) -> pq.ParquetFile:
    """Open a Parquet file to read it with `use_threads=False`; the checksums of its pages are looked at.

    Arrow's threads want the GIL to read, and to let go of, a Python file. One that still does when the interpreter
    shuts down is ended inside C++, which aborts the process: "terminate called without an active exception".
    """
    return pq.ParquetFile(file, pre_buffer=False, page_checksum_verification=True)


def read_groups(file: BinaryIO, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield an open Parquet file's row groups as batches; raises ArrowInvalid when it lacks a column."""
    parquet = open_parquet(file)
    wanted = None if columns is None else list(columns)
    if absent := set(wanted or ()).difference(parquet.schema_arrow.names):  # pyarrow passes over them
        raise pa.ArrowInvalid(f"no column {', '.join(sorted(absent))}")
    for group in range(parquet.num_row_groups):
        yield from parquet.read_row_group(group, columns=wanted, use_threads=False).to_batches()


class _Rows:
    """Hands out a stream of batches in pieces of the size asked for."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._held: list[pa.RecordBatch] = []

    def take(self, rows: int) -> pa.Table | None:
        """Return exactly `rows` rows, or fewer at the end of the stream, or None when there are no more."""
        have = sum(batch.num_rows for batch in self._held)
        while have < rows and (batch := next(self._batches, None)) is not None:
            self._held.append(batch)
            have += batch.num_rows
        if not self._held:
            return None
        table = pa.Table.from_batches(self._held)
        self._held = table.slice(rows).to_batches()
        return table.slice(0, rows)


def read_aligned(
    folder: Folder, part: int, datasets: Mapping[str, Sequence[str]], batch_rows: int = 4096
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the first dataset with the named columns of its sidecars beside them; doc_id comes once.

    Raises ShardError naming part and row when a sidecar's doc_id differs or its rows end early or late.
    Example: read_aligned(run, 0, {"documents": ["doc_id", "text"], "dedup": ["duplicate_of"]})
    """
    streams = {
        name: _Rows(read_part(folder, name, part, list(dict.fromkeys(["doc_id", *columns]))))
        for name, columns in datasets.items()
    }
    (main, rows), *sidecars = streams.items()
    row = 0
    while (table := rows.take(batch_rows)) is not None:
        ids = table["doc_id"].combine_chunks()
        for name, sidecar in sidecars:
            beside = sidecar.take(table.num_rows)
            check_ids(ids, beside, f"{part_name(name, part)}", row)
            assert beside is not None
            for column in beside.column_names:
                if column != "doc_id":
                    table = table.append_column(column, beside[column])
        row += table.num_rows
        yield table.combine_chunks().to_batches()[0]
    for name, sidecar in sidecars:
        if (more := sidecar.take(1)) is not None and more.num_rows:
            raise ShardError(
                f"{part_name(name, part)} row {row} must not exist, got more rows than {part_name(main, part)} has."
            )


def check_ids(ids: pa.Array, beside: pa.Table | None, name: str, first_row: int) -> None:
    """Raise ShardError naming the first row of the sidecar whose doc_id is not the document's."""
    found = pa.array([], pa.binary()) if beside is None else beside["doc_id"].combine_chunks()
    if found.equals(ids):
        return
    for row, (want, got) in enumerate(zip(ids, found, strict=False)):
        if want != got:
            raise ShardError(
                f"{name} row {first_row + row} must hold doc_id {want.as_py().hex()}, got {got.as_py().hex()}."
                " The sidecar belongs to other documents; rebuild it with --redo."
            )
    raise ShardError(
        f"{name} row {first_row + len(found)} must hold doc_id {ids[len(found)].as_py().hex()},"
        " got the end of the file."
    )
