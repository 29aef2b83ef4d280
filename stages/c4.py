"""The cleaning rules of C4: keep lines that are sentences, drop pages with too few of them or with signs of code.

Line by line (`dataproc.kernels.lines`: blank lines are none, and go): marks of citations are cut out; a line goes when
it has an endless word, no end mark, too few tokens between white space, or speaks of JavaScript or policies, tried in
this order. Then a page is dropped for a line with "lorem ipsum" or "{" - lines that went before don't count - or for
too few sentences in the lines left. The kept documents' `text` is rewritten to the lines left, joined by newlines.

Four variants, by the code they follow; the paper gives only some of the numbers:

- `tfds`: c4_utils.py of TensorFlow Datasets, which made C4 (5 words, 3 sentences, 190,000 characters).
- `datatrove`: c4_filters.py of datatrove 0.10, used for FineWeb with `end_marks: null` (3 words, 5 sentences; an
  apostrophe ends a line, too; the marks of citations count as words of their line).
- `dclm`: c4.yaml of DCLM, the numbers of `tfds`; white space behind the end mark is no matter.
- `dolma`: the tagger c4_v2 of Dolma and the mixer of its replication of C4 (3 words, neither sentences nor lengths nor
  policies nor citations nor "..."); "javascript" drops the page, as "lorem ipsum" and "{" do, in any line of it.

What the first two do and one might not expect: white space that a citation leaves at the end of a line stays, and such
a line has no end mark ("In 1950. [2]"); "..." is no end mark, but U+2026 isn't one anyway.

Source: Raffel et al. 2020, https://arxiv.org/abs/1910.10683, section 2.2. Differences to all: lines end at newlines
only (not at U+2028, form feeds and their like); digits of citations are ASCII; sentences are counted by the rule of
`dataproc.kernels.sentences`, not by NLTK's Punkt or spaCy (on 12,000 lines of web text, spaCy's count is the same for
99%). Language, bad words (stage `bad_words`) and duplicate lines are for other stages.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from dataproc.ids import file_hash
from dataproc.kernels.char_classes import TABLE
from dataproc.shared import shared
from dataproc.stage import Contract, Drops, Stage, Transform
from stages.by_language import by_code
from stages.rules import Count, filled, num_chars

if TYPE_CHECKING:
    from dataproc.kernels.lines import Lines

Phrase = Annotated[str, Field(min_length=1)]

POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")

VARIANTS: dict[str, dict[str, Any]] = {
    "tfds": {"max_chars": 190_000, "end_marks": '.?!"', "min_line_words": 5, "min_sentences": 3},
    "datatrove": {"max_chars": None, "end_marks": ".?!\"'", "min_line_words": 3, "min_sentences": 5},
    "dclm": {},
    "dolma": {
        **{"max_chars": None, "max_word_chars": None, "min_sentences": None, "min_line_words": 3},
        **{"citations": False, "policy": ()},
    },
}
"""What the variants give to the fields that a recipe leaves out."""

LINE_RULES = ("long_word", "no_end_mark", "few_words", "lorem_ipsum", "javascript", "curly_bracket", "policy")
"""Why a line goes, or its page, in the order in which it is tried: each line counts for the first that holds."""

PAGE_RULES = ("lorem_ipsum", "javascript", "curly_bracket")
"""Those of a line that drop its page; "javascript" does in variant `dolma` alone, where each line counts for each."""

RULES = ("max_chars", *PAGE_RULES, "min_sentences", "min_chars")
"""Why a page is dropped, in the order in which it is tried."""

COLUMNS = {
    "c4_chars": pa.int64(),
    "c4_lines": pa.int64(),
    **{f"c4_{rule}_lines": pa.int64() for rule in LINE_RULES},
    "c4_citations": pa.int64(),
    "c4_sentences": pa.int64(),
    "c4_removed_chars": pa.int64(),
}
"""What is measured: characters, lines, lines that go by reason, marks of citations cut in all lines, sentences in the
lines left, characters that the text loses, white space included. All lines are looked at, whatever drops the page."""


class C4(Stage):
    """Rewrite `text` to the lines that C4 keeps, and drop pages that C4 drops; documents dropped keep their text.

    A limit left out is that of the variant; null turns it off.
    """

    variant: Literal["tfds", "datatrove", "dclm", "dolma"] = "tfds"
    """Whose limits hold where none is given, and what cannot be said by limits; see the module."""
    max_chars: Count = 190_000
    """Most characters of a document, before cleaning; off in variants `datatrove` and `dolma`."""
    max_word_chars: Count = 1000
    """Most characters of a word (token between white space); a line with a longer one goes; off in `dolma`."""
    citations: bool = True
    """Cut [1], [], [edit] and [citation needed] out of lines; not in variant `dolma`."""
    end_marks: str | None = Field('.?!"', min_length=1)
    """Marks that end a line, as one string; others go, as do those with "..." at the end, but in `dolma`; datatrove
    adds "'"."""
    min_line_words: Count = 5
    """Fewest words (tokens between white space) of a line; 3 in variants `datatrove` and `dolma`."""
    lorem_ipsum: bool = True
    """Drop pages with "lorem ipsum" in any case."""
    javascript: bool = True
    """Remove lines with "javascript" in any case; variant `dolma` drops pages with it."""
    curly_bracket: bool = True
    """Drop pages with "{"."""
    policy: tuple[Phrase, ...] = POLICY
    """Phrases, in any case, that remove a line; [] removes none, as variant `dolma` does."""
    min_sentences: Count = 3
    """Fewest sentences in the lines left; 5 in variant `datatrove`, off in `dolma`."""
    min_chars: Count = 1
    """Least characters left; null keeps documents of which nothing is left."""
    languages: tuple[str, ...] | None = None
    """Languages cleaned (`en` = `eng`; C4 is English); others pass as they are, with null columns. null: all."""

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: Any) -> Any:
        return filled(values, VARIANTS, "tfds")

    @field_validator("languages")
    @classmethod
    def _parse_languages(cls, codes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if codes is None else tuple(by_code(dict.fromkeys(codes)))

    def contract(self) -> Contract:
        """Return what it reads and writes; see `Stage`."""
        from dataproc.kernels.sentences import TABLE as SENTENCE_ENDS

        return Contract(
            reads=("text",) if self.languages is None else ("text", "language"),
            writes={"text": pa.large_string(), **COLUMNS},
            rules=tuple(
                rule for rule in self.rules() if (limit := getattr(self, rule)) is not None and limit is not False
            ),
            measures={"max_chars": "c4_chars", "min_sentences": "c4_sentences"},
            assets={"char_classes": file_hash(TABLE), "sentence_ends": file_hash(SENTENCE_ENDS)},
        )

    def rules(self) -> tuple[str, ...]:
        """Return those of `RULES` that the variant knows."""
        return tuple(rule for rule in RULES if rule != "javascript" or self.variant == "dolma")

    def build(self) -> Transform:
        """Return `c4`."""
        return partial(c4, config=self)


def c4(batch: pa.RecordBatch, config: C4) -> pa.RecordBatch:
    r"""Rewrite `text` (large_string), add the columns of `COLUMNS` and mark the rows that break a rule.

    batch: N rows, needs `text` (string or large_string), and `language` if the config names languages. A null text
    measures 0 and stays null. Example: with min_sentences 1, "Home\nThis is all there is.[1]" becomes "This is all
    there is." with c4_no_end_mark_lines 1, c4_citations 1.
    """
    text = batch["text"].cast(pa.large_string())
    measured, cleaned = _clean(text, config)
    left = num_chars(cleaned)
    measured["c4_removed_chars"] = measured["c4_chars"] - left
    cleaning = _asked_for(batch, config)
    drops = Drops(batch)
    if config.max_chars is not None:
        too_long = measured["c4_chars"] > config.max_chars
        drops.where("max_chars", cleaning & too_long, measured["c4_chars"], config.max_chars)
    for rule in (rule for rule in PAGE_RULES if rule in config.rules()):
        found = measured[f"c4_{rule}_lines"]
        drops.where(rule, cleaning & (found > 0), found, 0)
    for rule, values in (("min_sentences", measured["c4_sentences"]), ("min_chars", left)):
        if (limit := getattr(config, rule)) is not None:
            drops.where(rule, cleaning & (values < limit), values, limit)
    marked = drops.mark({name: pa.array(measured[name], mask=~cleaning) for name in COLUMNS})
    rewritten = pc.and_(pc.and_(pc.is_valid(text), pa.array(cleaning)), pc.is_null(marked["drop_reason"]))
    return marked.set_column(marked.schema.names.index("text"), "text", pc.if_else(rewritten, cleaned, text))


def _asked_for(batch: pa.RecordBatch, config: C4) -> npt.NDArray[np.bool_]:
    if config.languages is None:
        return np.ones(batch.num_rows, bool)
    asked: npt.NDArray[np.bool_] = pc.is_in(batch["language"], pa.array(config.languages, pa.string())).to_numpy(
        zero_copy_only=False
    )
    return asked


def _clean(text: pa.Array, config: C4) -> tuple[dict[str, npt.NDArray[np.int64]], pa.Array]:
    """Return the columns but the last, and the text that the lines left make."""
    from dataproc.kernels.line_rules import cut_citations, has_long_token, join_lines, line_tokens
    from dataproc.kernels.lines import split_lines, sum_by_row
    from dataproc.kernels.sentences import count_sentences

    whole = shared(split_lines, text)
    lines, cuts = cut_citations(whole) if config.citations else (whole, np.zeros(len(whole.starts), np.int64))
    num_words = line_tokens(whole if config.variant == "datatrove" else lines)
    most, none = config.max_word_chars, np.zeros(len(lines.starts), bool)
    long_word = none if most is None else has_long_token(whole, most)
    measured = {"c4_chars": num_chars(text), "c4_lines": np.diff(lines.offsets)}
    left = np.ones(len(lines.starts), bool)
    for rule, holds in _tests(lines, long_word, num_words, config).items():
        counted = holds if config.variant == "dolma" and rule in PAGE_RULES else left & holds
        measured[f"c4_{rule}_lines"] = sum_by_row(counted, lines.offsets)
        left &= ~holds
    measured["c4_citations"] = sum_by_row(cuts, lines.offsets)
    measured["c4_sentences"] = sum_by_row(np.where(left, count_sentences(lines), 0), lines.offsets)
    return measured, pc.utf8_trim_whitespace(join_lines(lines, left))


def _tests(
    lines: Lines, long_word: npt.NDArray[np.bool_], num_words: npt.NDArray[np.int64], config: C4
) -> dict[str, npt.NDArray[np.bool_]]:
    """Return for each of `LINE_RULES`, in order, the lines for which it holds, bool [L]; none where it is off."""
    from dataproc.kernels.line_cuts import trim_ends
    from dataproc.kernels.line_rules import ends_in
    from dataproc.kernels.lines import ends_with
    from dataproc.kernels.phrases import contains_any

    none = np.zeros(len(lines.starts), bool)
    ending = trim_ends(lines) if config.variant == "dclm" else lines
    marks, fewest = config.end_marks, config.min_line_words
    phrases = {
        "lorem_ipsum": ["lorem ipsum"] if config.lorem_ipsum else [],
        "javascript": ["javascript"] if config.javascript else [],
        "curly_bracket": ["{"] if config.curly_bracket else [],
        "policy": config.policy,
    }
    return {
        "long_word": long_word,
        "no_end_mark": none
        if marks is None
        else ~ends_with(ending, marks) | (ends_in(ending, "...") & (config.variant != "dolma")),
        "few_words": none if fewest is None else num_words < fewest,
        **dict(zip(phrases, contains_any(lines, *phrases.values()), strict=True)),
    }
