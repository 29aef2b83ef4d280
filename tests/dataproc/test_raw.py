from __future__ import annotations

import pytest

from dataproc.raw import RawRows, ReadReport, utc_time
from dataproc.schema import RAW


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2008-04-30T20:48:25Z", "2008-04-30T20:48:25Z"),
        ("2008-04-30t20:48:25z", "2008-04-30T20:48:25Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
        ("2008-04-30T20:48:25.123456789Z", "2008-04-30T20:48:25.123456789Z"),
        ("2008-04-30T22:48:25+02:00", "2008-04-30T20:48:25Z"),
        ("2008-04-30 20:48:25", "2008-04-30T20:48:25Z"),
        ("2008-04-30T20:48", "2008-04-30T20:48:00Z"),
        ("2008-04-30", "2008-04-30T00:00:00Z"),
        ("2008-04", "2008-04-01T00:00:00Z"),
        ("2008", "2008-01-01T00:00:00Z"),
        ("20080430204825", "2008-04-30T20:48:25Z"),
        (" 2008-04-30 20:48:25 UTC ", "2008-04-30T20:48:25Z"),
        ("0999-12-31T23:00:00Z", "0999-12-31T23:00:00Z"),
        ("2008-13-01", None),
        ("2008-02-30", None),
        ("0000", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_utc_time(text: str | None, time: str | None) -> None:
    assert utc_time(text) == time


def test_rows_left_out_are_null_and_rows_start_anew() -> None:
    rows = RawRows("a.jsonl", 1000)
    full = []
    for position, text in ((3, "hi"), (4, "x" * 1000)):
        rows.add(position=position, text=text)
        full.append(rows.full)
    assert full == [False, True]
    batch = rows.take()
    assert batch.schema == RAW
    assert batch["position"].to_pylist() == [3, 4]
    assert batch["length"].to_pylist() == [-1, -1]
    assert batch["url"].null_count == 2
    assert rows.take().num_rows == 0


def test_report_sums_lost_bytes() -> None:
    report = ReadReport()
    report.count("response", 10)
    report.fail(10, "corrupt", 5)
    report.fail(15, "cut", 2)
    assert report.lost_bytes == 7
    assert [failure.position for failure in report.take_failures()] == [10, 15]
    assert report.take_failures() == []
    assert report.lost_bytes == 7
    assert (report.records["response"], report.record_bytes["response"]) == (1, 10)
