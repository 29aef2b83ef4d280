"""The repetition rules of Gopher: documents made of the same lines, paragraphs or phrases again and again.

All shares but the first two are of the text's characters (code points, white space included). Lines, paragraphs and
words are those of the kernels: blank lines are none, white space around a line does not count, punctuation is no word.
How ties and overlaps are resolved, which the paper leaves open, stands in `dataproc.kernels.repetition`. The order of
the rules is datatrove's. An empty text repeats nothing and is kept; one of two words is its own top 2-gram and is not.
In languages written without spaces each character is a word, and five of them in a row come back in any text (on the
sample crawl, in 16 of 27 Japanese help pages too often): there the limits of repeated n-grams do not apply.

Three variants:

- `paper`: as above.
- `datatrove` (gopher_repetition_filter.py of datatrove 0.10, with which FineWeb was made): lines and paragraphs are
  compared with the white space around them, lines of white space count, and the empty piece behind a last newline is
  a line (`dataproc.kernels.whole_lines`); n-grams are made of words and signs (`dataproc.kernels.pieces`) with a space
  behind each, as datatrove's are of tokens.
- `fineweb2`: the same, and FineWeb-2's limits by language for lines and n-grams (`stages.fineweb2`), which stand before
  the number in the field; paragraphs, and characters in repeated lines, for which `fineweb_quality` asks, have none.

Source: Rae et al. 2021, https://arxiv.org/abs/2112.11446, appendix A1.1, table A1. Differences to datatrove 0.10, which
breaks ties and overlaps the same way, left in variant `datatrove`: it takes repeated n-grams for equal when their
letters are, wherever one word ends ("a bc", "ab c"), its tokens are spaCy's, and it drops an empty text.
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
from stages.by_language import CHARACTERS_ARE_WORDS, by_code
from stages.rules import Share, drop_by_language, filled, num_chars, share

Rule = Literal[
    "max_dup_paragraphs",
    "max_dup_paragraph_chars",
    "max_dup_lines",
    "max_dup_line_chars",
    "max_top_2gram",
    "max_top_3gram",
    "max_top_4gram",
    "max_dup_5grams",
    "max_dup_6grams",
    "max_dup_7grams",
    "max_dup_8grams",
    "max_dup_9grams",
    "max_dup_10grams",
]
"""The rules in the order in which they are tried; the first that a document breaks is its drop reason."""

VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "datatrove": {},
    "fineweb2": {"max_dup_paragraphs": None, "max_dup_paragraph_chars": None, "max_dup_line_chars": None},
}
"""What the variants give to the fields that a recipe leaves out."""


def column(rule: str) -> str:
    """Return the column that a rule tests: max_dup_lines tests gopher_dup_lines."""
    return rule.replace("max_", "gopher_", 1)


COLUMNS = {column(rule): pa.float64() for rule in get_args(Rule)}
"""What is measured, shares: float64, so that a threshold on a column decides as the rule does."""


class GopherRepetition(Stage):
    """Drop documents that repeat themselves by the rules of Gopher; each limit is named as its rule, null turns it off.

    A document whose share is just the limit is kept.
    """

    variant: Literal["paper", "datatrove", "fineweb2"] = "paper"
    """What lines are and what n-grams are made of, and whether languages have FineWeb-2's limits; see the module."""
    max_dup_paragraphs: Share = 0.3
    """Greatest share of paragraphs that repeat an earlier one."""
    max_dup_paragraph_chars: Share = 0.2
    """Greatest share of characters in such paragraphs."""
    max_dup_lines: Share = 0.3
    """Greatest share of lines that repeat an earlier one."""
    max_dup_line_chars: Share = 0.2
    """Greatest share of characters in such lines."""
    max_top_2gram: Share = 0.2
    """Greatest share of characters in the occurrences of the most frequent two words in a row."""
    max_top_3gram: Share = 0.18
    """The same of three words."""
    max_top_4gram: Share = 0.16
    """The same of four words."""
    max_dup_5grams: Share = 0.15
    """Greatest share of characters in five words in a row that occurred before; off for languages without spaces."""
    max_dup_6grams: Share = 0.14
    """The same of six words."""
    max_dup_7grams: Share = 0.13
    """The same of seven words."""
    max_dup_8grams: Share = 0.12
    """The same of eight words."""
    max_dup_9grams: Share = 0.11
    """The same of nine words."""
    max_dup_10grams: Share = 0.1
    """The same of ten words."""
    languages: Annotated[dict[str, dict[Rule, Share]], AfterValidator(by_code)] = Field({})
    """Other limits for single languages. Example: {"deu": {"max_dup_lines": 0.4, "max_top_2gram": null}}"""

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: Any) -> Any:
        return filled(values, VARIANTS, "paper")

    def own_limits(self, rule: str) -> dict[str, float | None]:
        """Return the limits of one rule that languages have of their own; None = off."""
        exempt = CHARACTERS_ARE_WORDS if rule.startswith("max_dup_") and rule.endswith("grams") else ()
        on = self.variant == "fineweb2" and getattr(self, rule) is not None
        published = fineweb2.limits(rule) if on else {}
        return (
            dict.fromkeys(exempt)
            | published
            | {language: own[rule] for language, own in self.languages.items() if rule in own}
        )

    @classmethod
    def version(cls) -> int:
        """Return the number that is raised when the same config gives other bytes."""
        return 2

    def contract(self) -> Contract:
        """Return what it reads and writes; see `Stage`."""
        return Contract(
            reads=("text", "language"),
            writes=COLUMNS,
            rules=get_args(Rule),
            measures={rule: column(rule) for rule in get_args(Rule)},
            assets={"char_classes": file_hash(TABLE), **(fineweb2.assets() if self.variant == "fineweb2" else {})},
        )

    def build(self) -> Transform:
        """Return `gopher_repetition`."""
        return partial(gopher_repetition, config=self)


