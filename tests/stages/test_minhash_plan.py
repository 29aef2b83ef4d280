"""Plans of MinHash: what they fill, and that pairs meet as often as theory says, through the code that runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from dataproc.config import validate
from dataproc.errors import ConfigError
from dataproc.kernels.minhash import band_keys, minhash_signatures
from stages.minhash_plan import PLANS, MinhashDedup, candidate_probability

UNION = {"affine32": 100, "affine64": 100, "legacy": 100, "fast": 1_000}
"""Elements of a pair's union in the trials, a multiple of 100, so that any Jaccard in hundredths can be made. Scheme
`fast` draws them without replacement, which shows where they are few: theory is that of large sets."""


def plan_of(**values: Any) -> tuple[str, int, int, int]:
    config = validate(MinhashDedup, values, "test")
    return config.unit, config.shingle_size, config.num_bands, config.rows_per_band


def test_a_plan_fills_what_is_not_given() -> None:
    assert plan_of() == plan_of(plan="fineweb") == ("words", 5, 14, 8)
    assert plan_of(plan="nemotron") == ("characters", 24, 20, 13)
    assert plan_of(plan="olmo3", unit="words", num_bands=2) == ("words", 5, 2, 11)


def test_wrong_plans_are_errors() -> None:
    with pytest.raises(ConfigError, match=r"^test\.plan must be 'fineweb', .* or 'zyda2', got 'finweb'\. Correct it"):
        plan_of(plan="finweb")
    with pytest.raises(ConfigError, match=r'check_keeper needs a similarity, got verification "none"\. Use jaccard or'):
        plan_of(check_keeper=True, verification="none")


@pytest.mark.parametrize(
    ("plan", "at_60", "at_70", "at_80", "at_90"),
    [
        ("fineweb", 0.21, 0.57, 0.92, 1.0),
        ("essential_web", 0.13, 0.44, 0.87, 0.999),
        ("olmo3", 0.09, 0.41, 0.90, 1.0),
        ("dclm", 0.04, 0.36, 0.96, 1.0),
        ("refinedweb", 0.02, 0.30, 0.995, 1.0),
        ("nemotron", 0.03, 0.18, 0.68, 0.997),
        ("redpajama_08", 0.01, 0.08, 0.40, 0.93),
        ("zyda2", 0.002, 0.03, 0.20, 0.81),
    ],
)
def test_the_curve_of_each_plan(plan: str, at_60: float, at_70: float, at_80: float, at_90: float) -> None:
    bands, rows = PLANS[plan]["num_bands"], PLANS[plan]["rows_per_band"]
    found = [candidate_probability(jaccard, bands, rows) for jaccard in (0.6, 0.7, 0.8, 0.9)]
    assert found == pytest.approx([at_60, at_70, at_80, at_90], abs=0.006)


def share_that_meets(jaccard: int, trials: int, config: MinhashDedup, draw: np.random.Generator) -> float:
    """Return the share of random pairs of sets of that Jaccard (in hundredths) that share a band."""
    union = UNION[config.scheme]
    shared = union * jaccard // 100  # the shared elements come first in the union
    left = shared + (union - shared) // 2  # elements of the first set
    met = done = 0
    while done < trials:
        pairs = min(trials - done, max(1, 20_000_000 // max(config.num_hashes, union) // 4))
        unions = draw.integers(0, 2**64, (pairs, union), np.uint64)
        keys = [_keys(one, config) for one in (unions[:, :left], np.hstack([unions[:, :shared], unions[:, left:]]))]
        met += int((keys[0] == keys[1]).any(axis=1).sum())
        done += pairs
    return met / trials


def _keys(sets: npt.NDArray[np.uint64], config: MinhashDedup) -> npt.NDArray[np.int64]:
    offsets = np.arange(len(sets) + 1) * sets.shape[1]
    signatures = minhash_signatures(
        np.ascontiguousarray(sets).ravel(), offsets, config.num_hashes, config.seed, config.scheme
    )
    return band_keys(signatures, config.num_bands, config.rows_per_band)


@pytest.mark.parametrize("scheme", UNION)
def test_hashes_are_read_as_they_are_written(scheme: str) -> None:
    config = validate(MinhashDedup, {"scheme": scheme}, "test")
    made = minhash_signatures(np.arange(3, dtype=np.uint64), np.array([0, 3]), 2, 1, config.scheme)
    assert config.hash_type == made.dtype


@pytest.mark.parametrize("scheme", ["affine32", "fast"])
def test_pairs_meet_as_often_as_theory_says(scheme: str) -> None:
    config = validate(MinhashDedup, {"scheme": scheme}, "test")
    found = share_that_meets(70, 2_000, config, np.random.default_rng(0))
    assert abs(found - candidate_probability(0.7, 14, 8)) < 0.035


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["affine32", "fast"])
@pytest.mark.parametrize("plan", PLANS)
def test_pairs_meet_as_often_as_theory_says_for_every_plan(plan: str, scheme: str) -> None:
    config = validate(MinhashDedup, {"plan": plan, "scheme": scheme}, "test")
    for jaccard in (50, 60, 70, 80, 90, 95):
        found = share_that_meets(jaccard, 20_000, config, np.random.default_rng(jaccard))
        assert abs(found - candidate_probability(jaccard / 100, config.num_bands, config.rows_per_band)) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["affine64", "legacy"])
def test_the_other_schemes_meet_as_often_as_theory_says(scheme: str) -> None:
    config = validate(MinhashDedup, {"scheme": scheme}, "test")
    for jaccard in (60, 70, 80):
        found = share_that_meets(jaccard, 20_000, config, np.random.default_rng(jaccard))
        assert abs(found - candidate_probability(jaccard / 100, 14, 8)) < 0.02
