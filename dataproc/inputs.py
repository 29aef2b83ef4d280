"""What a crawl consists of: the plan of its work units, and the reader of each format.

A crawl is a file, a folder, a glob or a text file of paths, local or on any fsspec URL. Its files, sorted by name, become units; an
uncompressed JSONL file above `unit_bytes` is cut into ranges of lines. What is stored of a unit is its name below the crawl root,
never where the crawl lies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, cast

import fsspec
import pyarrow as pa
from pydantic import Field

from dataproc.config import Config
from dataproc.errors import InputError
from dataproc.jsonl import JsonlColumns, first_lines, read_jsonl
from dataproc.raw import Failure, RawRows, ReadReport, utc_time
from dataproc.warc import read_warc

__all__ = ["Failure", "InputConfig", "Inputs", "RawRows", "ReadReport", "Unit", "plan_units", "read_unit", "utc_time"]

FORMATS = {
    "warc": (".warc", ".warc.gz", ".warc.zst", ".warc.lz4"),
    "jsonl": (".jsonl", ".jsonl.gz", ".jsonl.zst"),
}
LISTS = (".txt", ".paths")

UNITS = pa.schema(
    [
        ("unit", pa.int32()),
        ("input", pa.string()),  # path below the crawl root
        ("format", pa.string()),
        ("start", pa.int64()),  # byte range; a line belongs to the range that it starts in
        ("end", pa.int64()),  # -1 = to the end of the file
        ("first_row", pa.int64()),  # number of the first line of the range
        ("bytes", pa.int64()),
    ]
)


class InputConfig(Config):
    """How a crawl is cut into units and read."""

    unit_bytes: int = Field(256 << 20, gt=0)
    """Files that can be split are, above this size."""
    batch_bytes: int = Field(32 << 20, gt=0)
    """Content of a batch; bounds memory, never the result."""
    max_record_bytes: int = Field(16 << 20, gt=0)
    """Bodies are cut here and marked truncated."""
    jsonl: JsonlColumns = JsonlColumns()
    """Names of the fields of JSONL documents."""


class Unit(NamedTuple):
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
    """The plan of a crawl: units, and where to open each; locations are never stored with the units."""

    units: pa.Table
    locations: pa.Array


class _File(NamedTuple):
    input: str
    location: str
    bytes: int


def plan_units(crawl: str, *, unit_bytes: int, limit_files: int | None = None) -> Inputs:
    """Return the plan of a crawl, sorted by the bytes of `input`, then by `start`.

    Raises InputError when the crawl is missing, empty, of no known format, or names one input twice.
    """
    files = sorted(_files(crawl), key=lambda file: file.input.encode())[:limit_files]
    if not files:
        known = ", ".join(end for ends in FORMATS.values() for end in ends)
        raise InputError(f"CRAWL must hold files of a known format ({known}), got none in {crawl}. Check the path.")
    for before, after in zip(files, files[1:], strict=False):
        if before.input == after.input:
            raise InputError(f'CRAWL must name each input once, got "{after.input}" twice. Remove one.')
    rows: list[dict[str, Any]] = []
    locations: list[str] = []
    for file in files:
        for start, end, first_row in _ranges(file, unit_bytes):
            size = (file.bytes if end == -1 else end) - start
            unit = Unit(len(rows), file.input, _format(file.input) or "", start, end, first_row, size)
            rows.append(unit._asdict())
            locations.append(file.location)
    return Inputs(pa.Table.from_pylist(rows, UNITS), pa.array(locations, pa.string()))


def _format(name: str) -> str | None:
    return next((kind for kind, ends in FORMATS.items() if name.lower().endswith(ends)), None)


def _files(crawl: str) -> Iterator[_File]:
    fs, path = fsspec.core.url_to_fs(crawl)
    if any(char in path for char in "*?["):
        root = path[: min(path.index(char) for char in "*?[" if char in path)].rpartition("/")[0]
        yield from _known(fs, fs.glob(path), root)
    elif fs.isdir(path):
        yield from _known(fs, fs.find(path), path)
    elif not fs.exists(path):
        raise InputError(f"CRAWL must exist, got no {crawl}. Check the path.")
    elif path.lower().endswith(LISTS):
        for line in cast(bytes, fs.cat_file(path)).decode().splitlines():
            if line.strip():
                yield _listed(line.strip())
    elif _format(path) is None:
        known = ", ".join(end for ends in FORMATS.values() for end in ends)
        raise InputError(f"CRAWL must be a file of a known format ({known}), got {crawl}. Rename or convert it.")
    else:
        yield from _known(fs, [path], path.rpartition("/")[0])


def _known(fs: Any, paths: list[str], root: str) -> Iterator[_File]:
    for path in paths:
        if _format(path) is not None and not fs.isdir(path):
            name = path.removeprefix(root).lstrip("/")
            yield _File(name, str(fs.unstrip_protocol(path)), int(fs.size(path)))


def _listed(line: str) -> _File:
    """Return the file of a line of a list: its input is the line without scheme and host."""
    fs, path = fsspec.core.url_to_fs(line)
    if _format(line) is None or not fs.exists(path):
        raise InputError(f"CRAWL must list files of a known format that exist, got {line}. Correct the list.")
    rest = line.split("://", 1)
    name = rest[1].partition("/")[2] if len(rest) == 2 and rest[0] != "file" else rest[-1].lstrip("/")
    return _File(name, line, int(fs.size(path)))


def _ranges(file: _File, unit_bytes: int) -> Iterator[tuple[int, int, int]]:
    """Yield (start, end, first row) of the units of a file."""
    if not file.input.lower().endswith(".jsonl") or file.bytes <= unit_bytes:
        yield 0, -1, 0
        return
    starts = range(0, file.bytes, unit_bytes)
    with fsspec.open(file.location, "rb") as opened:
        rows = first_lines(cast(BinaryIO, opened), starts)
    for start, first_row in zip(starts, rows, strict=True):
        yield start, min(start + unit_bytes, file.bytes), first_row


def read_unit(unit: Unit, location: str, report: ReadReport, config: InputConfig) -> Iterator[pa.RecordBatch]:
    """Yield the documents of a unit as batches of `schema.RAW`; `report` is added to. Raises InputError."""
    with fsspec.open(location, "rb") as opened:
        file = cast(BinaryIO, opened)
        if unit.format == "warc":
            yield from read_warc(
                file, unit.input, report, batch_bytes=config.batch_bytes, max_record_bytes=config.max_record_bytes
            )
        else:
            yield from read_jsonl(
                file,
                unit.input,
                report,
                start=unit.start,
                end=unit.end,
                first_row=unit.first_row,
                batch_bytes=config.batch_bytes,
                columns=config.jsonl,
            )
