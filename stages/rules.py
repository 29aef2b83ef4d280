"""What rule sets share: types of limits, shares, drops by a limit that languages may have of their own, variants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from dataproc.stage import Drops
from stages.by_language import limits

Count = Annotated[int, Field(ge=0)] | None
Share = Annotated[float, Field(ge=0, le=1)] | None
Ratio = Annotated[float, Field(ge=0)] | None


def share(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return part / whole, taking an empty whole for 1: what is nothing has no share of anything."""
    return part / np.maximum(whole, 1)


def num_chars(text: pa.Array) -> npt.NDArray[np.int64]:
    """Return the number of code points of each text, int64 [N]; 0 for null."""
    chars: npt.NDArray[np.int64] = pc.fill_null(pc.utf8_length(text), 0).to_numpy(zero_copy_only=False)
    return chars.astype(np.int64, copy=False)


def drop_by_language(
    drops: Drops,
    rule: str,
    values: npt.NDArray[Any],
    languages: pa.Array,
    limit: float | None,
    own: Mapping[str, float | None],
) -> None:
    """Drop the rows that break `rule`, a lower limit if it is named min_..., else an upper one; NaN breaks none.

    `limit` is that of all languages without one of their `own`; None = off.
    """
    of_row = limits(languages, limit, own)
    if rule.startswith("min_"):
        drops.below(rule, values, of_row)
    else:
        drops.above(rule, values, of_row)


def filled(values: Any, variants: Mapping[str, Mapping[str, Any]], default: str, key: str = "variant") -> Any:
    """Return the config values with those of the variant they name where they say nothing; for "before" validators.

    `key` is the field that names the variant.

    Example: filled({"variant": "b", "x": 1}, {"a": {}, "b": {"x": 2, "y": 3}}, "a") == {"variant": "b", "x": 1, "y": 3}
    """
    if not isinstance(values, Mapping):
        return values
    variant = values.get(key, default)
    return {**(variants.get(variant, {}) if isinstance(variant, str) else {}), **values}
