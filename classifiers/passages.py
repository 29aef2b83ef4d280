"""Which part of a document a classifier sees: bounded windows to predict, passages of drawn lengths to learn.

Both are functions of the text (and the seed) alone. Windows bound the cost: a page of 10 MB costs as much as one of 10
KB. Passages give all labels the same distribution of lengths, so length can't be what a model learns.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from pydantic import Field

from dataproc.config import Config
from dataproc.ids import hash64

_SPACE = re.compile(r"\s")
_LONGEST_WORD = 40


class Windows(Config):
    """How much of a document is read: all of it up to count x chars characters, else `count` windows spread evenly."""

    count: int = Field(gt=0)
    """Windows; the first starts with the text, the last ends with it."""
    chars: int = Field(gt=0)
    """Characters (code points) of a window, before it is trimmed to whole words."""


def spread(text: str, windows: Windows) -> str:
    r"""Return the text, or its windows joined by newlines, trimmed to whole words (by 40 characters at most).

    Example: spread("a" * 9 + " b " + "c" * 9, Windows(count=2, chars=10)) == "aaaaaaaaa \n ccccccccc"
    """
    if len(text) <= windows.count * windows.chars:
        return text
    last = len(text) - windows.chars
    starts = [k * last // max(windows.count - 1, 1) for k in range(windows.count)]
    return "\n".join(_whole_words(text, start, start + windows.chars) for start in starts)


def _whole_words(text: str, start: int, end: int) -> str:
    """Return text[start:end] less the parts of words at its ends; a word longer than 40 characters is cut instead."""
    if start > 0 and (space := _SPACE.search(text, start - 1, min(start + _LONGEST_WORD, end))):
        start = space.start()
    if end < len(text):
        spaces = list(_SPACE.finditer(text, max(end - _LONGEST_WORD, start), end + 1))
        end = spaces[-1].end() if spaces else end
    return text[start : min(end, len(text))]


class PassageLengths(Config):
    """Lengths of training passages, in characters, drawn log-uniformly between the two."""

    min_chars: int = Field(200, gt=0)
    max_chars: int = Field(2000, gt=0)


def passages(text: str, lengths: PassageLengths, key: str) -> Iterator[str]:
    """Cut the text into passages of lengths drawn from (key, number of the passage); a shorter rest is left out.

    `key` names seed, source and document, so adding a source does not change the passages of another.
    """
    text = " ".join(text.split())
    start = number = 0
    while len(text) - start >= lengths.min_chars:
        share = (hash64(f"{key}\0{number}".encode()) % (1 << 32)) / (1 << 32)
        size = round(lengths.min_chars * math.exp(share * math.log(lengths.max_chars / lengths.min_chars)))
        end = min(start + size, len(text))
        space = text.find(" ", end)
        end = space if 0 <= space < end + _LONGEST_WORD else end
        yield text[start:end].strip()
        start, number = end, number + 1
