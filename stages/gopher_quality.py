"""The document quality rules of Gopher: lengths, symbols, bullets, ellipses, letters, stop words.

Three variants:

- `paper`: words are those of `dataproc.kernels.words` (runs of letters, marks and numbers), so symbols alone are not
  words, as in the paper. The share of words with a letter is taken of tokens between white space, where numbers, bars
  and dashes that stand alone count against a text: among our words there would be none of the latter. Lines are lines
  with something on them. Stop words are compared in lower case.
- `datatrove` (gopher_quality_filter.py of datatrove 0.10, with which FineWeb was made): words are words and signs
  (`dataproc.kernels.pieces`), as tokens are there; those made of `SIGNS` alone are left out of the number and the mean
  length, not of the shares, so that every comma counts against a text among words with a letter. Blank lines are
  lines, bullets are a hyphen and U+2022 alone, and stop words have to stand as they are listed, in small letters.
- `fineweb2`: the same, and FineWeb-2's stop words, mean word lengths and shares of words with a letter by language
  (`stages.fineweb2`), which stand before the number in the field.

In all, stop words count once each, however often they occur (DCLM counts occurrences).

Source: Rae et al. 2021, https://arxiv.org/abs/2112.11446, appendix A1.1. Deviations: the rules are for English, so
stop words are asked for only where the language has a list, and the mean word length is not held against languages
whose ordinary texts would fail it, Chinese, Korean and Vietnamese among them.
"""

from __future__ import annotations

import string
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field, field_validator, model_validator

from dataproc.ids import file_hash
from dataproc.kernels.char_classes import ALONE, FORMAT, LETTER, MARK, NUMBER, OTHER, TABLE, tables
from dataproc.shared import shared
from dataproc.stage import Contract, Drops, Stage, Transform
from stages import fineweb2
from stages.by_language import by_code
from stages.rules import Count, Ratio, Share, drop_by_language, share

if TYPE_CHECKING:
    from dataproc.kernels.members import WordList
    from dataproc.kernels.spans import Spans

Rule = Literal[
    "min_words",
    "max_words",
    "min_mean_word_length",
    "max_mean_word_length",
    "max_hash_ratio",
    "max_ellipsis_ratio",
    "max_bullet_lines",
    "max_ellipsis_lines",
    "min_alpha_words",
    "min_stop_words",
]
"""The rules in the order in which they are tried; the first that a document breaks is its drop reason."""

COLUMNS = {
    "num_words": pa.int64(),
    "gopher_mean_word_length": pa.float64(),
    "gopher_hash_ratio": pa.float64(),
    "gopher_ellipsis_ratio": pa.float64(),
    "gopher_bullet_lines": pa.float64(),
    "gopher_ellipsis_lines": pa.float64(),
    "gopher_alpha_words": pa.float64(),
    "gopher_stop_words": pa.int64(),
}
"""What is measured: float64, so that a threshold on a column decides as the rule does."""

ENGLISH = ("the", "be", "to", "of", "and", "that", "have", "with")

SIGNS = (
    string.punctuation
    + "".join(map(chr, range(0x80, 0xA0)))
    + (
        "\xab\xb4\xbb\u2013\u2014\u2019\u201c\u201d\u201e\u2026\u2236\u2501\u25ba\u3001\u3002\u3008\u3009\u300a\u300b\u300c\u300d\u3010\u3011"
        "\uff01\uff05\uff08\uff09\uff0c\uff0e\uff11\uff1a\uff1b\uff1f\uff5e"
    )
)
"""What is no word to datatrove when it stands alone, beside the marks that end sentences: the signs of CCNet, the
full-width digit and the control characters of Latin-1 among them (datatrove 0.10, utils/text.py, PUNCTUATION)."""

WORD_LENGTHS = Path(__file__).with_name("word_lengths.tsv")
"""Languages to which the limits of the mean word length do not apply: see `mean_word_lengths`."""


@cache
def mean_word_lengths() -> dict[str, float]:
    """Return the mean word length of the languages whose ordinary texts lie outside Gopher's 3 to 10.

    Below 3.5: characters are words (cmn, jpn, tha), letters are syllables (kor), or syllables are written apart
    (vie); above 9: kal, mal, tam and others. Example: mean_word_lengths()["vie"] == 2.63
    """
    lines = WORD_LENGTHS.read_text(encoding="ascii").splitlines()
    pairs = (line.split("\t") for line in lines if not line.startswith("#"))
    return {language: float(length) for language, length in pairs}


