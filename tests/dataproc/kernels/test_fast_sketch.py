from __future__ import annotations

import math
from itertools import chain

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.fast_sketch import fast_sketches

LOW_32, MASK = 2**32 - 1, 2**64 - 1
BINS = 112

values64 = st.integers(0, MASK)


def sketches(sets: list[list[int]], num_bins: int, seed: int = 1) -> list[list[int]]:
    offsets = np.cumsum([0, *map(len, sets)])
    found: list[list[int]] = fast_sketches(np.array(list(chain(*sets)), np.uint64), offsets, num_bins, seed).tolist()
    return found


def key_of(turn: int, seed: int) -> int:
    """The number `turn` of splitmix64."""
    value = seed + (turn + 1) * 0x9E3779B97F4A7C15 & MASK
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
    return value ^ value >> 31


def oracle(elements: list[int], num_bins: int, seed: int) -> list[int]:
    """Algorithm 1 of the paper, all 2 t rounds."""
    least = [MASK] * num_bins
    for turn in range(2 * num_bins):
        key = key_of(turn, seed)
        for element in elements:
            mixed = (element ^ key) * 0xBF58476D1CE4E5B9 & MASK
            hashed = (mixed ^ mixed >> 32) * 0x94D049BB133111EB & MASK
            place = (hashed >> 32) * num_bins >> 32 if turn < num_bins else turn - num_bins
            least[place] = min(least[place], turn << 32 | hashed & LOW_32)
    return [value & LOW_32 for value in least]


@given(
    sets=st.lists(st.lists(values64, max_size=30), max_size=3), num_bins=st.integers(1, 12), seed=st.integers(0, LOW_32)
)
def test_equals_the_oracle(sets: list[list[int]], num_bins: int, seed: int) -> None:
    assert sketches(sets, num_bins, seed) == [oracle(one, num_bins, seed) for one in sets]


@pytest.mark.parametrize("size", [1, 2, BINS - 1, BINS, 1_000])
def test_equals_the_oracle_at_the_size_of_the_default_plan(size: int) -> None:
    elements = np.random.default_rng(size).integers(0, 2**64, size, np.uint64).tolist()
    assert sketches([elements], BINS) == [oracle(elements, BINS, 1)]


@given(elements=st.lists(values64, min_size=1, max_size=30), data=st.data())
def test_neither_order_nor_repetitions_count(elements: list[int], data: st.DataObject) -> None:
    other = data.draw(st.permutations([*elements, *data.draw(st.lists(st.sampled_from(elements), max_size=5))]))
    assert len({tuple(one) for one in sketches([elements, other], 16)}) == 1


def test_keys_are_those_of_splitmix64() -> None:
    """The first numbers with seed 0, as published with the generator: what the oracle stands on."""
    assert [key_of(turn, 0) for turn in range(3)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_small_sets() -> None:
    none, one, other, again = sketches([[], [7], [8], [7]], BINS)
    assert none == [LOW_32] * BINS
    assert one == again
    assert len({*one, *other}) == 2 * BINS  # of each round numbers of its own, though one element is in all of them


def test_another_seed_gives_another_sketch() -> None:
    assert not set(sketches([[1, 2, 3]], BINS, 1)[0]) & set(sketches([[1, 2, 3]], BINS, 2)[0])


def agreement(union: int, jaccard: float, pairs: int) -> npt.NDArray[np.float64]:
    """Return the shares of equal bins of random pairs of sets of that Jaccard."""
    unions = np.random.default_rng(union).integers(0, 2**64, (pairs, union), np.uint64)
    shared = round(union * jaccard)
    left = shared + (union - shared) // 2
    a, b = unions[:, :left], np.hstack([unions[:, :shared], unions[:, left:]])
    made = [fast_sketches(one.ravel(), np.arange(pairs + 1) * one.shape[1], BINS) for one in (a, b)]
    return np.asarray((made[0] == made[1]).mean(axis=1))


@pytest.mark.parametrize("union", [10, 100, 1_000])
@pytest.mark.parametrize("jaccard", [0.2, 0.6, 0.9])
def test_the_share_of_equal_bins_estimates_jaccard_no_worse_than_hashes(union: int, jaccard: float) -> None:
    shares = agreement(union, jaccard, 4_000)
    variance = jaccard * (1 - jaccard) / BINS  # of as many independent hashes
    assert abs(shares.mean() - jaccard) < 3 * math.sqrt(variance / 4_000)
    assert shares.var() < 1.1 * variance
