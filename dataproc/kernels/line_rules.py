"""What line rules look at, and the text that they leave: tokens, citations, lines kept.

Each function takes the lines of a column (`dataproc.kernels.lines.split_lines`) and answers for all of them at once,
so that a rule is an expression over arrays, one entry a line.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.kernels.bits import NONE, ONE, popcount
from dataproc.kernels.blocks import block, kinds
from dataproc.kernels.buffers import frozen
from dataproc.kernels.char_classes import SPACE, tables
from dataproc.kernels.jit import kernel
from dataproc.kernels.lines import NEWLINE, Lines, next_byte, sum_by_row
from dataproc.kernels.utf8 import decode

_BRACKET, _CLOSING, _ZERO, _NINE = ord("["), ord("]"), ord("0"), ord("9")
_EDIT, _NEEDED = frozen(np.frombuffer(b"[edit]", np.uint8)), frozen(np.frombuffer(b"[citation needed]", np.uint8))


def line_tokens(lines: Lines) -> npt.NDArray[np.int64]:
    """Count the tokens of each line, what white space parts; int64 [L]. Example: "a bcd e" has 3."""
    return _tokens(lines.data, lines.starts, lines.ends, tables().classes, kinds())


def has_long_token(lines: Lines, max_chars: int) -> npt.NDArray[np.bool_]:
    """Return which lines hold a token of more than `max_chars` characters, bool [L]."""
    return _has_long_token(lines.data, lines.starts, lines.ends, tables().classes, max_chars)


def ends_in(lines: Lines, suffix: str) -> npt.NDArray[np.bool_]:
    """Return which lines end with these characters, bool [L]. Example: "and so on..." ends in "..."."""
    last = suffix.encode()
    found = np.flatnonzero(lines.ends - lines.starts >= len(last))
    for k, byte in enumerate(last):
        found = found[lines.data[lines.ends[found] - len(last) + k] == byte]
    out = np.zeros(len(lines.starts), bool)
    out[found] = True
    return out


def cut_citations(lines: Lines) -> tuple[Lines, npt.NDArray[np.int64]]:
    """Return the lines without the marks of citations, and how many each had, int64 [L].

    A mark is [], ASCII digits in brackets, [edit] or [citation needed]. White space beside it stays, even at the end
    of a line. Example: "He left.[12] Really." becomes "He left. Really."
    """
    cuts, num_bytes = _count_citations(lines.data, lines.starts, lines.ends, _EDIT, _NEEDED)
    if not cuts.any():
        return lines, cuts
    rest, starts, ends = np.empty(num_bytes, np.uint8), lines.starts.copy(), lines.ends.copy()
    _cut_citations(lines.data, starts, ends, cuts, _EDIT, _NEEDED, rest)
    return Lines(frozen(np.concatenate((lines.data, rest))), frozen(starts), frozen(ends), lines.offsets), cuts


def join_lines(lines: Lines, kept: npt.NDArray[np.bool_]) -> pa.Array:
    """Return the text that the kept lines (bool [L]) make of each document, joined by newlines; large_string [N]."""
    sizes = np.where(kept, lines.ends - lines.starts + 1, 0)  # each with its newline
    ends = np.concatenate((np.zeros(1, np.int64), np.cumsum(sum_by_row(sizes, lines.offsets))))
    out = np.empty(int(ends[-1]), np.uint8)
    offsets = np.zeros(len(lines.offsets), np.int64)
    _join(*lines, frozen(np.asarray(kept, bool)), out, offsets)
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(out))


@kernel
def _tokens(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    kinds: npt.NDArray[np.uint64],
) -> npt.NDArray[np.int64]:
    out = np.zeros(len(starts), np.int64)
    for line in range(len(starts)):
        at, stop, inside = starts[line], ends[line], NONE
        while at < stop:
            size, _, solid, _ = block(data, at, stop, classes, kinds, False)
            out[line] += popcount(solid & ~(solid << ONE | inside))
            inside = solid >> np.uint64(size - 1) & ONE
            at += size
    return out


@kernel
def _has_long_token(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    max_chars: int,
) -> npt.NDArray[np.bool_]:
    out = np.zeros(len(starts), np.bool_)
    for line in range(len(starts)):
        at, stop, chars = starts[line], ends[line], 0
        while stop - at > max_chars - chars:  # else what is left is too short for one
            code, at = decode(data, at, stop)
            chars = 0 if classes[code] == SPACE else chars + 1
            if chars > max_chars:
                out[line] = True
                break
    return out


@kernel
def _count_citations(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    edit: npt.NDArray[np.uint8],
    needed: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.int64], int]:
    """Return the citations of each line, and the bytes of the lines that have some without them."""
    cuts, num_bytes = np.zeros(len(starts), np.int64), 0
    for line in range(len(starts)):
        at, stop, cut = starts[line], ends[line], 0
        while at < stop:
            at = next_byte(data, at, stop, _BRACKET)
            if at < stop:
                size = _citation(data, at, stop, edit, needed)
                cuts[line] += size > 0
                cut += size
                at += max(size, 1)
        if cut > 0:
            num_bytes += stop - starts[line] - cut
    return cuts, num_bytes


@kernel
def _cut_citations(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    cuts: npt.NDArray[np.int64],
    edit: npt.NDArray[np.uint8],
    needed: npt.NDArray[np.uint8],
    rest: npt.NDArray[np.uint8],
) -> None:
    """Write what is left of lines with citations to `rest`, and their places in it, as if it stood behind `data`."""
    end = 0
    for line in np.flatnonzero(cuts):
        at, stop = starts[line], ends[line]
        starts[line] = len(data) + end
        while at < stop:
            bracket = next_byte(data, at, stop, _BRACKET)
            size = _citation(data, bracket, stop, edit, needed)
            last = min(bracket + (size == 0), stop)  # a bracket that begins none stays
            rest[end : end + last - at] = data[at:last]
            end += last - at
            at = last + size
        ends[line] = len(data) + end


@kernel
def _citation(
    data: npt.NDArray[np.uint8], start: int, stop: int, edit: npt.NDArray[np.uint8], needed: npt.NDArray[np.uint8]
) -> int:
    """Return the bytes of the citation mark that begins at `start`; 0 when there is none."""
    at = start + 1
    while at < stop and _ZERO <= data[at] <= _NINE:
        at += 1
    if at < stop and data[at] == _CLOSING:
        return at + 1 - start
    for note in (edit, needed):
        if start + len(note) <= stop and np.array_equal(data[start : start + len(note)], note):
            return len(note)
    return 0


@kernel
def _join(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    lines: npt.NDArray[np.int64],
    kept: npt.NDArray[np.bool_],
    out: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
) -> None:
    end = 0
    for row in range(len(lines) - 1):
        line, stop = lines[row], lines[row + 1]
        while line < stop:
            first, last, taken = starts[line], ends[line], kept[line]
            line += 1
            if not taken:
                continue
            # Lines with just a newline between them are copied as one.
            while line < stop and kept[line] and last + 1 == starts[line] and data[last] == NEWLINE:
                last = ends[line]
                line += 1
            if end > offsets[row]:
                out[end] = NEWLINE
                end += 1
            out[end : end + last - first] = data[first:last]
            end += last - first
        offsets[row + 1] = end
