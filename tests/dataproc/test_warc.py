"""Records of every kind and compression, ways of storing them, and real files: what comes out, and what is counted."""

from __future__ import annotations

import gzip
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from fastwarc.warc import ArchiveIterator

from dataproc.ids import doc_id
from dataproc.members import Members, Window, codec_of
from dataproc.raw import Failure, ReadReport
from dataproc.warc import read_warc
from tests.dataproc.warc_files import (
    BODIES,
    MEMBERS,
    RECORDS,
    http_response,
    members,
    page_record,
    read,
    warc_record,
)

DATA = Path(__file__).parents[1] / "data" / "warc"


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
