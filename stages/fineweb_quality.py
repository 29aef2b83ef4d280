"""The quality rules that FineWeb adds to Gopher's and C4's: lines without punctuation, short, repeated, or too many.

Characters are code points. A text without lines measures 0 throughout, so it falls to `min_line_punct`.

Three variants; the first two since the released code and the paper differ:

- `datatrove` (fineweb_quality_filter.py of datatrove 0.10): 1% of characters in repeated lines, as in the paper's
  appendix E.4; lines of up to 30 characters are short; a limit of new lines per word, of which the paper says nothing.
  Lines keep the white space around them, so one that ends in a space does not end in punctuation, and words are words
  and signs (`dataproc.kernels.pieces`), as tokens are there.
- `paper` (section 3.6): 10% of characters in repeated lines; shorter than 30 characters is short; no limit of new
  lines. Lines and words are those of `dataproc.kernels.lines` and `words`, without white space and without signs.
- `fineweb2` (fineweb-2-pipeline.py of FineWeb-2): the code of `datatrove`; 10% of characters in repeated lines, short
  lines are let pass, and the other two limits are those of each language (`stages.fineweb2`), which stand before the
  number in the field.

In all, a document whose value is just the limit is kept; the paper's text drops it. So did the code of April 2024, by
which FineWeb was first made; it also took blank lines into the first two shares, and as marks . ? ! and the straight
quotes alone (`end_marks`).

Source: Penedo et al. 2024, https://arxiv.org/abs/2406.17557, section 3.6 and appendix E.4.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import AfterValidator, Field, model_validator

from dataproc.ids import file_hash
from dataproc.kernels.char_classes import TABLE
from dataproc.shared import shared
from dataproc.stage import Contract, Drops, Stage, Transform
from stages import fineweb2
from stages.by_language import by_code
from stages.rules import Ratio, Share, drop_by_language, filled, num_chars, share

Rule = Literal["min_line_punct", "max_short_lines", "max_dup_line_chars", "max_newline_ratio"]
"""The rules in the order in which they are tried; the first that a document breaks is its drop reason."""

VARIANTS: dict[str, dict[str, Any]] = {
    "datatrove": {"short_line_chars": 30, "max_dup_line_chars": 0.01, "max_newline_ratio": 0.3},
    "paper": {"short_line_chars": 29, "max_dup_line_chars": 0.1, "max_newline_ratio": None},
    "fineweb2": {"max_short_lines": None, "max_dup_line_chars": 0.1},
}
"""What the variants give to the fields that a recipe leaves out."""


def column(rule: str) -> str:
    """Return the column that a rule tests: min_line_punct tests fineweb_line_punct."""
    return f"fineweb_{rule.partition('_')[2]}"


COLUMNS = {column(rule): pa.float64() for rule in get_args(Rule)}
"""What is measured: float64, so that a threshold on a column decides as the rule does."""


class FinewebQuality(Stage):
    """Drop documents that break the rules of FineWeb; each limit is named as its rule, null turns it off."""

    variant: Literal["datatrove", "paper", "fineweb2"] = "datatrove"
    """Whose limits hold where none is given - the released code's, those of the paper's text, FineWeb-2's - and what
    lines and words are; see the module."""
    min_line_punct: Share = 0.12
    """Least share of lines that end with one of `end_marks`."""
    end_marks: str | None = Field(None, min_length=1)
    """The marks, as one string; null: those that end sentences in any script, see `dataproc.kernels.sentences`."""
    max_short_lines: Share = 0.67
    """Greatest share of lines of at most `short_line_chars` characters."""
    short_line_chars: int = Field(30, ge=0)
    """Most characters of a short line; 29 in variant `paper`."""
    max_dup_line_chars: Share = 0.01
    """Greatest share of characters, newlines left out, in lines that repeat an earlier one; 0.1 in variant `paper`."""
    max_newline_ratio: Ratio = 0.3
    """Most newlines (of blank lines, too) per word; off in variant `paper`."""
    languages: Annotated[dict[str, dict[Rule, Ratio]], AfterValidator(by_code)] = Field({})
    """Other limits for single languages. Example: {"tha": {"min_line_punct": 0, "max_newline_ratio": 0.153}}"""

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: Any) -> Any:
        return filled(values, VARIANTS, "datatrove")

    def own_limits(self, rule: str) -> dict[str, float | None]:
        """Return the limits of one rule that languages have of their own; None = off."""
        on = self.variant == "fineweb2" and getattr(self, rule) is not None
        published = fineweb2.limits(rule) if on else {}
        return published | {language: own[rule] for language, own in self.languages.items() if rule in own}

    @classmethod
    def version(cls) -> int:
        """Return the number that is raised when the same config gives other bytes."""
        return 2

    def contract(self) -> Contract:
        """Return what it reads and writes; see `Stage`."""
        from dataproc.kernels.sentences import TABLE as SENTENCE_ENDS

        return Contract(
            reads=("text", "language"),
            writes=COLUMNS,
            rules=get_args(Rule),
            measures={rule: column(rule) for rule in get_args(Rule)},
            assets={
                "char_classes": file_hash(TABLE),
                "sentence_ends": file_hash(SENTENCE_ENDS),
                **(fineweb2.assets() if self.variant == "fineweb2" else {}),
            },
        )

    def build(self) -> Transform:
        """Return `fineweb_quality`."""
        return partial(fineweb_quality, config=self)


def fineweb_quality(batch: pa.RecordBatch, config: FinewebQuality) -> pa.RecordBatch:
    r"""Add the measured columns of `COLUMNS` and mark the rows that break a rule.

    batch: N rows, needs `text` (string or large_string) and `language` (string). A null text measures 0 throughout.
    Example: "The end.\nMore\nMore" has fineweb_line_punct 1 / 3, fineweb_short_lines 1, fineweb_dup_line_chars 4 / 16,
    fineweb_newline_ratio 2 / 5.
    """
    measured = _measure(batch["text"], config)
    drops = Drops(batch)
    for rule in get_args(Rule):
        limits = getattr(config, rule), config.own_limits(rule)
        drop_by_language(drops, rule, measured[column(rule)], batch["language"], *limits)
    return drops.mark(measured)


def _measure(text: pa.Array, config: FinewebQuality) -> dict[str, npt.NDArray[np.float64]]:
    from dataproc.kernels.lines import ends_with, line_chars, split_lines, sum_by_row
    from dataproc.kernels.phrases import occurrences
    from dataproc.kernels.pieces import split_pieces
    from dataproc.kernels.repetition import count_repeats
    from dataproc.kernels.sentences import sentence_ends
    from dataproc.kernels.whole_lines import whole_lines
    from dataproc.kernels.words import split_words

    if config.variant == "paper":
        lines, num_words = shared(split_lines, text), np.diff(shared(split_words, text).offsets)
    else:
        lines, num_words = whole_lines(text, blank=False), np.diff(shared(split_pieces, text).offsets)
    num_lines = np.diff(lines.offsets)
    ends = ends_with(lines, sentence_ends() if config.end_marks is None else config.end_marks)
    short = line_chars(lines) <= config.short_line_chars
    newlines = occurrences(text, "\n")
    return {
        "fineweb_line_punct": share(sum_by_row(ends, lines.offsets), num_lines),
        "fineweb_short_lines": share(sum_by_row(short, lines.offsets), num_lines),
        "fineweb_dup_line_chars": share(count_repeats(lines).chars, num_chars(text) - newlines),
        "fineweb_newline_ratio": share(newlines, num_words),
    }
