"""WARC records in Common Crawl's layout, written byte for byte the same each time.

One gzip member a record; a page is three records: request, response, metadata. Nothing here depends on the clock or on
random numbers: record ids are name-based UUIDs and gzip headers carry no time.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

USER_AGENT = "dataproc-sample/1 (pages of free documentation, wrapped as captures)"
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"  # deflate, no name, time 0, best compression, unknown system
_IDS = uuid.UUID("6f1c9a8e-3d1b-5c6e-9d58-0b7c1f2a4e90")


@dataclass(frozen=True, kw_only=True)
class Capture:
    """One page as a crawler would have stored it."""

    url: str
    date: str  # RFC 3339, UTC
    body: bytes
    status: int = 200
    content_type: str | None = "text/html"  # None = the server sent no Content-Type
    http_headers: Mapping[str, str] = field(default_factory=dict)
    truncated: str | None = None  # WARC-Truncated
    claimed_length: int | None = None  # Content-Length sent by the server, when it is not the body's
    notes: Mapping[str, str] = field(default_factory=dict)  # lines of the metadata record


_REASONS = {200: "OK", 301: "Moved Permanently", 403: "Forbidden", 404: "Not Found", 503: "Service Unavailable"}


def gzip_member(data: bytes) -> bytes:
    """Return one gzip member holding `data`, without name or time."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(data) + deflate.flush()
    return _GZIP_HEADER + body + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def warcinfo(filename: str, date: str, fields: Mapping[str, str]) -> bytes:
    """Return the gzip member of the warcinfo record that opens a file."""
    headers = {
        "WARC-Date": date,
        "WARC-Record-ID": _record_id("warcinfo", filename),
        "WARC-Filename": filename,
        "Content-Type": "application/warc-fields",
    }
    return _record("warcinfo", headers, _fields(fields))


def page(capture: Capture, filename: str) -> list[bytes]:
    """Return the gzip members of a page: request, response, metadata.

    Example: len(page(Capture(url="https://a.example/", date="2024-06-01T00:00:00Z", body=b"<p>hi"), "f")) == 3
    """
    ids = {kind: _record_id(kind, filename, capture.url, capture.date) for kind in ("request", "response", "metadata")}
    target = urlsplit(capture.url)
    path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    request = (
        f"GET {path} HTTP/1.1\r\nUser-Agent: {USER_AGENT}\r\nAccept: text/html,*/*;q=0.5\r\nHost: {target.netloc}\r\n"
        "Connection: Keep-Alive\r\n\r\n"
    )
    http = _http_response(capture)
    shared = {
        "WARC-Date": capture.date,
        "WARC-Warcinfo-ID": _record_id("warcinfo", filename),
        "WARC-Target-URI": capture.url,
    }
    response_headers = {
        **shared,
        "WARC-Record-ID": ids["response"],
        "WARC-Concurrent-To": ids["request"],
        "WARC-IP-Address": "192.0.2.1",  # reserved for documentation
        "WARC-Payload-Digest": _digest(capture.body),
        "WARC-Block-Digest": _digest(http),
        "Content-Type": "application/http; msgtype=response",
        **({"WARC-Truncated": capture.truncated} if capture.truncated else {}),
    }
    request_headers = {
        **shared,
        "WARC-Record-ID": ids["request"],
        "WARC-IP-Address": "192.0.2.1",
        "Content-Type": "application/http; msgtype=request",
    }
    metadata_headers = {
        **shared,
        "WARC-Record-ID": ids["metadata"],
        "WARC-Concurrent-To": ids["response"],
        "Content-Type": "application/warc-fields",
    }
    return [
        _record("request", request_headers, request.encode()),
        _record("response", response_headers, http),
        _record("metadata", metadata_headers, _fields(capture.notes)),
    ]


def damage(member: bytes) -> bytes:
    """Return a gzip member whose header is whole but whose deflate stream is corrupt from its middle on."""
    middle = len(member) // 2
    return member[:middle] + bytes(byte ^ 0xA5 for byte in member[middle : middle + 64]) + member[middle + 64 :]


def _record(kind: str, headers: Mapping[str, str], block: bytes) -> bytes:
    lines = ["WARC/1.0", f"WARC-Type: {kind}", *(f"{name}: {value}" for name, value in headers.items())]
    head = "\r\n".join([*lines, f"Content-Length: {len(block)}"]) + "\r\n\r\n"
    return gzip_member(head.encode() + block + b"\r\n\r\n")


def _http_response(capture: Capture) -> bytes:
    length = len(capture.body) if capture.claimed_length is None else capture.claimed_length
    headers = {
        **({"Content-Type": capture.content_type} if capture.content_type else {}),
        **capture.http_headers,
        "Content-Length": str(length),
        "Connection": "close",
    }
    lines = [f"HTTP/1.1 {capture.status} {_REASONS[capture.status]}", *(f"{name}: {headers[name]}" for name in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + capture.body


def _fields(fields: Mapping[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode()


def _record_id(*parts: str) -> str:
    return f"<urn:uuid:{uuid.uuid5(_IDS, chr(0).join(parts))}>"


def _digest(data: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(data).digest()).decode()
