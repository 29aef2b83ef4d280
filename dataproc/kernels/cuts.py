r"""Spans to take out of texts: their characters, and their edges moved so that what is left can still be read.

A span found by its bytes may begin in the middle of a character or of a word, and taking it out may glue two lines:
"a\nB\nc" without "\nB\n" would be "ac". `neat` moves each edge inwards to where characters and words end, and leaves
the white space of one side standing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.kernels.buffers import frozen, text_buffers
from dataproc.kernels.char_classes import FORMAT, LETTER, MARK, NUMBER, SPACE, tables
from dataproc.kernels.jit import kernel
from dataproc.kernels.utf8 import decode

NEWLINE = 0x0A

MAX_WORD_BYTES = 64
"""An edge goes no further to the end of a word: a longer one is no word, and is parted between two characters."""


class Cuts(NamedTuple):
    """C spans in N documents, int64, in bytes from the start of their document; in order and apart."""

    starts: npt.NDArray[np.int64]  # [C]
    ends: npt.NDArray[np.int64]  # [C]
    offsets: npt.NDArray[np.int64]  # [N + 1] document k has spans offsets[k]:offsets[k + 1]


def cut_chars(text: pa.Array, spans: Cuts) -> npt.NDArray[np.int64]:
    """Return the code points that lie in the spans of each document, int64 [N].

    Example: a text of U+00E9 and "x" with the span (0, 2) has 1.
    """
    data, offsets = text_buffers(text)
    chars = np.zeros(len(offsets) - 1, np.int64)
    _count(data, offsets, frozen(spans.starts), frozen(spans.ends), frozen(spans.offsets), chars)
    return chars


@kernel
def _count(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    chars: npt.NDArray[np.int64],
) -> None:
    for row in range(len(rows) - 1):
        for span in range(rows[row], rows[row + 1]):
            for at in range(offsets[row] + starts[span], offsets[row] + ends[span]):
                chars[row] += data[at] & 0xC0 != 0x80


def neat(
    data: npt.NDArray[np.uint8],
    begins: npt.NDArray[np.int64],
    stops: npt.NDArray[np.int64],
    spans: Cuts,
    *,
    whole_lines: bool = False,
) -> Cuts:
    r"""Return the spans with their edges moved; document k is data[begins[k]:stops[k]].

    No character is parted, and no word of up to MAX_WORD_BYTES; with `whole_lines` no line. Of the white space around
    a span one side stays, that with more newlines; at the start and end of a document both go. Spans with only white
    space between become one, those without anything but white space are left out. Example: of "Alice wanted to go to
    the store" the span " to go to the st" leaves "Alice wanted store": the space before it stays, and so does the
    word that it parts.
    """
    starts, ends, rows = np.empty_like(spans.starts), np.empty_like(spans.ends), np.empty_like(spans.offsets)
    found = (frozen(spans.starts), frozen(spans.ends), frozen(spans.offsets))
    documents = (frozen(data), frozen(begins), frozen(stops))
    count = _neat(*documents, tables().classes, whole_lines, *found, starts, ends, rows)
    return Cuts(starts[:count], ends[:count], rows)


@kernel
def _neat(
    data: npt.NDArray[np.uint8],
    begins: npt.NDArray[np.int64],
    stops: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    whole_lines: bool,
    found_starts: npt.NDArray[np.int64],
    found_ends: npt.NDArray[np.int64],
    found_rows: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
) -> int:
    count = 0
    rows[0] = 0
    for row in range(len(begins)):
        begin, stop = begins[row], stops[row]
        first = count
        for span in range(found_rows[row], found_rows[row + 1]):
            start, end = begin + found_starts[span], begin + found_ends[span]
            if whole_lines:
                start, end = _first_line(data, start, end, begin), _last_line(data, start, end, stop)
            else:
                start = _first_edge(data, start, end, begin, stop, classes)
                end = _last_edge(data, start, end, begin, stop, classes)
            start, end = _skip_space(data, start, end, classes), _drop_space(data, start, end, classes)
            if start >= end:
                continue
            if count > first and _drop_space(data, begin, start, classes) == ends[count - 1]:
                ends[count - 1] = end
            else:
                starts[count], ends[count] = start, end
                count += 1
        kept = first
        for span in range(first, count):
            start, end = _seam(data, starts[span], ends[span], begin, stop, classes)
            if start < end:
                starts[kept], ends[kept] = start - begin, end - begin
                kept += 1
        count = kept
        rows[row + 1] = count
    return count


@kernel
def _class_at(data: npt.NDArray[np.uint8], at: int, stop: int, classes: npt.NDArray[np.uint8]) -> int:
    code, _ = decode(data, at, stop)
    return int(classes[code])


@kernel
def _after(data: npt.NDArray[np.uint8], at: int, stop: int) -> int:
    """Return where the character that covers byte `at` ends."""
    at += 1
    while at < stop and data[at] & 0xC0 == 0x80:
        at += 1
    return at


@kernel
def _before(data: npt.NDArray[np.uint8], at: int, begin: int) -> int:
    """Return where the character before byte `at` begins."""
    at -= 1
    while at > begin and data[at] & 0xC0 == 0x80:
        at -= 1
    return at


@kernel
def _joined(left: int, right: int) -> bool:
    """Say whether characters of these two classes, side by side, belong to one word or one character."""
    if right in (MARK, FORMAT) or left == FORMAT:
        return True
    return right in (LETTER, NUMBER) and left in (LETTER, NUMBER, MARK)


@kernel
def _is_edge(data: npt.NDArray[np.uint8], at: int, begin: int, stop: int, classes: npt.NDArray[np.uint8]) -> bool:
    """Say whether a cut at byte `at`, where a character begins, parts no word."""
    if at <= begin or at >= stop:
        return True
    return not _joined(
        _class_at(data, _before(data, at, begin), stop, classes),
        _class_at(data, at, stop, classes),
    )


@kernel
def _first_edge(
    data: npt.NDArray[np.uint8], start: int, end: int, begin: int, stop: int, classes: npt.NDArray[np.uint8]
) -> int:
    """Return the first place from `start` on where a span may begin, at most `end`."""
    while start < end and data[start] & 0xC0 == 0x80:
        start += 1
    at = start
    while at < end and not _is_edge(data, at, begin, stop, classes):
        at = _after(data, at, stop)
        if at - start > MAX_WORD_BYTES:
            return start
    return min(at, end)


@kernel
def _last_edge(
    data: npt.NDArray[np.uint8], start: int, end: int, begin: int, stop: int, classes: npt.NDArray[np.uint8]
) -> int:
    """Return the last place up to `end` where a span may end, at least `start`."""
    while start < end < stop and data[end] & 0xC0 == 0x80:
        end -= 1
    at = end
    while at > start and not _is_edge(data, at, begin, stop, classes):
        at = _before(data, at, begin)
        if end - at > MAX_WORD_BYTES:
            return end
    return max(at, start)


@kernel
def _first_line(data: npt.NDArray[np.uint8], start: int, end: int, begin: int) -> int:
    """Return the first place from `start` on where a line begins or ends, at most `end`."""
    while begin < start < end and data[start - 1] != NEWLINE and data[start] != NEWLINE:
        start += 1
    return start


@kernel
def _last_line(data: npt.NDArray[np.uint8], start: int, end: int, stop: int) -> int:
    """Return the last place up to `end` where a line begins or ends, at least `start`."""
    while start < end < stop and data[end - 1] != NEWLINE and data[end] != NEWLINE:
        end -= 1
    return end


@kernel
def _skip_space(data: npt.NDArray[np.uint8], at: int, end: int, classes: npt.NDArray[np.uint8]) -> int:
    while at < end and _class_at(data, at, end, classes) == SPACE:
        at = _after(data, at, end)
    return at


@kernel
def _drop_space(data: npt.NDArray[np.uint8], begin: int, at: int, classes: npt.NDArray[np.uint8]) -> int:
    while at > begin and _class_at(data, _before(data, at, begin), at, classes) == SPACE:
        at = _before(data, at, begin)
    return at


@kernel
def _newlines(data: npt.NDArray[np.uint8], start: int, end: int) -> tuple[int, int]:
    """Return the number of newlines in a range, and where the last ends."""
    count, last = 0, end
    for at in range(start, end):
        if data[at] == NEWLINE:
            count += 1
            last = at + 1
    return count, last


@kernel
def _seam(
    data: npt.NDArray[np.uint8], start: int, end: int, begin: int, stop: int, classes: npt.NDArray[np.uint8]
) -> tuple[int, int]:
    """Return the span [start, end) together with the white space that goes with it."""
    left, right = _drop_space(data, begin, start, classes), _skip_space(data, end, stop, classes)
    before, line = _newlines(data, left, start)
    after, next_line = _newlines(data, end, right)
    if left == begin or right == stop:
        return (begin if left == begin else left), (stop if right == stop else next_line if after else right)
    if before and after:  # whole lines, so that the next one keeps its indentation
        return (line, next_line) if before >= after else (left, end)
    if after or (start == left and end < right):
        return left, end
    if start > left:
        return start, right
    last = _before(data, end, begin)  # no white space at all: what stays must not become one word
    is_word = _joined(
        _class_at(data, _before(data, start, begin), stop, classes),
        _class_at(data, end, stop, classes),
    )
    return (start, last) if is_word else (start, end)
