r"""Words, in every script, without dictionaries.

A word is a maximal run of letters, marks and numbers that starts with a letter or number. Everything else parts
words: so does the apostrophe, straight or curly (`don't` is two words, as with `\w+`), and so does the underscore.
Format characters (soft hyphen, joiners) neither part words nor start or end them. Where spaces don't part words -
ideographs, kana, Thai, Lao, Khmer, Burmese and their kin, `char_classes.ALONE` - each letter with the marks on it is
a word. Hangul is written with spaces and needs no rule. Invalid UTF-8 parts words.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.kernels.buffers import frozen, text_buffers
from dataproc.kernels.char_classes import ALONE, FORMAT, LETTER, MARK, NUMBER, SPACE, tables
from dataproc.kernels.jit import kernel
from dataproc.kernels.utf8 import byte_at, decode


class Words(NamedTuple):
    """Where the words of N documents lie in the bytes of their column; read-only."""

    data: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]  # [W] first byte of each word
    ends: npt.NDArray[np.int64]  # [W] byte after the last
    offsets: npt.NDArray[np.int64]  # [N + 1]: document k has words offsets[k]:offsets[k + 1]


def split_words(text: pa.Array) -> Words:
    """Return the words of a text column; null rows have none.

    Example: ["I'm 5", None] gives starts [0, 2, 4], ends [1, 3, 5] and offsets [0, 3, 3].
    """
    data, offsets = text_buffers(text)
    # Words are a byte apart at least, or three bytes long: this is room for all, and memory only where it is used.
    room = (int(offsets[-1] - offsets[0]) + len(text)) // 2
    starts, ends, rows = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(len(offsets), np.int64)
    count = _split(data, offsets, tables().classes, starts, ends, rows)
    return Words(data, frozen(starts[:count]), frozen(ends[:count]), frozen(rows))


def word_chars(words: Words) -> npt.NDArray[np.int64]:
    """Return the number of code points in the words of each document, int64 [N]."""
    return _count_chars(*words)


def alpha_tokens(text: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return, for each document, its tokens between white space and how many of them hold a letter, int64 [N] each.

    Example: "5 % of $10 -- a4" has 6 tokens, of which 2 hold a letter.
    """
    return _alpha_tokens(*text_buffers(text), tables().classes)


@kernel
def _split(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
) -> int:
    count = 0
    rows[0] = 0
    for row in range(len(offsets) - 1):
        at, stop = offsets[row], offsets[row + 1]
        marks_join = False  # would a mark here belong to the last word?
        letters_join = False  # would a letter or number?
        while at < stop:
            code, after = byte_at(data, at), at + 1
            if code >= 0x80:
                code, after = decode(data, at, stop)
            kind = classes[code]
            if kind in (LETTER, NUMBER, ALONE):
                if kind == ALONE or not letters_join:
                    starts[count] = at
                    count += 1
                ends[count - 1] = after
                marks_join, letters_join = True, kind != ALONE
            elif kind == MARK:
                if marks_join:
                    ends[count - 1] = after
            elif kind != FORMAT:
                marks_join = letters_join = False
            at = after
        rows[row + 1] = count
    return count


@kernel
def _count_chars(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    out = np.zeros(len(offsets) - 1, np.int64)
    for row in range(len(out)):
        for word in range(offsets[row], offsets[row + 1]):
            for at in range(starts[word], ends[word]):
                out[row] += data[at] & 0xC0 != 0x80  # the first byte of a code point
    return out


@kernel
def _alpha_tokens(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], classes: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    tokens = np.zeros(len(offsets) - 1, np.int64)
    alpha = np.zeros(len(offsets) - 1, np.int64)
    for row in range(len(tokens)):
        at, stop = offsets[row], offsets[row + 1]
        inside = has_letter = False
        while at < stop:
            code, after = byte_at(data, at), at + 1
            if code >= 0x80:
                code, after = decode(data, at, stop)
            at = after
            kind = classes[code]
            if kind == SPACE:
                inside = has_letter = False
                continue
            if not inside:
                tokens[row] += 1
                inside = True
            if not has_letter and kind in (LETTER, ALONE):
                alpha[row] += 1
                has_letter = True
    return tokens, alpha
