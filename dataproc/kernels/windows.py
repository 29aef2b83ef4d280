"""The part of each document that a model reads: all of it, or windows spread evenly from its start to its end.

Windows are counted in code points and trimmed to whole words (by 40 characters at most), so a page of 10 MB costs a
model as much as one of 10 KB. They come back as places in the bytes of the column: nothing is copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.kernels.buffers import frozen, text_buffers
from dataproc.kernels.jit import kernel
from dataproc.kernels.utf8 import byte_at, decode

LONGEST_WORD = 40
"""Characters by which a window may shrink; a longer word is cut instead."""


class Spans(NamedTuple):
    """Places in the bytes of a text column, any number for each of N documents; read-only."""

    data: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]  # [S] first byte of each span
    ends: npt.NDArray[np.int64]  # [S] byte after the last
    offsets: npt.NDArray[np.int64]  # [N + 1]: document k has spans offsets[k]:offsets[k + 1]


def spread_windows(text: pa.Array, count: int, chars: int) -> Spans:
    """Return all of a text of up to count x chars code points as one span, else `count` windows of `chars`.

    The first window starts with the text and the last ends with it; a single one starts with it.
    Example: "aaaaaaaaa b ccccccccc" with two windows of 10 gives "aaaaaaaaa " and " ccccccccc"; null gives "".
    """
    data, offsets = text_buffers(text)
    starts, ends = np.empty(len(text) * count, np.int64), np.empty(len(text) * count, np.int64)
    rows = np.zeros(len(offsets), np.int64)
    num = _spread(data, offsets, count, chars, starts, ends, rows)
    return Spans(data, frozen(starts[:num]), frozen(ends[:num]), frozen(rows))


def whole_texts(text: pa.Array) -> Spans:
    """Return one span for each document: all of it."""
    data, offsets = text_buffers(text)
    return Spans(data, offsets[:-1], offsets[1:], frozen(np.arange(len(offsets))))


def window_texts(spans: Spans) -> Iterator[list[str]]:
    """Yield the texts of the spans of each document."""
    pieces = [
        spans.data[start:end].tobytes().decode("utf-8", "replace")
        for start, end in zip(spans.starts.tolist(), spans.ends.tolist(), strict=True)
    ]
    for first, stop in pairwise(spans.offsets.tolist()):
        yield pieces[first:stop]


def count_values(spans: Spans, table: npt.NDArray[np.uint8], num_values: int) -> npt.NDArray[np.int64]:
    """Return how many code points of each document have each value in `table`, int64 [N, num_values].

    `table` has one value, less than `num_values`, for each of the 0x110000 code points.
    """
    return _count_values(*spans, table, num_values)


@kernel
def is_space(code: int) -> bool:
    """Say what `str.isspace` says of a code point; for use inside other kernels."""
    if code < 0x80:
        return code == 32 or 9 <= code <= 13 or 28 <= code <= 31
    if code < 0x2000:
        return code in (0x85, 0xA0, 0x1680)
    return code <= 0x200A or code in (0x2028, 0x2029, 0x202F, 0x205F, 0x3000)


@kernel
def _spread(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    count: int,
    chars: int,
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
) -> int:
    num = 0
    for row in range(len(offsets) - 1):
        first, stop = offsets[row], offsets[row + 1]
        length = _num_chars(data[first:stop])
        if length <= count * chars:
            starts[num], ends[num] = first, stop
            num += 1
        else:
            at, char = first, 0  # the byte at which a code point starts, and its number
            for window in range(count):
                start = window * (length - chars) // max(count - 1, 1)
                at = _forward(data, at, stop, start - char)
                end = _forward(data, at, stop, chars)
                starts[num], ends[num] = _whole_words(data, first, stop, at, end)
                char = start
                num += 1
        rows[row + 1] = num
    return num


@kernel
def _num_chars(text: npt.NDArray[np.uint8]) -> int:
    count = 0
    for byte in text:
        count += byte & 0xC0 != 0x80
    return count


@kernel
def _forward(data: npt.NDArray[np.uint8], at: int, stop: int, chars: int) -> int:
    """Return the byte that is `chars` code points after the one at `at`."""
    # Eight bytes a step until the rest could end in the next eight.
    while chars >= 8 and at + 8 <= stop:
        heads = 0
        for k in range(8):
            heads += data[at + k] & 0xC0 != 0x80
        chars -= heads
        at += 8
    while at < stop and (chars > 0 or byte_at(data, at) & 0xC0 == 0x80):
        chars -= byte_at(data, at) & 0xC0 != 0x80
        at += 1
    return at


@kernel
def _back(data: npt.NDArray[np.uint8], at: int, first: int) -> int:
    """Return the byte at which the code point before `at` starts; `at` must be greater than `first`."""
    at -= 1
    while at > first and byte_at(data, at) & 0xC0 == 0x80:
        at -= 1
    return at


@kernel
def _whole_words(data: npt.NDArray[np.uint8], first: int, stop: int, start: int, end: int) -> tuple[int, int]:
    """Return the window less the parts of words at its ends: it starts at the first space, and ends after the last."""
    if start > first:
        at, left = _back(data, start, first), LONGEST_WORD + 1
        while at < end and left > 0:
            code, after = decode(data, at, stop)
            if is_space(code):
                start = at
                break
            at, left = after, left - 1
    if end < stop:
        _, after = decode(data, end, stop)
        left = LONGEST_WORD + 1
        while after > start and left > 0:
            at = _back(data, after, first)
            code, _ = decode(data, at, stop)
            if is_space(code):
                return start, after
            after, left = at, left - 1
    return start, end


@kernel
def _count_values(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    table: npt.NDArray[np.uint8],
    num_values: int,
) -> npt.NDArray[np.int64]:
    counts = np.zeros((len(offsets) - 1, num_values), np.int64)
    for row in range(len(counts)):
        for span in range(offsets[row], offsets[row + 1]):
            at, stop = starts[span], ends[span]
            while at < stop:
                code, after = byte_at(data, at), at + 1
                if code >= 0x80:
                    code, after = decode(data, at, stop)
                counts[row, table[code]] += 1
                at = after
    return counts
