"""Drop rows whose number in one column is too small, too large or missing: decides, never measures.

Numbers are compared as they are stored: a float32 score that reads 0.65 is not below a `min` of 0.65.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import AfterValidator, Field, model_validator

from dataproc.errors import SchemaError
from dataproc.stage import Contract, Drops, Stage, Transform
from stages.by_language import by_code, limits


class Threshold(Stage):
    """Keep rows with min <= column <= max.

    Example: {column: quality_score, min: 0.3, languages: {de: 0.25}}
    """

    column: str
    """Column of numbers that is tested."""
    min: float | None = None
    """Least value kept; null: no bound."""
    max: float | None = None
    """Greatest value kept; null: no bound."""
    languages: Annotated[dict[str, float | None], AfterValidator(by_code)] = Field({})
    """Other `min` for single languages; null: no bound. Needs the column `language`."""
    keep_null: bool = False
    """Keep rows without a value (null or NaN) instead of dropping them as `null`."""

    @model_validator(mode="after")
    def _check(self) -> Threshold:
        if self.min is None and self.max is None and not self.languages:
            raise ValueError(
                "threshold must have min, max or languages, got none of them. Set one, or take the stage out."
            )
        for language, least in (("", self.min), *self.languages.items()):
            if least is not None and self.max is not None and least > self.max:
                where = f" for {language}" if language else ""
                raise ValueError(f"min must be at most max, got {least} and {self.max}{where}. No row could pass.")
        return self

    def contract(self) -> Contract:
        """Return what it reads and writes; see `Stage`."""
        reads = (self.column, "language") if self.languages else (self.column,)
        active = {
            "null": not self.keep_null,
            "min": self.min is not None or self.languages,
            "max": self.max is not None,
        }
        rules = tuple(rule for rule, on in active.items() if on)
        return Contract(reads=reads, rules=rules, measures={rule: self.column for rule in rules if rule != "null"})

    def build(self) -> Transform:
        """Return `threshold`."""
        return partial(threshold, config=self)


def threshold(batch: pa.RecordBatch, config: Threshold) -> pa.RecordBatch:
    """Mark the rows that break a rule: `null`, `min` or `max`; needs a column of numbers. Adds the drop columns only.

    Raises SchemaError when the column holds no numbers. Example: with min 0.5, the values 0.5, 0.4, null keep, drop,
    drop.
    """
    values = numbers(batch[config.column], f'threshold on "{config.column}"')
    drops = Drops(batch)
    if not config.keep_null:
        drops.where("null", np.isnan(values))
    if config.languages:
        drops.below("min", values, limits(batch["language"], config.min, config.languages))
    else:
        drops.below("min", values, config.min)
    drops.above("max", values, config.max)
    return drops.mark()


def numbers(column: pa.Array, where: str) -> npt.NDArray[np.float64]:
    """Return a column as float64, NaN for null; a float32 as the decimal it is written as (0.65, not 0.64999998).

    Raises SchemaError, naming `where`, when the column holds no numbers.
    """
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise SchemaError(f"{where} must be a column of numbers, got one of type {kind}. Name a score or a count.")
    if kind == pa.bool_():
        column = column.cast(pa.uint8())  # Arrow casts no bool to float64
    if kind == pa.float32():
        column = column.cast(pa.string())  # Arrow writes the shortest decimal that stands for the value
    values: npt.NDArray[np.float64] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values
