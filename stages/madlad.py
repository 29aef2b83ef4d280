r"""Rules 2 and 5 of MADLAD-400: documents with too many sentences that are lists, or hold what junk holds.

A sentence is questionable when it is in list case (12 words or more, over half of which begin with a capital), or when
one of the patterns of madlad_patterns.txt is found in it: filler text, episode numbers, downloads, spelled-out words,
lines that end in a bar. Documents with over a fifth of such sentences go, and those of fewer than five sentences.

Source: Kudugunta et al. 2023, https://arxiv.org/abs/2309.04662, section 2.3; patterns from the README of the data set.
OLMo 3 takes these two rules (allenai/datamap-rs, configs/all_dressed); rule 1 would ask for the language of each
sentence, 3 and 4 (lengths, technical characters) it leaves out. Differences to its code: sentences keep the marks at
their end, without which seven of the patterns could never match, and which that code takes literally, backslashes
included; marks of all scripts end sentences; words are ours; a document with just a fifth is kept, as the README says.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field

from dataproc.ids import file_hash
from dataproc.kernels.char_classes import TABLE
from dataproc.shared import shared
from dataproc.stage import Contract, Drops, Stage, Transform
from stages.rules import Count, Share, share

PATTERNS = Path(__file__).with_name("madlad_patterns.txt")

COLUMNS = {
    "madlad_sentences": pa.int64(),
    "madlad_list_case": pa.float64(),
    "madlad_cursed": pa.float64(),
    "madlad_questionable": pa.float64(),
}
"""What is measured: sentences, and the shares of them that are in list case, hold a pattern, or either."""


@cache
def shipped_patterns() -> tuple[str, ...]:
    """Return the patterns of madlad_patterns.txt."""
    lines = PATTERNS.read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))


def _check_patterns(patterns: tuple[str, ...] | None) -> tuple[str, ...] | None:
    for pattern in patterns or ():
        try:
            pc.match_substring_regex(pa.array([""]), pattern)
        except pa.ArrowInvalid as error:
            raise ValueError(
                f"patterns must be regular expressions of RE2, got {pattern!r}: {error}. Mend it."
            ) from None
    return patterns


Patterns = Annotated[tuple[Annotated[str, Field(min_length=1)], ...] | None, AfterValidator(_check_patterns)]


class Madlad(Stage):
    """Drop documents with too few sentences, or too many questionable ones; null turns a rule off."""

    min_sentences: Count = 5
    """Fewest sentences."""
    max_questionable: Share = 0.2
    """Greatest share of questionable sentences."""
    list_case_words: int = Field(12, ge=1)
    """Fewest words of a sentence in list case."""
    list_case: Share = 0.5
    """A sentence is in list case when a greater share of its words begins with a capital; null asks for none."""
    patterns: Patterns = None
    """Regular expressions that make a sentence questionable; null: those of the file, []: none."""

    def contract(self) -> Contract:
        """Return what it reads and writes; see `Stage`."""
        from dataproc.kernels.sentences import TABLE as SENTENCE_ENDS

        return Contract(
            reads=("text",),
            writes=COLUMNS,
            rules=("min_sentences", "max_questionable"),
            measures={"min_sentences": "madlad_sentences", "max_questionable": "madlad_questionable"},
            assets={
                "char_classes": file_hash(TABLE),
                "sentence_ends": file_hash(SENTENCE_ENDS),
                "madlad_patterns": file_hash(PATTERNS),
            },
            libraries=("pyarrow",),  # its regular expressions
        )

    def build(self) -> Transform:
        """Return `madlad`."""
        return partial(madlad, config=self)


def madlad(batch: pa.RecordBatch, config: Madlad) -> pa.RecordBatch:
    """Add the columns of `COLUMNS` and mark the rows that break a rule.

    batch: N rows, needs `text` (string or large_string). A null text measures 0 throughout. Example: "Episode 5! It is
    fine." has madlad_sentences 2, madlad_cursed 0.5, madlad_questionable 0.5.
    """
    from dataproc.kernels.lines import sum_by_row
    from dataproc.kernels.sentence_spans import capitalized_words, split_sentences
    from dataproc.kernels.words import split_words

    text = batch["text"]
    sentences = split_sentences(text)
    words, capitalized = capitalized_words(sentences, shared(split_words, text))
    listed = np.zeros(len(words), bool)
    if config.list_case is not None:
        listed = (words >= config.list_case_words) & (capitalized > words * config.list_case)
    cursed = _cursed(sentences, shipped_patterns() if config.patterns is None else config.patterns)
    num_sentences = np.diff(sentences.offsets)
    found = {"list_case": listed, "cursed": cursed, "questionable": listed | cursed}
    shares = {
        f"madlad_{name}": share(sum_by_row(hits, sentences.offsets), num_sentences) for name, hits in found.items()
    }
    drops = Drops(batch)
    drops.below("min_sentences", num_sentences, config.min_sentences)
    drops.above("max_questionable", shares["madlad_questionable"], config.max_questionable)
    return drops.mark({"madlad_sentences": num_sentences, **shares})


def _cursed(sentences: Any, patterns: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    from dataproc.kernels.sentence_spans import as_strings

    if not patterns:
        return np.zeros(len(sentences.starts), bool)
    found: npt.NDArray[np.bool_] = pc.match_substring_regex(
        as_strings(sentences), "|".join(f"(?:{pattern})" for pattern in patterns)
    ).to_numpy(zero_copy_only=False)
    return found
