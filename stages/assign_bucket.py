"""Name the bucket of each document, the unit that a mixture weighs: by default language x domain x quality tier.

A bucket's name is a template filled with parts. A part is the value of a column, or the tier of a number in a column;
what is missing or not listed becomes `other`, so every document has a bucket. In a recipe:

    bucket: "{language}-{domain}-{quality}"
    parts:
      language: {values: [eng, deu, fra]}
      domain: {values: [documentation, encyclopaedia, news]}
      quality: {tiers: {low: 0, mid: 0.3, high: 0.7}}
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from dataproc.config import Config
from dataproc.errors import SchemaError, suggest
from dataproc.stage import Contract, Stage, Transform, with_columns
from stages.by_language import by_code
from stages.threshold import numbers

PART = "[a-z0-9_]+"
BUCKET = f"{PART}(-{PART})*"
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class BucketPart(Config):
    """One part of a bucket's name: `values` or `tiers`, or neither to take every value of the column as it is."""

    column: str
    """Column that is read; when left out, the part's own name (`quality_score` for `quality`)."""
    values: tuple[str, ...] | None = None
    """Values that name buckets; all others become `other`. Languages may be written as ISO 639-1 codes."""
    tiers: dict[str, float] | None = None
    """Least value of each tier, as stored; values below the lowest become `other`."""
    other: str = "other"
    """Name of what is null, not listed, or below every tier."""

    @model_validator(mode="before")
    @classmethod
    def _parse_languages(cls, given: Any) -> Any:
        values = given.get("values") if isinstance(given, dict) and given.get("column") == "language" else None
        if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
            return given  # no languages, or the field's own type says what is wrong
        return {**given, "values": tuple(by_code(dict.fromkeys(values)))}

    @model_validator(mode="after")
    def _check(self) -> BucketPart:
        if self.values is not None and self.tiers is not None:
            raise ValueError("a part must have values or tiers, got both. Keep one of them.")
        if self.values == () or self.tiers == {}:
            raise ValueError("a part must list at least one value or tier, got none. Leave the key out to take all.")
        for name in (*(self.values or ()), *(self.tiers or ()), self.other):
            if not re.fullmatch(PART, name):
                raise ValueError(f'names in a bucket must match {PART}, got "{name}". Use lower case and _.')
        if self.tiers and len(set(self.tiers.values())) < len(self.tiers):
            raise ValueError(f"tiers must start at different values, got {self.tiers}. Take one out.")
        return self


STANDARD_PARTS: dict[str, dict[str, Any]] = {
    "quality": {"column": "quality_score", "tiers": {"low": 0.0, "mid": 0.3, "high": 0.7}}
}
"""Parts that a recipe may use without saying what they are; the resolved config shows them."""


class AssignBucket(Stage):
    """Write the column `bucket`: a name of lower-case letters, digits and _ in parts joined by hyphens."""

    bucket: str = "{language}-{domain}-{quality}"
    """Template: text, and the names of parts in braces."""
    parts: dict[str, BucketPart] = Field({}, validate_default=True)
    """What each name in braces stands for; one that is left out is the column of that name."""

    @model_validator(mode="before")
    @classmethod
    def _fill_parts(cls, given: Any) -> Any:
        """Add the parts that the template names and the config leaves out, and the column that a part leaves out."""
        template = given.get("bucket", cls.model_fields["bucket"].default) if isinstance(given, dict) else None
        parts = given.get("parts") or {} if isinstance(given, dict) else None
        if not isinstance(template, str) or not isinstance(parts, dict):
            return given  # the fields' own types say what is wrong
        named = {name: STANDARD_PARTS.get(name, {}) for name in _PLACEHOLDER.findall(template)} | parts
        columns = {name: STANDARD_PARTS.get(name, {}).get("column", name) for name in named}
        return {
            **given,
            "parts": {
                name: {"column": columns[name], **part} if isinstance(part, dict) else part
                for name, part in named.items()
            },
        }

    @model_validator(mode="after")
    def _check(self) -> AssignBucket:
        if not re.fullmatch(BUCKET, _PLACEHOLDER.sub("x", self.bucket)):
            raise ValueError(
                f'bucket must match {BUCKET}, parts in braces, got "{self.bucket}". Example: "{{language}}-web".'
            )
        names = _PLACEHOLDER.findall(self.bucket)
        for name in self.parts:
            if name not in names:
                raise ValueError(f'parts must be named in the template, got "{name}".{suggest(name, names)}')
        return self

    def contract(self) -> Contract:
        """Return what it reads and writes; see `Stage`."""
        return Contract(
            reads=tuple(dict.fromkeys(part.column for part in self.parts.values())), writes={"bucket": pa.string()}
        )

    def build(self) -> Transform:
        """Return `assign_bucket`."""
        return partial(assign_bucket, config=self)


def assign_bucket(batch: pa.RecordBatch, config: AssignBucket) -> pa.RecordBatch:
    """Add `bucket` (string, never null); needs the columns of the parts.

    Raises SchemaError when a column without `values` holds what cannot stand in a name, or tiers read no numbers.
    Example: language "eng", domain null, quality_score 0.7 -> "eng-other-high".
    """
    pieces: list[Any] = [pa.repeat("", batch.num_rows)]  # so that a template without parts is a column too
    for k, piece in enumerate(_PLACEHOLDER.split(config.bucket)):  # text and names of parts in turn
        pieces.append(_names(batch, config.parts[piece], piece) if k % 2 else piece)
    return with_columns(batch, {"bucket": pc.binary_join_element_wise(*pieces, "")})


def _names(batch: pa.RecordBatch, part: BucketPart, name: str) -> pa.Array:
    """Return the part of each row's bucket name, string."""
    column = batch[part.column]
    if part.tiers is not None:
        tiers = sorted(part.tiers, key=part.tiers.__getitem__)
        edges = np.array([part.tiers[tier] for tier in tiers])
        values = numbers(column, f"assign_bucket.parts.{name}.column")
        index = np.where(np.isnan(values), 0, np.searchsorted(edges, values, side="right"))
        return pa.array([part.other, *tiers]).take(pa.array(index))
    column = column.cast(pa.string())
    if part.values is not None:
        column = pc.if_else(pc.is_in(column, pa.array(part.values, pa.string())), column, pa.scalar(None, pa.string()))
    for value in column.unique().drop_null().to_pylist():
        if not re.fullmatch(PART, value):
            raise SchemaError(
                f'assign_bucket.parts.{name}: values of the column "{part.column}" must match {PART}, got "{value}".'
                " List the values that shall name buckets under `values`."
            )
    return pc.fill_null(column, part.other)
