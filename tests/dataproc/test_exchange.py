"""The engine-free half of `exchange`: cutting into blocks, sorting in bounded memory, merging runs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.errors import SchemaError, ShardError
from dataproc.exchange import TYPES, Exchange

SCHEMA = pa.schema([("partition", pa.int32()), ("key", pa.int64()), ("doc_id", pa.binary())])


def batch(rows: list[tuple[int, int, bytes]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [pa.array(list(column), kind) for column, kind in zip(zip(*rows, strict=True), SCHEMA.types, strict=True)],
        schema=SCHEMA,
    )


def exchange(
    piece_bytes: int = 1 << 20,
    partitions: int = 3,
    schema: pa.Schema = SCHEMA,
    sort_by: tuple[str, ...] = ("key", "doc_id"),
) -> Exchange:
    return Exchange(
        name="test",
        source=lambda unit: iter([batch(unit)] if unit else []),
        schema=schema,
        partition="partition",
        sort_by=sort_by,
        num_partitions=partitions,
        reduce_fn=iter,
        sink=lambda partition, rows: [row for piece in rows for row in piece.to_pylist()],
        piece_bytes=piece_bytes,
    )


def run(spec: Exchange, units: list[list[tuple[int, int, bytes]]], scratch: Path) -> list[list[tuple[int, bytes]]]:
    blocks = [block for unit in units for block in spec.split(unit)]
    reduced = []
    for partition in range(spec.num_partitions):
        mine = [block.data for block in blocks if block.partition == partition]
        reduced.append([(row["key"], row["doc_id"]) for row in spec.reduce(partition, mine, scratch)])
    return reduced


rows = st.lists(
    st.tuples(st.integers(0, 2), st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3), st.binary(max_size=3)),
    max_size=40,
)


@given(units=st.lists(rows, max_size=5), piece_bytes=st.sampled_from([1, 100, 1 << 20]))
def test_every_row_reaches_its_partition_in_order(
    units: list[list[tuple[int, int, bytes]]], piece_bytes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    want = [
        sorted((key, doc) for unit in units for part, key, doc in unit if part == partition) for partition in range(3)
    ]
    with patch("dataproc.exchange.MAX_RUNS", 3):
        assert run(exchange(piece_bytes), units, tmp_path_factory.mktemp("scratch")) == want


def test_memory_bound_goes_through_runs_on_disk(tmp_path: Path) -> None:
    many = [
        [(0, (i * 7919) % 20_011, i.to_bytes(4, "big")) for i in range(start, start + 5_000)]
        for start in range(0, 20_000, 5_000)
    ]
    want = sorted((key, doc) for unit in many for _, key, doc in unit)
    assert run(exchange(piece_bytes=50_000, partitions=1), many, tmp_path) == [want]
    assert list(tmp_path.iterdir()) == []


def test_a_merge_sorts_few_rows_again_however_many_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sorted_rows = []

    def sort_indices(table: pa.Table, **options: Any) -> pa.Array:
        sorted_rows.append(table.num_rows)
        return pc.sort_indices(table, **options)

    monkeypatch.setattr("dataproc.exchange.pc", SimpleNamespace(sort_indices=sort_indices))
    monkeypatch.setattr("dataproc.exchange.BATCH_ROWS", 20)
    draw = random.Random(0)
    units = [[(0, draw.getrandbits(60), draw.randbytes(4)) for _ in range(400)] for _ in range(50)]
    want = sorted((key, doc) for unit in units for _, key, doc in unit)
    assert run(exchange(piece_bytes=8_000, partitions=1), units, tmp_path) == [want]
    assert len(sorted_rows) > 100  # pieces, and rounds of a merge of 50 runs
    assert sum(sorted_rows) < 6 * len(want)  # once to cut, once for the runs, the rest to merge them


VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.bool_(): st.booleans(),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.float64(): st.floats(allow_nan=False),
    pa.string(): st.text(max_size=5),
    pa.binary(): st.binary(max_size=5),
}
EVERY_TYPE = pa.schema([("partition", pa.int32()), ("key", pa.int64()), *((str(kind), kind) for kind in TYPES)])


@given(
    rows=st.lists(st.tuples(st.integers(0, 1), *(st.none() | VALUES[kind] for kind in TYPES)), max_size=20),
    start=st.integers(0, 5),
    batch_rows=st.sampled_from([1, 3, 4096]),
    piece_bytes=st.sampled_from([1, 1 << 20]),
)
def test_values_of_all_types_come_back(
    rows: list[tuple[Any, ...]],
    start: int,
    batch_rows: int,
    piece_bytes: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Of slices too, which have offsets and bitmaps that start in mid-byte, and of slices of nothing."""
    numbered = [(partition, key, *values) for key, (partition, *values) in enumerate(rows)]
    columns = zip(*numbered, strict=True) if rows else ([] for _ in EVERY_TYPE)
    arrays = [pa.array(list(column), kind) for column, kind in zip(columns, EVERY_TYPE.types, strict=True)]
    whole = pa.RecordBatch.from_arrays(arrays, schema=EVERY_TYPE)

    def source(unit: object) -> Iterator[pa.RecordBatch]:
        yield from (whole.slice(start, 7), whole.slice(start, 0), whole.slice(start + 7))

    made = exchange(piece_bytes, partitions=3, schema=EVERY_TYPE, sort_by=("key",))
    spec = Exchange(**{**made.__dict__, "source": source})
    with patch("dataproc.exchange.BATCH_ROWS", batch_rows):
        blocks = list(spec.split(0))
        for partition in range(3):
            mine = [block.data for block in blocks if block.partition == partition]
            reduced = spec.reduce(partition, mine, tmp_path_factory.getbasetemp())
            assert reduced == [row for row in whole.slice(start).to_pylist() if row["partition"] == partition]


