"""Single rows of a run's parts, found by a key or read by their number, without reading what lies around them.

A search reads the key column alone, skips row groups whose statistics exclude the key, and looks into many parts at a
time; memory is one key column of one row group for each thread. There is no index: a search for a doc_id through a
whole crawl reads 16 bytes for each document.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dataproc.errors import ShardError
from dataproc.shards import Dataset, read_description
from dataproc.storage import Folder
from dataproc.tables import open_parquet, part_name

DROPPED = {
    "documents": "dropped/documents",
    "dedup": "dropped/dedup",
    "lines": "dropped/lines",
    "substrings": "dropped/substrings",
    "buckets": "dropped/tokens",
}
"""Where each step that drops puts what it dropped."""

SEARCH_THREADS = 16
SEARCH_WINDOW = 64
"""Parts looked into before the next are queued: a search that has found what it needs stops there."""

Key = bytes | str | int
Row = dict[str, Any]


def parts_done(folder: Folder, dataset: str) -> list[int]:
    """Return the numbers of a dataset's finished parts; none when it was never started."""
    return sorted(Dataset(folder, dataset, {}, None).done()) if read_description(folder, dataset) else []


def find_rows(
    folder: Folder, dataset: str, parts: Iterable[int], column: str, keys: Sequence[Key]
) -> Iterator[tuple[int, int]]:
    """Yield (part, row) of each row whose `column` holds one of the keys, in order.

    Raises ShardError for a part that is missing, unreadable or without the column.
    Example: list(find_rows(run, "documents", [0, 1], "url", ["https://example.org/"])) == [(1, 17)]
    """
    todo = list(parts)
    look = partial(_rows_with, folder, dataset, column, keys)
    with ThreadPoolExecutor(SEARCH_THREADS) as pool:
        for start in range(0, len(todo), SEARCH_WINDOW):
            for found in pool.map(look, todo[start : start + SEARCH_WINDOW]):
                yield from found


def _rows_with(folder: Folder, dataset: str, column: str, keys: Sequence[Key], part: int) -> list[tuple[int, int]]:
    found, first = [], 0
    with open_part(folder, dataset, part) as file:
        for group in range(file.num_row_groups):
            if any(_may_hold(file, group, column, key) for key in keys):
                values = file.read_row_group(group, columns=[column], use_threads=False)[column].combine_chunks()
                hits = pc.indices_nonzero(pc.is_in(values, pa.array(keys, values.type)))
                found += [(part, first + row) for row in hits.to_pylist()]
            first += file.metadata.row_group(group).num_rows
    return found


def _may_hold(file: pq.ParquetFile, group: int, column: str, key: Key) -> bool:
    """Say whether the statistics of a row group allow the key; they order strings by their bytes."""
    chunks = (file.metadata.row_group(group).column(index) for index in range(file.metadata.num_columns))
    stats = next((chunk.statistics for chunk in chunks if chunk.path_in_schema == column), None)
    if stats is None or not stats.has_min_max:
        return True
    least, wanted, greatest = (_ordered(value) for value in (stats.min, key, stats.max))
    return bool(least <= wanted <= greatest)


def _ordered(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


def read_rows(
    folder: Folder, dataset: str, part: int, rows: Sequence[int], columns: Sequence[str] | None = None
) -> list[Row]:
    """Return the numbered rows of a part as dicts, in the order asked for; only their row groups are read.

    Raises ShardError for a part that is missing or unreadable, and for a row beyond its end.
    """
    values: dict[int, Row] = {}
    with open_part(folder, dataset, part) as file:
        first = 0
        for group in range(file.num_row_groups):
            stop = first + file.metadata.row_group(group).num_rows
            here = [row for row in dict.fromkeys(rows) if first <= row < stop]
            if here:
                wanted = None if columns is None else list(columns)
                table = file.read_row_group(group, columns=wanted, use_threads=False)
                taken = table.take(pa.array([row - first for row in here], pa.int64()))
                values.update(zip(here, taken.to_pylist(), strict=True))
            first = stop
    if beyond := [row for row in rows if row not in values]:
        raise ShardError(
            f"{part_name(dataset, part)} must have row {beyond[0]}, got {first} rows."
            " Run `dataproc verify`, or rebuild it with --redo."
        )
    return [values[row] for row in rows]


@contextmanager
def open_part(folder: Folder, dataset: str, part: int) -> Iterator[pq.ParquetFile]:
    """Open a part to read its row groups one by one; raises ShardError when it is missing or unreadable."""
    name = part_name(dataset, part)
    try:
        with folder.open(name) as file:
            yield open_parquet(file)
    except FileNotFoundError as error:
        raise ShardError(
            f"{name} must exist, got no such file in {folder.url}. Run the step that writes it."
        ) from error
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{name} must be readable, got: {error}. Run `dataproc verify` on the run.") from error
