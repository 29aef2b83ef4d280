"""Bodies of HTTP responses in WARC files: codings, chunks, declared lengths, limits."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tests.dataproc.warc_files import (
    BODIES,
    MEMBERS,
    RECORDS,
    delivered,
    http_response,
    read,
    warc_record,
)


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", lambda body: gzip.compress(body[:100]) + gzip.compress(body[100:])),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body)[2:-4]),
        ("br", brotli.compress),
        ("zstd", zstandard.compress),
        ("zstd", lambda body: zstandard.compress(body[:10]) + zstandard.compress(body[10:])),
        ("identity", bytes),
        ("gzip", bytes),
        ("br", bytes),
        ("deflate, GZIP", lambda body: gzip.compress(zlib.compress(body))),
    ],
)
def test_content_codings(coding: str, pack: Any) -> None:
    page = b"<p>a page</p>" * 5000
    record = warc_record(http_response(pack(page), f"Content-Encoding: {coding}"))
    rows, _ = read(record)
    assert rows[0]["html"] == page
    assert rows[0]["truncated"] is None
    if len(pack(page)) < len(page):
        half = warc_record(http_response(pack(page)[: len(pack(page)) // 2], f"Content-Encoding: {coding}"))
        rows, _ = read(half)
        assert rows[0]["truncated"] == "cut"
        assert page.startswith(rows[0]["html"])


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_decoded_bodies_are_bounded(coding: str) -> None:
    pack = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstandard.compress}[coding]
    rows, _ = read(
        warc_record(http_response(pack(b"x" * 30_000_000), f"Content-Encoding: {coding}")), max_record_bytes=10_000
    )
    assert [(len(row["html"]), row["truncated"]) for row in rows] in ([(10_000, "length")], [(0, "length")])


@pytest.mark.parametrize(
    ("body", "html", "truncated"),
    [
        (b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nTrailer: x\r\n\r\n", b"hello world", None),
        (b"5 \nhello\n0\n\n", b"hello", None),
        (b"<p>not chunked</p>", b"<p>not chunked</p>", None),
        (b"5\r\nhello\r\n6\r\n wo", b"hello wo", "cut"),
        (b"5\r\nhello\r\nnonsense", b"hello", "cut"),
        (b"", b"", None),
    ],
)
def test_chunks(body: bytes, html: bytes, truncated: str | None) -> None:
    rows, _ = read(warc_record(http_response(body, "Transfer-Encoding: chunked")))
    assert (rows[0]["html"], rows[0]["truncated"]) == (html, truncated)


def test_chunks_of_gzip() -> None:
    packed = gzip.compress(b"<p>hi</p>")
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)
    rows, _ = read(warc_record(http_response(body, "Transfer-Encoding: chunked", "Content-Encoding: gzip")))
    assert rows[0]["html"] == b"<p>hi</p>"


@pytest.mark.parametrize(
    ("fields", "truncated"),
    [
        (["Content-Length: 14"], "cut"),
        (["content-length:  1000000 "], "cut"),
        (["Content-Length: 14", "Content-Length: 14"], "cut"),
        (["Content-Length: 14, 14"], "cut"),
        (["Content-Length: 14", "Content-Encoding: utf-8"], "cut"),  # servers send charsets here: no coding
        (["Content-Length: 13"], None),  # a final blank line may be lost
        (["Content-Length: 9"], None),
        (["Content-Length: 5"], None),
        ([], None),
        (["Content-Length: 14", "Content-Length: 9"], None),
        (["Content-Length: 14x"], None),
        (["Content-Length: -14"], None),
        (["Content-Length: \u0661\u0664"], None),
        (["Content-Length:"], None),
        (["X-Crawl-Content-Length: 14", "Content-Length: 9"], None),
        (["Content-Length: 14", "X-Crawl-Content-Encoding: gzip"], "cut"),
        (["Content-Length: 14", "Content-Encoding: gzip"], None),  # already undone by the archive
        (["Content-Length: 14", "Transfer-Encoding: chunked"], None),
    ],
)
def test_bodies_shorter_than_declared_are_cut(fields: list[str], truncated: str | None) -> None:
    rows, _ = read(warc_record(http_response(b"<p>hi</p>", *fields)) + RECORDS[0])
    assert [(row["html"], row["truncated"]) for row in rows] == [(b"<p>hi</p>", truncated), (BODIES[0], None)]


def test_a_declared_length_is_of_the_body_before_its_coding_is_undone() -> None:
    packed = gzip.compress(b"<p>a page</p>" * 5000)
    for body, truncated in ((packed, None), (packed[:-1], "cut")):
        fields = ("Content-Encoding: gzip", f"Content-Length: {len(packed)}")
        rows, _ = read(warc_record(http_response(body, *fields)))
        assert rows[0]["truncated"] == truncated


def test_the_reason_of_the_archive_goes_before_the_declared_length() -> None:
    response = http_response(b"<p>hi</p>", "Content-Length: 99")
    rows, _ = read(warc_record(response, warc_truncated="time"))
    assert rows[0]["truncated"] == "time"
    rows, _ = read(warc_record(http_response(b"x" * 2000, "Content-Length: 9999")), max_record_bytes=1000)
    assert rows[0]["truncated"] == "length"


@given(st.binary(max_size=400), st.sampled_from(["gzip", "deflate", "br", "zstd", "br, gzip"]), st.booleans())
def test_no_body_stops_the_reader(body: bytes, coding: str, chunked: bool) -> None:
    fields = [f"Content-Encoding: {coding}", *(["Transfer-Encoding: chunked"] if chunked else [])]
    rows, _ = read(warc_record(http_response(body, *fields)) + RECORDS[0])
    assert len(rows) == 2
    assert rows[1]["html"] == BODIES[0]


@given(st.binary(max_size=2000))
def test_no_bytes_stop_the_reader(data: bytes) -> None:
    rows, _ = read(MEMBERS[0] + data + MEMBERS[1], "a.warc.gz")
    assert delivered(rows, range(2))
    rows, _ = read(RECORDS[0] + data + RECORDS[1])
    assert delivered(rows, range(2))
