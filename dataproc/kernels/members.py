"""How many words of a list a document holds: stop words, for one.

Words are compared folded, as in `dataproc.kernels.shingles`, or as they are written. Most are short and ASCII, and one
number when folded; the others take the long way to the same key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.kernels.buffers import frozen
from dataproc.kernels.char_classes import tables
from dataproc.kernels.hash_table import HashTable, build_table, find
from dataproc.kernels.hashing import hash_bytes, load_up_to_64
from dataproc.kernels.jit import kernel
from dataproc.kernels.shingles import fold_slice, folded_room
from dataproc.kernels.spans import Spans
from dataproc.kernels.words import split_words

_SPREAD, _HALF = np.uint64(0xD6E8FEB86659FD93), np.uint64(32)
_TOP_BITS = np.uint64(0x8080808080808080)
_TO_A, _BEHIND_Z = np.uint64(0x3F3F3F3F3F3F3F3F), np.uint64(0x2525252525252525)  # what lifts "A", "[" to 0x80


class WordList(NamedTuple):
    """Words to look for."""

    table: HashTable  # key -> number of the word, from 1
    num_words: int
    longest: int  # bytes of the longest when folded
    folded: bool


def list_words(listed: Sequence[str], folded: bool = True) -> WordList:
    """Return the words as `count_listed` takes them; raises ValueError for what is not one word.

    Example: list_words(["the", "The"]) lists one word; they are two if not `folded`.
    """
    words = split_words(pa.array(listed, pa.large_string()))
    if (np.diff(words.offsets) != 1).any():
        raise ValueError(f"list_words.listed must be single words, got {list(listed)}.")
    keys, sizes = _keys(*words, *tables(), folded)
    keys = np.unique(keys)
    table = build_table(keys, np.arange(1, len(keys) + 1, dtype=np.int32))
    return WordList(table, len(keys), int(sizes.max(initial=0)), folded)


def count_listed(words: Spans, rows: npt.NDArray[np.int64], listed: WordList) -> npt.NDArray[np.int64]:
    """Return how many different words of the list are in each document of `rows`, int64 [len(rows)].

    Example: of "to", "be" and "of", "To be or not to be" holds 2.
    """
    sought = listed.num_words, listed.longest
    return _count_listed(*words, *tables(), frozen(rows), *listed.table, *sought, listed.folded)


@kernel
def _key(
    data: npt.NDArray[np.uint8],
    start: int,
    stop: int,
    classes: npt.NDArray[np.uint8],
    fold: npt.NDArray[np.int32],
    folding: bool,
    folded: npt.NDArray[np.uint8],
) -> np.uint64:
    """Return the key of a word, if `folding` the same for all that fold to the same; `folded` has room for them."""
    if folding:
        return _key_of_bytes(folded, 0, fold_slice(data, start, stop, classes, fold, folded, 0))
    return _key_of_bytes(data, start, stop)


@kernel
def _key_of_bytes(data: npt.NDArray[np.uint8], start: int, stop: int) -> np.uint64:
    if stop - start > 8:
        return hash_bytes(data, start, stop, np.uint64(0))
    return _spread(load_up_to_64(data, start, stop))


@kernel
def _spread(eight: np.uint64) -> np.uint64:
    value = eight * _SPREAD
    return value ^ value >> _HALF


@kernel
def _keys(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    fold: npt.NDArray[np.int32],
    folding: bool,
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Return the keys of the words, and their bytes when folded."""
    keys, sizes = np.empty(len(starts), np.uint64), np.empty(len(starts), np.int64)
    for word in range(len(starts)):
        folded = np.empty(folded_room(ends[word] - starts[word], 0), np.uint8)
        keys[word] = _key(data, starts[word], ends[word], classes, fold, folding, folded)
        sizes[word] = fold_slice(data, starts[word], ends[word], classes, fold, folded, 0)
    return keys, sizes


@kernel
def _count_listed(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    fold: npt.NDArray[np.int32],
    rows: npt.NDArray[np.int64],
    keys: npt.NDArray[np.uint64],
    values: npt.NDArray[np.int32],
    num_listed: int,
    longest: int,
    folding: bool,
) -> npt.NDArray[np.int64]:
    out = np.zeros(len(rows), np.int64)
    seen = np.full(num_listed + 1, -1)  # the last of `rows` that held each word of the list
    folded = np.empty(256, np.uint8)
    for k in range(len(rows)):
        for word in range(offsets[rows[k]], offsets[rows[k] + 1]):
            start, stop = starts[word], ends[word]
            eight = load_up_to_64(data, start, stop)
            high = eight & _TOP_BITS
            for at in range(start + 8, stop, 8):
                high |= load_up_to_64(data, at, stop) & _TOP_BITS
            if high == 0 and stop - start > longest:  # ASCII has as many bytes when folded
                continue
            if high == 0 and stop - start <= 8:
                capitals = eight + _TO_A & ~(eight + _BEHIND_Z) & _TOP_BITS
                key = _spread(eight | capitals >> np.uint64(2) if folding else eight)
            else:
                room = folded_room(stop - start, 0)
                if room > len(folded):
                    folded = np.empty(2 * room, np.uint8)
                key = _key(data, start, stop, classes, fold, folding, folded)
            listed = find(keys, values, key)
            if listed > 0 and seen[listed] != k:
                seen[listed] = k
                out[k] += 1
                if out[k] == num_listed:
                    break
    return out
