"""JSON Lines -> batches of documents: one line is one document, its position the line's number from 0.

A file without compression can be read in byte ranges: a range owns the lines that start inside it. A line that is no
document is a failure of one of these causes, and the next line goes on: `invalid_utf8`, `invalid_json`,
`not_an_object`, `no_text` (missing or no string), `too_long`. What follows damage in a compressed file (`corrupt`,
`cut`, `garbage`) is lost: the numbers of its lines cannot be known. So is a compressed file whose name does not say so
(`compressed`), since its ranges were planned as those of lines. Lines of white space count as lines but are no
documents.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa

from dataproc.columns import InputColumns, first_string
from dataproc.members import BLOCK_BYTES, Codec, Members, Window, codec_of
from dataproc.raw import RawRows, ReadReport, utc_time
from dataproc.text import clean_text


def read_jsonl(
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
    r"""Yield the documents of a JSON Lines file in its order as batches of `schema.RAW` of about `batch_bytes`.

    The compression is told by the end of `input_name` (.gz, .zst). `start` and `end` (-1 = the end of the file) bound
    the bytes where lines may start, in files without compression; `first_row` is the number of the first such line.
    Lines over `max_record_bytes` are failures. A batch may be empty: it is the time to take many failures.
    Example: the line {"text": "a\r\nb", "url": "http://c/"} gives text "a\nb" and url "http://c/"; html is null.
    """
    window, rows = Window(file), RawRows(input_name, batch_bytes, max_docs)
    codec = codec_of(input_name)
    if codec is None and codec_of(input_name, window.exactly(0, 4)):
        if start == 0:
            report.fail(0, "compressed", window.size)
            report.input_bytes += window.size
        return
    end = window.size if end < 0 or codec else end
    begin = 0 if codec else _first_line(window, start, end)
    if start == 0 and begin:
        report.record_bytes["blank"] += begin
    row, position = first_row, begin
    try:
        for line, stored_bytes in _lines(_chunks(window, codec, begin), max_record_bytes):
            if position >= end and not codec:
                break
            position += stored_bytes
            _add_line(rows, line, row, 0 if codec else stored_bytes, report, columns)
            row += 1
            if rows.full or report.full:
                yield rows.take()
            if rows.done:
                break
        if codec:
            report.record_bytes["line"] += window.read_bytes if rows.done else window.size
    except _Broken as broken:
        report.fail(row, broken.cause, window.size - broken.read_bytes)
        report.record_bytes["line"] += broken.read_bytes
    report.input_bytes += window.size if codec else position - (begin if start else 0)
    last = rows.take()
    if last.num_rows:
        yield last


class _Broken(Exception):
    """The rest of a compressed file cannot be decoded."""

    def __init__(self, cause: str, read_bytes: int) -> None:
        super().__init__(cause)
        self.cause = cause
        self.read_bytes = read_bytes


class _NoDocument(Exception):
    """The cause for which a line is no document."""


def _first_line(window: Window, start: int, end: int) -> int:
    """Return where the first line that starts at `start` or later begins; `end` when none does before it."""
    if start == 0:
        return len(codecs.BOM_UTF8) if window.exactly(0, 3) == codecs.BOM_UTF8 else 0
    newline = window.find(b"\n", start - 1)
    return end if newline < 0 else min(newline + 1, end)


def _chunks(window: Window, codec: Codec | None, begin: int) -> Iterator[bytes]:
    """Yield the decoded bytes from `begin` on; raises _Broken where they cannot be decoded."""
    if codec is None:
        while chunk := window.at(begin, BLOCK_BYTES):
            yield bytes(chunk)
            begin += len(chunk)
        return
    for piece in Members(window, codec):
        if piece.broken:
            raise _Broken(piece.broken, piece.end)
        yield piece.data.removeprefix(codecs.BOM_UTF8) if piece.start == 0 and piece.first else piece.data


def _lines(chunks: Iterator[bytes], max_bytes: int) -> Iterator[tuple[bytes | None, int]]:
    """Yield each line without its newline, null when it is longer than `max_bytes`, and its length with the newline."""
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        begin = 0
        while (newline := chunk.find(b"\n", begin)) >= 0:
            parts.append(chunk[begin:newline])
            size += newline - begin
            yield b"".join(parts) if size <= max_bytes else None, size + 1
            parts, size, begin = [], 0, newline + 1
        size += len(chunk) - begin
        if size <= max_bytes:
            parts.append(chunk[begin:])
        else:
            parts.clear()
    if size:
        yield b"".join(parts) if size <= max_bytes else None, size


def _add_line(
    rows: RawRows, line: bytes | None, row: int, stored_bytes: int, report: ReadReport, columns: InputColumns
) -> None:
    """Add a line's document to the rows, or its failure to the report."""
    if line is not None and not line.strip():
        report.count("blank", stored_bytes)
        return
    try:
        if line is None:
            raise _NoDocument("too_long")
        document = _parse(line)
        text = first_string(document, columns.text)
        if text is None:
            raise _NoDocument("no_text")
    except _NoDocument as cause:
        report.records["line"] += 1
        report.fail(row, str(cause), stored_bytes)
        return
    report.count("line", stored_bytes)
    url, date = first_string(document, columns.url), first_string(document, columns.date)
    rows.add(
        position=row,
        length=stored_bytes or -1,
        url=None if url is None else clean_text(url),
        date=utc_time(date),
        text=clean_text(text),
    )


def _parse(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise _NoDocument("invalid_utf8") from error
    except (ValueError, RecursionError) as error:
        raise _NoDocument("invalid_json") from error
    if not isinstance(document, dict):
        raise _NoDocument("not_an_object")
    return document
