r"""Lines and paragraphs with the white space around them, as regular expressions over newlines part a text.

`dataproc.kernels.lines` leaves out white space and blank lines, in which extractors differ. Published code doesn't,
and rules that follow it to the letter see that: of the lines of "Home\n Home\nHome" two are equal here, all three
there. White space is what `str.isspace` says, without the zero-width space.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.kernels.buffers import frozen, text_buffers
from dataproc.kernels.jit import kernel
from dataproc.kernels.lines import NEWLINE, Lines, next_byte
from dataproc.kernels.utf8 import decode, last_char
from dataproc.kernels.windows import is_space


def whole_lines(text: pa.Array, blank: bool = True) -> Lines:
    r"""Return what re.split("\n+", text) gives, less the parts of white space alone if not `blank`.

    What stands before a first newline and behind a last one is an empty part; so is an empty text. Null reads as "".
    Example: "\na \n\n \nb" gives "", "a ", " " and "b"; if not `blank`, "a " and "b".
    """
    return _split_column(text, 1, False, blank)


def whole_paragraphs(text: pa.Array) -> Lines:
    r"""Return what re.split("\n{2,}", text.strip()) gives. Example: " a\n \nb\n\nc\n" gives "a\n \nb" and "c"."""
    return _split_column(text, 2, True, True)


def num_written_lines(text: pa.Array) -> npt.NDArray[np.int64]:
    r"""Return the number of lines, blank ones too, int64 [N]; a newline at the end opens no other.

    Example: "a\n\nb\n" has 3, null and "" have none.
    """
    return _count(*text_buffers(text))


def _split_column(text: pa.Array, fewest: int, strip: bool, blank: bool) -> Lines:
    data, offsets = text_buffers(text)
    room = int(offsets[-1] - offsets[0]) // 2 + 2 * len(text)  # parts are parted by a byte, and empty only at the ends
    starts, ends, rows = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(len(offsets), np.int64)
    count = _split(data, offsets, fewest, strip, blank, starts, ends, rows)
    return Lines(data, frozen(starts[:count]), frozen(ends[:count]), frozen(rows))


@kernel
def _split(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    fewest: int,
    strip: bool,
    blank: bool,
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
) -> int:
    count = 0
    rows[0] = 0
    for row in range(len(offsets) - 1):
        start, stop = offsets[row], offsets[row + 1]
        if strip:
            start = _first_solid(data, start, stop)
            while start < stop:
                code, before = last_char(data, start, stop)
                if not is_space(code):
                    break
                stop = before
        at = start
        while True:
            end = next_byte(data, at, stop, NEWLINE)
            at = end
            while at < stop and data[np.uint64(at)] == NEWLINE:
                at += 1
            if end == stop or at - end >= fewest:
                if blank or _first_solid(data, start, end) < end:
                    starts[count], ends[count] = start, end
                    count += 1
                start = at
            if end == stop:
                break
        rows[row + 1] = count
    return count


@kernel
def _first_solid(data: npt.NDArray[np.uint8], start: int, stop: int) -> int:
    """Return where the first character of data[start:stop] that is no white space stands; `stop` without one."""
    while start < stop:
        code, after = decode(data, start, stop)
        if not is_space(code):
            break
        start = after
    return start


@kernel
def _count(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    out = np.zeros(len(offsets) - 1, np.int64)
    for row in range(len(out)):
        at, stop = offsets[row], offsets[row + 1]
        while at < stop:
            at = next_byte(data, at, stop, NEWLINE) + 1
            out[row] += 1
    return out
