"""The heuristics of NeMo Curator that Gopher and C4 lack: signs, numbers, URLs, white space, brackets, open lines.

Shares are of the text's characters (code points), but for lines: those of `dataproc.kernels.lines`, of which a share
may end without a mark. The long word is a token between white space, as minified code has it. An empty text has no
share of anything and is kept; the other heuristics of that list are `gopher_quality`, `gopher_repetition` and
`boilerplate` here.

Source: NVIDIA-NeMo/Curator 1e2e427, config/text/heuristic_filter_english_pipeline.yaml and
stages/text/filters/heuristic/string.py. Differences: letters, marks and numbers of all scripts are plain, not those of
ASCII alone, so that the limits can be asked of other languages than English; numbers are Unicode's (category N), not
digits alone; an empty text is dropped there.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import AfterValidator, Field

from dataproc.ids import file_hash
from dataproc.kernels.char_classes import TABLE
from dataproc.shared import shared
from dataproc.stage import Contract, Drops, Stage, Transform
from stages.by_language import by_code
from stages.rules import Count, Ratio, Share, drop_by_language, share

Rule = Literal[
    "max_unusual_chars",
    "max_numbers",
    "max_urls",
    "max_white_space",
    "max_brackets",
    "max_open_lines",
    "max_word_chars",
]
"""The rules in the order in which they are tried; the first that a document breaks is its drop reason."""


def column(rule: str) -> str:
    """Return the column that a rule tests: max_urls tests nemo_urls."""
    return rule.replace("max_", "nemo_", 1)


COLUMNS = {column(rule): pa.int64() if rule == "max_word_chars" else pa.float64() for rule in get_args(Rule)}
"""What is measured: float64, so that a threshold on a column decides as the rule does; nemo_word_chars is a count."""


class NemoQuality(Stage):
    """Drop documents that break NeMo's heuristics; each limit is named as its rule, null turns it off."""

    max_unusual_chars: Share = 0.25
    """Greatest share of characters that are no letter, mark or number, no newline and none of ? ! , . (spaces are)."""
    max_numbers: Share = 0.15
    """Greatest share of numbers."""
    max_urls: Share = 0.2
    """Greatest share of characters in URLs."""
    max_white_space: Share = 0.25
    """Greatest share of white space."""
    max_brackets: Share = 0.1
    """Greatest share of round, square, curly and angle brackets."""
    max_open_lines: Share = 0.85
    """Greatest share of lines that end with none of `end_marks`."""
    end_marks: str | None = Field(".?!\"'", min_length=1)
    """The marks, as one string; null: those that end sentences in any script, see `dataproc.kernels.sentences`."""
    max_word_chars: Count = 1000
    """Most characters of a token between white space."""
    languages: Annotated[dict[str, dict[Rule, Ratio]], AfterValidator(by_code)] = Field({})
    """Other limits for single languages. Example: {"tha": {"max_open_lines": null}}"""

    def contract(self) -> Contract:
        """Return what it reads and writes; see `Stage`."""
        from dataproc.kernels.sentences import TABLE as SENTENCE_ENDS

        return Contract(
            reads=("text", "language"),
            writes=COLUMNS,
            rules=get_args(Rule),
            measures={rule: column(rule) for rule in get_args(Rule)},
            assets={"char_classes": file_hash(TABLE), "sentence_ends": file_hash(SENTENCE_ENDS)},
        )

    def build(self) -> Transform:
        """Return `nemo_quality`."""
        return partial(nemo_quality, config=self)


def nemo_quality(batch: pa.RecordBatch, config: NemoQuality) -> pa.RecordBatch:
    r"""Add the measured columns of `COLUMNS` and mark the rows that break a rule.

    batch: N rows, needs `text` (string or large_string) and `language` (string). A null text measures 0 throughout.
    Example: "See [1]:\nhttp://a.b" has nemo_unusual_chars 7 / 19, nemo_numbers 1 / 19, nemo_urls 10 / 19,
    nemo_white_space 2 / 19, nemo_brackets 2 / 19, nemo_open_lines 1, nemo_word_chars 10.
    """
    measured = _measure(batch["text"], config)
    drops = Drops(batch)
    for rule in get_args(Rule):
        own = {language: limits[rule] for language, limits in config.languages.items() if rule in limits}
        drop_by_language(drops, rule, measured[column(rule)], batch["language"], getattr(config, rule), own)
    return drops.mark(measured)


def _measure(text: pa.Array, config: NemoQuality) -> dict[str, npt.NDArray[np.generic]]:
    from dataproc.kernels.char_counts import count_chars_by_kind
    from dataproc.kernels.lines import ends_with, split_lines, sum_by_row
    from dataproc.kernels.sentences import sentence_ends

    counts = count_chars_by_kind(text)
    lines = shared(split_lines, text)
    open_lines = ~ends_with(lines, sentence_ends() if config.end_marks is None else config.end_marks)
    return {
        "nemo_unusual_chars": share(counts.chars - counts.plain, counts.chars),
        "nemo_numbers": share(counts.numbers, counts.chars),
        "nemo_urls": share(counts.urls, counts.chars),
        "nemo_white_space": share(counts.spaces, counts.chars),
        "nemo_brackets": share(counts.brackets, counts.chars),
        "nemo_open_lines": share(sum_by_row(open_lines, lines.offsets), np.diff(lines.offsets)),
        "nemo_word_chars": counts.longest,
    }
