"""How much of a document repeats itself: equal lines or paragraphs, the top n-gram, repeated n-grams.

The quantities are those of Gopher's table A1, with ties and overlaps resolved as the common implementation (datatrove)
does, since the paper leaves them open:

- Repeats: of equal lines, all but the first are repeats.
- Top n-gram: the n-gram with most occurrences, overlapping ones included; of several, the one that comes first in the
  text. Its characters are counted once for each occurrence, so they can exceed the text ("a a a a"), and an n-gram
  that occurs once is the top one where none occurs twice.
- Repeated n-grams: from left to right; an n-gram seen before counts, and the walk goes on behind it, so that no
  character counts twice and n-grams that reach into a counted one are not seen.

Characters are code points. Between the words of a top n-gram one character is counted where they don't touch (in
scripts written with spaces that is the space; characters of Chinese touch); repeated n-grams count words alone.

Words are equal when their bytes are, by a hash of 64 bits that tells all words of up to 8 bytes apart; n-grams when
their words are. An n-gram can occur twice only where both of its (n-1)-grams do, and is those two. So each size looks
only at what the one below found repeated: ordinary text has 60% of its 2-grams to look at, 3% of its 5-grams. Linear
time: one hash table, at most 100 bytes a word of the longest document.

Source: Rae et al. 2021, https://arxiv.org/abs/2112.11446, appendix A1.1, table A1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dataproc.kernels.buffers import frozen
from dataproc.kernels.bits import popcount
from dataproc.kernels.hashing import hash_slices, load_up_to_64
from dataproc.kernels.jit import kernel
from dataproc.kernels.lines import Lines
from dataproc.kernels.utf8 import count_chars, inside_chars
from dataproc.kernels.words import Words

_SPREAD = np.uint64(0xD6E8FEB86659FD93)
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)


class Repeats(NamedTuple):
    """Lines or paragraphs that stood in the document before, int64 [N] each."""

    elements: npt.NDArray[np.int64]
    chars: npt.NDArray[np.int64]  # code points in them


class NgramChars(NamedTuple):
    """Characters in n-grams, int64 [N, sizes] each."""

    top: npt.NDArray[np.int64]  # in all occurrences of the most frequent n-gram; 0 in a text without n-grams
    repeated: npt.NDArray[np.int64]  # in n-grams that occurred before, none counted twice


def count_repeats(lines: Lines) -> Repeats:
    """Count each document's lines (or paragraphs) that equal an earlier one, and the characters in them.

    Example: of the lines a, bc, bc, a, bc three are repeats, with 5 characters.
    """
    return Repeats(*_count_repeats(hash_slices(lines.data, lines.starts, lines.ends), *lines).T)


def ngram_chars(words: Words, top: Sequence[int], repeated: Sequence[int]) -> NgramChars:
    """Return the characters in each document's top n-grams and repeated n-grams of these sizes (positive).

    Example: in "to be or not to be" the top 2-gram is "to be", twice: 10; the second "to be" is repeated: 4.
    """
    sizes = np.zeros((2, max((*top, *repeated), default=0) + 1), np.bool_)
    sizes[0, list(top)] = sizes[1, list(repeated)] = True
    found = _ngrams(*words, frozen(sizes))
    return NgramChars(found[0][:, list(top)], found[1][:, list(repeated)])


@kernel
def _table_bits(entries: int) -> int:
    """Return the logarithm of the size of a hash table that the entries, were all different, fill by 4/5 at most."""
    bits = 1
    while 4 << bits < 5 * entries:
        bits += 1
    return bits


@kernel
def _largest(offsets: npt.NDArray[np.int64]) -> int:
    largest = 0
    for row in range(len(offsets) - 1):
        largest = max(largest, offsets[row + 1] - offsets[row])
    return largest


@kernel
def _slot(value: np.uint64, bits: int, owner: int, keys: npt.NDArray[np.uint64], owners: npt.NDArray[np.int64]) -> int:
    """Return where `value` stands in the owner's table, or the free slot where it belongs; a slot of others is free."""
    mask = np.uint64((1 << bits) - 1)
    slot = value * _SPREAD >> np.uint64(64 - bits)
    while owners[slot] == owner and keys[slot] != value:
        slot = slot + np.uint64(1) & mask
    return np.int64(slot)  # type: ignore[return-value]


