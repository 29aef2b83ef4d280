"""What a run reads: the files of a crawl cut into units of work, and the reader of each format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import pyarrow as pa
from pydantic import PositiveInt

from dataproc.columns import InputColumns
from dataproc.config import Config
from dataproc.crawl_files import SPLITTABLE, CrawlFile, find_files, with_sizes
from dataproc.errors import InputError
from dataproc.jsonl import read_jsonl
from dataproc.parquet import Cut, cut_parquet, read_parquet
from dataproc.raw import Failure, ReadReport
from dataproc.remote import BLOCK_BYTES, open_input
from dataproc.warc import read_warc

__all__ = ["UNITS", "Failure", "InputConfig", "Inputs", "ReadReport", "Unit", "plan_units", "read_unit"]

BATCH_BYTES = 32 << 20
COUNT_BYTES = 8 << 20
JUST_WHAT_IS_READ = 1  # block_bytes for a reader that jumps: columns of Parquet lie far apart

UNITS = pa.schema(
    [
        ("unit", pa.int32()),  # number of the part that it makes
        ("input", pa.string()),  # path below the crawl root
        ("format", pa.string()),  # warc (WET too), jsonl or parquet
        ("start", pa.int64()),  # bytes of the file where its records, or row groups, may start
        ("end", pa.int64()),  # -1 = the end of the file
        ("first_row", pa.int64()),  # number of its first line or row, 0 for other formats
        ("bytes", pa.int64()),  # stored size, -1 when it was not asked of the store
        ("max_docs", pa.int64()),  # documents to read of it, -1 = all
    ]
)
"""units.parquet: the plan of a run, sorted by input bytes and start."""


class InputConfig(Config):
    """How the input is cut and read."""

    unit_bytes: PositiveInt = 256 << 20
    """Files that can be split are cut into units of about this many stored bytes."""

    max_record_bytes: PositiveInt = 16 << 20
    """Longer records are cut (WARC, truncated = "length") or failures (JSONL, Parquet: `failed.too_long`)."""

    block_bytes: PositiveInt = BLOCK_BYTES
    """Bytes of a remote file that a worker fetches at a time, and holds; decides no byte of the result."""

    columns: InputColumns = InputColumns()
    """The fields of JSON Lines and Parquet that make a document."""


@dataclass(frozen=True)
class Unit:
    """A row of UNITS."""

    unit: int
    input: str
    format: str
    start: int = 0
    end: int = -1
    first_row: int = 0
    bytes: int = -1
    max_docs: int = -1


@dataclass(frozen=True)
class Inputs:
    """The units of a crawl and, row by row, where to open them; locations never enter anything stored."""

    units: pa.Table
    locations: pa.Array


def plan_units(
    crawl: str,
    config: InputConfig,
    *,
    root: str | None = None,
    limit_files: int | None = None,
    limit_docs: int | None = None,
) -> Inputs:
    """Return the units of a crawl: a file, folder, glob, list of paths or Common Crawl id, local or on any fsspec URL.

    Folders are searched to their depth. A list is a .txt or .paths file (.gz too) of one path or URL a line; relative
    lines start from `root`, by default the list's folder. A Common Crawl id stands for the list of its WARC files. In
    folders and globs, files of other formats and names that start with a dot are passed over.
    `limit_files` takes the first files only; `limit_docs` the first documents in order of unit, for which the plan
    reads up to there once.
    Raises InputError when nothing is found, a format is unknown, a name is not UTF-8, two files have one input name, or
    a Parquet that is opened here (the first, and those to be split) has no text.
    Example: plan_units("crawl/*.warc.gz", InputConfig()).units["input"] -> ["a.warc.gz", "b.warc.gz"]
    """
    files = sorted(find_files(crawl, root), key=lambda file: _name_bytes(crawl, file))
    repeated = [name for name, count in Counter(file.input for file in files).items() if count > 1]
    if repeated:
        raise InputError(
            f"{crawl}: the name of each input must be unlike the others, got {repeated[0]} twice."
            " Rename one, or take it off the list."
        )
    planned = _units(files[:limit_files], config)
    if limit_docs is not None:
        planned = _first_documents(planned, limit_docs, config)
    rows, locations = [], []
    for unit, location in planned:
        rows.append(asdict(unit))
        locations.append(location)
    return Inputs(pa.Table.from_pylist(rows, schema=UNITS), pa.array(locations, pa.string()))


def read_unit(
    unit: Unit, location: str, report: ReadReport, config: InputConfig, *, batch_bytes: int = BATCH_BYTES
) -> Iterator[pa.RecordBatch]:
    """Yield the documents of a unit as batches of `schema.RAW`; `report` is added to.

    With `max_docs`, reading stops behind the last document asked for, and the report is of what was read until then.
    Raises InputError when the file is gone, and for a Parquet without a text.
    """
    limits = {
        "batch_bytes": batch_bytes,
        "max_record_bytes": config.max_record_bytes,
        "max_docs": unit.max_docs,
    }
    span = {"start": unit.start, "end": unit.end, "first_row": unit.first_row}
    block_bytes = JUST_WHAT_IS_READ if unit.format == "parquet" else config.block_bytes
    with open_input(location, block_bytes=block_bytes) as file:
        if unit.format == "warc":
            yield from read_warc(file, unit.input, report, **limits)
        elif unit.format == "jsonl":
            yield from read_jsonl(file, unit.input, report, **span, **limits, columns=config.columns)
        elif unit.format == "parquet":
            yield from read_parquet(file, unit.input, report, **span, **limits, columns=config.columns)
        else:
            raise InputError(
                f"{unit.input}: format must be one of warc, jsonl, parquet, got {unit.format}. Plan the run again."
            )
    if unit.max_docs >= 0:
        report.stop()


def _name_bytes(crawl: str, file: CrawlFile) -> bytes:
    try:
        return file.input.encode()
    except UnicodeEncodeError as error:  # ids and datasets hold it
        raise InputError(f"{crawl}: names of files must be UTF-8, got {file.input!r}. Rename it.") from error


def _units(files: list[CrawlFile], config: InputConfig) -> Iterator[tuple[Unit, str]]:
    """Yield the units of the files, each with its location."""
    number, seen_parquet = 0, False
    for file in with_sizes(files):
        whole = file.bytes <= config.unit_bytes or not file.input.lower().endswith(SPLITTABLE)
        cuts = [Cut(0, -1, 0)]
        if file.format == "parquet" and not (whole and seen_parquet):
            seen_parquet = True  # a missing column is told before anything starts
            with open_input(file.location, block_bytes=JUST_WHAT_IS_READ) as stored:
                cuts = cut_parquet(stored, file.input, config.columns, config.unit_bytes)
        elif not whole:
            cuts = list(_cut_lines(file, config))
        for cut in cuts:
            size = file.bytes if cut.end < 0 else cut.end - cut.start
            yield Unit(number, file.input, file.format, *cut, size), file.location
            number += 1


def _cut_lines(file: CrawlFile, config: InputConfig) -> Iterator[Cut]:
    """Yield the units of a file of lines; the lines are counted in one pass."""
    with open_input(file.location, block_bytes=config.block_bytes) as stored:
        row = 0  # lines that start before `start`
        for start in range(0, file.bytes, config.unit_bytes):
            end = min(start + config.unit_bytes, file.bytes)
            yield Cut(start, end, row)
            # A line starts at 0 and behind each newline, so those that start in [start, end) show one byte earlier.
            row += start == 0
            stored.seek(max(start - 1, 0))
            left = end - 1 - stored.tell()
            while left > 0 and (chunk := stored.read(min(left, COUNT_BYTES))):
                row += chunk.count(b"\n")
                left -= len(chunk)


def _first_documents(
    planned: Iterator[tuple[Unit, str]], limit_docs: int, config: InputConfig
) -> Iterator[tuple[Unit, str]]:
    """Yield the units that hold the first documents; the last of them stops where the limit is reached."""
    left = limit_docs
    for unit, location in planned:
        limited = replace(unit, max_docs=left)
        report = ReadReport()
        for batch in read_unit(limited, location, report, config):
            left -= batch.num_rows
            report.take_failures()
        yield unit if left else limited, location
        if not left:
            return
