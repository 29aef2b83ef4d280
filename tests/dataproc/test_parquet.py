from __future__ import annotations

import io
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataproc.columns import InputColumns
from dataproc.errors import InputError
from dataproc.ids import doc_id
from dataproc.parquet import Cut, cut_parquet, read_parquet
from dataproc.raw import Failure, ReadReport
from dataproc.schema import RAW

TEXTS = [f"text {number} " + "x" * number for number in range(50)]


def stored(table: pa.Table | dict[str, Any], group_rows: int = 10, **options: Any) -> bytes:
    """Return the table as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(
        table if isinstance(table, pa.Table) else pa.table(table), sink, row_group_size=group_rows, **options
    )
    return sink.getvalue()


def read(
    data: bytes,
    cut: Cut = Cut(0, -1, 0),  # noqa: B008
    *,
    name: str = "a.parquet",
    max_record_bytes: int = 1000,
    max_docs: int = -1,
    columns: InputColumns | None = None,
) -> tuple[list[dict[str, Any]], ReadReport]:
    """Read a file and hold what is always true: every row and every byte accounted for."""
    report, rows = ReadReport(), []
    for batch in read_parquet(
        io.BytesIO(data),
        name,
        report,
        **cut._asdict(),
        batch_bytes=2000,
        max_record_bytes=max_record_bytes,
        max_docs=max_docs,
        columns=columns or InputColumns(),
    ):
        assert batch.schema == RAW
        rows += batch.to_pylist()
    assert sum(report.record_bytes.values()) + report.lost_bytes == report.input_bytes
    return rows, report


def test_one_row_gives_every_column() -> None:
    data = stored({"text": ["a\r\nb\0c"], "url": ["http://a/"], "date": ["2024-11-01"], "id": ["x"]})
    rows, report = read(data, name="x/a.parquet")
    expected = {
        **dict.fromkeys(RAW.names),
        "doc_id": doc_id("x/a.parquet", 0),
        "url": "http://a/",
        "date": "2024-11-01T00:00:00Z",
        "input": "x/a.parquet",
        "position": 0,
        "length": -1,
        "text": "a\nbc",
    }
    assert rows == [expected]
    assert (report.records, report.record_bytes) == ({"row": 1}, {"row": len(data)})


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([datetime(2024, 11, 1, 12, 30, tzinfo=UTC)], pa.timestamp("ns", "UTC")), "2024-11-01T12:30:00Z"),
        (pa.array([datetime(2024, 11, 1, 12, 30)], pa.timestamp("s")), "2024-11-01T12:30:00Z"),
        (pa.array([date(2024, 11, 1)]), "2024-11-01T00:00:00Z"),
        (pa.array(["20241101123000"]).dictionary_encode(), "2024-11-01T12:30:00Z"),
        (pa.array([None], pa.timestamp("us")), None),
        (pa.array([253_402_300_799], pa.timestamp("s")), "9999-12-31T23:59:59Z"),
        (pa.array([253_402_300_800], pa.timestamp("s")), None),  # the year 10000
        (pa.array([-62_135_596_799_000], pa.timestamp("ms")), "0001-01-01T00:00:01Z"),
        (pa.array([-62_135_596_800_001], pa.timestamp("ms")), None),
        (pa.array([2**63 - 1], pa.timestamp("ms")), None),
        (pa.array([2**31 - 1], pa.int32()).cast(pa.date32()), None),
        (pa.array([1_730_464_200_123_456_789], pa.timestamp("ns")), "2024-11-01T12:30:00.123456Z"),
        (pa.array([0], pa.timestamp("us", "Europe/Berlin")), "1970-01-01T00:00:00Z"),
        (pa.array(["soon"]), None),
        (pa.array([20241101]), None),
    ],
)
def test_dates(column: pa.Array, expected: str | None) -> None:
    assert read(stored({"text": ["a"], "date": column}))[0][0]["date"] == expected


def test_columns_of_public_corpora_and_of_recipes() -> None:
    inner = pa.array([{"WARC-Target-URI": "http://a/", "WARC-Date": "2024", "more": 1}])
    rows, _ = read(stored({"content": ["hi"], "metadata": inner, "url": pa.array([5])}))
    assert [(row["text"], row["url"], row["date"]) for row in rows] == [("hi", "http://a/", "2024-01-01T00:00:00Z")]
    columns = InputColumns(text="body", url="page.address", date=None)
    page = pa.array([{"address": "http://b/", "text": "no"}])
    rows, _ = read(stored({"text": ["no"], "body": ["yes"], "page": page, "date": ["2024"]}), columns=columns)
    assert [(row["text"], row["url"], row["date"]) for row in rows] == [("yes", "http://b/", None)]


def test_every_kind_of_string_is_a_text() -> None:
    kinds = [pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.dictionary(pa.int32(), pa.string())]
    for kind in kinds:
        assert [row["text"] for row in read(stored({"text": pa.array(["a", "b"]).cast(kind)}))[0]] == ["a", "b"]


def test_of_columns_with_one_name_the_first_is_read() -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    assert [row["text"] for row in read(stored(table))[0]] == ["a"]


def test_rows_that_are_no_documents_are_failures() -> None:
    texts = pa.array([b"good", None, b"\xff", b"x" * 11, b"y" * 10], pa.binary())
    rows, report = read(stored({"text": texts}), max_record_bytes=10)
    assert [row["position"] for row in rows] == [0, 4]
    assert report.failures == [Failure(1, "no_text", 0), Failure(2, "invalid_utf8", 0), Failure(3, "too_long", 0)]
    as_string = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")])
    assert read(stored({"text": as_string}))[1].failures == [Failure(0, "invalid_utf8", 0)]


@given(st.integers(1, 60), st.integers(1, 3000), st.booleans())
@settings(max_examples=30)
def test_units_share_the_rows_out(group_rows: int, unit_bytes: int, sparse: bool) -> None:
    table = {"id": list(range(50)), "text": [None if sparse and n % 3 else text for n, text in enumerate(TEXTS)]}
    data = stored(table, group_rows)
    cuts = cut_parquet(io.BytesIO(data), "a.parquet", InputColumns(), unit_bytes)
    parts = [read(data, cut) for cut in cuts]
    assert [row for rows, _ in parts for row in rows] == read(data)[0]
    assert sum(report.input_bytes for _, report in parts) == len(data)
    assert sum(len(rows) + len(report.failures) for rows, report in parts) == 50
    assert all(report.input_bytes >= unit_bytes for _, report in parts[:-1])


def test_a_damaged_row_group_costs_its_rows() -> None:
    data = bytearray(stored({"text": TEXTS}, compression="zstd", use_dictionary=False))
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(2)
    middle = group.column(0).data_page_offset + group.column(0).total_compressed_size // 2
    data[middle : middle + 30] = b"\xff" * 30
    rows, report = read(bytes(data))
    assert [row["position"] for row in rows] == [*range(20), *range(30, 50)]
    assert [(failure.position, failure.cause) for failure in report.failures] == [(n, "corrupt") for n in range(20, 30)]
    assert [failure.lost_bytes > 0 for failure in report.failures] == [True, *[False] * 9]
    assert report.records == {"row": 50}


def test_a_file_without_its_end_is_one_failure() -> None:
    data = stored({"text": TEXTS})[:-20]
    rows, report = read(data)
    assert (rows, report.failures) == ([], [Failure(0, "cut", len(data))])
    assert cut_parquet(io.BytesIO(data), "a.parquet", InputColumns(), 10) == [Cut(0, -1, 0)]
    assert read(b"") == ([], ReadReport())


def test_a_file_that_is_no_parquet_is_one_failure() -> None:
    data = b'{"text": "a line of JSON"}'
    assert read(data)[1].failures == [Failure(0, "garbage", len(data))]
    assert read(data[:2])[1].failures == [Failure(0, "garbage", 2)]
    assert read(b"PA")[1].failures == [Failure(0, "cut", 2)]


def test_limit_of_documents() -> None:
    texts = [None, *TEXTS]
    rows, report = read(stored({"text": texts}), max_docs=12)
    assert [row["position"] for row in rows] == list(range(1, 13))
    assert report.records == {"row": 13}
    assert len(report.failures) == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            stored({"id": [1], "lang": ["en"], "body": ["a text " * 20]}),
            "a.parquet must have a column of strings named text or content or raw_content, got columns: id (int64),"
            " lang (string), body (string). Name it in the recipe, e.g. input: {columns: {text: body}}.",
        ),
        (
            stored({"text": [1]}),
            "a.parquet must have a column of strings named text or content or raw_content, got columns: text (int64)."
            " Give files with texts.",
        ),
    ],
)
def test_errors(data: bytes, message: str) -> None:
    with pytest.raises(InputError) as error:
        read(data)
    assert str(error.value) == message
    with pytest.raises(InputError) as error:
        cut_parquet(io.BytesIO(data), "a.parquet", InputColumns(), 1)
    assert str(error.value) == message
