"""Lines about cookies, privacy and terms of use: take them off both ends of a text, and drop texts made of them.

The lines at the top and the bottom that hold one of the phrases are notices of the site, not of the page; in the middle
they may be what the text is about, so there they stay (`cut: all` takes them too). A text of which more than two fifths
of the lines hold one goes, as does filler text.

Source: NVIDIA-NeMo/Curator 1e2e427, BoilerPlateStringFilter and BoilerPlateStringModifier, which take their phrases
from C4 and from the notices of a widespread plug-in for cookies; here those are listed by parts of theirs. Differences:
lines in place of paragraphs between blank lines (`unit`), since extractors differ in leaving blank ones; the modifier
takes paragraphs off the ends only if there are none in the middle, and empties a text with filler text.
C4's own rule, which takes every such line, is `policy` of the stage `c4`.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from dataproc.ids import file_hash
from dataproc.kernels.char_classes import TABLE
from dataproc.shared import shared
from dataproc.stage import Contract, Drops, Stage, Transform
from stages.c4 import POLICY
from stages.rules import Share, share

Phrase = Annotated[str, Field(min_length=1)]

PHRASES = (
    *POLICY,
    "privacy overview",
    "privacy & cookies policy",
    "privacy and cookies policy",
    "necessary cookies are absolutely essential",
    "are termed as non-necessary cookies",
    "without changing your cookie settings",
)

COLUMNS = {
    "boilerplate_lines": pa.int64(),
    "boilerplate_share": pa.float64(),
    "boilerplate_cut": pa.int64(),
}
"""What is measured: lines with a phrase, their share of all lines, and how many were cut. The first two of the text as
it came in."""


class Boilerplate(Stage):
    """Rewrite `text` without boilerplate lines at its ends, and drop documents with too many of them."""

    phrases: tuple[Phrase, ...] = PHRASES
    """What makes a line boilerplate, in any case."""
    unit: Literal["line", "paragraph"] = "line"
    """What is counted and cut: lines, or paragraphs (lines with no blank one between them), as NeMo does."""
    cut: Literal["ends", "all", "none"] = "ends"
    """Which of them leave the text: those before the first and after the last other one, all, or none."""
    max_share: Share = 0.4
    """Greatest share of boilerplate lines; null: no limit. A text with nothing else breaks any."""
    filler: tuple[Phrase, ...] = ("lorem ipsum",)
    """Phrases, in any case, that drop a text as `filler`; [] drops none."""

    def contract(self) -> Contract:
        """Return what it reads and writes; see `Stage`."""
        on = {"filler": bool(self.filler), "max_share": self.max_share is not None, "empty": self.cut != "none"}
        return Contract(
            reads=("text",),
            writes={"text": pa.large_string(), **COLUMNS},
            rules=tuple(rule for rule, is_on in on.items() if is_on),
            measures={"max_share": "boilerplate_share"} if on["max_share"] else {},
            assets={"char_classes": file_hash(TABLE)},
        )

    def build(self) -> Transform:
        """Return `boilerplate`."""
        return partial(boilerplate, config=self)


def boilerplate(batch: pa.RecordBatch, config: Boilerplate) -> pa.RecordBatch:
    r"""Rewrite `text` (large_string), add the columns of `COLUMNS` and mark the rows that break a rule.

    batch: N rows, needs `text` (string or large_string). A text without boilerplate stays as it is, as do dropped ones;
    what is left of another has no white space around it. One that is nothing else is dropped as `empty` if no limit
    dropped it before. Example: with max_share 0.5, "We use cookies.\nOne.\n\nTwo.\nPrivacy policy" becomes
    "One.\n\nTwo.", with boilerplate_lines 2, boilerplate_share 0.5, boilerplate_cut 2.
    """
    from dataproc.kernels.line_cuts import cut_lines
    from dataproc.kernels.lines import join_paragraphs, split_lines, sum_by_row
    from dataproc.kernels.phrases import contains_any

    text = batch["text"].cast(pa.large_string())
    whole = shared(split_lines, text)
    units = whole if config.unit == "line" else join_paragraphs(whole)
    hits, filler = contains_any(units, config.phrases, config.filler)
    lines = sum_by_row(hits, units.offsets)
    shares = share(lines, np.diff(units.offsets))
    drops = Drops(batch)
    if config.filler:
        found = sum_by_row(filler, units.offsets)
        drops.where("filler", found > 0, found, 0)
    drops.above("max_share", shares, config.max_share)
    cut = _to_cut(hits, units.offsets, config.cut)
    num_cut = sum_by_row(cut, units.offsets)
    if config.cut != "none":
        drops.where("empty", (num_cut > 0) & (num_cut == np.diff(units.offsets)), num_cut)
    marked = drops.mark({"boilerplate_lines": lines, "boilerplate_share": shares, "boilerplate_cut": num_cut})
    rewritten = pc.and_(pa.array(num_cut > 0), pc.is_null(marked["drop_reason"]))
    left = pc.utf8_trim_whitespace(cut_lines(units, cut))
    return marked.set_column(marked.schema.names.index("text"), "text", pc.if_else(rewritten, left, text))


def _to_cut(hits: npt.NDArray[np.bool_], offsets: npt.NDArray[np.int64], cut: str) -> npt.NDArray[np.bool_]:
    """Return which lines to cut: those that hit, or of them those with no other line of their document on one side."""
    if cut != "ends":
        return hits if cut == "all" else np.zeros(len(hits), bool)
    others = np.concatenate(([0], np.cumsum(~hits, dtype=np.int64)))  # before each line, of all documents
    num_lines = np.diff(offsets)
    first, last = np.repeat(others[offsets[:-1]], num_lines), np.repeat(others[offsets[1:]], num_lines)
    at_an_end: npt.NDArray[np.bool_] = hits & ((others[:-1] == first) | (others[1:] == last))
    return at_an_end