class GopherQuality(Stage):
    """Drop documents that break the quality rules of Gopher; each limit is named as its rule, null turns it off."""

    variant: Literal["paper", "datatrove", "fineweb2"] = "paper"
    """What words and lines are, and whether languages have FineWeb-2's limits; see the module."""
    min_words: Count = 50
    """Fewest words."""
    max_words: Count = 100_000
    """Most words."""
    min_mean_word_length: Ratio = 3.0
    """Least mean length of the words, in code points; off for languages of short words, see `mean_word_lengths`."""
    max_mean_word_length: Ratio = 10.0
    """Greatest mean length of the words, in code points; off for languages of long words."""
    max_hash_ratio: Ratio = 0.1
    """Most hash signs per word."""
    max_ellipsis_ratio: Ratio = 0.1
    """Most ellipses (three full stops or U+2026) per word."""
    max_bullet_lines: Share = 0.9
    """Greatest share of lines that start with a bullet: in `paper` one of `dataproc.kernels.lines.BULLETS`."""
    max_ellipsis_lines: Share = 0.3
    """Greatest share of lines that end with an ellipsis."""
    min_alpha_words: Share = 0.8
    """Least share of words that hold a letter: in `paper` of tokens between white space."""
    min_stop_words: Count = 2
    """Fewest different stop words, for languages with a list in `stop_words`."""
    stop_words: Annotated[dict[str, tuple[str, ...]], AfterValidator(by_code)] = Field({"eng": ENGLISH})
    """Stop words by language, each a single word. A recipe's mapping takes the place of the default; in variant
    `fineweb2`, its lists take the place of the published ones."""
    languages: Annotated[dict[str, dict[Rule, Ratio]], AfterValidator(by_code)] = Field({})
    """Other limits for single languages. Example: {"deu": {"max_mean_word_length": 14}}"""

    @field_validator("stop_words")
    @classmethod
    def _check_stop_words(cls, lists: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for language, words in lists.items():
            for word in words:
                if not _is_word(word):
                    raise ValueError(f'stop words must be single words, got "{word}" for {language}. Split it.')
        return lists

    @model_validator(mode="after")
    def _check_limits(self) -> GopherQuality:
        """Refuse limits that no text can meet."""
        lists = self.lists()
        for language in ("", *self.languages, *lists):
            where = f" for {language}" if language else ""
            for name in ("words", "mean_word_length"):
                low, high = self._limit(f"min_{name}", language), self._limit(f"max_{name}", language)
                if low is not None and high is not None and low > high:
                    raise ValueError(
                        f"min_{name} must be at most max_{name}, got {low:g} and {high:g}{where}. Change one."
                    )
            least, listed = self._limit("min_stop_words", language), len(set(lists.get(language, ())))
            if language in lists and least is not None and least > listed:
                raise ValueError(
                    f"min_stop_words must be at most {listed}, the words listed, got {least:g}{where}. Add words."
                )
        return self

    def _limit(self, rule: str, language: str) -> float | None:
        limit: float | None = self.own_limits(rule).get(language, getattr(self, rule))
        return limit

    def own_limits(self, rule: str) -> dict[str, float | None]:
        """Return the limits of one rule that languages have of their own; None = off."""
        outside = {
            "min_mean_word_length": [language for language, length in mean_word_lengths().items() if length < 3.5],
            "max_mean_word_length": [language for language, length in mean_word_lengths().items() if length > 9],
        }
        on = self.variant == "fineweb2" and getattr(self, rule) is not None
        published = fineweb2.limits(rule) if on else {}
        return (
            dict.fromkeys(outside.get(rule, ()))
            | published
            | {language: own[rule] for language, own in self.languages.items() if rule in own}
        )

    def lists(self) -> dict[str, tuple[str, ...]]:
        """Return the stop words by language."""
        return (fineweb2.stop_words() if self.variant == "fineweb2" else {}) | self.stop_words

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
            measures={rule: _column_of(rule) for rule in get_args(Rule)},
            assets={
                "char_classes": file_hash(TABLE),
                "word_lengths": file_hash(WORD_LENGTHS),
                **({} if self.variant == "paper" else {"sentence_ends": file_hash(SENTENCE_ENDS)}),
                **(fineweb2.assets() if self.variant == "fineweb2" else {}),
            },
        )

    def build(self) -> Transform:
        """List the stop words and return `gopher_quality`."""
        from dataproc.kernels.members import list_words

        stop_words = {
            language: list_words(words, folded=self.variant == "paper") for language, words in self.lists().items()
        }
        return partial(gopher_quality, config=self, stop_words=stop_words)


