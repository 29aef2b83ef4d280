"""Parquet files -> batches of documents: one row is one document, its position the row's number in the file.

A file can be read by row groups: a unit is a run of whole groups, cut by the bytes where they start. A row that is no
document is a failure of one of the causes `no_text` (null), `invalid_utf8`, `too_long`; so is each row of a group from
the place on where it does not decode (`corrupt`). A file that is no Parquet (`garbage`), or that lost its footer and
with it every row (`cut`), is one failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataproc.columns import InputColumns
from dataproc.errors import InputError
from dataproc.raw import RawRows, ReadReport, utc_time
from dataproc.text import clean_text

MAGIC = b"PAR1"
BATCH_ROWS = 256  # decoded at a time, fewer where the rows of a group are large
COLUMN_BYTES = 4 << 20
"""Stored bytes of a column that are read at a time."""

FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
"""Of the years 1 to 9999; times not between them, which Python has no datetime for, read as null."""

KIND = "row"


class Cut(NamedTuple):
    """A run of row groups of a file."""

    start: int
    end: int
    first_row: int


def read_parquet(
    file: BinaryIO,
    input_name: str,
    report: ReadReport,
    *,
    start: int = 0,
    end: int = -1,
    first_row: int = 0,
    batch_bytes: int,
    max_record_bytes: int,
    max_docs: int = -1,
    columns: InputColumns,
) -> Iterator[pa.RecordBatch]:
    """Yield the documents of a Parquet file in its order as batches of `schema.RAW` of about `batch_bytes`.

    `start` and `end` (-1 = the end of the file) are bounds that `cut_parquet` gave, `first_row` the number of the first
    row behind `start`. Texts over `max_record_bytes` are failures. Of nested columns only the named fields are read.
    A batch may be empty: it is the time to take many failures.
    Raises InputError when the file has no column for the text.
    Example: a row of text "a" and date timestamp(2024-11-01) gives text "a" and date "2024-11-01T00:00:00Z".
    """
    size = file.seek(0, 2)
    rows, row = RawRows(input_name, batch_bytes, max_docs), first_row
    parquet = _open(file)
    if parquet is None:
        report.input_bytes += size
        if size:
            file.seek(0)
            report.fail(0, "cut" if file.read(len(MAGIC)) == MAGIC[:size] else "garbage", size)
        return
    paths = _paths(parquet, input_name, columns)
    wanted = sorted({path for path in paths if path is not None})
    bounds = _bounds(parquet.metadata, size)
    for group in range(parquet.num_row_groups):
        if not start <= bounds[group] < (size + 1 if end < 0 else end):
            continue
        stored, group_bytes = parquet.metadata.row_group(group), bounds[group + 1] - bounds[group]
        stop = row + stored.num_rows
        row_bytes = max(stored.total_byte_size, 1) / max(stored.num_rows, 1)
        batch_rows = int(min(max(batch_bytes / row_bytes, 1), BATCH_ROWS))
        report.input_bytes += group_bytes
        try:
            for batch in parquet.iter_batches(batch_rows, [group], wanted, use_threads=False):
                for values in zip(*(_values(batch, path) for path in paths), strict=True):
                    _add_row(rows, row, values, max_record_bytes, report)
                    row += 1
                    if rows.full or report.full:
                        yield rows.take()
                    if rows.done:
                        report.count_bytes(KIND, group_bytes)
                        return
            report.count_bytes(KIND, group_bytes)
        except (pa.ArrowException, OSError) as error:
            _raise_of_disk(error)
            for lost in range(row, stop):
                report.records[KIND] += 1
                report.fail(lost, "corrupt", group_bytes if lost == row else 0)
                if report.full:
                    yield rows.take()
        row = stop
    last = rows.take()
    if last.num_rows:
        yield last


def cut_parquet(file: BinaryIO, input_name: str, columns: InputColumns, unit_bytes: int) -> list[Cut]:
    """Return the units of a file: whole row groups of together `unit_bytes` or a little more.

    Raises InputError as `read_parquet` does. The whole file is one unit when its row groups cannot be told apart.
    """
    size = file.seek(0, 2)
    parquet = _open(file)
    if parquet is None:
        return [Cut(0, -1, 0)]
    _paths(parquet, input_name, columns)
    bounds = _bounds(parquet.metadata, size)
    cuts, start, first_row, row = [], 0, 0, 0
    for group in range(parquet.num_row_groups):
        row += parquet.metadata.row_group(group).num_rows
        if bounds[group + 1] - start >= unit_bytes and bounds[group + 1] < size:
            cuts.append(Cut(start, bounds[group + 1], first_row))
            start, first_row = bounds[group + 1], row
    return [*cuts, Cut(start, size, first_row)] if cuts else [Cut(0, -1, 0)]


def _open(file: BinaryIO) -> pq.ParquetFile | None:
    """Return the open file, None when it has no footer that can be read."""
    file.seek(0)
    try:
        # Read ahead, a whole row group would be in memory, and by threads that `tables.open_parquet` tells of.
        return pq.ParquetFile(file, pre_buffer=False, buffer_size=COLUMN_BYTES)
    except (pa.ArrowException, OSError) as error:
        _raise_of_disk(error)
        return None


def _raise_of_disk(error: Exception) -> None:
    """Raise an error that is the disk's fault; those of a damaged file have no number."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error


