"""Where the lines of a text lie and what they are made of: characters, capitals, numbers, words.

A line runs up to its newline, which belongs to it, so the lines of a document are its text, cut into pieces and
nothing lost; a newline at the end opens no further line.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.kernels.buffers import frozen, text_buffers
from dataproc.kernels.char_classes import ALONE, LETTER, NUMBER, OTHER, SPACE, tables
from dataproc.kernels.jit import kernel
from dataproc.kernels.utf8 import byte_at, decode

NEWLINE = 0x0A


class LineShapes(NamedTuple):
    """The L lines of N documents; `starts` and `offsets` are int64, counts int64 [L]."""

    data: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]  # [L + 1] line k is data[starts[k]:starts[k + 1]]
    offsets: npt.NDArray[np.int64]  # [N + 1] document k has lines offsets[k]:offsets[k + 1]
    chars: npt.NDArray[np.int64]  # code points, white space around the line left out; 0 for a blank line
    capitals: npt.NDArray[np.int64]  # of them, capital letters
    numerals: npt.NDArray[np.int64]  # of them, numbers (Unicode category N)
    tokens: npt.NDArray[np.int64]  # words between white space, see `line_shapes`


@cache
def capital_letters() -> npt.NDArray[np.bool_]:
    """Return a mask of the capital letters among the first 0x20000 code points: those that have a small form."""
    classes = tables().classes[:0x20000]
    known = np.flatnonzero(classes != OTHER).tolist()  # of the tables' Unicode version, whatever Python's is
    found = [code for code in known if chr(code).isupper() and chr(code).lower() != chr(code)]
    mask = np.zeros(len(classes), np.bool_)
    mask[found] = True
    return frozen(mask)


def line_shapes(text: pa.Array) -> LineShapes:
    r"""Return the lines of a text column and their counts; null rows have none.

    Tokens are what white space parts; a letter of a script that is written without spaces (`char_classes.ALONE`) is
    one by itself. Example: "AB 1.\n\n" has two lines, of 5 and 0 chars, 2 and 0 capitals, 1 and 0 numerals, 2 and 0
    tokens.
    """
    data, offsets = text_buffers(text)
    rows = np.empty(len(offsets), np.int64)
    count = count_lines(data, offsets, rows)
    starts, counts = np.empty(count + 1, np.int64), np.zeros((4, count), np.int64)
    starts[0] = offsets[0]
    _measure(data, offsets, rows, tables().classes, capital_letters(), starts, counts)
    return LineShapes(data, starts, rows, *counts)


@kernel
def count_lines(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> int:
    """Fill `rows` with the number of lines before each document; return that of all."""
    count = 0
    rows[0] = 0
    for row in range(len(offsets) - 1):
        start, stop = offsets[row], offsets[row + 1]
        for at in range(start, stop):
            count += data[at] == NEWLINE
        if stop > start and data[stop - 1] != NEWLINE:
            count += 1
        rows[row + 1] = count
    return count


@kernel
def _measure(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    capitals: npt.NDArray[np.bool_],
    starts: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
) -> None:
    for row in range(len(rows) - 1):
        at, stop = offsets[row], offsets[row + 1]
        for line in range(rows[row], rows[row + 1]):
            code = chars = gap = upper = numerals = tokens = 0  # `gap`: white space since the last character
            inside = has_word = stands_alone = False  # in a token; it holds a word; that word is one letter
            while at < stop and code != NEWLINE:
                code, after = byte_at(data, at), at + 1
                if code >= 0x80:
                    code, after = decode(data, at, stop)
                at = after
                kind = classes[code]
                if kind == SPACE:
                    gap += chars > 0
                    inside = False
                    continue
                chars += gap + 1
                gap = 0
                upper += code < len(capitals) and capitals[code]
                numerals += kind == NUMBER
                if not inside:
                    tokens += 1
                    inside, has_word, stands_alone = True, False, False
                if kind in (LETTER, NUMBER, ALONE):
                    tokens += has_word and (stands_alone or kind == ALONE)
                    has_word, stands_alone = True, kind == ALONE
            starts[line + 1] = at
            counts[0, line], counts[1, line], counts[2, line], counts[3, line] = chars, upper, numerals, tokens