def gopher_quality(batch: pa.RecordBatch, config: GopherQuality, stop_words: dict[str, WordList]) -> pa.RecordBatch:
    """Add the measured columns of `COLUMNS` and mark the rows that break a rule.

    batch: N rows, needs `text` (string or large_string) and `language` (string). A null text measures 0 throughout;
    gopher_stop_words is null where the language has no list. Example: "The end..." has num_words 2,
    gopher_mean_word_length 3.0, gopher_ellipsis_ratio 0.5, gopher_stop_words 1.
    """
    measured = _measure(batch["text"], batch["language"], stop_words, config.variant)
    drops = Drops(batch)
    for rule in get_args(Rule):
        values = measured[_column_of(rule)].to_numpy(zero_copy_only=False)  # NaN where null: breaks no rule
        drop_by_language(drops, rule, values, batch["language"], getattr(config, rule), config.own_limits(rule))
    return drops.mark(measured)


def _column_of(rule: Rule) -> str:
    name = rule.partition("_")[2]
    return "num_words" if name == "words" else f"gopher_{name}"


def _measure(text: pa.Array, languages: pa.Array, stop_words: dict[str, WordList], variant: str) -> dict[str, pa.Array]:
    from dataproc.kernels.lines import count_lines, split_lines
    from dataproc.kernels.phrases import occurrences
    from dataproc.kernels.pieces import pieces_with, split_pieces
    from dataproc.kernels.whole_lines import num_written_lines
    from dataproc.kernels.words import alpha_tokens, split_words, word_chars

    words: Spans
    lines = shared(split_lines, text)
    if variant == "paper":
        words = shared(split_words, text)
        num_words = all_words = np.diff(words.offsets)
        chars = word_chars(words)
        tokens, alpha = alpha_tokens(text)
        counts = count_lines(lines)
        num_lines = counts.lines
    else:
        words = shared(split_pieces, text)
        all_words = tokens = np.diff(words.offsets)
        num_words, chars = pieces_with(words, _no_sign())
        alpha, _ = pieces_with(words, _letters())
        counts = count_lines(lines, "-\u2022")
        num_lines = num_written_lines(text)
    ellipses = occurrences(text, "...") + occurrences(text, "\u2026")
    columns = {
        "num_words": num_words,
        "gopher_mean_word_length": share(chars, num_words),
        "gopher_hash_ratio": share(occurrences(text, "#"), all_words),
        "gopher_ellipsis_ratio": share(ellipses, all_words),
        "gopher_bullet_lines": share(counts.bullets, num_lines),
        "gopher_ellipsis_lines": share(counts.ellipses, num_lines),
        "gopher_alpha_words": share(alpha, tokens),
    }
    return {name: pa.array(values) for name, values in columns.items()} | {
        "gopher_stop_words": _count_stop_words(words, languages, stop_words)
    }


@cache
def _no_sign() -> npt.NDArray[np.bool_]:
    """Return which code points are none of `SIGNS` and end no sentence, bool [0x110000]."""
    from dataproc.kernels.sentences import sentence_ends

    mask = np.ones(0x110000, bool)
    mask[[ord(char) for char in SIGNS + sentence_ends()]] = False
    return mask


@cache
def _letters() -> npt.NDArray[np.bool_]:
    return np.isin(tables().classes, (LETTER, ALONE))


def _count_stop_words(words: Spans, languages: pa.Array, stop_words: dict[str, WordList]) -> pa.Array:
    from dataproc.kernels.members import count_listed

    counts = np.zeros(len(languages), np.int64)
    listed = np.zeros(len(languages), bool)
    for language, listed_words in stop_words.items():
        of_language = pc.fill_null(pc.equal(languages, language), False).to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(of_language)
        counts[rows] = count_listed(words, rows, listed_words)
        listed |= of_language
    return pa.array(counts, mask=~listed)


def _is_word(text: str) -> bool:
    first, *others = [int(tables().classes[ord(char)]) for char in text] or [OTHER]
    joined = {MARK, FORMAT} if first == ALONE else {MARK, FORMAT, LETTER, NUMBER}
    return first in (ALONE, LETTER, NUMBER) and joined.issuperset(others)
