"""What the characters of a text are: letters and marks of sentences, numbers, white space, brackets, URLs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.kernels.buffers import frozen, text_buffers
from dataproc.kernels.char_classes import ALONE, LETTER, MARK, NUMBER, SPACE, tables
from dataproc.kernels.jit import kernel
from dataproc.kernels.utf8 import byte_at, decode

PLAIN_SIGNS = "\n?!,."
"""Signs that ordinary prose is full of, counted as its letters are."""

BRACKETS = "(){}[]\u27e8\u27e9"

_PLAIN, _BRACKET, _URL = 1, 2, 4  # bits of the table of signs
_URL_SIGNS = "$-_@.&+/:=?#~!*(),%"
_HEADS = frozen(np.frombuffer(b"http://https://", np.uint8))


class CharCounts(NamedTuple):
    """Code points of each document by what they are, int64 [N] each; one can be of several kinds."""

    chars: npt.NDArray[np.int64]
    plain: npt.NDArray[np.int64]  # letters, marks, numbers and `PLAIN_SIGNS`
    numbers: npt.NDArray[np.int64]
    spaces: npt.NDArray[np.int64]
    brackets: npt.NDArray[np.int64]  # of `BRACKETS`
    urls: npt.NDArray[np.int64]  # in a URL: http:// or https:// and the ASCII letters, digits and signs behind it
    longest: npt.NDArray[np.int64]  # in the longest run without white space


def count_chars_by_kind(text: pa.Array) -> CharCounts:
    """Return the counts of a text column; null rows count nothing.

    Example: "See http://a.b (5)" has 18 chars: 11 plain, 1 number, 2 spaces, 2 brackets, 10 in a URL, 10 in a run.
    """
    return CharCounts(*_count(*text_buffers(text), tables().classes, _signs(), _HEADS))


def _signs() -> npt.NDArray[np.uint8]:
    """Return the bits of each code point below 0x3000, uint8."""
    signs = np.zeros(0x3000, np.uint8)
    letters = "abcdefghijklmnopqrstuvwxyz"
    for bit, chars in (
        (_PLAIN, PLAIN_SIGNS),
        (_BRACKET, BRACKETS),
        (_URL, f"{_URL_SIGNS}0123456789{letters}{letters.upper()}"),
    ):
        for char in chars:
            signs[ord(char)] |= bit
    return frozen(signs)


@kernel
def _count(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    signs: npt.NDArray[np.uint8],
    heads: npt.NDArray[np.uint8],
) -> npt.NDArray[np.int64]:
    out = np.zeros((7, len(offsets) - 1), np.int64)
    for row in range(out.shape[1]):
        at, stop = offsets[row], offsets[row + 1]
        chars = plain = numbers = spaces = brackets = urls = longest = run = 0
        url_end = at  # of the URL that was met last
        while at < stop:
            code, after = byte_at(data, at), at + 1
            if code >= 0x80:
                code, after = decode(data, at, stop)
            kind = classes[code]
            bits = signs[code] if code < len(signs) else np.uint8(0)
            chars += 1
            plain += kind in (LETTER, ALONE, MARK, NUMBER) or bits & _PLAIN != 0
            numbers += kind == NUMBER
            spaces += kind == SPACE
            brackets += bits & _BRACKET != 0
            if code == 0x68 and at >= url_end:  # h
                url_end = _end_of_url(data, at, stop, signs, heads)
            urls += at < url_end
            run = 0 if kind == SPACE else run + 1
            longest = max(longest, run)
            at = after
        counts = (chars, plain, numbers, spaces, brackets, urls, longest)
        for kind_of in range(7):
            out[kind_of, row] = counts[kind_of]
    return out


@kernel
def _end_of_url(
    data: npt.NDArray[np.uint8],
    start: int,
    stop: int,
    signs: npt.NDArray[np.uint8],
    heads: npt.NDArray[np.uint8],
) -> int:
    """Return where the URL that begins at `start` ends; `start` when there is none."""
    for first, last in ((0, 7), (7, 15)):
        at = start
        while at < stop and at - start < last - first and data[at] == heads[first + at - start]:
            at += 1
        if at - start == last - first:
            head = at
            while at < stop and signs[data[at]] & _URL != 0:
                at += 1
            return at if at > head else start
    return start
