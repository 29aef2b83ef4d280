from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from dataproc.config import validate
from dataproc.errors import ConfigError
from stages.line_dedup import COUNTED, FrequentLines, LineDedup, line_seeds

Row = tuple[int, int, int]


def reduced(rows: list[Row], max_count: int, keep: int, cuts: list[int]) -> list[Row]:
    """Run the reducer over sorted rows (key, part, count), handed to it in batches cut where `cuts` says."""

    def batches() -> Iterator[pa.RecordBatch]:
        places = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
        for start, stop in pairwise(places):
            columns = list(zip(*rows[start:stop], strict=True))
            arrays = [pa.array([0] * (stop - start), pa.int32()), *(pa.array(column, pa.int64()) for column in columns)]
            yield pa.RecordBatch.from_arrays(arrays, schema=COUNTED)
            yield pa.RecordBatch.from_pylist([], schema=COUNTED)

    return [tuple(row.values()) for batch in FrequentLines(max_count, keep)(batches()) for row in batch.to_pylist()]


def test_a_line_is_frequent_above_max_count() -> None:
    rows = [(-5, 0, 6), (1, 0, 4), (1, 1, 3), (2, 0, 7), (9, 3, 1)]
    assert reduced(rows, 6, 0, []) == [(1, 0, 0), (1, 1, 0), (2, 0, 0)]
    assert reduced(rows, 7, 0, []) == []


def test_the_first_copies_stay() -> None:
    rows = [(1, 0, 4), (1, 1, 3), (1, 2, 3)]
    assert reduced(rows, 6, 5, []) == [(1, 0, 4), (1, 1, 1), (1, 2, 0)]


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 4), st.integers(1, 5)), max_size=40).map(sorted),
    st.integers(1, 12),
    st.integers(0, 8),
    st.lists(st.integers(0, 40), max_size=6),
)
def test_equals_the_oracle_however_groups_span_batches(
    rows: list[Row], max_count: int, keep: int, cuts: list[int]
) -> None:
    total: Counter[int] = Counter()
    copies: defaultdict[int, list[int]] = defaultdict(list)  # key -> the part of each copy, in order
    for key, part, count in rows:
        total[key] += count
        copies[key] += [part] * count
    stay = {(key, part): copies[key][:keep].count(part) for key, part, _ in rows if total[key] > max_count}
    found: Counter[tuple[int, int]] = Counter()
    for key, part, kept in reduced(rows, max_count, keep, cuts):
        found[key, part] += kept
    assert dict(found) == stay


def test_seeds_follow_bucket_and_language() -> None:
    ids = [bytes([number]) * 16 for number in range(40)]
    buckets = [xxhash.xxh3_64_intdigest(struct.pack("<q", 7) + doc_id) % 3 for doc_id in ids]
    assert {*buckets} == {0, 1, 2}
    plain = line_seeds(ids, ["eng"] * 40, 3, 7, by_language=False)
    assert plain.tolist() == [xxhash.xxh3_64_intdigest(struct.pack("<q", bucket)) for bucket in buckets]
    apart = line_seeds(ids[:3], ["eng", "deu", None], 1, 7, by_language=True)
    assert apart.tolist() == [xxhash.xxh3_64_intdigest(bytes(8) + name) for name in (b"eng", b"deu", b"")]


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("max_count", 0, "greater than or equal to 1, got 0"),
        ("bucket_docs", 0, "greater than or equal to 1, got 0"),
        ("keep", -1, "greater than or equal to 0, got -1"),
        ("min_chars", 0, "greater than or equal to 1, got 0"),
        ("max_cut_chars", 1.5, "less than or equal to 1, got 1.5"),
    ],
)
def test_bounds(key: str, value: float, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(LineDedup, {key: value}, "r.yaml: lines")
    assert str(caught.value) == f"r.yaml: lines.{key} must be {told}. Correct it in the config."
