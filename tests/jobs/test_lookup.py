"""Rows found by key and read by number, across row groups and parts; clusters' ways between documents."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataproc.errors import ShardError
from dataproc.shards import Dataset
from dataproc.storage import Folder
from dataproc.tables import GROUP_ROWS, create_part, part_name
from jobs.dedup_evidence import Pair, _way
from jobs.lookup import find_rows, open_part, parts_done, read_rows

ROWS = GROUP_ROWS + 1000
SCHEMA = pa.schema(
    [("doc_id", pa.binary()), ("url", pa.string()), ("flags", pa.list_(pa.string())), ("place", pa.int64())]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Two parts of two row groups each; urls are sorted, some null, some beyond ASCII."""
    folder = Folder(tmp_path_factory.mktemp("run"))
    dataset = Dataset(folder, "documents", {}, 3)
    dataset.start()
    for part in range(2):
        urls = [None if row % 1000 == 7 else f"http://{part}.org/{row:06d}" for row in range(ROWS)]
        urls[-1] = "http://\u4f8b\u3048.jp/\U0001f600"
        rows = pa.RecordBatch.from_arrays(
            [
                pa.array([f"{part}-{row}".encode() for row in range(ROWS)], pa.binary()),
                pa.array(urls, pa.string()),
                pa.array([["a", "b"]] * ROWS, pa.list_(pa.string())),
                pa.array(range(ROWS), pa.int64()),
            ],
            schema=SCHEMA,
        )
        with create_part(folder, part_name("documents", part), SCHEMA) as file:
            file.write(rows)
        dataset.commit(part, {}, {}, 0.0)
    return folder


def test_the_parts_have_several_row_groups(folder: Folder) -> None:
    assert parts_done(folder, "documents") == [0, 1]
    assert parts_done(folder, "scores") == []
    with open_part(folder, "documents", 1) as file:
        assert file.num_row_groups == 2


@pytest.mark.parametrize(
    ("column", "keys", "found"),
    [
        ("url", ["http://1.org/000042"], [(1, 42)]),
        ("url", [f"http://0.org/{GROUP_ROWS + 3:06d}", "http://1.org/000000"], [(0, GROUP_ROWS + 3), (1, 0)]),
        ("url", ["http://\u4f8b\u3048.jp/\U0001f600"], [(0, ROWS - 1), (1, ROWS - 1)]),
        ("url", ["http://0.org/", "", "zzz", "\U0010ffff"], []),
        ("url", ["http://0.org/000007"], []),
        ("doc_id", [b"1-65540"], [(1, 65_540)]),
        ("doc_id", [b"\xff", b""], []),
        ("place", [5, ROWS - 1], [(0, 5), (0, ROWS - 1), (1, 5), (1, ROWS - 1)]),
        ("place", [-1, ROWS], []),
    ],
)
def test_rows_are_found_by_key(
    folder: Folder, column: str, keys: list[str] | list[bytes] | list[int], found: list[tuple[int, int]]
) -> None:
    assert list(find_rows(folder, "documents", [0, 1], column, keys)) == found


def test_row_groups_that_cannot_hold_the_key_are_not_read(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    whole = pq.ParquetFile.read_row_group

    def count(file: pq.ParquetFile, group: int, **more: object) -> pa.Table:
        read.append(group)
        return whole(file, group, **more)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", count)
    assert list(find_rows(folder, "documents", [0], "place", [GROUP_ROWS + 1])) == [(0, GROUP_ROWS + 1)]
    assert read == [1]
    assert read_rows(folder, "documents", 0, [3], ["place"]) == [{"place": 3}]
    assert read == [1, 0]


def test_rows_come_in_the_order_asked_for(folder: Folder) -> None:
    rows = [ROWS - 2, 0, GROUP_ROWS, 0]
    assert [row["place"] for row in read_rows(folder, "documents", 1, rows)] == rows
    assert read_rows(folder, "documents", 1, [9], ["flags", "doc_id"]) == [{"doc_id": b"1-9", "flags": ["a", "b"]}]
    assert read_rows(folder, "documents", 1, []) == []


def test_what_is_not_there_is_an_error(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(
        ShardError, match=rf"documents/part-00000000\.parquet must have row {ROWS}, got {ROWS} rows\. Run"
    ):
        read_rows(folder, "documents", 0, [1, ROWS])
    with pytest.raises(
        ShardError, match=r"documents/part-00000002\.parquet must exist, got no such file in .*\. Run the"
    ):
        list(find_rows(folder, "documents", [0, 2], "url", ["x"]))
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "part-00000000.parquet").write_bytes(b"not Parquet at all")
    with pytest.raises(
        ShardError, match=r"documents/part-00000000\.parquet must be readable, got: .*Run `dataproc verify`"
    ):
        read_rows(Folder(tmp_path), "documents", 0, [0])


def test_the_way_through_a_cluster_is_the_shortest() -> None:
    """a-b-c-d with a short cut a-c, and a pair apart: from d to a it is d-c-a, each pair seen from where one stands."""
    pairs = [Pair(a.encode(), b.encode(), 0.9, True) for a, b in ("ab", "bc", "cd", "ac", "xy")]
    assert [(pair.a, pair.b) for pair in _way(pairs, b"d", b"a")] == [(b"d", b"c"), (b"c", b"a")]
    assert [(pair.a, pair.b) for pair in _way(pairs, b"a", b"d")] == [(b"a", b"c"), (b"c", b"d")]
    assert _way(pairs, b"a", b"a") == []
    assert _way(pairs, b"a", b"x") == []
