"""WARC files made for tests: records, files of them in each way they are stored; what always holds of reading one."""

from __future__ import annotations

import gzip
import io
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from dataproc.ids import doc_id
from dataproc.raw import ReadReport
from dataproc.schema import RAW
from dataproc.warc import read_warc


def warc_record(block: bytes, *, kind: str = "response", length: int | None = None, **fields: str) -> bytes:
    """Return one record; `length` overrides Content-Length, `fields` are given as warc_target_uri="..."."""
    named = {"WARC-Type": kind, **{name.replace("_", "-"): value for name, value in fields.items()}}
    named.setdefault("WARC-Date", "2024-11-01T00:00:00Z")
    named["Content-Length"] = str(len(block) if length is None else length)
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"WARC/1.0\r\n{lines}\r\n".encode() + block + b"\r\n\r\n"


def http_response(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    """Return an HTTP response with the header lines given."""
    return "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *fields, "")).encode() + body


def page_record(number: int, body: bytes) -> bytes:
    """Return a response record of a page at http://site/NUMBER."""
    block = http_response(body, "Content-Type: text/html; charset=UTF-8")
    return warc_record(
        block, warc_target_uri=f"http://site/{number}", content_type="application/http; msgtype=response"
    )


def pages(count: int, seed: int = 0) -> list[bytes]:
    """Return bodies of different lengths, some of them with bytes that compress badly."""
    draw = random.Random(seed)
    return [
        b"<p>page %d " % number + bytes(draw.choices(range(256), k=draw.randrange(300))) + b"</p>"
        for number in range(count)
    ]


def members(records: Sequence[bytes]) -> bytes:
    """Return the records with a gzip member each."""
    return b"".join(gzip.compress(record, mtime=0) for record in records)


BODIES = pages(20)
RECORDS = [page_record(number, body) for number, body in enumerate(BODIES)]
MEMBERS = [gzip.compress(record, mtime=0) for record in RECORDS]


def read(
    data: bytes, name: str = "a.warc", *, max_record_bytes: int = 1 << 20, batch_bytes: int = 1 << 12
) -> tuple[list[dict[str, Any]], ReadReport]:
    """Read a file and hold what is always true: ids unique, every stored byte accounted for."""
    report, rows = ReadReport(), []
    limits = {"batch_bytes": batch_bytes, "max_record_bytes": max_record_bytes}
    for batch in read_warc(io.BytesIO(data), name, report, **limits):
        assert batch.schema == RAW
        batch.validate(full=True)
        rows += batch.to_pylist()
    positions = [row["position"] for row in rows] + [failure.position for failure in report.failures]
    assert len(set(positions)) == len(positions)
    assert [row["doc_id"] for row in rows] == [doc_id(name, row["position"]) for row in rows]
    assert sum(report.record_bytes.values()) + report.lost_bytes == report.input_bytes == len(data)
    no_text = sum(failure.cause == "invalid_utf8" for failure in report.failures)
    texts = sum(row["text"] is not None for row in rows)
    assert len(rows) - texts == report.records["response"] + report.records["resource"]
    assert texts + no_text <= report.records["conversion"]
    return rows, report


def whole(rows: list[dict[str, Any]]) -> dict[str, bytes]:
    return {row["url"]: row["html"] for row in rows if row["truncated"] is None}


def delivered(rows: list[dict[str, Any]], numbers: range) -> bool:
    """Tell whether these pages are there, whole.

    A damaged page may have taken another's address, so bodies are compared.
    """
    bodies = Counter(whole(rows).values())
    return all(bodies[BODIES[number]] for number in numbers)
