r"""Words, in every script, without dictionaries.

A word is a maximal run of letters, marks and numbers that starts with a letter or number. Everything else parts
words: so does the apostrophe, straight or curly (`don't` is two words, as with `\w+`), and so does the underscore.
Format characters (soft hyphen, joiners) neither part words nor start or end them. Where spaces don't part words -
ideographs, kana, Thai, Lao, Khmer, Burmese and their kin, `char_classes.ALONE` - each letter with the marks on it is
a word. Hangul is written with spaces and needs no rule. Invalid UTF-8 parts words.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.kernels.bits import NONE, ONE, below, lowest, popcount
from dataproc.kernels.blocks import BLOCK, block, kinds
from dataproc.kernels.buffers import frozen, text_buffers
from dataproc.kernels.char_classes import ALONE, FORMAT, LETTER, MARK, NUMBER, SPACE, tables
from dataproc.kernels.jit import kernel
from dataproc.kernels.spans import Spans
from dataproc.kernels.utf8 import byte_at, count_chars, decode


_BY_CHARS = 256  # bytes


class Words(Spans):
    """The words of N documents."""


def split_words(text: pa.Array) -> Words:
    """Return the words of a text column; null rows have none.

    Example: ["I'm 5", None] gives starts [0, 2, 4], ends [1, 3, 5] and offsets [0, 3, 3].
    """
    data, offsets = text_buffers(text)
    # Words are a byte apart at least, or three bytes long: this is room for all, and memory only where it is used.
    room = (int(offsets[-1] - offsets[0]) + len(text)) // 2
    starts, ends, rows = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(len(offsets), np.int64)
    count = _split(data, offsets, tables().classes, kinds(), starts, ends, rows)
    return Words(data, frozen(starts[:count]), frozen(ends[:count]), frozen(rows))


def word_chars(words: Words) -> npt.NDArray[np.int64]:
    """Return the number of code points in the words of each document, int64 [N]."""
    return _count_chars(*words)


def alpha_tokens(text: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return, for each document, its tokens between white space and how many of them hold a letter, int64 [N] each.

    Example: "5 % of $10 -- a4" has 6 tokens, of which 2 hold a letter.
    """
    return _alpha_tokens(*text_buffers(text), tables().classes, kinds())


@kernel
def _split(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    kinds: npt.NDArray[np.uint64],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
) -> int:
    count = ended = 0  # words begun, and those of which the end is known: one less inside a word
    rows[0] = 0
    for row in range(len(offsets) - 1):
        at, stop = offsets[row], offsets[row + 1]
        while at < stop:
            size, word, _, _ = block(data, at, stop, classes, kinds, True)
            if size == 0:
                at, count = _split_by_chars(data, at, stop, classes, starts, ends, count, ended)
                ended = count
                continue
            before = word << ONE | np.uint64(count - ended)
            found = word & ~before
            while found != NONE:
                starts[count] = at + lowest(found)
                count += 1
                found &= found - ONE
            found = before & ~word & below(size)
            while found != NONE:
                ends[ended] = at + lowest(found)
                ended += 1
                found &= found - ONE
            at += size
        if ended < count:
            ends[ended] = stop
            ended += 1
        rows[row + 1] = count
    return count


@kernel
def _split_by_chars(
    data: npt.NDArray[np.uint8],
    at: int,
    stop: int,
    classes: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    count: int,
    ended: int,
) -> tuple[int, int]:
    """Split data[at:stop] up to a character that parts words; return the position after it and the words so far."""
    # Going back to blocks costs as much as some characters, and where one stands alone there are more.
    enough = at + _BY_CHARS
    marks_join = letters_join = ended < count  # would a mark here belong to the last word, would a letter or number?
    if ended < count:
        ends[ended] = at
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
            if after >= enough:
                return after, count
        at = after
    return at, count


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
            out[row] += count_chars(data, starts[word], ends[word])
    return out


@kernel
def _alpha_tokens(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    kinds: npt.NDArray[np.uint64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    tokens = np.zeros(len(offsets) - 1, np.int64)
    alpha = np.zeros(len(offsets) - 1, np.int64)
    for row in range(len(tokens)):
        at, stop = offsets[row], offsets[row + 1]
        inside = has_letter = NONE  # is the byte before `at` in a token, does that hold a letter so far?
        while at < stop:
            size, _, solid, letter = block(data, at, stop, classes, kinds, False)
            tokens[row] += popcount(solid & ~(solid << ONE | inside))
            # A letter in a run of ones carries over to the zero behind it, other runs stay as they are.
            total = solid + letter
            carry = np.uint64(total < solid)
            total += has_letter
            carry |= np.uint64(total < has_letter)
            alpha[row] += popcount(total & ~solid & below(size))
            last = np.uint64(size - 1)
            inside = solid >> last & ONE
            has_letter = carry if size == BLOCK else total >> np.uint64(size) & inside
            at += size
        alpha[row] += np.int64(has_letter)
    return tokens, alpha
