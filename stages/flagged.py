"""Decide about documents that annotating stages have flagged: reasons that drop, and a score that outweighs them.

Heuristics misjudge good text too: they delete 18% of the tokens that classifiers find of high quality, and keeping
these is worth 2 points of MMLU (Su et al. 2024, Nemotron-CC, https://arxiv.org/abs/2412.02595, section 2.1, table 7).
So a bypass takes flags off documents with a high score. Rules that shall hold for all, such as runs of repeated
tokens, stay out of `reasons`, or drop at once: stages without `annotate` leave nothing to take off.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import AfterValidator, Field

from dataproc.config import Config
from dataproc.stage import Drops, with_columns
from stages.by_language import by_code, limits
from stages.threshold import numbers


class Bypass(Config):
    """Take flags off documents whose score is at least `min`.

    Example: {column: quality_score, min: 0.9, languages: {de: 0.8, ja: null}, reasons: ["gopher_quality.*"]}
    """

    column: str
    """Column of numbers: a score. A document without a value is not helped."""
    min: float
    """Least score that helps, compared as stored."""
    languages: Annotated[dict[str, float | None], AfterValidator(by_code)] = Field({})
    """Other `min` for single languages; null: no bypass there. Needs the column `language`."""
    reasons: tuple[str, ...] | None = Field(None, min_length=1)
    """Flags ("stage.rule", or "stage.*") that are taken off; null: all that drop."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Return the columns that it needs."""
        return (self.column, "language") if self.languages else (self.column,)


def covers(reason: str, flag: str) -> bool:
    """Say whether a reason, "stage.rule" or "stage.*", means a flag; a flag may be such a reason itself."""
    return reason == flag or (reason.endswith(".*") and flag.startswith(reason[:-1]))


def drop_flagged(batch: pa.RecordBatch, reasons: tuple[str, ...], bypass: Bypass | None) -> pa.RecordBatch:
    """Mark rows that have a flag that one of the reasons covers, and add `bypassed`.

    batch: N rows, needs `flags` and the columns of the bypass. `bypassed` (string) is the reason that would have
    dropped a row but for its score, null for all others. Raises SchemaError when the bypass reads no numbers.
    Example: flags ["gopher_quality.min_words"], reason "gopher_quality.*", score 0.95, min 0.9 -> kept, bypassed
    "gopher_quality.*".
    """
    flags = [row or [] for row in batch["flags"].to_pylist()]
    off = () if bypass is None else (bypass.reasons or reasons)
    left = [
        [flag for flag in row if not _covered(flag, off)] if passes else row
        for row, passes in zip(flags, _passes(batch, bypass), strict=True)
    ]
    drops = Drops(batch)
    for reason in reasons:
        drops.where(reason, [_has(row, reason) for row in left])
    marked = drops.mark()
    bypassed = [
        next((reason for reason in reasons if _has(row, reason)), None) if dropped is None else None
        for row, dropped in zip(flags, marked["drop_reason"].to_pylist(), strict=True)
    ]
    return with_columns(marked, {"bypassed": pa.array(bypassed, pa.string())})


def _passes(batch: pa.RecordBatch, bypass: Bypass | None) -> npt.NDArray[np.bool_]:
    """Return which rows have the score that a bypass asks for."""
    if bypass is None:
        return np.zeros(batch.num_rows, bool)
    scores = numbers(batch[bypass.column], "policy.bypass.column")
    least = limits(batch["language"], bypass.min, bypass.languages) if bypass.languages else bypass.min
    return np.asarray(scores >= least)  # false for NaN on either side


def _covered(flag: str, reasons: Iterable[str]) -> bool:
    return any(covers(reason, flag) for reason in reasons)


def _has(flags: Iterable[str], reason: str) -> bool:
    return any(covers(reason, flag) for flag in flags)
