from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.jaccard import jaccard_pairs
from dataproc.kernels.set_index import all_pairs, index_sets, similar_pairs

sets = st.lists(st.sets(st.integers(0, 12) | st.integers(2**63, 2**63 + 3), max_size=8), max_size=8)


def lists(held: list[set[int]]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    flat = [value for one in held for value in sorted(one)]
    return np.array(flat, np.uint64), np.cumsum([0, *map(len, held)])


def expected(a: set[int], b: set[int]) -> float:
    return len(a & b) / len(a | b) if a | b else 0.0


@given(sets, sets, st.sampled_from([0.0, 0.5, 0.8, 1.0]))
def test_equals_the_oracle(given_sets: list[set[int]], indexed: list[set[int]], least: float) -> None:
    pairs = similar_pairs(index_sets(*lists(indexed)), *lists(given_sets), least)
    assert list(zip(*(column.tolist() for column in pairs), strict=True)) == [
        (i, j, expected(a, b))
        for i, a in enumerate(given_sets)
        for j, b in enumerate(indexed)
        if a & b and expected(a, b) >= least
    ]


@given(sets, st.sampled_from([0.0, 0.5, 1.0]))
def test_all_pairs_come_once(held: list[set[int]], least: float) -> None:
    pairs = all_pairs(*lists(held), least)
    assert list(zip(pairs.given.tolist(), pairs.indexed.tolist(), strict=True)) == [
        (i, j) for i in range(len(held)) for j in range(i) if held[i] & held[j] and expected(held[i], held[j]) >= least
    ]


def test_parts_of_all_pairs() -> None:
    values, offsets = lists([{1, 2}, {1, 2, 3}, {9}, {1, 2}])
    index = index_sets(values, offsets)
    assert similar_pairs(index, values, offsets[2:], 0.6, first=2).indexed.tolist() == [0, 1]


def test_a_pair_at_the_limit_is_one() -> None:
    values, offsets = lists([{1, 2, 3, 4}, {1, 2, 3, 4, 5}])
    assert all_pairs(values, offsets, 0.8).jaccard.tolist() == [0.8]
    assert all_pairs(values, offsets, np.nextafter(0.8, 1)).jaccard.tolist() == []


@pytest.mark.parametrize("count", [0, 1, 300])
def test_many_sets_agree_with_the_merge(count: int) -> None:
    draw = np.random.default_rng(count)
    held = [set(draw.integers(0, 60, 20).tolist()) for _ in range(count)]
    values, offsets = lists(held)
    pairs = all_pairs(values, offsets, 0.0)
    assert len(pairs.given) == sum(bool(held[i] & held[j]) for i in range(count) for j in range(i))
    a, b = (lists([held[row] for row in rows]) for rows in (pairs.given.tolist(), pairs.indexed.tolist()))
    assert np.array_equal(pairs.jaccard, jaccard_pairs(*a, *b))
