"""WARC and WET files -> batches of documents.

Every `response` and `resource` record is a document, whatever its status or type: later stages drop it with a reason.
So is a `conversion` record of type text/plain, of which WET files are made; it comes as text. Other records are only
counted. How records are found and what damage costs stands in `dataproc.warc_records`.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

from dataproc.http_message import Headers, media_type, parse_response
from dataproc.members import Window
from dataproc.raw import RawRows, ReadReport, utc_time
from dataproc.text import clean_text
from dataproc.warc_records import Record, first_value, is_document, read_records


def read_warc(
    file: BinaryIO, input_name: str, report: ReadReport, *, batch_bytes: int, max_record_bytes: int, max_docs: int = -1
) -> Iterator[pa.RecordBatch]:
    """Yield the documents of a WARC file in its order as batches of `schema.RAW` of about `batch_bytes`.

    The compression is told by the end of `input_name` (.gz, .zst, .lz4), else by the first bytes. Bodies are cut at
    `max_record_bytes` (truncated = "length"). `report` is added to as the file is read; its failures have the
    causes of `dataproc.members.Members`, `bad_header`, and `invalid_utf8` of texts. A file that is not what its
    name says is a failure as a whole. A batch may be empty: it is the time to take failures.
    Example: read_warc(file, "a.warc.gz", ReadReport(), batch_bytes=1 << 25, max_record_bytes=1 << 24)
    """
    rows = RawRows(input_name, batch_bytes, max_docs)
    window = Window(file)
    report.input_bytes += window.size
    for record in read_records(window, input_name, report, max_record_bytes):
        if is_document(record.kind, record.fields):
            if record.kind == "conversion":
                _add_text(rows, record, report)
            else:
                _add_capture(rows, record, max_record_bytes)
        if rows.full or report.full:
            yield rows.take()
        if rows.done:
            break
    last = rows.take()
    if last.num_rows:
        yield last


def _add_capture(rows: RawRows, record: Record, max_record_bytes: int) -> None:
    """Add a response or resource to the rows."""
    content_type, charset = media_type(first_value(record.fields, "content-type"))
    truncated, status, body = record.truncated, None, record.block
    if content_type == "application/http" or (record.kind == "response" and body.startswith(b"HTTP/")):
        message = parse_response(body, max_record_bytes)
        status, content_type, charset, body = message.status, message.content_type, message.charset, message.body
        truncated = truncated or ("cut" if message.cut else "length" if message.over else None)
    rows.add(
        position=record.position,
        length=record.length,
        url=_url(record.fields),
        date=utc_time(first_value(record.fields, "warc-date")),
        http_status=status,
        content_type=content_type,
        charset=charset,
        truncated=truncated,
        html=body,
    )


def _add_text(rows: RawRows, record: Record, report: ReadReport) -> None:
    """Add a text to the rows; one that is not UTF-8 is a failure."""
    try:
        text, _ = codecs.utf_8_decode(record.block, "strict", record.truncated is None)  # a cut may split a character
    except UnicodeDecodeError:
        report.fail(record.position, "invalid_utf8", 0)
        return
    rows.add(
        position=record.position,
        length=record.length,
        url=_url(record.fields),
        date=utc_time(first_value(record.fields, "warc-date")),
        truncated=record.truncated,
        text=clean_text(text),
    )


def _url(fields: Headers) -> str | None:
    """Return WARC-Target-URI, without the angle brackets that some versions of wget write."""
    url = first_value(fields, "warc-target-uri")
    return (clean_text(url).removeprefix("<").removesuffix(">") or None) if url else None
