"""Sources come in their share at every point of a stage, and in exactly their quota at its end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.errors import ConfigError
from dataproc.loader.interleave import MAX_SAMPLES, Interleave


def test_three_to_one() -> None:
    sources, numbers = Interleave([3, 1]).locate(np.arange(4))
    assert sources.tolist() == [0, 0, 1, 0]
    assert numbers.tolist() == [0, 1, 0, 2]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=12).filter(any))
def test_every_prefix_has_its_share(quotas: list[int]) -> None:
    interleave = Interleave(quotas)
    total = sum(quotas)
    sources, numbers = interleave.locate(np.arange(total))
    seen = np.zeros(len(quotas), dtype=int)
    for k, (source, number) in enumerate(zip(sources, numbers, strict=True)):
        assert interleave.counts(k) == seen.tolist()
        assert number == seen[source]
        seen[source] += 1
        assert np.abs(seen - np.array(quotas) * (k + 1) / total).max() < 2
    assert seen.tolist() == quotas


def test_at_the_largest_size() -> None:
    interleave = Interleave([MAX_SAMPLES - 3, 2, 1])
    sources, numbers = interleave.locate(np.array([0, MAX_SAMPLES - 1]))
    assert interleave.counts(MAX_SAMPLES) == [MAX_SAMPLES - 3, 2, 1]
    before = interleave.counts(MAX_SAMPLES - 1)
    assert before[sources[1]] == numbers[1]


@pytest.mark.parametrize("quotas", [[-1, 2], [MAX_SAMPLES, 1]])
def test_impossible_quotas(quotas: list[int]) -> None:
    with pytest.raises(ConfigError, match=r"Interleave.quotas must be 0 or more and add up to at most 2\*\*40"):
        Interleave(quotas)