@kernel
def _count_repeats(
    hashes: npt.NDArray[np.uint64],
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    out = np.zeros((len(offsets) - 1, 2), np.int64)
    room = 1 << _table_bits(_largest(offsets))
    keys, owners = np.empty(room, np.uint64), np.full(room, -1)
    for row in range(len(out)):
        bits = _table_bits(offsets[row + 1] - offsets[row])
        for line in range(offsets[row], offsets[row + 1]):
            slot = _slot(hashes[line], bits, row, keys, owners)
            if owners[slot] == row:
                out[row, 0] += 1
                out[row, 1] += count_chars(data, starts[line], ends[line])
            keys[slot], owners[slot] = hashes[line], row
    return out


@kernel
def _ngrams(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int64]:
    out = np.zeros((2, len(offsets) - 1, sizes.shape[1]), np.int64)
    room = _largest(offsets)
    # Of the words of a document: the code points, and the words that don't touch the next, before each.
    chars, gaps = np.zeros(room + 1, np.int64), np.zeros(room + 1, np.int32)
    # The n-grams to look at, in the order of the text: the word each starts with, what it is made of, and the word
    # where an equal one starts first, under which the occurrences are counted.
    places, keys, firsts = np.empty(room, np.int32), np.empty(room, np.uint64), np.empty(room, np.int32)
    counts, seen = np.empty(room, np.int32), np.zeros(room, np.int64)
    table = np.zeros((1 << _table_bits(room), 2), np.uint64)  # key, stamp << 32 | first
    stamp = 0  # of the document and size: slots with another one are free
    for row in range(len(offsets) - 1):
        begin, stop = offsets[row], offsets[row + 1]
        left = stop - begin
        _measure(data, starts[begin:stop], ends[begin:stop], keys, chars, gaps)
        for place in range(left):
            places[place] = place
        for size in range(1, min(sizes.shape[1] - 1, stop - begin) + 1):
            if size > 1:
                left = _both_repeated(left, places, keys, firsts, counts)
            stamp += 1
            top, first = _count(left, places, keys, firsts, counts, table, stamp)
            if sizes[0, size]:
                out[0, row, size] = top * (chars[first + size] - chars[first] + gaps[first + size - 1] - gaps[first])
            if sizes[1, size]:
                free = 0  # the word behind the last n-gram that counted
                for k in range(left):
                    if places[k] >= free and counts[firsts[k]] > 1:
                        if seen[firsts[k]] == stamp:
                            out[1, row, size] += chars[places[k] + size] - chars[places[k]]
                            free = places[k] + size
                        seen[firsts[k]] = stamp
    return out


@kernel
def _measure(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    hashes: npt.NDArray[np.uint64],
    chars: npt.NDArray[np.int64],
    gaps: npt.NDArray[np.int32],
) -> None:
    """Hash the words of a document, and add up their code points and the gaps behind them."""
    num_chars, num_gaps = 0, 0
    for word in range(len(starts)):
        at, stop = starts[word], ends[word]
        value = np.uint64(0)
        num_chars += stop - at
        while at < stop:
            eight = load_up_to_64(data, at, stop)
            num_chars -= popcount(inside_chars(eight))
            value = (value ^ eight) * _SPREAD  # odd: different bytes, different value
            value ^= value >> _HALF
            at += 8
        hashes[word] = value
        num_gaps += word + 1 == len(starts) or stop != starts[word + 1]
        chars[word + 1], gaps[word + 1] = num_chars, num_gaps


@kernel
def _both_repeated(
    left: int,
    places: npt.NDArray[np.int32],
    keys: npt.NDArray[np.uint64],
    firsts: npt.NDArray[np.int32],
    counts: npt.NDArray[np.int32],
) -> int:
    """Write the n-grams, one word longer, that are made of two which occur twice over the old ones; say how many."""
    kept = 0
    for k in range(left - 1):
        a, b, place = firsts[k], firsts[k + 1], places[k]
        places[kept] = place
        keys[kept] = np.uint64(a) << _HALF | np.uint64(b)
        kept += (places[k + 1] == place + 1) & (counts[a] > 1) & (counts[b] > 1)
    return kept


@kernel
def _count(
    left: int,
    places: npt.NDArray[np.int32],
    keys: npt.NDArray[np.uint64],
    firsts: npt.NDArray[np.int32],
    counts: npt.NDArray[np.int32],
    table: npt.NDArray[np.uint64],
    stamp: int,
) -> tuple[int, int]:
    """Fill `firsts` and `counts`; return the occurrences of the top n-gram and the word where it starts first."""
    bits = _table_bits(left)
    shift, mask, tag = np.uint64(64 - bits), np.uint64((1 << bits) - 1), np.uint64(stamp)
    top, top_first = 1, 0  # what occurs once is left out but for the first, which is top where nothing occurs twice
    for k in range(left):
        key = keys[k]
        slot = key * _SPREAD >> shift
        while table[slot, 1] >> _HALF == tag and table[slot, 0] != key:
            slot = slot + np.uint64(1) & mask
        # Whether it is new is hard to foretell: both ways are one, without a branch.
        place = np.int64(places[k])
        known = table[slot, 1] >> _HALF == tag
        first = np.int64(table[slot, 1] & _LOW) if known else place
        count = (counts[first] if known else 0) + 1
        table[slot, 0], table[slot, 1] = key, tag << _HALF | np.uint64(first)
        firsts[k], counts[first] = first, count
        if count > top or (count == top and first < top_first):
            top, top_first = count, first
    return top, top_first
