"""Drop documents with words of the list that C4 used against obscenity, in 27 languages.

A term is found, in any case, where it stands apart: no letter, mark, number or underscore touches it. Chinese,
Japanese and Thai are written without spaces, so their terms are found anywhere. The list is broad: it holds words of
medicine and law, and C4's use of it removed many texts by and about minorities (Dodge et al. 2021,
https://arxiv.org/abs/2104.08758). So the stage counts, and a recipe may set another limit or `annotate: true`.

Source: LDNOOBW, as in bad_words.tsv; the way to use it: Raffel et al. 2020, https://arxiv.org/abs/1910.10683, section
2.2, and c4_utils.py of TensorFlow Datasets, from which the terms of `except_terms` are, but for "13.", a slip of the
Chinese list that would find dates. Other differences: C4 took an older English list, and a mark (a vowel sign of Hindi,
say) parts words there. Matching is by RE2, linear in the
text, at some 400 MB/s a core.
"""

from __future__ import annotations

import re
from functools import cache, partial
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field

from dataproc.ids import file_hash
from dataproc.stage import Contract, Drops, Stage, Transform
from stages.by_language import by_code
from stages.rules import Count

TERMS = Path(__file__).with_name("bad_words.tsv")

WITHOUT_SPACES = ("cmn", "jpn", "tha")

Term = Annotated[str, Field(min_length=1)]
Terms = Annotated[dict[str, tuple[Term, ...]], AfterValidator(by_code)]


@cache
def shipped_terms() -> dict[str, tuple[str, ...]]:
    """Return the terms of bad_words.tsv by language."""
    terms: dict[str, list[str]] = {}
    for line in TERMS.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            language, term = line.split("\t")
            terms.setdefault(language, []).append(term)
    return {language: tuple(listed) for language, listed in terms.items()}


class BadWords(Stage):
    """Drop documents with more than `max_bad_words` terms of their language's list; languages without one pass."""

    max_bad_words: Count = 0
    """Most terms found; null only counts them."""
    terms: Terms = Field({})
    """Lists that take the place of the shipped ones, by language. Example: {"de": ["wort", "zwei worte"]}"""
    except_terms: Terms = Field({"cmn": ("13.", "\u6027"), "jpn": ("sm", "\u30b0\u30ed", "\u5973\u306e\u5b50")})
    """Terms of the shipped lists that are not looked for, by language: parts of ordinary words."""

    def contract(self) -> Contract:
        """Return what it reads and writes; see `Stage`."""
        return Contract(
            reads=("text", "language"),
            writes={"bad_words": pa.int64()},
            rules=("max_bad_words",),
            measures={"max_bad_words": "bad_words"},
            assets={"bad_words": file_hash(TERMS)},
            libraries=("pyarrow",),
        )

    def build(self) -> Transform:
        """Make one pattern of each list and return `bad_words`."""
        shipped = {
            language: tuple(term for term in terms if term not in self.except_terms.get(language, ()))
            for language, terms in shipped_terms().items()
        }
        lists = {language: terms for language, terms in {**shipped, **self.terms}.items() if terms}
        return partial(
            bad_words, config=self, patterns={language: _pattern(language, terms) for language, terms in lists.items()}
        )


def bad_words(batch: pa.RecordBatch, config: BadWords, patterns: dict[str, str]) -> pa.RecordBatch:
    """Add `bad_words` (int64, null where the language has no list) and mark the rows above the limit.

    batch: N rows, needs `text` (string or large_string) and `language` (string). Terms that overlap count
    once. Example: with the terms {"eng": ["darn it"]}, "Darn it! I say darn it." has 2.
    """
    counts = np.full(batch.num_rows, np.nan)
    for language in set(batch["language"].to_pylist()) & patterns.keys():
        rows = np.flatnonzero(pc.equal(batch["language"], language).fill_null(False).to_numpy(zero_copy_only=False))
        counts[rows] = _count(batch["text"].take(pa.array(rows)), patterns[language])
    drops = Drops(batch)
    drops.above("max_bad_words", counts, config.max_bad_words)
    return drops.mark({"bad_words": pa.array(counts, from_pandas=True).cast(pa.int64())})


def _count(text: pa.Array, pattern: str) -> npt.NDArray[np.int64]:
    found: npt.NDArray[np.int64] = pc.count_substring_regex(text, pattern, ignore_case=True).fill_null(0).to_numpy()
    return found


def _pattern(language: str, terms: tuple[str, ...]) -> str:
    """Return the regular expression of a list, longer terms first, for RE2."""
    listed = "|".join(re.escape(term) for term in sorted(terms, key=lambda term: (-len(term), term)))
    if language in WITHOUT_SPACES:
        return listed
    apart = r"[^\pL\pN\pM_]"
    return f"(?:^|{apart})(?:{listed})(?:$|{apart})"
