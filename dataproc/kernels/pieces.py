"""Pieces: a text cut into words and signs, the unit of rules that count punctuation as tokens do.

A piece is a word of `dataproc.kernels.words`, or a run of one and the same character that is neither part of a word
nor white space: "..." and "=====" are one piece each, `",` is two. Inside what is written together signs are none, as
tokenizers have it: "3.14", "12:30", "1/2", "a_b" and "example.org" are one piece, "don't" is two, "don" and "t". Where
letters stand alone (Chinese), signs always count. So nearly as many pieces come out as tokens of spaCy: of 380 English
pages 0.3% more at the median, and the share with a letter is less by 0.002. Some 460 MB/s of English, by blocks.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.kernels.bits import NONE, ONE, below, lowest
from dataproc.kernels.blocks import block, kinds
from dataproc.kernels.buffers import frozen, text_buffers
from dataproc.kernels.char_classes import ALONE, FORMAT, LETTER, MARK, NUMBER, OTHER, SPACE, tables
from dataproc.kernels.jit import kernel
from dataproc.kernels.spans import Spans
from dataproc.kernels.utf8 import byte_at, count_chars, decode

_JOINERS, _APOSTROPHES = (ord("."), ord("_")), (ord("'"), 0x2019)
_INSIDE = (*_JOINERS, *_APOSTROPHES, ord(","), ord(":"), ord("/"))
_BY_CHARS = 256  # bytes: going back to blocks costs as much as some characters


class Pieces(Spans):
    """The pieces of N documents."""


def split_pieces(text: pa.Array) -> Pieces:
    """Return the pieces of a text column; null rows have none.

    Example: ["a=== 5%"] gives "a", "===", "5" and "%": starts [0, 1, 5, 6], ends [1, 4, 6, 7], offsets [0, 4].
    """
    data, offsets = text_buffers(text)
    room = int(offsets[-1] - offsets[0])  # pieces are a byte long at least; memory only where it is used
    starts, ends, rows = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(len(offsets), np.int64)
    count = _split(data, offsets, tables().classes, kinds(), starts, ends, rows)
    return Pieces(data, frozen(starts[:count]), frozen(ends[:count]), frozen(rows))


def pieces_with(pieces: Spans, held: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return, for each document, the pieces with a character for which `held` (bool [0x110000]) is true.

    Their number and the code points in them, int64 [N] each. Example: with letters held, "5 % of $10 -- a4" has 2
    such pieces, of 4 code points.
    """
    return _count_with(*pieces, frozen(held))


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
    count = ended = 0  # pieces begun, and those of which the end is known: one less inside a piece
    rows[0] = 0
    for row in range(len(offsets) - 1):
        at, stop = offsets[row], offsets[row + 1]
        in_word, last = NONE, OTHER  # is the byte before `at` in a word, and the class of the letter or number there?
        sign, sign_end = -1, at  # the last sign, and the byte behind it
        while at < stop:
            size, word, solid, letter = block(data, at, stop, classes, kinds, True)
            if size == 0:
                run = sign if sign_end == at else -1
                at, count = _split_by_chars(
                    data, at, stop, classes, starts, ends, count, ended, bool(in_word), last, run
                )
                ended, in_word, sign = count, NONE, -1
                continue
            signs, same = solid & ~word, NONE  # `same`: bytes that go on with the sign before them
            left = signs
            while left != NONE:
                k = lowest(left)
                code, after = byte_at(data, at + k), at + k + 1
                if code >= 0x80:
                    code, after = decode(data, at + k, stop)
                first = ONE << np.uint64(k)
                char = below(after - at) & ~(first - ONE)
                left &= ~char
                if k > 0 and (word << ONE) & first != NONE:
                    last = LETTER if (letter << ONE) & first != NONE else NUMBER
                behind_word = (word << ONE | in_word) & first != NONE
                if behind_word and _joins(code, last, data, after, stop, classes):
                    signs &= ~char
                    if code not in _APOSTROPHES:
                        word |= char
                else:
                    goes_on = sign == code and sign_end == at + k
                    same |= char if goes_on else char & ~first
                    sign, sign_end = code, after
            same |= word & (word << ONE | in_word)
            inside = word | signs
            before = inside << ONE | np.uint64(count - ended)
            found = inside & ~same
            while found != NONE:
                starts[count] = at + lowest(found)
                count += 1
                found &= found - ONE
            found = before & ~same & below(size)
            while found != NONE:
                ends[ended] = at + lowest(found)
                ended += 1
                found &= found - ONE
            end = np.uint64(size - 1)
            in_word = word >> end & ONE
            last = LETTER if letter >> end & ONE != NONE else NUMBER
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
    in_word: bool,
    last: int,
    sign: int,
) -> tuple[int, int]:
    """Split data[at:stop] up to some white space; return the position after it and the pieces so far.

    Before `at` lies a character of a word, a letter or number of class `last`, or a run of `sign`, or neither (-1).
    """
    enough = at + _BY_CHARS
    marks_join = letters_join = in_word  # would a mark here belong to the last word, would a letter or number?
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
            marks_join, letters_join, sign, last = True, kind != ALONE, -1, kind
        elif kind == MARK:
            if marks_join:
                ends[count - 1] = after
        elif kind == SPACE:
            marks_join = letters_join = False
            sign = -1
            if after >= enough:
                return after, count
        elif letters_join and _joins(code, last, data, after, stop, classes):
            letters_join = code not in _APOSTROPHES
            marks_join = False
        elif kind != FORMAT:
            if code != sign:
                starts[count] = at
                count += 1
            ends[count - 1] = after
            marks_join = letters_join = False
            sign = code
        at = after
    return at, count


@kernel
def _joins(
    code: int,
    last: int,
    data: npt.NDArray[np.uint8],
    after: int,
    stop: int,
    classes: npt.NDArray[np.uint8],
) -> bool:
    """Return whether a sign between a character of class `last` and what follows is none."""
    if after == stop or code not in _INSIDE:
        return False
    following = classes[decode(data, after, stop)[0]]
    if code in _JOINERS:
        return following in (LETTER, NUMBER)
    both = LETTER if code in _APOSTROPHES else NUMBER
    return last == both and following == both


@kernel
def _count_with(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    held: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    number, chars = np.zeros(len(offsets) - 1, np.int64), np.zeros(len(offsets) - 1, np.int64)
    for row in range(len(number)):
        for piece in range(offsets[row], offsets[row + 1]):
            at = starts[piece]
            while at < ends[piece]:
                code, after = byte_at(data, at), at + 1
                if code >= 0x80:
                    code, after = decode(data, at, ends[piece])
                if held[code]:
                    number[row] += 1
                    chars[row] += count_chars(data, starts[piece], ends[piece])
                    break
                at = after
    return number, chars
