"""What a random sample of documents tells of all of them, with 95% confidence intervals.

Documents are drawn, not pairs: random pairs are hardly ever duplicates. Every duplicate of a drawn document is known,
and each pair has the same chance to be among those known, twice 1 / documents. So the share found among the pairs known
is the ratio of two sums over drawn documents, which are independent; pairs of one document are not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Z = 1.959964
"""Of a two-sided 95% interval."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% confidence interval; all three are the same when every document was looked at."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Estimate:
        """Return the estimate of a multiple."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


def share_of(hits: int, drawn: int, population: int) -> Estimate | None:
    """Return the share of documents with a property that `hits` of the `drawn` have; None when none was drawn.

    Wilson's score interval, which holds also for a share of 0 or 1, with the correction for a finite population.
    Example: share_of(0, 100, 10**9) is 0 with the interval from 0 to 0.037.
    Source: Brown, Cai, DasGupta 2001, Interval Estimation for a Binomial Proportion.
    """
    return _wilson(hits / drawn, drawn, drawn, population) if drawn else None


def ratio_of_pairs(found: Counts, pairs: Counts, population: int) -> Estimate | None:
    """Return the share of all pairs that is found, by the pairs [S] of drawn documents and those found; None without.

    The variance of a ratio of sums, by its linear approximation, says how many independent pairs the sample is worth,
    never more than Kish's effective number (all pairs squared by the sum of squares): a hundred pairs of one document
    are worth one. Wilson's interval is taken with that number. Example: found [9, 1], pairs [9, 1] of many documents is
    1 with an effective number of 100 / 82.
    Source: Cochran 1977, Sampling Techniques, sections 6.3 and 9A.
    """
    total = int(pairs.sum())
    if not total:
        return None
    share = float(found.sum()) / total
    effective = total**2 / float((pairs.astype(np.float64) ** 2).sum())
    residual = float(((found - share * pairs) ** 2).sum()) / total**2
    if residual > 0:
        effective = min(effective, share * (1 - share) / residual)
    return _wilson(share, effective, len(pairs), population)


def scaled_total(
    known: float, now: npt.NDArray[np.float64], other: npt.NDArray[np.float64], population: int
) -> Estimate:
    """Return what a total known to be `known` becomes, by its parts [S] at drawn documents now and then.

    The ratio of the two sums, which cancels what both miss; where nothing is lost now, their mean for all documents.
    Example: known 30 of 100, now [1, 0], other [0.5, 0] gives 15. Source: Cochran 1977, section 6.2.
    """
    drawn = len(now)
    left = max(0.0, 1 - drawn / population) if population else 0.0
    if now.sum():
        ratio = float(other.sum() / now.sum())
        spread = math.sqrt(left * float(((other - ratio * now) ** 2).sum())) / float(now.sum()) * known
        value = known * ratio
    else:
        value = float(other.mean()) * population if drawn else 0.0
        spread = math.sqrt(left / drawn) * float(other.std()) * population if drawn else 0.0
    return Estimate(value, max(0.0, value - Z * spread), min(float(population), value + Z * spread))


def _wilson(share: float, effective: float, drawn: int, population: int) -> Estimate:
    left = 1 - drawn / population
    if left <= 0:
        return Estimate(share, share, share)
    number = effective / left
    middle = (share + Z * Z / (2 * number)) / (1 + Z * Z / number)
    half = Z / (1 + Z * Z / number) * math.sqrt(share * (1 - share) / number + (Z / (2 * number)) ** 2)
    return Estimate(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))