def block_of(rows: int) -> bytes:
    (block,) = exchange(partitions=1).split([(0, key, b"doc") for key in range(rows)])
    return bytes(block.data)


@pytest.mark.parametrize("spoil", ["cut", "flip"])
def test_a_damaged_block_is_an_error_wherever_it_is_damaged(spoil: str, tmp_path: Path) -> None:
    whole = block_of(8)
    assert len(exchange(partitions=1).reduce(0, [pa.py_buffer(whole)], tmp_path)) == 8
    told = f"{tmp_path}: a block of partition 0 must be as it was written, got (.* bytes too few|another checksum)"
    for at in range(1, len(whole)):
        damaged = whole[:at] if spoil == "cut" else whole[:at] + bytes([whole[at] ^ 0x81]) + whole[at + 1 :]
        with pytest.raises(ShardError, match=told):
            exchange(partitions=1).reduce(0, [pa.py_buffer(damaged)], tmp_path)


def test_zeros_and_sizes_beyond_all_memory_are_damage_too(tmp_path: Path) -> None:
    whole = block_of(30)
    for damaged in (bytes(len(whole)), whole + bytes(8), b"\xff" * len(whole), whole[:8] + b"\xff" * 7 + whole[15:]):
        with pytest.raises(ShardError, match="Remove its folder where it is still there, and resume the run"):
            exchange(partitions=1).reduce(0, [pa.py_buffer(damaged)], tmp_path)


def test_a_damaged_run_is_an_error_that_names_its_file(tmp_path: Path) -> None:
    def blocks() -> Iterator[pa.Buffer]:
        yield pa.py_buffer(block_of(30))
        (run_file,) = tmp_path.rglob("0")
        run_file.write_bytes(run_file.read_bytes()[:-1])
        yield pa.py_buffer(block_of(30))

    with (
        patch("dataproc.exchange.BATCH_ROWS", 10),
        pytest.raises(ShardError, match=r"/0 must be as it was written, got"),
    ):
        exchange(piece_bytes=500, partitions=1).reduce(0, blocks(), tmp_path)


def test_partition_out_of_range_is_an_error() -> None:
    with pytest.raises(SchemaError, match=r"Exchange.partition of test must be in \[0, 3\), got 3..3"):
        list(exchange().split([(3, 1, b"a")]))


def test_types_that_engines_compare_differently_are_refused() -> None:
    schema = pa.schema([("partition", pa.int32()), ("key", pa.uint64())])
    with pytest.raises(SchemaError, match=r"key must be one of bool, int32, .*, got uint64"):
        exchange(schema=schema, sort_by=("key",))


def test_sort_key_must_be_a_column() -> None:
    with pytest.raises(SchemaError, match="must name columns of the schema, got 'place'"):
        exchange(sort_by=("place",))


def test_source_may_yield_other_column_order(tmp_path: Path) -> None:
    def source(unit: object) -> Iterator[pa.RecordBatch]:
        yield batch([(0, 2, b"b"), (0, 1, b"a")]).select(["doc_id", "key", "partition"])

    spec = Exchange(**{**exchange(partitions=1).__dict__, "source": source})
    assert run(spec, [[]], tmp_path) == [[(1, b"a"), (2, b"b")]]


def test_partition_must_be_a_column() -> None:
    with pytest.raises(SchemaError, match=r"Exchange.partition of test must name .* 'partitoin'\. Did you mean"):
        Exchange(**{**exchange().__dict__, "partition": "partitoin"})
