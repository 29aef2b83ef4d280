from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from dataproc import raw
from dataproc.columns import InputColumns
from dataproc.config import validate
from dataproc.errors import ConfigError
from dataproc.ids import doc_id
from dataproc.jsonl import read_jsonl
from dataproc.raw import Failure, ReadReport
from dataproc.schema import RAW

LINES = [json.dumps({"text": f"text {number} " + "x" * number}).encode() + b"\n" for number in range(50)]


def read(
    data: bytes,
    name: str = "a.jsonl",
    *,
    start: int = 0,
    end: int = -1,
    first_row: int = 0,
    max_record_bytes: int = 1000,
    max_docs: int = -1,
    columns: InputColumns | None = None,
) -> tuple[list[dict[str, Any]], ReadReport]:
    report, rows = ReadReport(), []
    for batch in read_jsonl(
        io.BytesIO(data),
        name,
        report,
        start=start,
        end=end,
        first_row=first_row,
        batch_bytes=2000,
        max_record_bytes=max_record_bytes,
        max_docs=max_docs,
        columns=columns or InputColumns(),
    ):
        assert batch.schema == RAW
        rows += batch.to_pylist()
    assert sum(report.record_bytes.values()) + report.lost_bytes == report.input_bytes
    return rows, report


def causes(report: ReadReport) -> list[tuple[int, str]]:
    return [(failure.position, failure.cause) for failure in report.failures]


