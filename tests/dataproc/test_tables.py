"""Parquet parts: bytes depend on rows alone, groups are cut by rows and bytes, sidecars belong to documents."""

from __future__ import annotations

import itertools
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc import tables
from dataproc.errors import SchemaError, ShardError
from dataproc.storage import Folder
from dataproc.tables import (
    ColumnReader,
    ParquetFile,
    create_part,
    part_name,
    read_aligned,
    read_part,
    row_bytes,
    write_parquet,
)

SCHEMA = pa.schema([("doc_id", pa.binary()), ("text", pa.large_string()), ("list", pa.list_(pa.string()))])


def rows(start: int, stop: int, width: int = 1) -> pa.RecordBatch:
    ids = [i.to_bytes(16, "big") for i in range(start, stop)]
    return pa.RecordBatch.from_arrays([pa.array(ids), ["x" * width] * len(ids), [["a"]] * len(ids)], schema=SCHEMA)


def groups(path: Path) -> list[int]:
    metadata = pq.ParquetFile(path).metadata
    return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]


@given(cuts=st.lists(st.integers(0, 300), max_size=8))
def test_bytes_do_not_depend_on_batches(cuts: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("parts")
    bounds = [0, *sorted(cuts), 300]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "GROUP_ROWS", 70)
        patch.setattr(tables, "GROUP_BYTES", 2000)
        write_parquet(folder / "one", [rows(0, 300, 30)], SCHEMA)
        write_parquet(folder / "many", (rows(a, b, 30) for a, b in itertools.pairwise(bounds)), SCHEMA)
    assert (folder / "one").read_bytes() == (folder / "many").read_bytes()


def test_row_groups_are_cut_by_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "GROUP_ROWS", 100)
    write_parquet(tmp_path / "p", [rows(0, 250)], SCHEMA)
    assert groups(tmp_path / "p") == [100, 100, 50]


def test_row_groups_are_cut_after_the_row_that_fills_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "GROUP_BYTES", 3 * (16 + 30 + 8))  # bytes of id, text and one list item
    write_parquet(tmp_path / "p", [rows(0, 7, 30)], SCHEMA)
    assert groups(tmp_path / "p") == [3, 3, 1]


def test_row_bytes() -> None:
    assert row_bytes(rows(0, 2, 30)).tolist() == [54, 54]
    nothing = pa.RecordBatch.from_arrays([pa.nulls(1, kind) for kind in SCHEMA.types], schema=SCHEMA)
    assert row_bytes(nothing).tolist() == [0]


