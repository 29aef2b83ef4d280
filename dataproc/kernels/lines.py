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

from dataproc.kernels.bits import NONE, lowest
from dataproc.kernels.buffers import frozen, text_buffers
from dataproc.kernels.char_classes import SPACE, tables
from dataproc.kernels.hashing import load64
from dataproc.kernels.jit import kernel
from dataproc.kernels.spans import Spans
from dataproc.kernels.utf8 import count_chars, decode, last_char

NEWLINE, FULL_STOP, ELLIPSIS = 0x0A, 0x2E, 0x2026
_EACH_BYTE, _TOP_BITS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
BULLETS = "-*\u2022\u2023\u2043\u25aa\u25cf\u25e6"
"""Hyphen and asterisk (plain text, Markdown), bullet, triangular, hyphen, square, black and white round bullet."""


class Lines(Spans):
    """The lines or paragraphs of N documents."""


class LineCounts(NamedTuple):
    """Counts of lines, int64 [N] each."""

    lines: npt.NDArray[np.int64]
    bullets: npt.NDArray[np.int64]  # of them, those that start with a bullet
    ellipses: npt.NDArray[np.int64]  # of them, those that end with "..." or U+2026


def split_lines(text: pa.Array) -> Lines:
    r"""Return the lines of a text column; null rows have none.

    Example: ["a \n\n b", None] gives starts [0, 5], ends [1, 6] and offsets [0, 2, 2].
    """
    data, offsets = text_buffers(text)
    room = (int(offsets[-1] - offsets[0]) + len(text)) // 2 + 1  # lines are a byte long at least, and a byte apart
    starts, ends, rows = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(len(offsets), np.int64)
    count = _split(data, offsets, tables().classes, starts, ends, rows)
    return Lines(data, frozen(starts[:count]), frozen(ends[:count]), frozen(rows))


def join_paragraphs(lines: Lines) -> Lines:
    r"""Return the paragraphs that the lines make. Example: those of "a\nb\n \nc" make two: "a\nb" and "c"."""
    first = _begins_paragraph(*lines)
    places = np.flatnonzero(first)
    last = np.append(places[1:], len(first))[: len(places)] - 1
    rows = np.searchsorted(places, lines.offsets)
    return Lines(lines.data, frozen(lines.starts[places]), frozen(lines.ends[last]), frozen(rows))


def count_lines(lines: Lines, bullets: str = BULLETS) -> LineCounts:
    r"""Count each document's lines, those whose first character is a bullet and those that end with an ellipsis.

    Example: "- a\n\n b...\n" has 2 lines, 1 bullet, 1 ellipsis.
    """
    codes = frozen(np.array([ord(char) for char in bullets], np.int64))
    return LineCounts(np.diff(lines.offsets), *_count_lines(*lines, codes).T)


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
        while at < stop:
            end = next_byte(data, at, stop, NEWLINE)
            start, last = trim(data, at, end, classes)
            if start < last:
                starts[count], ends[count] = start, last
                count += 1
            at = end + 1
        rows[row + 1] = count
    return count


@kernel
def next_byte(data: npt.NDArray[np.uint8], at: int, stop: int, byte: int) -> int:
    """Return where the first such byte of data[at:stop] stands, `stop` without one; for use inside other kernels."""
    eight_times = _EACH_BYTE * np.uint64(byte)
    while at + 8 <= stop:
        eight = load64(data, at) ^ eight_times
        zeros = eight - _EACH_BYTE & ~eight & _TOP_BITS  # the lowest one is that of the first byte that is 0
        if zeros != NONE:
            return at + (lowest(zeros) >> 3)  # type: ignore[no-any-return]
        at += 8
    while at < stop and data[np.uint64(at)] != byte:
        at += 1
    return at


@kernel
def trim(data: npt.NDArray[np.uint8], start: int, stop: int, classes: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """Return the bounds of data[start:stop] without the white space around it; for use inside other kernels."""
    while start < stop:
        code, after = decode(data, start, stop)
        if classes[code] != SPACE:
            break
        start = after
    while start < stop:
        code, before = last_char(data, start, stop)
        if classes[code] != SPACE:
            break
        stop = before
    return start, stop


@kernel
def _begins_paragraph(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
) -> npt.NDArray[np.bool_]:
    out = np.ones(len(starts), np.bool_)
    for row in range(len(offsets) - 1):
        for line in range(offsets[row] + 1, offsets[row + 1]):
            newline = next_byte(data, ends[line - 1], starts[line], NEWLINE)
            out[line] = next_byte(data, newline + 1, starts[line], NEWLINE) < starts[line]
    return out


@kernel
def _line_chars(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    out = np.zeros(len(starts), np.int64)
    for line in range(len(starts)):
        out[line] = count_chars(data, starts[line], ends[line])
    return out


@kernel
def _ends_with(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    is_mark: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    out = np.zeros(len(starts), np.bool_)
    for line in range(len(starts)):
        if starts[line] < ends[line]:
            out[line] = is_mark[last_char(data, starts[line], ends[line])[0]]
    return out


@kernel
def _count_lines(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    bullets: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    out = np.zeros((len(offsets) - 1, 2), np.int64)
    for row in range(len(out)):
        for line in range(offsets[row], offsets[row + 1]):
            start, stop = starts[line], ends[line]
            out[row, 0] += _among(decode(data, start, stop)[0], bullets)
            dots = 0
            while dots < 3 and start < stop - dots and data[stop - dots - 1] == FULL_STOP:
                dots += 1
            out[row, 1] += dots == 3 or last_char(data, start, stop)[0] == ELLIPSIS
    return out


@kernel
def _among(code: int, codes: npt.NDArray[np.int64]) -> bool:
    for other in codes:  # noqa: SIM110 - numba compiles no generator expressions
        if code == other:
            return True
    return False
