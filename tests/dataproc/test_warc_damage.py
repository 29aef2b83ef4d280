"""Damaged WARC files: only what is damaged is lost, and every byte of it is counted."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.raw import Failure
from tests.dataproc.warc_files import (
    BODIES,
    MEMBERS,
    RECORDS,
    delivered,
    http_response,
    page_record,
    read,
    warc_record,
    whole,
)


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