def test_no_rows_make_a_part_without_rows(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with create_part(folder, part_name("documents", 0), SCHEMA):
        pass
    assert list(read_part(folder, "documents", 0)) == []


def test_a_writer_that_fails_leaves_no_part(tmp_path: Path) -> None:
    folder = Folder(tmp_path)

    def write() -> None:
        with create_part(folder, "documents/part-00000000.parquet", SCHEMA) as part:
            part.write(rows(0, 5))
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        write()
    assert folder.files() == []


def test_missing_column_is_an_error(tmp_path: Path) -> None:
    with (
        ParquetFile(tmp_path / "p", SCHEMA) as part,
        pytest.raises(SchemaError, match=r"batch.text must be there, got columns \['doc_id'\]"),
    ):
        part.write(rows(0, 1).select(["doc_id"]))


def test_a_flipped_bit_is_found_on_reading(tmp_path: Path) -> None:
    """In incompressible bytes zstd and Parquet notice nothing: the page's checksum must."""
    folder, noise = Folder(tmp_path), random.Random(0).randbytes(10_000)
    schema = pa.schema([("doc_id", pa.binary())])
    with create_part(folder, "documents/part-00000000.parquet", schema) as part:
        part.write(pa.RecordBatch.from_pydict({"doc_id": [noise]}, schema=schema))
    path = tmp_path / "documents/part-00000000.parquet"
    stored = path.read_bytes()
    path.write_bytes(stored.replace(noise[5000:5010], bytes([noise[5000] ^ 1]) + noise[5001:5010]))
    with pytest.raises(ShardError, match=r"documents/part-00000000.parquet must be a readable .*CRC checksum"):
        list(read_part(folder, "documents", 0))
    path.write_bytes(stored)
    assert [batch["doc_id"].to_pylist() for batch in read_part(folder, "documents", 0)] == [[noise]]


def test_a_part_without_the_column_asked_for_is_an_error(folder: Folder) -> None:
    with pytest.raises(ShardError, match=r"documents/part-00000000.parquet must be .* got: no column score, txt"):
        list(read_part(folder, "documents", 0, ["doc_id", "txt", "score"]))


def test_missing_and_damaged_parts_are_errors(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with pytest.raises(ShardError, match=r"documents/part-00000000.parquet must exist"):
        list(read_part(folder, "documents", 0))
    folder.write_text("documents/part-00000000.parquet", "PAR1 no footer")
    with pytest.raises(ShardError, match=r"documents/part-00000000.parquet must be a readable Parquet file"):
        list(read_part(folder, "documents", 0))


def sidecar(folder: Folder, ids: list[int], name: str = "scores") -> None:
    schema = pa.schema([("doc_id", pa.binary()), ("score", pa.int64())])
    with create_part(folder, part_name(name, 0), schema) as part:
        part.write(pa.RecordBatch.from_arrays([[i.to_bytes(16, "big") for i in ids], ids], schema=schema))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A run with one part of ten documents in row groups of four."""
    monkeypatch.setattr(tables, "GROUP_ROWS", 4)
    folder = Folder(tmp_path)
    with create_part(folder, part_name("documents", 0), SCHEMA) as part:
        part.write(rows(0, 10))
    return folder


def test_sidecar_columns_come_beside_the_documents(folder: Folder) -> None:
    sidecar(folder, list(range(10)))
    batches = list(read_aligned(folder, 0, {"documents": ["doc_id", "text"], "scores": ["score"]}, batch_rows=3))
    assert [batch.num_rows for batch in batches] == [3, 3, 3, 1]
    assert batches[0].schema.names == ["doc_id", "text", "score"]
    assert [score for batch in batches for score in batch["score"].to_pylist()] == list(range(10))


@pytest.mark.parametrize(
    ("ids", "sentence"),
    [
        ([0, 1, 2, 3, 5, 4, 6, 7, 8, 9], r"scores/part-00000000.parquet row 4 must hold doc_id 0{31}4, got 0{31}5"),
        ([0, 1, 2, 3, 4, 5, 6], r"scores/part-00000000.parquet row 7 must hold doc_id 0{31}7, got the end of the file"),
        (
            [*range(11)],
            r"scores/part-00000000.parquet row 10 must not exist, got more rows than documents/part-00000000.parquet",
        ),
    ],
)
def test_a_sidecar_of_other_documents_is_an_error(folder: Folder, ids: list[int], sentence: str) -> None:
    sidecar(folder, ids)
    with pytest.raises(ShardError, match=sentence):
        list(read_aligned(folder, 0, {"documents": ["text"], "scores": ["score"]}, batch_rows=3))


def test_parquet_is_read_by_one_thread_everywhere() -> None:
    """Another thread would abort the process now and then at its end; see `open_parquet`."""
    root = Path(tables.__file__).parents[1]
    sources = [path for top in ("dataproc", "stages", "classifiers", "jobs") for path in (root / top).rglob("*.py")]
    found = {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in sources}
    opened = re.compile(
        r"pq\.ParquetFile\([a-z]|pq\.read_|open_parquet\([a-z]+\)\.read\(|\.(?:read_row_group|iter_batches)\("
    )
    calls = [
        (name, hit[0].strip("."), text[hit.start() : text.index(")\n", hit.end())])
        for name, text in found.items()
        for hit in opened.finditer(text)
    ]
    openings = {name for name, what, call in calls if what.startswith("pq.ParquetFile") and "pre_buffer=False" in call}
    assert openings == {"dataproc/tables.py", "dataproc/parquet.py"}
    reads = [(name, call) for name, what, call in calls if not what.startswith("pq.ParquetFile")]
    assert len(calls) == len(openings) + len(reads), "a file is opened elsewhere or with reading ahead"
    assert [name for name, call in reads if "use_threads=False" not in call] == []
    assert len(reads) == 7


def test_a_column_is_read_at_ascending_rows_and_only_the_groups_that_hold_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "GROUP_ROWS", 10)
    folder = Folder(tmp_path)
    with create_part(folder, part_name("documents", 0), SCHEMA) as part:
        part.write(rows(0, 35))
    reader = ColumnReader(folder, "documents", 0, "doc_id")
    loaded: list[int] = []
    load = reader._parquet.read_row_group

    def noted(group: int, **how: Any) -> pa.Table:
        loaded.append(group)
        return load(group, **how)

    monkeypatch.setattr(reader._parquet, "read_row_group", noted)
    wanted = np.array([0, 9, 9, 12, 31, 34])
    found = reader.at(wanted, np.array([True, True, False, False, True, True])).to_pylist()
    assert found == [None if row is None else row.to_bytes(16, "big") for row in (0, 9, None, None, 31, 34)]
    assert loaded == [0, 3]
    with pytest.raises(
        ShardError, match=r"documents/part-00000000\.parquet must hold every row that dedup names, got 35"
    ):
        reader.at(np.array([35]), np.array([True]))
    reader.close()
    with pytest.raises(ShardError, match=r"part-00000001\.parquet must exist, got no such file in"):
        ColumnReader(folder, "documents", 1, "doc_id")
