from __future__ import annotations

import gzip
import io
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard
from fastwarc.warc import ArchiveIterator
from hypothesis import given
from hypothesis import strategies as st

from dataproc.ids import doc_id
from dataproc.members import Members, Window, codec_of
from dataproc.raw import Failure, ReadReport
from dataproc.schema import RAW
from dataproc.warc import read_warc
from tests.dataproc.warc_files import http_response, members, page_record, pages, warc_record

DATA = Path(__file__).parents[1] / "data" / "warc"
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
    """Tell whether these pages are there, whole;

    A damaged page may have taken another's address, so bodies are compared.
    """
    bodies = Counter(whole(rows).values())
    return all(bodies[BODIES[number]] for number in numbers)


def test_one_record_gives_every_column() -> None:
    block = http_response(b"<p>hi</p>", "Content-Type: Text/HTML; charset=utf-8", status="404 Not Found")
    record = warc_record(block, warc_target_uri="<http://a/b>", warc_date="2008-04", content_type="application/http")
    rows, report = read(gzip.compress(record), "x/a.warc.gz")
    assert rows == [
        {
            "doc_id": doc_id("x/a.warc.gz", 0),
            "url": "http://a/b",
            "date": "2008-04-01T00:00:00Z",
            "input": "x/a.warc.gz",
            "position": 0,
            "length": len(gzip.compress(record)),
            "http_status": 404,
            "content_type": "text/html",
            "charset": "utf-8",
            "truncated": None,
            "html": b"<p>hi</p>",
            "text": None,
        }
    ]
    assert report.records == {"response": 1}
    assert report.failures == []


def test_control_characters_of_an_address_go_as_in_other_formats() -> None:
    rows, _ = read(warc_record(http_response(b"hi"), warc_target_uri="http://a/\x00b\x7f"))
    assert rows[0]["url"] == "http://a/b"


def test_other_records_are_counted_and_resources_are_documents() -> None:
    kinds = ["warcinfo", "request", "metadata", "revisit", "conversion", "continuation", "strange"]
    records = [warc_record(b"x", kind=kind) for kind in kinds]
    resource = warc_record(
        b"<p>r", kind="resource", warc_target_uri="file:///r", content_type="text/html; charset=koi8-r"
    )
    rows, report = read(b"".join([*records, resource]))
    assert report.records == {**dict.fromkeys(kinds[:-1], 1), "unknown": 1, "resource": 1}
    (row,) = rows
    assert (row["http_status"], row["content_type"], row["charset"], row["html"]) == (
        None,
        "text/html",
        "koi8-r",
        b"<p>r",
    )
    assert row["position"] == sum(map(len, records))
    assert row["length"] == len(resource)


def lz4_compress(data: bytes) -> bytes:
    import lz4.frame

    return bytes(lz4.frame.compress(data))


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.warc", bytes),
        ("a.warc.gz", gzip.compress),
        ("a.warc.zst", zstandard.compress),
        pytest.param("a.warc.lz4", lz4_compress, marks=pytest.mark.needs("lz4")),
    ],
)
def test_every_compression_gives_the_same_documents(name: str, pack: Callable[[bytes], bytes]) -> None:
    stored = [pack(record) for record in RECORDS]
    rows, report = read(b"".join(stored), name)
    assert [row["html"] for row in rows] == BODIES
    assert [row["position"] for row in rows] == [sum(map(len, stored[:number])) for number in range(20)]
    assert [row["length"] for row in rows] == list(map(len, stored))
    assert report.failures == []


def test_batches_are_bounded_by_bytes() -> None:
    report = ReadReport()
    data = members([page_record(number, b"x" * 1000) for number in range(10)])
    batches = list(read_warc(io.BytesIO(data), "a.warc.gz", report, batch_bytes=3000, max_record_bytes=1 << 20))
    assert [batch.num_rows for batch in batches] == [3, 3, 3, 1]


