"""Where a few given strings stand: phrases in any case in lines, strings in whole documents.

All phrases are looked for in one pass: two bytes tell which of them may begin there, a third one whether to look
closer, and only then characters are decoded, folded and compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.kernels.buffers import frozen, text_buffers
from dataproc.kernels.char_classes import tables
from dataproc.kernels.jit import kernel
from dataproc.kernels.lines import Lines, next_byte
from dataproc.kernels.utf8 import byte_at, decode


def contains_any(lines: Lines, *groups: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return for each group which lines contain one of its phrases anywhere, in any case; bool [groups, L].

    Case is that of simple case folding. Raises ValueError for an empty phrase. Example: "Our Cookie Policy" contains
    "cookie policy".
    """
    if not all(phrase for group in groups for phrase in group):
        raise ValueError("contains_any.groups must have phrases of a character each, got an empty one.")
    starts = lines.data, lines.starts, lines.ends
    return _contains(*starts, tables().fold, _phrases(tuple(map(tuple, groups))), len(groups))


def occurrences(text: pa.Array, string: str) -> npt.NDArray[np.int64]:
    """Count a string (a character at least) in each text, without overlaps, as str.count does; int64 [N], 0 for null.

    Example: "a....." holds "..." once.
    """
    return _occurrences(*text_buffers(text), frozen(np.frombuffer(string.encode(), np.uint8)))


class _Phrases(NamedTuple):
    """Phrases of all groups, one behind the other."""

    codes: npt.NDArray[np.int64]  # folded code points
    places: npt.NDArray[np.int64]  # [P + 1] phrase k is codes[places[k]:places[k + 1]]
    groups: npt.NDArray[np.int64]  # [P]
    lists: npt.NDArray[np.int16]  # [lists, longest] phrases, -1 behind the last of a list; list 0 is empty
    which: npt.NDArray[np.int16]  # [0x10000] the list of those that may begin with two bytes, the first one << 8
    third: npt.NDArray[np.bool_]  # [lists, 256] may one of the list have this third byte?


@lru_cache(maxsize=16)
def _phrases(groups: tuple[tuple[str, ...], ...]) -> _Phrases:
    codes = [[_folded(ord(char)) for char in phrase] for group in groups for phrase in group]
    beginning: dict[int, list[int]] = {}
    for k, phrase in enumerate(codes):
        for pair in _beginnings(phrase):
            beginning.setdefault(pair, []).append(k)
    lists = [[], *map(list, sorted(set(map(tuple, beginning.values()))))]
    longest = max(map(len, lists)) + 1
    which, third = np.zeros(0x10000, np.int16), np.zeros((len(lists), 256), np.bool_)
    for pair, listed in beginning.items():
        which[pair] = lists.index(listed)
        for k in listed:
            ascii_pair = pair & 0x8080 == 0 and len(codes[k]) > 2
            third[which[pair], [char[0] for char in _cases(codes[k][2])] if ascii_pair else slice(None)] = True
    return _Phrases(
        frozen(np.array([code for phrase in codes for code in phrase], np.int64)),
        frozen(np.cumsum([0, *map(len, codes)], dtype=np.int64)),
        frozen(np.repeat(np.arange(len(groups)), list(map(len, groups)))),
        frozen(np.array([[*listed, *[-1] * (longest - len(listed))] for listed in lists], np.int16)),
        frozen(which),
        frozen(third),
    )


def _beginnings(phrase: list[int]) -> set[int]:
    """Return the two bytes, as one number, with which a folded phrase can begin in a text."""
    pairs = set()
    for first in _cases(phrase[0]):
        if len(first) > 1:
            pairs.add(first[0] << 8 | first[1])
        else:
            seconds = range(256) if len(phrase) == 1 else (second[0] for second in _cases(phrase[1]))
            pairs.update(first[0] << 8 | second for second in seconds)
    return pairs


def _cases(folded: int) -> list[bytes]:
    """Return the UTF-8 of the characters that fold to this one."""
    return [chr(code).encode() for code in {*np.flatnonzero(tables().fold == folded).tolist(), folded}]


def _folded(code: int) -> int:
    fold = tables().fold
    return int(fold[code]) if code < len(fold) else code


@kernel
def _contains(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    fold: npt.NDArray[np.int32],
    sought: _Phrases,
    num_groups: int,
) -> npt.NDArray[np.bool_]:
    codes, places, groups, lists, which, third = sought
    out = np.zeros((num_groups, len(starts)), np.bool_)
    for line in range(len(starts)):
        start, stop = starts[line], ends[line]
        second = byte_at(data, start) if start < stop else 0
        for at in range(start + 1, stop + 1):
            first, second = second, byte_at(data, at) if at < stop else 0
            begun = which[np.uint64(first << 8 | second)]
            if begun > 0 and third[begun, byte_at(data, at + 1) if at + 1 < stop else 0]:
                k = 0
                while lists[begun, k] >= 0:
                    phrase = lists[begun, k]
                    if not out[groups[phrase], line]:
                        begin, end = places[phrase], places[phrase + 1]
                        out[groups[phrase], line] = _stands_at(data, at - 1, stop, fold, codes, begin, end)
                    k += 1
    return out


@kernel
def _stands_at(
    data: npt.NDArray[np.uint8],
    at: int,
    stop: int,
    fold: npt.NDArray[np.int32],
    codes: npt.NDArray[np.int64],
    begin: int,
    end: int,
) -> bool:
    """Return whether the phrase codes[begin:end] stands at `at`."""
    for k in range(begin, end):
        if at >= stop:
            return False
        code, after = byte_at(data, at), at + 1
        if code >= 0x80:
            code, after = decode(data, at, stop)
        at = after
        if codes[k] != (fold[code] if code < len(fold) else code):
            return False
    return True


@kernel
def _occurrences(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], string: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int64]:
    out = np.zeros(len(offsets) - 1, np.int64)
    for row in range(len(out)):
        at, stop = offsets[row], offsets[row + 1]
        while at < stop:
            at = next_byte(data, at, stop, string[0])
            size = 0
            while size < len(string) and at + size < stop and data[np.uint64(at + size)] == string[np.uint64(size)]:
                size += 1
            out[row] += size == len(string)
            at += size if size == len(string) else 1
    return out
