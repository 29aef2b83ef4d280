"""Line-wise corrections of RefinedWeb: menus, counters and headlines in capitals leave the text, or drop it.

A line goes when it is mostly capitals, only numbers, a counter ("3 likes") or a single word; a short one loses what
sites print around texts ("Read more..."). When that takes too many of the words, the page is no text and is dropped.

Source: Penedo et al. 2023, https://arxiv.org/abs/2306.01116, appendix G.2; numbers and strings as DCLM gives them
(`dclm_baseline_refinedweb.yaml`). Deviations: shares are of the line without the white space around it; "Read more..."
means three full stops or U+2026, where DCLM's pattern takes any three characters; letters of scripts without spaces are
words of their own, or every Chinese line would be a single word; words removed are counted as
`dataproc.kernels.words` counts them. Blank lines are not lines and stay. The rules were made for English.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field

from dataproc.ids import file_hash
from dataproc.kernels.char_classes import TABLE
from dataproc.shared import shared
from dataproc.stage import Contract, Drops, Stage, Transform

Share = Annotated[float, Field(ge=0, le=1)] | None


def _check_strings(strings: tuple[str, ...]) -> tuple[str, ...]:
    for string in strings:
        if string != string.strip() or not string or "\n" in string:
            raise ValueError(
                f"strings must be part of a line and not begin or end with space, got {string!r}. Trim it."
            )
    return strings


Strings = Annotated[tuple[str, ...], AfterValidator(_check_strings)]

COUNTED = (
    *("likes", "shares", "comments", "retweets", "reposts", "quotes", "bookmarks"),
    *("upvotes", "downvotes", "downloads", "views", "followers"),
)


class RefinedwebLines(Stage):
    """Take lines out that are no prose, and drop documents that lose too many words; null or [] turns a rule off."""

    max_uppercase: Share = 0.5
    """Greatest share of the characters of a line that are capital letters."""
    max_numeric: Share = 0.999999
    """Greatest share of the characters of a line that are numbers; 0.999999 takes lines of nothing else."""
    counted: Strings = COUNTED
    """A line that says only how many of these there are is a counter: "3 likes", "1.2k views"."""
    min_words: Annotated[int, Field(ge=1)] | None = 2
    """Fewest words of a line, between white space."""
    anywhere: Strings = ("items in cart",)
    """Strings taken out of short lines, in any case, with a space before them."""
    at_end: Strings = ("Read more...", "Read more\u2026")
    """The same, at the end of a line only."""
    at_start: Strings = ("Sign-in",)
    """The same, at the beginning of a line only, with a space after them."""
    max_edit_words: Annotated[int, Field(ge=0)] = 10
    """Most words of a line that strings are taken out of."""
    max_removed_words: Share = 0.05
    """Greatest share of the document's words that its lines may lose before it is dropped."""

    def contract(self) -> Contract:
        """Return what it reads and writes; see `Stage`."""
        return Contract(
            reads=("text",),
            writes={
                "text": pa.large_string(),
                "refinedweb_lines_removed": pa.int64(),
                "refinedweb_lines_edited": pa.int64(),
                "refinedweb_words_removed": pa.int64(),
                "refinedweb_removed_words": pa.float64(),
            },
            rules=("max_removed_words", "empty"),
            assets={"char_classes": file_hash(TABLE)},
            libraries=("pyarrow",),  # its regular expressions know Unicode
        )

    def build(self) -> Transform:
        """Return `refinedweb_lines`."""
        return partial(refinedweb_lines, config=self)