def test_failures_can_be_taken_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The texts of a file may all be under another key than the one asked for."""
    monkeypatch.setattr(raw, "MAX_FAILURES", 10)
    data = b'{"body": "x"}\n' * 35 + b'{"text": "x"}\n'
    report, held, seen, rows = ReadReport(), 0, 0, 0
    limits = {"batch_bytes": 2000, "max_record_bytes": 1000}
    for batch in read_jsonl(io.BytesIO(data), "a.jsonl", report, **limits, columns=InputColumns()):
        held = max(held, len(report.failures))
        seen += len(report.take_failures())
        rows += batch.num_rows
    assert (held, seen, rows) == (10, 35, 1)
    assert report.lost_bytes == 35 * 14


def test_one_line_gives_every_column() -> None:
    line = b'{"text": "a\\r\\nb\\u0000c", "url": "http://a/", "date": "2024-11-01", "id": "x"}\n'
    rows, report = read(line, "x/a.jsonl")
    expected = {
        **dict.fromkeys(RAW.names),
        "doc_id": doc_id("x/a.jsonl", 0),
        "url": "http://a/",
        "date": "2024-11-01T00:00:00Z",
        "input": "x/a.jsonl",
        "position": 0,
        "length": len(line),
        "text": "a\nbc",
    }
    assert rows == [expected]
    assert (report.records, report.record_bytes) == ({"line": 1}, {"line": len(line)})


def test_columns_are_configured() -> None:
    line = b'{"content": "hi", "meta": {"page": {"address": "http://a/"}}, "meta.when": "2024", "url": 5}'
    columns = InputColumns(text="content", url="meta.page.address", date="meta.when")
    rows, _ = read(line, columns=columns)
    assert [(row["text"], row["url"], row["date"]) for row in rows] == [("hi", "http://a/", "2024-01-01T00:00:00Z")]
    rows, _ = read(line, columns=InputColumns(text="content", date=None))
    assert [(row["url"], row["date"]) for row in rows] == [(None, None)]


def test_names_of_public_corpora() -> None:
    lines = [
        b'{"text": "a", "content": "no", "timestamp": "2019-04-25T12:57:54Z", "url": "http://c4/"}',
        b'{"text": "b", "metadata": {"WARC-Target-URI": "http://dclm/", "WARC-Date": "2013-05-18T05:30:00Z"}}',
        b'{"content": "c", "warc_headers": {"warc-target-uri": "http://oscar/", "warc-date": "2022-01-01"}}',
        b'{"raw_content": "d", "url": "http://redpajama/", "date_download": "2023-05-28T00:00:00Z"}',
        b'{"text": null, "content": "e", "u": "http://hplt/", "ts": "2021-01-01T00:00:00Z"}',
    ]
    rows, _ = read(b"\n".join(lines))
    assert [row["text"] for row in rows] == ["a", "b", "c", "d", "e"]
    assert [row["url"] for row in rows] == [f"http://{name}/" for name in ("c4", "dclm", "oscar", "redpajama", "hplt")]
    assert [row["date"][:4] for row in rows] == ["2019", "2013", "2022", "2023", "2021"]


def test_limit_of_documents() -> None:
    rows, report = read(b"{}\n" + b"".join(LINES), max_docs=2)
    assert [row["position"] for row in rows] == [1, 2]
    assert (report.records, len(report.failures)) == ({"line": 3}, 1)
    assert report.input_bytes == len(b"{}\n" + LINES[0] + LINES[1])
    rows, _ = read(gzip.compress(b"".join(LINES)), "a.jsonl.gz", max_docs=2)
    assert [row["position"] for row in rows] == [0, 1]


def test_a_text_has_to_have_a_name() -> None:
    with pytest.raises(ConfigError, match=r"^input\.columns\.text must be"):
        validate(InputColumns, {"text": None}, "input.columns")


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (b'{"text": "a', "invalid_json"),
        (b'{"text": "a"} x', "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b'{"n": ' + b"9" * 5000 + b"}", "invalid_json"),
        (b'{"text": "\xff"}', "invalid_utf8"),
        ('{"text": "a"}'.encode("utf-16"), "invalid_utf8"),
        (b'["text"]', "not_an_object"),
        (b"null", "not_an_object"),
        (b"{}", "no_text"),
        (b'{"text": null}', "no_text"),
        (b'{"text": 5}', "no_text"),
        (b'{"text": "' + b"x" * 200_000 + b'"}', "too_long"),
    ],
)
def test_line_that_is_no_document_is_a_failure(line: bytes, cause: str) -> None:
    rows, report = read(LINES[0] + line + b"\n" + LINES[1], max_record_bytes=150_000)
    assert report.failures == [Failure(1, cause, len(line) + 1)]
    assert [row["position"] for row in rows] == [0, 2]


def test_longest_line() -> None:
    line = b'{"text": "12345"}'
    assert len(read(line + b"\n", max_record_bytes=len(line))[0]) == 1
    assert causes(read(line + b"\n", max_record_bytes=len(line) - 1)[1]) == [(0, "too_long")]


def test_blank_lines_count_as_lines() -> None:
    rows, report = read(b"\n  \r\n" + LINES[0] + b"\n" + LINES[1] + b"\n\n")
    assert [row["position"] for row in rows] == [2, 4]
    assert report.records == {"blank": 5, "line": 2}
    assert report.failures == []


def test_ends_of_lines_and_byte_order_mark() -> None:
    rows, report = read(b"\xef\xbb\xbf" + LINES[0].replace(b"\n", b"\r\n") + LINES[1].rstrip())
    assert [row["position"] for row in rows] == [0, 1]
    assert report.failures == []
    rows, _ = read(gzip.compress(b"\xef\xbb\xbf" + LINES[0]), "a.jsonl.gz")
    assert len(rows) == 1


def test_lone_surrogate_becomes_replacement_character() -> None:
    rows, _ = read(b'{"text": "a\\ud800b"}')
    assert rows[0]["text"] == "a\ufffdb"


def test_empty_file_has_no_rows() -> None:
    assert read(b"") == ([], ReadReport())
    assert read(b"", "a.jsonl.gz") == ([], ReadReport(record_bytes=ReadReport().record_bytes))


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_compressed_files(name: str) -> None:
    pack = zstandard.compress if name.endswith("zst") else gzip.compress
    data = pack(b"".join(LINES[:20])) + pack(b"".join(LINES[20:]))
    rows, report = read(data, name)
    assert [row["position"] for row in rows] == list(range(50))
    assert [row["text"] for row in rows] == [json.loads(line)["text"] for line in LINES]
    assert {row["length"] for row in rows} == {-1}
    assert report.record_bytes == {"line": len(data)}


def test_a_file_that_is_not_what_its_name_says_is_one_failure() -> None:
    data = b"".join(LINES)
    rows, report = read(data, "a.jsonl.gz")
    assert (rows, report.failures) == ([], [Failure(0, "garbage", len(data))])
    packed = gzip.compress(data)
    for start, end in ((0, -1), (0, 100)):
        rows, report = read(packed, start=start, end=end)
        assert (rows, report.failures) == ([], [Failure(0, "compressed", len(packed))])
    assert read(packed, start=100, end=200, first_row=1) == ([], ReadReport())


@given(st.integers(0, 50), st.integers(1, 700))
def test_ranges_share_the_lines_out(whole: int, unit_bytes: int) -> None:
    data = b"".join(LINES[:whole]).rstrip()
    rows, row = [], 0
    for start in range(0, len(data), unit_bytes):
        end = min(start + unit_bytes, len(data))
        part, _ = read(data, start=start, end=end, first_row=row)
        starts = [at for at in range(start, end) if at == 0 or data[at - 1 : at] == b"\n"]
        assert len(part) == len(starts)
        rows += part
        row += len(starts)
    assert rows == read(data)[0]


@given(st.integers(3, 200))
def test_cut_file_keeps_what_decodes(taken: int) -> None:
    data = gzip.compress(b"".join(LINES))
    rows, report = read(data[: len(data) - taken], "a.jsonl.gz")
    assert [row["text"] for row in rows] == [json.loads(line)["text"] for line in LINES[: len(rows)]]
    assert causes(report) == [(len(rows), "cut")]


def test_corrupt_file_keeps_what_decodes() -> None:
    first, second = gzip.compress(b"".join(LINES[:30])), gzip.compress(b"".join(LINES[30:]))
    rows, report = read(first + second[:30] + b"\xff" * 100 + second[130:], "a.jsonl.gz")
    assert len(rows) >= 30
    assert causes(report) == [(len(rows), "corrupt")]
    assert 0 < report.lost_bytes < len(second)
    rows, report = read(first + b"\0" * 50, "a.jsonl.gz")
    assert report.failures == [Failure(30, "garbage", 50)]


@given(st.lists(st.binary(max_size=30), max_size=10), st.sampled_from([1, 20, 1000]))
def test_every_line_is_a_document_a_failure_or_blank(lines: list[bytes], max_record_bytes: int) -> None:
    data = b"\n".join([LINES[1].rstrip(), *lines, LINES[0]])
    rows, report = read(data, max_record_bytes=max_record_bytes)
    assert len(rows) + len(report.failures) + report.records["blank"] == data.count(b"\n") - data.endswith(b"\n") + 1
    assert len(rows) + len(report.failures) == report.records["line"]
