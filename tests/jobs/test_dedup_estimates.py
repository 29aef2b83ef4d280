from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.dedup_estimates import Estimate, ratio_of_pairs, scaled_total, share_of


def counts(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


@pytest.mark.parametrize(
    ("hits", "drawn", "low", "high"),
    [(0, 100, 0.0, 0.0370), (100, 100, 0.9630, 1.0), (50, 100, 0.4038, 0.5962), (1, 10, 0.0179, 0.4042)],
)
def test_shares_have_wilsons_interval(hits: int, drawn: int, low: float, high: float) -> None:
    """The figures of Wilson's interval without the correction, as published calculators give them."""
    found = share_of(hits, drawn, 10**12)
    assert found is not None
    assert (found.value, round(found.low, 4), round(found.high, 4)) == (hits / drawn, low, high)


def test_nothing_is_estimated_from_nothing() -> None:
    assert share_of(0, 0, 10) is None
    assert ratio_of_pairs(counts(0, 0), counts(0, 0), 10) is None


def test_all_documents_are_no_estimate() -> None:
    assert share_of(1, 4, 4) == Estimate(0.25, 0.25, 0.25)
    assert ratio_of_pairs(counts(1, 2), counts(2, 2), 2) == Estimate(0.75, 0.75, 0.75)


def test_half_of_all_documents_tell_more_than_half_of_many() -> None:
    small, large = share_of(25, 50, 100), share_of(25, 50, 10**9)
    assert small is not None
    assert large is not None
    assert large.low < small.low < 0.5 < small.high < large.high


def test_pairs_of_one_document_are_worth_one() -> None:
    """A hundred pairs found, all of one document, say as little as one pair of one."""
    assert ratio_of_pairs(counts(1, 0), counts(1, 0), 10**9) == ratio_of_pairs(counts(100, 0), counts(100, 0), 10**9)
    spread = ratio_of_pairs(counts(*[1] * 100), counts(*[1] * 100), 10**9)
    assert spread == share_of(100, 100, 10**9)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30), st.integers(0, 1000))
def test_intervals_hold_their_value(parts: list[tuple[int, int]], more: int) -> None:
    pairs = counts(*(max(part) for part in parts))
    found = counts(*(min(part) for part in parts))
    estimate = ratio_of_pairs(found, pairs, len(parts) + more)
    if estimate is None:
        assert not pairs.sum()
    else:
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


@pytest.mark.parametrize("share", [0.9, 0.99])
def test_intervals_hold_the_truth_about_95_times_in_a_hundred(share: float) -> None:
    """Clusters of 2 to 20 documents in which each document finds its pairs or, with some luck, half of them."""
    draw = np.random.default_rng(1)
    sizes = draw.integers(1, 20, 20_000)
    pairs = np.where(draw.random(20_000) < 0.3, sizes, 0)
    lucky = draw.random(20_000) < 2 * share - 1
    found = np.where(lucky, pairs, pairs // 2)
    truth = found.sum() / pairs.sum()
    hits = 0
    for _ in range(400):
        drawn = draw.choice(20_000, 600, replace=False)
        estimate = ratio_of_pairs(found[drawn], pairs[drawn], 20_000)
        assert estimate is not None
        hits += estimate.low <= truth <= estimate.high
    assert hits >= 0.92 * 400


def test_totals_scale_with_the_sample() -> None:
    one = scaled_total(1, np.array([1.0, 0.0]), np.array([0.5, 0.0]), 2)
    assert one == Estimate(0.5, 0.5, 0.5)
    some = scaled_total(30, np.array([1.0, 0.0]), np.array([0.5, 0.0]), 100)
    assert (some.low, some.value, some.high) == (15, 15, 15), "the same share at every document drawn"
    gone = scaled_total(0, np.zeros(4), np.array([0.5, 0.5, 0.0, 0.0]), 4)
    assert gone == Estimate(1, 1, 1)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20))
def test_totals_lie_in_their_interval(parts: list[tuple[int, int]]) -> None:
    now, then = (1 - 1 / (1 + np.array(side)) for side in zip(*parts, strict=True))
    population = 3 * len(parts)
    found = scaled_total(float(now.sum()), now, then, population)
    assert 0 <= found.low <= found.high <= population
    assert found.low <= found.value
