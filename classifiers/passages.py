"""Which part of a document a classifier sees: bounded windows to predict, passages of drawn lengths to learn.

Both are functions of the text (and the seed) alone. Windows bound the cost: a page of 10 MB costs as much as one of 10
KB. Passages give all labels the same distribution of lengths, so length can't be what a model learns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from pydantic import Field

from dataproc.config import Config
from dataproc.ids import hash64

_LONGEST_WORD = 40


class Windows(Config):
    """How much of a document is read: all of it up to count x chars characters, else `count` windows spread evenly.

    `dataproc.kernels.windows` finds them.
    """

    count: int = Field(gt=0)
    """Windows; the first starts with the text, the last ends with it."""
    chars: int = Field(gt=0)
    """Characters (code points) of a window, before it is trimmed to whole words."""


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