def refinedweb_lines(batch: pa.RecordBatch, config: RefinedwebLines) -> pa.RecordBatch:
    r"""Write `text` without the lines and strings that the rules take, and mark documents that lose too much.

    batch: N rows, needs `text` (large_string). Adds refinedweb_lines_removed, refinedweb_lines_edited and
    refinedweb_words_removed (int64), refinedweb_removed_words (float64, their share of the words before). A text that
    is changed loses the newlines at its ends as well; one that becomes empty is dropped as `empty`.
    Example: "MENU HOME\nThe cat sat on the mat.\n3 likes" -> "The cat sat on the mat.", 2 lines, 4 of 10 words.
    """
    from dataproc.kernels.line_shapes import line_shapes

    shapes = line_shapes(batch["text"])
    buffers = [None, pa.py_buffer(shapes.starts), pa.py_buffer(shapes.data)]
    lines = pa.Array.from_buffers(pa.large_string(), len(shapes.chars), buffers)
    blank = shapes.chars == 0
    lost = _above(shapes.capitals, shapes.chars, config.max_uppercase)
    lost |= _above(shapes.numerals, shapes.chars, config.max_numeric)
    lost |= _matches(lines, _counter(config.counted))
    if config.min_words is not None:
        lost |= shapes.tokens < config.min_words
    lost &= ~blank
    lines, edited, emptied = _edit(lines, ~lost & ~blank & (shapes.tokens <= config.max_edit_words), config)
    lost |= emptied

    ends = np.concatenate([[0], np.cumsum(~lost)])[shapes.offsets]  # lines kept before each document
    kept = lines.filter(pa.array(~lost))
    places = np.frombuffer(kept.buffers()[1], np.int64, len(kept) + 1) if len(kept) else np.zeros(1, np.int64)
    buffers = [None, pa.py_buffer(places[ends].copy()), kept.buffers()[2]]
    joined = pa.Array.from_buffers(pa.large_string(), batch.num_rows, buffers)
    removed, edits = _per_document(lost, shapes.offsets), _per_document(edited & ~lost, shapes.offsets)
    changed = (removed + edits) > 0
    text = pc.if_else(pa.array(changed), pc.utf8_trim(joined, "\n"), batch["text"])
    words, words_removed = _words_removed(batch["text"], text, changed)
    share = words_removed / np.maximum(words, 1)
    drops = Drops(batch)
    drops.above("max_removed_words", share, config.max_removed_words)
    drops.where("empty", changed & pc.fill_null(pc.equal(text, ""), False).to_numpy(zero_copy_only=False))
    return drops.mark(
        {
            "text": text,
            "refinedweb_lines_removed": removed,
            "refinedweb_lines_edited": edits,
            "refinedweb_words_removed": words_removed,
            "refinedweb_removed_words": share,
        }
    )


def _above(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64], limit: float | None) -> npt.NDArray[np.bool_]:
    return np.zeros(len(part), bool) if limit is None else part / np.maximum(whole, 1) > limit


def _counter(counted: Sequence[str]) -> str | None:
    """Return the pattern (RE2) of a line that is a number, perhaps with k, m or b, and one of the words."""
    if not counted:
        return None
    words, other = "|".join(map(re.escape, counted)), r"[^\pL\pN_]*"
    return rf"(?i)^{other}\p{{Nd}}[,.\p{{Nd}}]*[kmb]?[\s\p{{Z}}]+(?:{words}){other}$"


def _matches(lines: pa.Array, pattern: str | None) -> npt.NDArray[np.bool_]:
    if pattern is None:
        return np.zeros(len(lines), bool)
    found: npt.NDArray[np.bool_] = pc.match_substring_regex(lines, pattern).to_numpy(zero_copy_only=False)
    return found


def _edit(
    lines: pa.Array, short: npt.NDArray[np.bool_], config: RefinedwebLines
) -> tuple[pa.Array, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return the lines without the strings, a mask of those that had some, and a mask of those left with nothing."""
    rows = np.flatnonzero(short)
    before = after = lines.take(pa.array(rows))
    space = r"[\s\p{Z}]"
    for strings, pattern, put in (
        (config.anywhere, rf"(?i){space}?(?:%s)", ""),
        (config.at_end, rf"(?i){space}?(?:%s){space}*?(\n?)$", r"\1"),
        (config.at_start, rf"(?i)^{space}*(?:%s){space}?", ""),
    ):
        if strings:
            found = pattern % "|".join(map(re.escape, strings))
            after = pc.replace_substring_regex(after, found, put)
    hit = pc.not_equal(before, after).to_numpy(zero_copy_only=False)
    edited, emptied = np.zeros(len(lines), bool), np.zeros(len(lines), bool)
    edited[rows[hit]] = True
    emptied[rows[hit]] = pc.equal(pc.utf8_trim_whitespace(after.filter(pa.array(hit))), "").to_numpy(
        zero_copy_only=False
    )
    return pc.replace_with_mask(lines, pa.array(edited), after.filter(pa.array(hit))), edited, emptied


def _per_document(lines: npt.NDArray[np.bool_], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Count the lines of each document for which the mask is true."""
    return np.diff(np.concatenate([[0], np.cumsum(lines)])[offsets])


def _words_removed(
    before: pa.Array, after: pa.Array, changed: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the words of each document before, and how many of them are gone."""
    from dataproc.kernels.words import split_words

    words = np.diff(shared(split_words, before).offsets)
    removed = np.zeros(len(words), np.int64)
    rows = np.flatnonzero(changed)
    removed[rows] = words[rows] - np.diff(split_words(after.take(pa.array(rows))).offsets)
    return words, removed
