"""What line rules look at, and the text that they leave: tokens, phrases, citations, lines kept.

Each function takes the lines of a column (`dataproc.kernels.lines.split_lines`) and answers for all of them at once,
so that a rule is an expression over arrays, one entry a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.kernels.buffers import frozen
from dataproc.kernels.char_classes import SPACE, tables
from dataproc.kernels.jit import kernel
from dataproc.kernels.lines import NEWLINE, Lines, sum_by_row
from dataproc.kernels.utf8 import byte_at, decode

_BRACKET, _CLOSING, _ZERO, _NINE = ord("["), ord("]"), ord("0"), ord("9")
_EDIT, _NEEDED = frozen(np.frombuffer(b"[edit]", np.uint8)), frozen(np.frombuffer(b"[citation needed]", np.uint8))


class Tokens(NamedTuple):
    """Tokens between white space, int64 [L] each."""

    num: npt.NDArray[np.int64]
    longest: npt.NDArray[np.int64]  # code points of the longest; 0 without tokens


def line_tokens(lines: Lines) -> Tokens:
    """Count the tokens of each line and the characters of its longest. Example: "a bcd e" has 3, the longest 3."""
    return Tokens(*_tokens(lines.data, lines.starts, lines.ends, tables().classes).T)


def contains_any(lines: Lines, phrases: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return which lines contain one of the phrases anywhere, in any case (simple case folding); bool [L].

    Raises ValueError for an empty phrase. Example: "Our Cookie Policy" contains "cookie policy".
    """
    if not all(phrases):
        raise ValueError("contains_any.phrases must have a character each, got an empty one.")
    fold = tables().fold
    codes = [[int(fold[ord(char)]) if ord(char) < len(fold) else ord(char) for char in phrase] for phrase in phrases]
    flat = np.array([code for phrase in codes for code in phrase], np.int64)
    places = np.cumsum([0, *map(len, codes)], dtype=np.int64)
    is_first = np.zeros(0x110000, bool)
    is_first[flat[places[:-1]]] = True
    return _contains(lines.data, lines.starts, lines.ends, fold, frozen(flat), frozen(places), frozen(is_first))


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
    out = np.empty(int((lines.ends - lines.starts).sum()), np.uint8)
    starts, ends = np.empty(len(lines.starts), np.int64), np.empty(len(lines.starts), np.int64)
    cuts = _cut_citations(lines.data, lines.starts, lines.ends, _EDIT, _NEEDED, out, starts, ends)
    size = int(ends[-1]) if len(ends) else 0
    return Lines(frozen(out[:size]), frozen(starts), frozen(ends), lines.offsets), cuts


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
) -> npt.NDArray[np.int64]:
    out = np.zeros((len(starts), 2), np.int64)
    for line in range(len(starts)):
        at, stop = starts[line], ends[line]
        chars = 0  # of the token up to `at`
        while at < stop:
            code, after = byte_at(data, at), at + 1
            if code >= 0x80:
                code, after = decode(data, at, stop)
            at = after
            if classes[code] == SPACE:
                chars = 0
            else:
                out[line, 0] += chars == 0
                chars += 1
                out[line, 1] = max(out[line, 1], chars)
    return out


@kernel
def _contains(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    fold: npt.NDArray[np.int32],
    phrases: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
    is_first: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    out = np.zeros(len(starts), np.bool_)
    for line in range(len(starts)):
        at, stop = starts[line], ends[line]
        while at < stop and not out[line]:
            code, after = byte_at(data, at), at + 1
            if code >= 0x80:
                code, after = decode(data, at, stop)
            folded = fold[code] if code < len(fold) else code
            if is_first[folded]:
                for phrase in range(len(places) - 1):
                    first, last = places[phrase], places[phrase + 1]
                    if phrases[first] == folded and _goes_on(data, after, stop, fold, phrases, first + 1, last):
                        out[line] = True
            at = after
    return out


@kernel
def _goes_on(
    data: npt.NDArray[np.uint8],
    at: int,
    stop: int,
    fold: npt.NDArray[np.int32],
    phrases: npt.NDArray[np.int64],
    first: int,
    last: int,
) -> bool:
    """Return whether phrases[first:last] stand at `at`."""
    for k in range(first, last):
        if at >= stop:
            return False
        code, after = byte_at(data, at), at + 1
        if code >= 0x80:
            code, after = decode(data, at, stop)
        if phrases[k] != (fold[code] if code < len(fold) else code):
            return False
        at = after
    return True


@kernel
def _cut_citations(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    edit: npt.NDArray[np.uint8],
    needed: npt.NDArray[np.uint8],
    out: npt.NDArray[np.uint8],
    out_starts: npt.NDArray[np.int64],
    out_ends: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    cuts = np.zeros(len(starts), np.int64)
    end = 0
    for line in range(len(starts)):
        out_starts[line] = end
        at, stop = starts[line], ends[line]
        while at < stop:
            size = _citation(data, at, stop, edit, needed) if data[at] == _BRACKET else 0
            if size > 0:
                cuts[line] += 1
                at += size
            else:
                out[end] = data[at]
                end += 1
                at += 1
        out_ends[line] = end
    return cuts


@kernel
def _citation(
    data: npt.NDArray[np.uint8], start: int, stop: int, edit: npt.NDArray[np.uint8], needed: npt.NDArray[np.uint8]
) -> int:
    """Return the bytes of the citation mark that begins at the bracket at `start`; 0 when there is none."""
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
        for line in range(lines[row], lines[row + 1]):
            if kept[line]:
                if end > offsets[row]:
                    out[end] = NEWLINE
                    end += 1
                size = ends[line] - starts[line]
                out[end : end + size] = data[starts[line] : ends[line]]
                end += size
        offsets[row + 1] = end
