"""Lines of a text and how they begin and end.

A line is what stands between newlines, when it holds anything but white space: extractors differ in how many blank
lines they leave, so blank ones are not lines here.
"""

from __future__ import annotations

from typing import NamedTuple

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
