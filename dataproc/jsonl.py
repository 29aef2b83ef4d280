"""JSONL files -> batches of documents: one line, one document; what cannot be read is one failure a line.

Positions are row numbers, blank lines counted. A file may be read in byte ranges: a range owns the lines that start inside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa

from dataproc.config import Config
from dataproc.errors import InputError
from dataproc.members import Members, Window, codec_of
from dataproc.raw import RawRows, ReadReport, utc_time
from dataproc.text import clean_text

BLOCK_BYTES = 1 << 20


class JsonlColumns(Config):
    """Names of the fields of a JSONL document; others are left alone."""

    text: str = "text"
    url: str = "url"
    date: str = "date"


def first_lines(file: BinaryIO, starts: Sequence[int]) -> list[int]:
    """Return the number of the first line that starts at or after each offset; `starts` ascend. Reads the file once."""
    numbers, lines, offset, block = [], 0, 0, b""
    for start in starts:
        while offset + len(block) < start:  # lines that start before `start` end a newline before start - 1
            lines += block.count(b"\n")
            offset += len(block)
            block = file.read(BLOCK_BYTES)
        before = block[: start - offset]
        opens = start == 0 or before.endswith(b"\n")
        numbers.append(lines + before.count(b"\n") + (0 if opens else 1))
    return numbers


def read_jsonl(
    file: BinaryIO,
    input_name: str,
    report: ReadReport,
    *,
    start: int = 0,
    end: int = -1,
    first_row: int = 0,
    batch_bytes: int,
    columns: JsonlColumns = JsonlColumns(),  # noqa: B008 - frozen
) -> Iterator[pa.RecordBatch]:
    """Yield the lines of a file, or those that start in [start, end), as batches of `schema.RAW`.

    Failures: `invalid_utf8`, `invalid_json`, `no_text` (missing or not a string), and `corrupt` or `cut` for compressed files.
    Example: '{"text": "hi", "url": "http://a.org/"}' -> one row with text and url.
    """
    rows = RawRows(input_name, batch_bytes)
    for row, (line, stored) in enumerate(_lines(file, input_name, report, start, end), first_row):
        if not line.strip():
            report.count("blank", stored)
            continue
        cause, values = _parse(line, columns)
        if cause is not None:
            report.fail(row, cause, stored)
            continue
        report.count("line", stored)
        rows.add(position=row, length=len(line), **values)
        if rows.full:
            yield rows.take()
    last = rows.take()
    if last.num_rows:
        yield last


def _parse(line: bytes, columns: JsonlColumns) -> tuple[str | None, dict[str, Any]]:
    """Return a cause of failure, or the columns of RAW."""
    try:
        document = json.loads(line.decode())
    except UnicodeDecodeError:
        return "invalid_utf8", {}
    except (ValueError, RecursionError):
        return "invalid_json", {}
    text = document.get(columns.text) if isinstance(document, dict) else None
    if not isinstance(text, str):
        return "no_text", {}
    url, date = document.get(columns.url), document.get(columns.date)
    return None, {
        "text": clean_text(text),
        "url": clean_text(url) if isinstance(url, str) else None,
        "date": utc_time(date) if isinstance(date, str) else None,
    }


def _lines(file: BinaryIO, name: str, report: ReadReport, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    """Yield each line and the stored bytes that it accounts for; 0 for lines of compressed files, whose members count."""
    codec = codec_of(name)
    if codec is None:
        yield from _plain_lines(file, report, start, end)
        return
    window = Window(file)
    report.input_bytes += window.size
    if window.size and not window.exactly(0, len(codec.magic)).startswith(codec.magic):
        raise InputError(f"{name} must be a {codec.name} file as its name says, got other bytes. Correct its name.")
    held, position = b"", 0
    for piece in Members(window, codec):
        if piece.broken:
            report.fail(-1 - piece.end, piece.broken, piece.resume - piece.end)
            held = held[: held.rfind(b"\n") + 1]  # a line that damage ran through is not a document
            position = piece.resume
            continue
        report.record_bytes["line"] += piece.end - position
        position = piece.end
        *lines, held = (held + piece.data).split(b"\n")
        yield from ((line, 0) for line in lines)
    if held:
        yield held, 0


def _plain_lines(file: BinaryIO, report: ReadReport, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    size = file.seek(0, 2)
    end = size if end == -1 else end
    report.input_bytes += end - start
    file.seek(max(0, start - 1))
    if start and file.read(1) != b"\n":
        skipped = file.readline()  # belongs to the range before
        report.count("before", min(len(skipped), end - start))
    at = file.tell()
    while at < end and (line := file.readline()):
        yield line.rstrip(b"\r\n"), min(len(line), end - at)
        at += len(line)
