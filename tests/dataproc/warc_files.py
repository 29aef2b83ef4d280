"""WARC files made for tests: records, and files of them in each way they are stored."""

from __future__ import annotations

import gzip
import random
from collections.abc import Sequence


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
