"""Lines and paragraphs of a text, and how lines begin and end.

A line is what stands between newlines, without the white space around it, when it holds anything but white space:
extractors differ in how many blank lines they leave, so blank ones are not lines here. A paragraph is a run of lines
with no blank line between them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.kernels.buffers import frozen, text_buffers
from dataproc.kernels.char_classes import SPACE, tables
from dataproc.kernels.jit import kernel
from dataproc.kernels.utf8 import byte_at, decode

NEWLINE, FULL_STOP, ELLIPSIS = 0x0A, 0x2E, 0x2026
BULLETS = "-*\u2022\u2023\u2043\u25aa\u25cf\u25e6"
"""Hyphen and asterisk (plain text, Markdown), bullet, triangular, hyphen, square, black and white round bullet."""


class Lines(NamedTuple):
    """Where the lines or paragraphs of N documents lie in the bytes of their column; read-only."""

    data: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]  # [L] first byte of each
    ends: npt.NDArray[np.int64]  # [L] byte after the last
    offsets: npt.NDArray[np.int64]  # [N + 1]: document k has lines offsets[k]:offsets[k + 1]


class LineCounts(NamedTuple):
    """Counts of lines, int64 [N] each."""

    lines: npt.NDArray[np.int64]
    bullets: npt.NDArray[np.int64]  # of them, those that start with a bullet
    ellipses: npt.NDArray[np.int64]  # of them, those that end with "..." or U+2026


def count_lines(text: pa.Array, bullets: str = BULLETS) -> LineCounts:
    r"""Count each document's lines, those whose first character is a bullet and those that end with an ellipsis.

    White space around a line is left out. Example: "- a\n\n b...\n" has 2 lines, 1 bullet, 1 ellipsis.
    """
    codes = frozen(np.array([ord(char) for char in bullets], np.int64))
    return LineCounts(*_count_lines(*text_buffers(text), tables().classes, codes).T)


def split_lines(text: pa.Array) -> Lines:
    r"""Return the lines of a text column; null rows have none.

    Example: ["a \n\n b", None] gives starts [0, 5], ends [1, 6] and offsets [0, 2, 2].
    """
    return _split_at(text, newlines=1)


def split_paragraphs(text: pa.Array) -> Lines:
    r"""Return the paragraphs of a text column; null rows have none. Example: ["a\nb\n \nc"] has two: "a\nb" and "c"."""
    return _split_at(text, newlines=2)


def line_chars(lines: Lines) -> npt.NDArray[np.int64]:
    """Return the number of code points of each line, int64 [L]."""
    return _line_chars(lines.data, lines.starts, lines.ends)


def ends_with(lines: Lines, marks: str) -> npt.NDArray[np.bool_]:
    """Return which lines end with one of `marks`, single characters; bool [L]. An empty line ends with none."""
    is_mark = np.zeros(0x110000, bool)
    is_mark[[ord(char) for char in marks]] = True
    return _ends_with(lines.data, lines.starts, lines.ends, frozen(is_mark))


def sum_by_row(values: npt.NDArray[Any], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the sum of values[offsets[k]:offsets[k + 1]] for each k, int64 [N].

    Example: the values [1, 2, 3] with the offsets [0, 2, 2, 3] give [3, 0, 3].
    """
    sums = np.concatenate((np.zeros(1, np.int64), np.cumsum(values, dtype=np.int64)))
    return sums[offsets[1:]] - sums[offsets[:-1]]


def _split_at(text: pa.Array, newlines: int) -> Lines:
    data, offsets = text_buffers(text)
    room = (int(offsets[-1] - offsets[0]) + len(text)) // 2 + 1  # lines are a byte long at least, and a byte apart
    starts, ends, rows = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(len(offsets), np.int64)
    count = _split(data, offsets, tables().classes, newlines, starts, ends, rows)
    return Lines(data, frozen(starts[:count]), frozen(ends[:count]), frozen(rows))


@kernel
def _split(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    newlines: int,
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
) -> int:
    count = 0
    rows[0] = 0
    for row in range(len(offsets) - 1):
        at, stop = offsets[row], offsets[row + 1]
        seen = newlines  # newlines since the last character that is not white space; as many as needed at the start
        while at < stop:
            code, after = byte_at(data, at), at + 1
            if code >= 0x80:
                code, after = decode(data, at, stop)
            if code == NEWLINE:
                seen += 1
            elif classes[code] != SPACE:
                if seen >= newlines:
                    starts[count] = at
                    count += 1
                seen = 0
                ends[count - 1] = after
            at = after
        rows[row + 1] = count
    return count


@kernel
def _line_chars(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    out = np.zeros(len(starts), np.int64)
    for line in range(len(starts)):
        out[line] = count_chars(data, starts[line], ends[line])
    return out


@kernel
def count_chars(data: npt.NDArray[np.uint8], start: int, stop: int) -> int:
    """Return the number of code points in data[start:stop]; for use inside other kernels."""
    count = 0
    for at in range(start, stop):
        count += data[np.uint64(at)] & 0xC0 != 0x80  # the first byte of a code point
    return count


@kernel
def _ends_with(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    is_mark: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    out = np.zeros(len(starts), np.bool_)
    for line in range(len(starts)):
        at = ends[line] - 1
        while at > starts[line] and data[at] & 0xC0 == 0x80:  # back to the first byte of the last character
            at -= 1
        if at >= starts[line]:
            out[line] = is_mark[decode(data, at, ends[line])[0]]
    return out


@kernel
def _count_lines(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    bullets: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    out = np.zeros((len(offsets) - 1, 3), np.int64)
    for row in range(len(out)):
        at, stop = offsets[row], offsets[row + 1]
        first, gap, ends = (
            True,
            False,
            False,
        )  # nothing of the line yet; white space before `at`; an ellipsis before that
        dots = 0  # full stops in a row before `at`
        while at < stop:
            code, after = byte_at(data, at), at + 1
            if code >= 0x80:
                code, after = decode(data, at, stop)
            at = after
            if code == NEWLINE:
                out[row, 2] += ends
                first, gap, ends, dots = True, False, False, 0
            elif classes[code] == SPACE:
                gap = True
            else:
                if first:
                    out[row, 0] += 1
                    out[row, 1] += _among(code, bullets)
                dots = 0 if code != FULL_STOP else 1 if gap else dots + 1
                ends = code == ELLIPSIS or dots >= 3
                first = gap = False
        out[row, 2] += ends
    return out


@kernel
def _among(code: int, codes: npt.NDArray[np.int64]) -> bool:
    for other in codes:  # noqa: SIM110 - numba compiles no generator expressions
        if code == other:
            return True
    return False
