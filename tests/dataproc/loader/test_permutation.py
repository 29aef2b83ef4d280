"""The permutation is one for every size and key, and looks like a random one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.loader.permutation import derive_key, mix64, permute


@given(size=st.integers(1, 3000), key=st.integers(0, 2**64 - 1))
def test_bijection(size: int, key: int) -> None:
    assert np.array_equal(np.sort(permute(np.arange(size), size, key)), np.arange(size))


def test_point_by_point_is_the_same_as_all_at_once() -> None:
    sizes, keys = np.array([5, 1, 1000, 2**40]), np.array([1, 2, 3, 4], np.uint64)
    index = np.array([4, 0, 999, 2**40 - 1])
    together = permute(index, sizes, keys)
    alone = [permute(i, n, k)[0] for i, n, k in zip(index, sizes, keys, strict=True)]
    assert together.tolist() == alone
    assert (together < sizes).all()


def test_values_stay_what_they_are() -> None:
    """Another order would change every saved state's meaning."""
    assert mix64(np.array([0, 1], np.uint64)).tolist() == [0, 0x5692161D100B05E5]
    assert permute(np.arange(10), 10, key=7).tolist() == [6, 8, 4, 5, 7, 3, 1, 9, 2, 0]


@pytest.mark.parametrize("size", [4, 5, 7, 100, 1000])
def test_every_index_goes_everywhere(size: int) -> None:
    """Chi-square of where index 0 and the last one land, over keys: within 5 standard deviations of its mean."""
    keys = derive_key(3, np.arange(size * 50))
    for index in (0, size - 1):
        counts = np.bincount(permute(np.full(len(keys), index), size, keys), minlength=size)
        chi_square = ((counts - 50) ** 2 / 50).sum()
        assert abs(chi_square - (size - 1)) < 5 * np.sqrt(2 * (size - 1))


@pytest.mark.parametrize("first", range(4))
def test_neighbours_of_five_go_everywhere_together(first: int) -> None:
    keys = derive_key(11, np.arange(20_000))
    one, next_one = (permute(np.full(len(keys), index), 5, keys) for index in (first, first + 1))
    counts = np.bincount(5 * one + next_one, minlength=25).reshape(5, 5)
    assert (counts.diagonal() == 0).all()
    chi_square = ((counts[~np.eye(5, dtype=bool)] - 1000) ** 2 / 1000).sum()
    assert abs(chi_square - 19) < 5 * np.sqrt(2 * 19)


def test_neighbours_part() -> None:
    """Of 10,000 blocks, about two remain next to their neighbour, as in a random order."""
    order = permute(np.arange(10_000), 10_000, key=5)
    assert np.count_nonzero(np.diff(order) == 1) <= 8