def _bounds(metadata: pq.FileMetaData, size: int) -> list[int]:
    """Return where each row group starts and, last, the file's size; the first group has what stands before it."""
    starts = [_group_start(metadata.row_group(group)) for group in range(metadata.num_row_groups)]
    bounds = [0, *starts[1:], size]
    in_order = all(left < right for left, right in pairwise(bounds))
    return bounds if in_order else [0, *[size] * len(starts)]


def _group_start(group: pq.RowGroupMetaData) -> int:
    chunks = [group.column(index) for index in range(group.num_columns)]
    pages = [offset for chunk in chunks for offset in (chunk.dictionary_page_offset, chunk.data_page_offset) if offset]
    return min(pages, default=0)


def _paths(parquet: pq.ParquetFile, input_name: str, columns: InputColumns) -> list[str | None]:
    """Return the paths of text, url and date in the file's schema, null for what it has not."""
    kinds = dict(_leaves(parquet.schema_arrow, ""))
    strings = [path for path, kind in kinds.items() if _is_string(kind)]
    text = next((name for name in columns.text if name in strings), None)
    if text is None:
        found = ", ".join(f"{path} ({kind})" for path, kind in kinds.items()) or "none"
        raise InputError(
            f"{input_name} must have a column of strings named {' or '.join(columns.text)}, got columns: {found}."
            f" {_advice(parquet, strings)}"
        )
    url = next((name for name in columns.url if name in strings), None)
    date = next((name for name in columns.date if name in kinds and _is_time(kinds[name])), None)
    return [text, url, date]


def _advice(parquet: pq.ParquetFile, strings: Sequence[str]) -> str:
    """Say how to name the column; the one that takes the most bytes is most likely the text."""
    if not strings:
        return "Give files with texts."
    weight = dict.fromkeys(strings, 0)
    for group in range(min(parquet.num_row_groups, 1)):
        chunks = parquet.metadata.row_group(group)
        for chunk in map(chunks.column, range(chunks.num_columns)):
            if chunk.path_in_schema in weight:
                weight[chunk.path_in_schema] += chunk.total_uncompressed_size
    return f"Name it in the recipe, e.g. input: {{columns: {{text: {max(strings, key=weight.__getitem__)}}}}}."


def _leaves(fields: pa.Schema | pa.StructType, prefix: str) -> Iterator[tuple[str, pa.DataType]]:
    for field in fields:
        path = f"{prefix}{field.name}"
        if pa.types.is_struct(field.type):
            yield from _leaves(field.type, f"{path}.")
        else:
            yield path, field.type


def _is_string(kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        return _is_string(kind.value_type)
    tests = (types.is_string, types.is_large_string, types.is_string_view, types.is_binary, types.is_large_binary)
    return any(test(kind) for test in tests)


def _is_time(kind: pa.DataType) -> bool:
    return _is_string(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind)


def _values(batch: pa.RecordBatch, path: str | None) -> Iterator[bytes | str | None]:
    """Yield a column's values: bytes of strings, which nobody has checked yet, and times as text."""
    if path is None:
        yield from [None] * batch.num_rows
        return
    column = _column(batch, path)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if _is_string(kind):
        column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        yield from (value.as_py() for value in column.cast(pa.large_binary()))
        return
    seconds = column.cast(pa.timestamp("s"), safe=False).cast(pa.int64())
    has_year = pc.and_(pc.greater(seconds, FIRST_SECOND), pc.less_equal(seconds, LAST_SECOND))
    for value in pc.if_else(has_year, column, None).cast(pa.timestamp("us"), safe=False):
        moment: datetime | None = value.as_py()
        yield None if moment is None else moment.replace(tzinfo=UTC).isoformat()


def _column(batch: pa.RecordBatch, path: str) -> pa.Array:
    if path in batch.schema.names:
        return batch.column(batch.schema.names.index(path))  # of columns with one name the first
    head = next(name for name in batch.schema.names if path.startswith(f"{name}."))
    return pc.struct_field(batch[head], path[len(head) + 1 :].split("."))


def _add_row(
    rows: RawRows, row: int, values: tuple[bytes | str | None, ...], max_record_bytes: int, report: ReadReport
) -> None:
    """Add a row's document to the rows, or its failure to the report; its bytes are counted with its group."""
    text, url, date = values
    report.records[KIND] += 1
    if not isinstance(text, bytes):
        report.fail(row, "no_text", 0)
    elif len(text) > max_record_bytes:
        report.fail(row, "too_long", 0)
    elif (decoded := _decoded(text)) is None:
        report.fail(row, "invalid_utf8", 0)
    else:
        address, moment = (_decoded(value) if isinstance(value, bytes) else value for value in (url, date))
        rows.add(
            position=row,
            url=None if address is None else clean_text(address),
            date=utc_time(moment),
            text=clean_text(decoded),
        )


def _decoded(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
