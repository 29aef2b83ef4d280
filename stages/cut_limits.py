"""How much a document may lose to a step that cuts, and how much of it must be left."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from dataproc.config import Config


class CutLimits(Config):
    """The limits that `lines` and `substrings` share; of documents from which nothing is cut they ask nothing."""

    max_cut_chars: float | None = Field(0.5, ge=0, le=1)
    """Greatest share of its characters that a document may lose before it is dropped; null drops none."""
    min_left_chars: int = Field(1, ge=1)
    """Fewest characters that must be left of a document that loses some; 1 drops those of which nothing is left."""

    @property
    def rules(self) -> tuple[str, ...]:
        """Return the limits that can drop a document, in the order in which they are looked at."""
        return (*(["max_cut_chars"] if self.max_cut_chars is not None else []), "min_left_chars")


def over_limits(
    limits: CutLimits, cut: npt.NDArray[np.int64], chars: npt.NDArray[np.int64]
) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Return rule, value and limit (null where none is broken) of documents of `chars` characters, `cut` of them cut.

    Example: with max_cut_chars 0.5, 6 of 10 characters break "max_cut_chars", the value being 0.6.
    """
    share = cut / np.maximum(chars, 1)
    too_much = np.zeros(len(cut), bool) if limits.max_cut_chars is None else share > limits.max_cut_chars
    too_little = ~too_much & (cut > 0) & (chars - cut < limits.min_left_chars)
    which = np.where(too_much, 0, np.where(too_little, 1, -1))
    index = pa.array(np.maximum(which, 0), mask=which < 0)
    rule = pa.array(["max_cut_chars", "min_left_chars"]).take(index)
    limit = pa.array([limits.max_cut_chars, limits.min_left_chars], pa.float64()).take(index)
    value = pa.array(np.where(too_much, share, (chars - cut).astype(np.float64)), mask=which < 0)
    return rule, value, limit
