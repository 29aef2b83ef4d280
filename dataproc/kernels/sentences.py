"""How many sentences a line holds, by a rule without abbreviations or models.

A mark of `sentence_ends` ends a sentence when another one follows. Full stop, question and exclamation mark need white
space behind them (quotes and brackets may stand between); marks of other scripts don't, as Chinese has none. A full
stop ends none before a lower-case letter ("approx. five") or behind a single letter ("J. Smith", "the U.S. Army").
What follows the last mark is a sentence, too. So the count of a line that holds anything is 1 at least.

Trained splitters know abbreviations: "Dr. Smith" is two sentences here.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dataproc.kernels.buffers import frozen
from dataproc.kernels.char_classes import ALONE, FORMAT, LETTER, MARK, PUNCTUATION, SPACE, tables
from dataproc.kernels.jit import kernel
from dataproc.kernels.lines import FULL_STOP, Lines, trim
from dataproc.kernels.utf8 import byte_at, decode, last_char

TABLE = Path(__file__).with_name("sentence_ends.txt")


@cache
def sentence_ends() -> str:
    """Return the marks that end sentences, in every script; the file says where they are from."""
    lines = TABLE.read_text(encoding="ascii").splitlines()
    return "".join(chr(int(line, 16)) for line in lines if not line.startswith("#"))


def count_sentences(lines: Lines) -> npt.NDArray[np.int64]:
    """Return the number of sentences of each line, int64 [L].

    Example: 'He said "Go!" We went.' has 2, as has "Mr. J. Smith went" and what a line of two Chinese ones holds.
    """
    return _count_sentences(lines.data, lines.starts, lines.ends, tables().classes, *_marks())


@cache
def _marks() -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which code points end sentences, which are lower-case letters, and which bytes begin no such mark.

    bool [0x110000], [0x20000] and [256].
    """
    is_end = np.zeros(0x110000, bool)
    is_end[[ord(char) for char in sentence_ends()]] = True
    fold = tables().fold
    is_lower = np.zeros(len(fold), bool)
    is_lower[fold[fold != np.arange(len(fold))]] = True  # what a capital folds to
    is_quiet = np.ones(256, bool)
    is_quiet[[char.encode()[0] for char in sentence_ends()]] = False
    return frozen(is_end), frozen(is_lower), frozen(is_quiet)


@kernel
def _count_sentences(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    is_end: npt.NDArray[np.bool_],
    is_lower: npt.NDArray[np.bool_],
    is_quiet: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int64]:
    out = np.zeros(len(starts), np.int64)
    for line in range(len(starts)):
        start, stop = trim(data, starts[line], ends[line], classes)
        out[line] = start < stop
        at = start
        ended = parted = stopped = initial = False
        # a mark since the last letter or number; one of them ends without white space, or white space followed; all
        # of them full stops; behind a single letter
        while at < stop:
            if not ended and is_quiet[data[np.uint64(at)]]:
                at += 1
                continue
            code, after = byte_at(data, at), at + 1
            if code >= 0x80:
                code, after = decode(data, at, stop)
            kind = classes[code]
            if is_end[code]:
                stopped = code == FULL_STOP and (stopped or not ended)
                initial = initial if ended else _behind_one_letter(data, start, at, classes)
                parted = parted or code >= 0x80
                ended = True
            elif kind == SPACE:
                parted = ended
            elif ended and kind not in (FORMAT, MARK, PUNCTUATION):
                if parted and not (stopped and (initial or (code < len(is_lower) and is_lower[code]))):
                    out[line] += 1
                ended = parted = False
            at = after
    return out


@kernel
def _behind_one_letter(data: npt.NDArray[np.uint8], start: int, at: int, classes: npt.NDArray[np.uint8]) -> bool:
    """Return whether the word of data[start:at] that ends at `at` is a single letter."""
    letters = 0
    while at > start and letters < 2:
        code, at = last_char(data, start, at)
        kind = classes[code]
        if kind in (LETTER, ALONE):
            letters += 1
        elif kind not in (FORMAT, MARK):
            break
    return letters == 1
