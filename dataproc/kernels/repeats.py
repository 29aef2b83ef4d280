"""Spans of bytes that occur elsewhere, in the same document or in another, found with a suffix array.

Every window of `min_bytes` bytes that occurs twice is found, and windows that overlap make one span: so a span is at
least that long, and two equal stretches of any greater length are found whole. The suffix array comes from
libdivsufsort, whose time is O(n log n) whatever the text; the rest is linear: the longest common prefix with the
suffix before is carried from place to place in the order of the text (Karkkainen, Manzini and Puglisi 2009,
"Permuted longest-common-prefix array"), but not beyond `min_bytes`, in the array that then holds the marks.

Memory: 9 bytes for each byte of text up to 2 GiB, 17 above.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dataproc.kernels.buffers import frozen
from dataproc.kernels.cuts import Cuts
from dataproc.kernels.jit import kernel

JOINS, WHOLE, REPEATS = 1, 2, 4
"""Marks of a window: equal to that of the suffix before; inside its document; to be in a span."""


def repeats(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    min_bytes: int,
    *,
    keep_first: bool,
    merge_share: float = 1.0,
) -> Cuts:
    r"""Return the spans of N documents, each closed by a NUL byte: document k is data[offsets[k]:offsets[k + 1] - 1].

    With `keep_first` the first of all equal windows is not in a span by itself, without it every copy is. Occurrences
    may overlap: of "ababab" the first period stays. Neighbouring spans of a document become one, with what lies
    between, where what repeats is at least `merge_share` of the whole. Example: b"xABCD\0yABCDz\0" with min_bytes 4
    and keep_first gives the span (1, 5) of the second document.
    """
    order = suffix_array(data)
    marks = np.empty_like(order)
    _precede(order, marks)
    _compare(frozen(data), frozen(offsets), min_bytes, marks)
    _mark(order, marks, keep_first)
    room = len(data) // (min_bytes + 1) + len(offsets)
    starts, ends, rows = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(len(offsets), np.int64)
    count = _sweep(frozen(offsets), marks, min_bytes, merge_share, starts, ends, rows)
    return Cuts(starts[:count].copy(), ends[:count].copy(), rows)


def suffix_array(data: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Return the places of all suffixes in their order, int32, or int64 from 2 GiB on. Example: b"aba" gives [2, 0, 1].

    Raises MemoryError when there is no room for it.
    """
    from pydivsufsort import divsufsort

    if not len(data):
        return np.zeros(0, np.int32)
    try:
        order: npt.NDArray[Any] = divsufsort(np.require(data, requirements=["C", "W"]))
    except Exception as error:
        if "libdivsufsort error" not in error.args:  # which is all that tells its lack of memory from other errors
            raise
        raise MemoryError(f"the suffix array of {len(data)} bytes needs {4 * len(data)} bytes more") from error
    return order


@kernel
def _precede(order: npt.NDArray[Any], marks: npt.NDArray[Any]) -> None:
    """Write to each place the suffix that precedes its own in the order, -1 to the first."""
    before = -1
    for place in order:
        marks[place] = before
        before = place


@kernel
def _compare(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], min_bytes: int, marks: npt.NDArray[Any]
) -> None:
    """Replace the suffix before each place by JOINS and WHOLE."""
    same = 0  # bytes known to be equal, at most min_bytes; from one place to the next it falls by one at most
    for row in range(len(offsets) - 1):
        for at in range(offsets[row], offsets[row + 1]):
            other = int(marks[at])
            if other < 0:
                same = 0
            else:
                most = min(min_bytes, len(data) - at, len(data) - other)
                while same < most and data[at + same] == data[other + same]:
                    same += 1
            mark = JOINS if same == min_bytes else 0
            if at + min_bytes < offsets[row + 1]:
                mark |= WHOLE
            marks[at] = mark
            same = max(0, same - 1)


@kernel
def _mark(order: npt.NDArray[Any], marks: npt.NDArray[Any], keep_first: bool) -> None:
    """Add REPEATS to the windows of each run of equal ones, but for the first in the text if that is kept."""
    start, count = 0, len(order)
    while start < count:
        stop = start + 1
        while stop < count and marks[order[stop]] & JOINS:
            stop += 1
        if stop > start + 1:
            copies, first = 0, np.int64(-1)
            for k in range(start, stop):
                place = np.int64(order[k])
                if marks[place] & WHOLE:
                    copies += 1
                    first = place if first < 0 else min(first, place)
            for k in range(start, stop):
                place = np.int64(order[k])
                if copies > 1 and marks[place] & WHOLE and not (keep_first and place == first):
                    marks[place] |= REPEATS
        start = stop


@kernel
def _sweep(
    offsets: npt.NDArray[np.int64],
    marks: npt.NDArray[Any],
    min_bytes: int,
    merge_share: float,
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
) -> int:
    count = 0
    rows[0] = 0
    for row in range(len(offsets) - 1):
        begin, first = offsets[row], count
        for at in range(begin, offsets[row + 1]):
            if marks[at] & REPEATS:
                if count > first and at - begin <= ends[count - 1]:
                    ends[count - 1] = at - begin + min_bytes
                else:
                    starts[count], ends[count] = at - begin, at - begin + min_bytes
                    count += 1
        last, found = first, 0  # the span that others are merged into, and what repeats in it
        for span in range(first, count):
            size = ends[span] - starts[span]
            if span > first and found + size >= merge_share * (ends[span] - starts[last]):
                ends[last] = ends[span]
                found += size
            else:
                last = last if span == first else last + 1
                starts[last], ends[last] = starts[span], ends[span]
                found = size
        count = min(count, last + 1)
        rows[row + 1] = count
    return count
