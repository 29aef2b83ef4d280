from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.jaccard import jaccard, jaccard_pairs

values = st.sets(st.integers(0, 12) | st.integers(2**63, 2**64 - 1), max_size=12)


def array(items: set[int]) -> npt.NDArray[np.uint64]:
    return np.array(sorted(items), np.uint64)


def lists(sets: list[set[int]]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    return np.concatenate([array(set()), *map(array, sets)]), np.cumsum([0, *map(len, sets)])


def expected(a: set[int], b: set[int]) -> float:
    return len(a & b) / len(a | b) if a | b else 0.0


@given(st.lists(st.tuples(values, values), max_size=5))
def test_equals_the_oracle(pairs: list[tuple[set[int], set[int]]]) -> None:
    measured = jaccard_pairs(*lists([a for a, _ in pairs]), *lists([b for _, b in pairs]))
    assert measured.dtype == np.float64
    assert measured.tolist() == [expected(a, b) for a, b in pairs]


@pytest.mark.parametrize(
    ("a", "b", "result"),
    [({1, 2, 3}, {2, 3, 4}, 0.5), ({1}, {1}, 1.0), ({1}, {2}, 0.0), (set(), {1}, 0.0), (set(), set(), 0.0)],
)
def test_examples(a: set[int], b: set[int], result: float) -> None:
    assert jaccard(array(a), array(b)) == result
    assert jaccard(array(b), array(a)) == result


def test_offsets_need_not_start_at_zero() -> None:
    flat = np.array([9, 1, 2, 3, 2, 3, 4], np.uint64)
    assert jaccard_pairs(flat, np.array([1, 4]), flat, np.array([4, 7])).tolist() == [0.5]


def test_large_sets() -> None:
    a = np.arange(0, 3_000_000, 2, dtype=np.uint64)
    b = np.arange(0, 3_000_000, 3, dtype=np.uint64)
    assert jaccard(a, b) == 500_000 / 2_000_000


def test_unequal_numbers_of_sets_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^jaccard_pairs must get as many sets a as sets b, got 1 and 2\.$"):
        jaccard_pairs(*lists([{1}]), *lists([{1}, {2}]))
