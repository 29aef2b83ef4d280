"""Lines without white space at their ends, and a text without some of its lines, the others as they were."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.kernels.buffers import frozen
from dataproc.kernels.char_classes import SPACE, tables
from dataproc.kernels.jit import kernel
from dataproc.kernels.lines import NEWLINE, Lines
from dataproc.kernels.utf8 import decode


def cut_lines(lines: Lines, cut: npt.NDArray[np.bool_]) -> pa.Array:
    r"""Return each document without the lines (or paragraphs) for which `cut`, bool [L], is true; large_string [N].

    A line goes with its newline and the blank lines behind it; so does white space before a document's first line and
    after the last one left. Example: " a\n\nb\n\n  c\n" without b is "a\n\n  c".
    """
    room = int(lines.ends[-1] - lines.starts[0]) if len(lines.starts) else 0
    out, offsets = np.empty(room, np.uint8), np.zeros(len(lines.offsets), np.int64)
    _cut(*lines, frozen(np.asarray(cut, bool)), out, offsets)
    return pa.LargeStringArray.from_buffers(
        len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(out[: offsets[-1]].copy())
    )


def trim_ends(lines: Lines) -> Lines:
    """Return the lines without white space at their ends, which cut citations leave; a line may be empty."""
    return lines._replace(ends=frozen(_trimmed(lines.data, lines.starts, lines.ends, tables().classes)))


@kernel
def _trimmed(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
) -> npt.NDArray[np.int64]:
    out = ends.copy()
    for line in range(len(starts)):
        while out[line] > starts[line]:
            at = out[line] - 1
            while at > starts[line] and data[at] & 0xC0 == 0x80:  # back to the first byte of the last character
                at -= 1
            if classes[decode(data, at, out[line])[0]] != SPACE:
                break
            out[line] = at
    return out


@kernel
def _cut(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    lines: npt.NDArray[np.int64],
    cut: npt.NDArray[np.bool_],
    out: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
) -> None:
    end = 0
    for row in range(len(lines) - 1):
        first, last = lines[row], lines[row + 1]
        while last > first and cut[last - 1]:
            last -= 1
        for line in range(first, last):
            if not cut[line]:
                begin = _begin(data, starts[line], ends[line - 1]) if line > first else starts[line]
                stop = ends[line] if line + 1 == last else _begin(data, starts[line + 1], ends[line])
                out[end : end + stop - begin] = data[begin:stop]
                end += stop - begin
        offsets[row + 1] = end


@kernel
def _begin(data: npt.NDArray[np.uint8], start: int, least: int) -> int:
    """Return where the line begins whose first character is at `start`: behind a newline, or at `least`."""
    while start > least and data[start - 1] != NEWLINE:
        start -= 1
    return start
