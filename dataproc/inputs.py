"""What a run reads: the files of a crawl cut into units of work, and the reader of each format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import fsspec
import pyarrow as pa
from pydantic import PositiveInt

from dataproc.config import Config
from dataproc.crawl_files import CrawlFile, find_files, with_sizes
from dataproc.errors import InputError
from dataproc.jsonl import JsonlColumns, read_jsonl
from dataproc.raw import Failure, ReadReport
from dataproc.warc import read_warc

__all__ = ["UNITS", "Failure", "InputConfig", "Inputs", "ReadReport", "Unit", "plan_units", "read_unit"]

SPLITTABLE = (".jsonl",)  # compressed files and WARC have no places where a reader could start
BATCH_BYTES = 32 << 20
COUNT_BYTES = 8 << 20

UNITS = pa.schema(
    [
        ("unit", pa.int32()),  # number of the part that it makes
        ("input", pa.string()),  # path below the crawl root
        ("format", pa.string()),  # warc or jsonl
        ("start", pa.int64()),  # bytes of the file where its records may start
        ("end", pa.int64()),  # -1 = the end of the file
        ("first_row", pa.int64()),  # number of its first line, 0 for other formats
        ("bytes", pa.int64()),  # stored size, -1 when the server does not say
    ]
)
"""units.parquet: the plan of a run, sorted by input bytes and start."""


class InputConfig(Config):
    """How the input is cut and read."""

    unit_bytes: PositiveInt = 256 << 20
    """Files that can be split are cut into units of about this many stored bytes."""

    max_record_bytes: PositiveInt = 16 << 20
    """Longer records are cut (WARC, truncated = "length") or failures (JSONL, `failed.too_long`)."""

    jsonl: JsonlColumns = JsonlColumns()
    """The keys of JSON Lines documents."""


@dataclass(frozen=True)
class Unit:
    """A row of UNITS."""

    unit: int
    input: str
    format: str
    start: int
    end: int
    first_row: int
    bytes: int


@dataclass(frozen=True)
class Inputs:
    """The units of a crawl and, row by row, where to open them; locations never enter anything stored."""

    units: pa.Table
    locations: pa.Array


def plan_units(crawl: str, *, unit_bytes: int, limit_files: int | None = None) -> Inputs:
    """Return the units of a crawl: a file, a folder, a glob, or a list of paths, local or on any fsspec URL.

    Folders are searched to their depth. A list is a .txt or .paths file (.gz too) of one path or URL a line; relative
    lines start from its folder. In folders and globs, files of other formats and names that start with a dot are passed
    over. `limit_files` takes the first files only.
    Raises InputError when nothing is found, a format is unknown, a name is not UTF-8, or two files have one input name.
    Example: plan_units("crawl/*.warc.gz", unit_bytes=1 << 28).units["input"] -> ["a.warc.gz", "b.warc.gz"]
    """
    files = sorted(find_files(crawl), key=lambda file: _name_bytes(crawl, file))
    repeated = [name for name, count in Counter(file.input for file in files).items() if count > 1]
    if repeated:
        raise InputError(
            f"{crawl}: the name of each input must be unlike the others, got {repeated[0]} twice. Rename one."
        )
    rows: list[dict[str, object]] = []
    locations: list[str] = []
    for file in with_sizes(files[:limit_files]):
        for start, end, first_row, size in _ranges(file, unit_bytes):
            unit = Unit(len(rows), file.input, file.format, start, end, first_row, size)
            rows.append(asdict(unit))
            locations.append(file.location)
    return Inputs(pa.Table.from_pylist(rows, schema=UNITS), pa.array(locations, pa.string()))


def read_unit(
    unit: Unit, location: str, report: ReadReport, config: InputConfig, *, batch_bytes: int = BATCH_BYTES
) -> Iterator[pa.RecordBatch]:
    """Yield the documents of a unit as batches of `schema.RAW`; `report` is added to.

    Raises InputError when the file is gone.
    """
    try:
        with fsspec.open(location, "rb") as file:
            limits = {"batch_bytes": batch_bytes, "max_record_bytes": config.max_record_bytes}
            if unit.format == "warc":
                yield from read_warc(file, unit.input, report, **limits)
            elif unit.format == "jsonl":
                span = {"start": unit.start, "end": unit.end, "first_row": unit.first_row}
                yield from read_jsonl(file, unit.input, report, **span, **limits, columns=config.jsonl)
            else:
                raise InputError(
                    f"{unit.input}: format must be one of warc, jsonl, got {unit.format}. Plan the run again."
                )
    except (FileNotFoundError, PermissionError) as error:
        raise InputError(f"{location} must be readable, got {error.strerror or error}. Put it back.") from error


def _name_bytes(crawl: str, file: CrawlFile) -> bytes:
    try:
        return file.input.encode()
    except UnicodeEncodeError as error:  # ids and datasets hold it
        raise InputError(f"{crawl}: names of files must be UTF-8, got {file.input!r}. Rename it.") from error


def _ranges(file: CrawlFile, unit_bytes: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (start, end, first_row, bytes) of each unit of a file; to split one, its lines are counted in one pass."""
    if file.bytes <= unit_bytes or not file.input.lower().endswith(SPLITTABLE):
        yield 0, -1, 0, file.bytes
        return
    with fsspec.open(file.location, "rb") as stored:
        row = 0  # lines that start before `start`
        for start in range(0, file.bytes, unit_bytes):
            end = min(start + unit_bytes, file.bytes)
            yield start, end, row, end - start
            # A line starts at 0 and behind each newline, so those that start in [start, end) show one byte earlier.
            row += start == 0
            stored.seek(max(start - 1, 0))
            left = end - 1 - stored.tell()
            while left > 0 and (chunk := stored.read(min(left, COUNT_BYTES))):
                row += chunk.count(b"\n")
                left -= len(chunk)