def test_zstd_with_dictionary_frame() -> None:
    dictionary = b"".join(RECORDS)[:4000]
    known = zstandard.ZstdCompressionDict(dictionary, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    packed = b"".join(zstandard.ZstdCompressor(dict_data=known).compress(record) for record in RECORDS)
    for stored in (dictionary, zstandard.compress(dictionary)):
        data = b"\x5d\x2a\x4d\x18" + len(stored).to_bytes(4, "little") + stored + packed
        rows, report = read(data, "a.warc.zst")
        assert [row["html"] for row in rows] == BODIES
        assert report.failures == []


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_decoded_pieces_are_bounded(pack: Callable[[bytes], bytes]) -> None:
    """A few stored bytes may stand for gigabytes."""
    stored = pack(b"WARC/1.0\r\n" + bytes(200 << 20))
    name = "a.warc.gz" if pack is gzip.compress else "a.warc.zst"
    sizes = [len(piece.data) for piece in Members(Window(io.BytesIO(stored)), codec_of(name))]
    assert sum(sizes) == 10 + (200 << 20)
    assert max(sizes) <= 34 << 20


def test_empty_file_has_no_rows() -> None:
    for name in ("a.warc", "a.warc.gz", "a.warc.zst"):
        assert read(b"", name) == ([], ReadReport())


def test_compression_is_known_without_a_name() -> None:
    rows, _ = read(members(RECORDS), "a.warc")
    assert [row["html"] for row in rows] == BODIES


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.warc.gz", b"<html>not here</html>"),
        ("a.warc.gz", b"".join(RECORDS)),
        ("a.warc", b"<html>not here</html>"),
        ("a.warc.zst", b"".join(MEMBERS)),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_one_failure(name: str, data: bytes) -> None:
    rows, report = read(data, name)
    assert (rows, report.failures) == ([], [Failure(0, "garbage", len(data))])


# Damage


@given(st.data())
def test_flipped_byte_costs_at_most_its_record(data: st.DataObject) -> None:
    name, stored = data.draw(st.sampled_from([("a.warc", RECORDS), ("a.warc.gz", MEMBERS)]))
    touched = data.draw(st.integers(0, 19))
    start = sum(map(len, stored[:touched]))
    damaged = bytearray(b"".join(stored))
    damaged[start + data.draw(st.integers(0, len(stored[touched]) - 1))] ^= data.draw(st.integers(1, 255))
    rows, _ = read(bytes(damaged), name)
    assert delivered(rows, range(touched))
    assert delivered(rows, range(touched + 1, 20))


@given(st.data())
def test_cut_or_garbage_costs_at_most_what_it_touches(data: st.DataObject) -> None:
    name, stored = data.draw(st.sampled_from([("a.warc", RECORDS), ("a.warc.gz", MEMBERS)]))
    touched = data.draw(st.integers(0, 19))
    start = sum(map(len, stored[:touched]))
    place = start + data.draw(st.integers(0, len(stored[touched]) - 1))
    joined = b"".join(stored)
    rows, report = read(joined[:place], name)
    assert delivered(rows, range(touched))
    assert bool(report.failures) + sum(row["truncated"] == "cut" for row in rows) <= 1
    taken = data.draw(st.integers(1, 50))
    hole = joined[:place] + joined[place + taken :]
    garbage = joined[:place] + data.draw(st.binary(min_size=1, max_size=50)) + joined[place:]
    later = next((number for number in range(20) if sum(map(len, stored[:number])) >= place + taken), 20)
    for damaged, after in ((hole, later), (garbage, touched + 1)):
        rows, _ = read(damaged, name)
        assert delivered(rows, range(touched))
        assert delivered(rows, range(after, 20))


@given(st.integers(3, len(gzip.compress(b"".join(RECORDS))) - 1), st.integers(1, 255))
def test_damage_in_one_member_of_many_records_keeps_those_before(place: int, flip: int) -> None:
    damaged = bytearray(gzip.compress(b"".join(RECORDS), mtime=0))
    damaged[place] ^= flip
    rows, report = read(bytes(damaged), "a.warc.gz")
    # deflate is read on until it is nonsense, so pages just behind the place may come garbled; those well before it
    # may not
    intact = next((number for number, row in enumerate(rows) if row["html"] != BODIES[number]), len(rows))
    assert intact >= place * 20 // len(damaged) - 4
    assert intact == 20 or report.failures or len(rows) == 20


def test_corrupt_member_is_one_failure_with_its_bytes() -> None:
    stored = list(MEMBERS)
    stored[7] = stored[7][:40] + bytes(byte ^ 0x55 for byte in stored[7][40:60]) + stored[7][60:]
    rows, report = read(b"".join(stored), "a.warc.gz")
    assert report.failures == [Failure(sum(map(len, stored[:7])), "corrupt", len(stored[7]))]
    assert list(whole(rows).values()) == BODIES[:7] + BODIES[8:]


def test_wrong_checksum_is_a_failure() -> None:
    stored = list(MEMBERS)
    stored[19] = stored[19][:-8] + b"\0" * 8
    rows, report = read(b"".join(stored), "a.warc.gz")
    assert report.failures == [Failure(sum(map(len, stored[:19])), "corrupt", len(stored[19]))]
    assert len(rows) == 19


def test_garbage_between_members_is_one_failure() -> None:
    noise = (
        b"\x1f\x8b\x08 this looks like a member but is none" + gzip.compress(b"nor is this a record") + b"\0" * 70_000
    )
    stored = [*MEMBERS[:5], noise, *MEMBERS[5:]]
    rows, report = read(b"".join(stored), "a.warc.gz")
    assert report.failures == [Failure(sum(map(len, MEMBERS[:5])), "corrupt", len(noise))]
    assert [row["html"] for row in rows] == BODIES


def test_member_without_a_record_is_garbage() -> None:
    other = gzip.compress(b"text that is no record at all")
    rows, report = read(MEMBERS[0] + other + MEMBERS[1], "a.warc.gz")
    assert report.failures == [Failure(len(MEMBERS[0]), "garbage", len(other))]
    assert [row["html"] for row in rows] == BODIES[:2]


def test_file_cut_in_a_body_gives_the_part_as_cut() -> None:
    joined = b"".join(RECORDS)
    rows, report = read(joined[:-30])
    assert report.failures == []
    assert rows[-1]["truncated"] == "cut"
    assert rows[-1]["html"] == BODIES[19][:-26]
    rows, report = read(b"".join(MEMBERS)[:-30], "a.warc.gz")
    assert rows[-1]["truncated"] == "cut"
    assert BODIES[19].startswith(rows[-1]["html"])
    assert report.failures == []


def test_file_cut_in_a_header_is_a_failure() -> None:
    rows, report = read(RECORDS[0] + RECORDS[1][:40])
    assert report.failures == [Failure(len(RECORDS[0]), "cut", 40)]
    assert len(rows) == 1
    member = gzip.compress(warc_record(b"x" * 5, kind="request", warc_target_uri="http://a/" + "b" * 400))
    rows, report = read(MEMBERS[0] + member[:12], "a.warc.gz")
    assert report.failures == [Failure(len(MEMBERS[0]), "cut", 12)]


def test_file_cut_in_a_record_that_is_no_document_is_a_failure() -> None:
    _, report = read(RECORDS[0] + warc_record(b"x" * 100, kind="request")[:-50])
    assert report.failures == [Failure(len(RECORDS[0]), "cut", 0)]
    assert report.records == {"response": 1, "request": 1}


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
def test_wrong_content_length(name: str) -> None:
    pack = (lambda joined: joined) if name == "a.warc" else gzip.compress
    block = http_response(b"<p>a page of some length</p>")
    for length, html in ((len(block) + 500, b"<p>a page of some length</p>"), (len(block) - 10, b"<p>a page of some ")):
        record = warc_record(block, length=length, warc_target_uri="http://wrong/")
        rows, _ = read(pack(RECORDS[0] + record + RECORDS[1] + RECORDS[2]), name)
        assert [row["html"] for row in rows] == [BODIES[0], html, *BODIES[1:3]]
        assert [row["truncated"] for row in rows] == [None, "cut", None, None]


def test_content_length_beyond_the_limit_and_the_file() -> None:
    for length in (1 << 14, 10**15):
        record = warc_record(http_response(b"<p>hi</p>"), length=length)
        rows, _ = read(RECORDS[0] + record + b"".join(RECORDS[1:]), max_record_bytes=1 << 10)
        assert [row["html"] for row in rows if row["truncated"] is None] == BODIES
        assert [row["html"] for row in rows if row["truncated"]] == [b"<p>hi</p>"]


def test_header_that_cannot_be_read() -> None:
    for wrong in (b"Content-Length: 1x", b"Content-Length: ", b"Contemt-Length: 5", b"Content-Length: -5"):
        record = warc_record(b"12345").replace(b"Content-Length: 5", wrong)
        rows, report = read(RECORDS[0] + record + RECORDS[1])
        assert report.failures == [Failure(len(RECORDS[0]), "bad_header", len(record))]
        assert len(rows) == 2


def test_a_header_cut_before_the_next_record_costs_only_itself() -> None:
    whole = page_record(7, b"<p>lost</p>")
    for cut in (len(b"WARC/1.0\r\n"), whole.index(b"Content-Length")):
        rows, report = read(whole[:cut] + RECORDS[1])
        assert [(row["url"], row["html"]) for row in rows] == [("http://site/1", BODIES[1])]
        assert report.failures == [Failure(0, "bad_header", cut)]


@pytest.mark.parametrize("line", [b"WARC/1.0\n", b"WARC/1.0\nA: b\n", b"WARC/1.0\nContent-Length: x\n"])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_time_is_linear_in_lines_that_look_like_headers(line: bytes, end: bytes) -> None:
    """A quadratic reader takes minutes for this."""
    hostile = line * 40_000 + end
    rows, report = read(RECORDS[0] + hostile + RECORDS[1])
    assert [row["html"] for row in rows] == BODIES[:2]
    assert report.failures == [Failure(len(RECORDS[0]), "bad_header", len(hostile))]


def test_time_is_linear_in_places_that_look_like_members() -> None:
    hostile = b"\x1f\x8b\x08" * 10_000
    rows, report = read(MEMBERS[0] + hostile + MEMBERS[1], "a.warc.gz")
    assert [row["html"] for row in rows] == BODIES[:2]
    assert [failure.lost_bytes for failure in report.failures] == [len(hostile)]


def test_endless_header_costs_itself() -> None:
    record = b"WARC/1.0\r\n" + b"A: b\r\n" * 200_000 + b"\r\n"
    rows, report = read(RECORDS[0] + record + RECORDS[1])
    assert report.failures == [Failure(len(RECORDS[0]), "bad_header", len(record))]
    assert [row["html"] for row in rows] == BODIES[:2]


# Ways of storing


def test_long_record_is_cut_at_the_limit() -> None:
    long = page_record(99, b"x" * 3_000_000)
    for pack, name in ((lambda joined: joined, "a.warc"), (gzip.compress, "a.warc.gz")):
        rows, report = read(pack(RECORDS[0] + long + RECORDS[1]), name, max_record_bytes=100_000)
        assert [row["truncated"] for row in rows] == [None, "length", None]
        assert 99_000 < len(rows[1]["html"]) <= 100_000
        assert [rows[0]["html"], rows[2]["html"]] == BODIES[:2]
        assert report.failures == []


def test_many_records_in_one_member() -> None:
    joined = b"".join(RECORDS)
    rows, report = read(gzip.compress(joined), "a.warc.gz")
    offsets = [sum(map(len, RECORDS[:number])) for number in range(20)]
    assert [row["position"] for row in rows] == [-offset for offset in offsets]
    assert {row["length"] for row in rows} == {-1}
    assert [row["html"] for row in rows] == BODIES
    assert report.failures == []


def test_records_that_go_on_in_the_next_member() -> None:
    joined = b"".join(RECORDS)
    for size in (100, 333, 5000):
        blocks = [gzip.compress(joined[start : start + size]) for start in range(0, len(joined), size)]
        rows, report = read(b"".join([*blocks, gzip.compress(b"")]), "a.warc.gz")
        assert [row["html"] for row in rows] == BODIES
        assert report.failures == []


def test_record_segments_are_cut() -> None:
    rows, _ = read(warc_record(http_response(b"<p>"), warc_segment_number="1"))
    assert rows[0]["truncated"] == "cut"


def test_warc_truncated_is_kept() -> None:
    rows, _ = read(warc_record(http_response(b"<p>"), warc_truncated="disconnect"))
    assert rows[0]["truncated"] == "disconnect"


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_newlines_and_case_of_headers(newline: bytes) -> None:
    block = b"HTTP/1.0 200 OK\ncontent-TYPE: text/html\n\n<p>hi</p>".replace(b"\n", newline)
    lines = [b"WARC/1.1", b"WARC-TYPE:response", b"warc-target-uri:http://a/", b"content-length: %d" % len(block)]
    record = newline.join([*lines, b"", block, b"", b""])
    rows, report = read(newline * 3 + record + record.replace(b"WARC/", b"warc/"))
    assert [(row["url"], row["content_type"], row["html"]) for row in rows] == [
        ("http://a/", "text/html", b"<p>hi</p>")
    ] * 2
    assert report.failures == []


# Bodies


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


# Real files


@pytest.mark.parametrize("path", sorted(DATA.glob("*.warc*")), ids=lambda path: path.name)
def test_same_records_as_fastwarc(path: Path) -> None:
    """On sound files: the same records, and bodies equal to fastwarc's where it reads the body."""
    expected, bodies = Counter[str](), []
    with path.open("rb") as file:
        for record in ArchiveIterator(file, parse_http=True, auto_decode="all"):
            kind = str(record.record_type).split(".")[-1]
            expected[kind] += 1
            text = kind == "conversion" and (record.headers.get("Content-Type") or "").startswith("text/plain")
            if text or kind in ("response", "resource"):
                bodies.append(record.reader.read())
    report, rows = ReadReport(), []
    with path.open("rb") as file:
        for batch in read_warc(file, path.name, report, batch_bytes=1 << 20, max_record_bytes=1 << 24):
            rows += batch.to_pylist()
    assert report.records == expected
    assert [row["text"].encode() if row["html"] is None else row["html"] for row in rows] == bodies
    assert sum(report.record_bytes.values()) + report.lost_bytes == path.stat().st_size


def wet_record(text: bytes, content_type: str = "text/plain") -> bytes:
    return warc_record(text, kind="conversion", content_type=content_type, warc_target_uri="http://a/")


def test_conversions_of_a_wet_file_come_as_text() -> None:
    rows, report = read((DATA / "whirlwind.warc.wet.gz").read_bytes(), "a.warc.wet.gz")
    (row,) = rows
    assert (row["url"], row["date"]) == ("https://an.wikipedia.org/wiki/Escopete", "2024-05-18T01:58:10Z")
    assert (row["html"], row["content_type"], row["http_status"]) == (None, None, None)
    assert row["text"].startswith("Escopete - Biquipedia, a enciclopedia libre\nIr al contenido\n")
    assert (row["position"], row["length"]) == (466, 2540)
    assert report.records == {"warcinfo": 1, "conversion": 1}


def test_texts_are_clean_and_only_texts_are_documents() -> None:
    records = [
        wet_record("caf\u00e9\r\n\0".encode()),
        wet_record(b"no text", content_type="image/png"),
        wet_record(b"caf\xe9"),
        wet_record(b"", content_type="text/plain; charset=utf-8"),
    ]
    rows, report = read(members(records), "a.wet.gz")
    assert [row["text"] for row in rows] == ["caf\u00e9\n", ""]
    assert [failure.cause for failure in report.failures] == ["invalid_utf8"]
    assert report.failures[0].position == len(members(records[:2]))
    assert report.records == {"conversion": 4}


def test_a_text_cut_inside_a_character_keeps_what_is_whole() -> None:
    record = wet_record("caf\u00e9".encode())
    (row,), report = read(record[: record.index(b"\xa9")], "a.wet")
    assert (row["text"], row["truncated"]) == ("caf", "cut")
    assert report.failures == []
    (row,), _ = read(record, "a.wet", max_record_bytes=4)
    assert (row["text"], row["truncated"]) == ("caf", "length")


def test_limit_of_documents() -> None:
    report, rows = ReadReport(), []
    data = members([warc_record(b"x", kind="warcinfo"), *RECORDS])
    for batch in read_warc(io.BytesIO(data), "a.gz", report, batch_bytes=1, max_record_bytes=1 << 20, max_docs=3):
        rows += batch.to_pylist()
    assert [row["html"] for row in rows] == BODIES[:3]
    assert report.records == {"warcinfo": 1, "response": 3}
    report.stop()
    assert 0 < report.input_bytes <= len(members([warc_record(b"x", kind="warcinfo"), *RECORDS[:3]]))
