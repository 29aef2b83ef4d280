from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.runs import longest_runs


def runs(documents: list[list[int]], max_period: int) -> list[tuple[int, int]]:
    hashes = np.array([number for document in documents for number in document], np.uint64)
    offsets = np.cumsum([0, *map(len, documents)], dtype=np.int64)
    repeats, periods = longest_runs(hashes, offsets, max_period)
    return list(zip(repeats.tolist(), periods.tolist(), strict=True))


def oracle(pieces: list[int], max_period: int) -> tuple[int, int]:
    """Try every stretch of every period."""
    best = (0, 0)
    for period in range(1, max_period + 1):
        for start in range(len(pieces) - period + 1):
            phrase, times = pieces[start : start + period], 1
            while pieces[start + times * period : start + (times + 1) * period] == phrase:
                times += 1
            if times > best[0]:
                best = (times, period)
    return best


@given(st.lists(st.lists(st.integers(0, 2), max_size=30), max_size=4), st.integers(1, 6))
def test_equals_the_oracle(documents: list[list[int]], max_period: int) -> None:
    assert runs(documents, max_period) == [oracle(pieces, max_period) for pieces in documents]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], (0, 0)),
        ([7], (1, 1)),
        ([1, 2, 3], (1, 1)),
        ([9, 1, 2, 1, 2, 1, 2, 8], (3, 2)),
        ([1, 2, 1, 2, 1], (2, 2)),
        ([5] * 4 + [1, 2] * 3, (4, 1)),
    ],
)
def test_cases(pieces: list[int], expected: tuple[int, int]) -> None:
    assert runs([pieces], 13) == [expected]


def test_a_run_does_not_reach_into_the_next_document() -> None:
    assert runs([[1, 1], [1, 1, 1]], 2) == [(2, 1), (3, 1)]


def test_longer_periods_are_not_seen() -> None:
    assert runs([[1, 2, 3] * 5], 2) == [(1, 1)]
