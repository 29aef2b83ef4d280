"""Lines as line deduplication sees them: normalised and hashed, and the spans of those that are cut.

Two lines are equal when they are so in small letters, with digits as 0, without accents, punctuation, symbols and
control characters, and with white space folded: after ccNet (Wenzek et al. 2020, https://arxiv.org/abs/1911.00359),
which Llama 3 follows. A line of which that leaves nothing ("-----", "}") is not counted. Accents are the marks of the
blocks `ACCENTS`; marks of Indic, Arabic and other scripts are letters of their words and stay. Unlike ccNet's code,
ASCII punctuation goes as well, as its paper has it.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.kernels.buffers import frozen, text_buffers
from dataproc.kernels.char_classes import ALONE, LETTER, MARK, NUMBER, SPACE, tables
from dataproc.kernels.cuts import Cuts
from dataproc.kernels.hashing import hash_bytes
from dataproc.kernels.jit import kernel
from dataproc.kernels.utf8 import byte_at, decode, encode

NEWLINE, BLANK, ZERO = 0x0A, 0x20, 0x30
NOTHING = -1  # in the table of `_normal`: the character goes

ACCENTS = ((0x0300, 0x036F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE20, 0xFE2F))
"""Blocks of combining diacritical marks, first and last code point."""


class LineKeys(NamedTuple):
    """The L lines of N documents; arrays of length L but `starts` and `offsets`."""

    starts: npt.NDArray[np.int64]  # [L + 1] line k is data[starts[k]:starts[k + 1]], newline included
    offsets: npt.NDArray[np.int64]  # [N + 1] document k has lines offsets[k]:offsets[k + 1]
    keys: npt.NDArray[np.uint64]  # XXH64 of the normalised line, under the document's seed
    chars: npt.NDArray[np.int64]  # characters of the normalised line; 0: nothing to count
    blank: npt.NDArray[np.bool_]  # white space only
    indented: npt.NDArray[np.bool_]  # begins with a tab or four spaces, as code does


@cache
def _normal() -> npt.NDArray[np.int32]:
    """Return what each code point below 0x20000 becomes: another one, BLANK for white space, or NOTHING."""
    classes, fold = tables()
    normal = np.full(len(fold), NOTHING, np.int32)
    letters = np.isin(classes[: len(fold)], (LETTER, ALONE, MARK))
    normal[letters] = fold[letters]
    for code in np.flatnonzero(letters).tolist():
        first, *marks = list(unicodedata.normalize("NFD", chr(int(fold[code]))))
        if marks and all(_is_accent(ord(mark)) for mark in marks):
            normal[code] = fold[ord(first)]
    for first_accent, last_accent in ACCENTS:
        normal[first_accent : last_accent + 1] = NOTHING
    normal[classes[: len(fold)] == NUMBER] = ZERO
    normal[classes[: len(fold)] == SPACE] = BLANK
    return frozen(normal)


def _is_accent(code: int) -> bool:
    return any(first <= code <= last for first, last in ACCENTS)


def line_keys(text: pa.Array, seeds: npt.NDArray[np.uint64]) -> LineKeys:
    r"""Return the lines of a text column with the hash of each under its document's seed (uint64 [N]).

    Null rows have none. Example: "Caf\u00e9  N\u00ba 12!\n" and "cafe\u0301 n\u00ba 34" have the same key, the XXH64
    of "cafe n\u00ba 00".
    """
    from dataproc.kernels.line_shapes import count_lines

    data, offsets = text_buffers(text)
    rows = np.empty(len(offsets), np.int64)
    count = count_lines(data, offsets, rows)
    starts, keys, chars = np.empty(count + 1, np.int64), np.empty(count, np.uint64), np.empty(count, np.int64)
    blank, indented = np.empty(count, np.bool_), np.empty(count, np.bool_)
    starts[0] = offsets[0]
    _hash_lines(data, offsets, rows, tables().classes, _normal(), frozen(seeds), starts, keys, chars, blank, indented)
    return LineKeys(starts, rows, keys, chars, blank, indented)


@kernel
def _hash_lines(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    normal: npt.NDArray[np.int32],
    seeds: npt.NDArray[np.uint64],
    starts: npt.NDArray[np.int64],
    keys: npt.NDArray[np.uint64],
    chars: npt.NDArray[np.int64],
    blank: npt.NDArray[np.bool_],
    indented: npt.NDArray[np.bool_],
) -> None:
    out = np.empty(0, np.uint8)
    for row in range(len(rows) - 1):
        at, stop = offsets[row], offsets[row + 1]
        if 2 * (stop - at) + 4 > len(out):
            out = np.empty(2 * (stop - at) + 4, np.uint8)  # folding makes at most three bytes of two
        for line in range(rows[row], rows[row + 1]):
            start, code, end, count = at, 0, 0, 0
            gap, empty = False, True  # white space since the last character written; nothing but white space so far
            while at < stop and code != NEWLINE:
                code, after = byte_at(data, at), at + 1
                if code >= 0x80:
                    code, after = decode(data, at, stop)
                at = after
                put = NOTHING
                if code < len(normal):
                    put = normal[code]
                elif classes[code] in (LETTER, ALONE, MARK):
                    put = code
                if put == BLANK:
                    gap = True
                    continue
                empty = False
                if put != NOTHING:
                    if gap and end > 0:
                        out[end] = BLANK
                        end += 1
                        count += 1
                    end = encode(put, out, end)
                    count += 1
                    gap = False
            starts[line + 1] = at
            keys[line] = hash_bytes(out, 0, end, seeds[row])
            chars[line] = count
            blank[line] = empty
            spaces = 0
            while start + spaces < at and spaces < 4 and data[start + spaces] == BLANK:
                spaces += 1
            indented[line] = not empty and (spaces == 4 or data[start] == 9)


def cut_spans(text: pa.Array, lines: LineKeys, cut: npt.NDArray[np.bool_]) -> Cuts:
    r"""Return the spans of the lines (of `line_keys` of the same text) for which `cut` is true, neighbours in one.

    The text that is left has no more blank lines in a row than before: where one stands before a cut, or nothing,
    those after it go too; a cut at the end takes the newlines before it. Example: "a\n\nb\n\nc" without b is
    "a\n\nc", without c it is "a".
    """
    data, offsets = text_buffers(text)
    starts, ends = np.empty(len(cut), np.int64), np.empty(len(cut), np.int64)
    rows = np.empty(len(offsets), np.int64)
    count = _spans(data, offsets, lines.starts, lines.offsets, lines.blank, frozen(cut), starts, ends, rows)
    return Cuts(starts[:count], ends[:count], rows)


@kernel
def _spans(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    lines: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    blank: npt.NDArray[np.bool_],
    cut: npt.NDArray[np.bool_],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    out: npt.NDArray[np.int64],
) -> int:
    count = 0
    out[0] = 0
    for row in range(len(rows) - 1):
        begin, stop = offsets[row], offsets[row + 1]
        open_at, solid = -1, begin  # start of the span under way; the end of the last line kept that is not blank
        after_blank = True  # a blank line, or nothing, is what is kept before
        for line in range(rows[row], rows[row + 1]):
            if cut[line]:
                open_at = lines[line] if open_at < 0 else open_at
            elif not (blank[line] and open_at >= 0 and after_blank):
                if open_at >= 0:
                    starts[count], ends[count] = open_at - begin, lines[line] - begin
                    count += 1
                    open_at = -1
                after_blank = blank[line]
                if not blank[line]:
                    solid = lines[line + 1]
        if open_at >= 0:
            # All that was kept since `solid` is blank: the span starts there, and takes that line's newline.
            while count > out[row] and starts[count - 1] + begin >= solid:
                count -= 1
            if solid > begin and data[solid - 1] == NEWLINE:
                solid -= 1
            starts[count], ends[count] = solid - begin, stop - begin
            count += 1
        out[row + 1] = count
    return count