def gopher_repetition(batch: pa.RecordBatch, config: GopherRepetition) -> pa.RecordBatch:
    r"""Add the measured columns of `COLUMNS` and mark the rows that break a rule.

    batch: N rows, needs `text` (string or large_string) and `language` (string). A null text measures 0 throughout.
    Example: "to be\nto be" has gopher_dup_lines 0.5, gopher_dup_line_chars 5 / 11, gopher_top_2gram 10 / 11.
    """
    measured = _measure(batch["text"], config.variant)
    drops = Drops(batch)
    for rule in get_args(Rule):
        limits = getattr(config, rule), config.own_limits(rule)
        drop_by_language(drops, rule, measured[column(rule)], batch["language"], *limits)
    return drops.mark(measured)


def _measure(text: pa.Array, variant: str) -> dict[str, npt.NDArray[np.float64]]:
    from dataproc.kernels.lines import join_paragraphs, split_lines
    from dataproc.kernels.pieces import split_pieces
    from dataproc.kernels.repetition import count_repeats, ngram_chars
    from dataproc.kernels.whole_lines import whole_lines, whole_paragraphs
    from dataproc.kernels.words import split_words

    top, repeated = (2, 3, 4), (5, 6, 7, 8, 9, 10)
    if variant == "paper":
        lines = shared(split_lines, text)
        parts = {"paragraph": join_paragraphs(lines), "line": lines}
        ngrams = ngram_chars(shared(split_words, text), top, repeated)
    else:
        parts = {"paragraph": whole_paragraphs(text), "line": whole_lines(text)}
        ngrams = ngram_chars(shared(split_pieces, text), top, repeated, spaced=True)
    chars = num_chars(text)
    measured = {}
    for name, elements in parts.items():
        repeats = count_repeats(elements)
        measured[f"gopher_dup_{name}s"] = share(repeats.elements, np.diff(elements.offsets))
        measured[f"gopher_dup_{name}_chars"] = share(repeats.chars, chars)
    for k, size in enumerate(top):
        measured[f"gopher_top_{size}gram"] = share(ngrams.top[:, k], chars)
    for k, size in enumerate(repeated):
        measured[f"gopher_dup_{size}grams"] = share(ngrams.repeated[:, k], chars)
    return measured
