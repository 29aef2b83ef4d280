"""Shingles as signatures/ holds them: 4 bytes each, and what that leaves of a Jaccard."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.jaccard import jaccard_pairs
from stages.minhash_dedup import Sets, binary_to_lists, lists_to_binary

hashes = st.integers(0, (1 << 64) - 1) | st.integers(0, 3).map(lambda upper: upper << 32 | upper)


def sets_of(lists: list[set[int]]) -> Sets:
    values = [value for one in lists for value in sorted(one)]
    return np.array(values, np.uint64), np.cumsum([0, *map(len, lists)])


@given(lists=st.lists(st.sets(hashes, max_size=20), max_size=6), start=st.integers(0, 6))
def test_the_upper_half_of_each_hash_comes_back_once(lists: list[set[int]], start: int) -> None:
    column = lists_to_binary(*sets_of(lists))
    for rows, want in ((column, lists), (column.slice(start), lists[start:])):
        values, offsets = binary_to_lists(rows)
        found = [values[a:b].tolist() for a, b in pairwise(offsets.tolist())]
        assert found == [sorted({value >> 32 << 32 for value in one}) for one in want]


def test_bytes_and_nulls() -> None:
    column = lists_to_binary(*sets_of([{5 << 32, 1 << 32 | 7, 1 << 32 | 9}, set()]))
    assert column.to_pylist() == [b"\1\0\0\0\4\0\0\0", b""]
    values, offsets = binary_to_lists(pa.array([None, column[0].as_py()], pa.binary()))
    assert (values.tolist(), offsets.tolist()) == ([1 << 32, 5 << 32], [0, 0, 2])


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_a_jaccard_is_off_by_less_than_what_is_said(size: int) -> None:
    """The mean error is below size / 2**32; 2,000 pairs of 1,000 or 20 of 100,000 shingles have half of each shared."""
    pairs = 2_000_000 // size
    drawn = np.random.default_rng(0).integers(0, 1 << 64, (pairs, size * 3 // 2), np.uint64)
    a, b = (np.sort(half, axis=1) for half in (drawn[:, :size], drawn[:, size // 2 :]))
    offsets = np.arange(pairs + 1) * size
    true = jaccard_pairs(a.ravel(), offsets, b.ravel(), offsets)
    assert true == pytest.approx(np.full(pairs, 1 / 3))
    stored = [binary_to_lists(lists_to_binary(one.ravel(), offsets)) for one in (a, b)]
    assert np.abs(jaccard_pairs(*stored[0], *stored[1]) - true).mean() < size / 2**32
