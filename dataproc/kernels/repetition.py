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
scripts written with spaces that is the space; characters of Chinese touch); repeated n-grams count words alone. Words
are equal when their bytes are; n-grams when their words are, by a hash of 64 bits. Linear time: one hash table, at
most 120 bytes a word of the longest document.

Source: Rae et al. 2021, https://arxiv.org/abs/2112.11446, appendix A1.1, table A1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dataproc.kernels.buffers import frozen
from dataproc.kernels.hashing import hash_slices
from dataproc.kernels.jit import kernel
from dataproc.kernels.lines import Lines
from dataproc.kernels.utf8 import count_chars
from dataproc.kernels.words import Words

_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that n-grams of one different word never meet
_SPREAD = np.uint64(0xD6E8FEB86659FD93)


class Repeats(NamedTuple):
    """Lines or paragraphs that stood in the document before, int64 [N] each."""

    elements: npt.NDArray[np.int64]
    chars: npt.NDArray[np.int64]  # code points in them


class WordStream(NamedTuple):
    """The words of N documents as numbers, what n-grams are made of; read-only."""

    hashes: npt.NDArray[np.uint64]  # [W] XXH64 of the bytes of each word
    chars: npt.NDArray[np.int64]  # [W + 1] code points in all words before each
    gaps: npt.NDArray[np.int64]  # [W + 1] words before each that don't touch the next
    offsets: npt.NDArray[np.int64]  # [N + 1]


def count_repeats(lines: Lines) -> Repeats:
    """Count each document's lines (or paragraphs) that equal an earlier one, and the characters in them.

    Example: of the lines a, bc, bc, a, bc three are repeats, with 5 characters.
    """
    return Repeats(*_count_repeats(hash_slices(lines.data, lines.starts, lines.ends), *lines).T)


def word_stream(words: Words) -> WordStream:
    """Return the hashes and lengths of the words, computed once for n-grams of all sizes."""
    hashes = hash_slices(words.data, words.starts, words.ends)
    chars, gaps = _measure(words.data, words.starts, words.ends)
    return WordStream(frozen(hashes), frozen(chars), frozen(gaps), words.offsets)


def top_ngram_chars(stream: WordStream, size: int) -> npt.NDArray[np.int64]:
    """Return the characters in all occurrences of each document's most frequent n-gram, int64 [N]; 0 when it has none.

    Example: in "to be or not to be" the top 2-gram is "to be", twice: 10.
    """
    return _top_ngrams(*stream, size)


def repeated_ngram_chars(stream: WordStream, size: int) -> npt.NDArray[np.int64]:
    """Return the characters in n-grams that occurred earlier in the document, none counted twice, int64 [N].

    Example: in "to be or not to be", with size 2, the second "to be" is repeated: 4.
    """
    return _repeated_ngrams(*stream, size)


@kernel
def _measure(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    chars, gaps = np.zeros(len(starts) + 1, np.int64), np.zeros(len(starts) + 1, np.int64)
    for word in range(len(starts)):
        chars[word + 1] = chars[word] + count_chars(data, starts[word], ends[word])
        touches = word + 1 < len(starts) and ends[word] == starts[word + 1]
        gaps[word + 1] = gaps[word] + (not touches)
    return chars, gaps


@kernel
def _table_bits(entries: int) -> int:
    """Return the logarithm of the size of a hash table that the entries fill by half at most."""
    bits = 1
    while 1 << bits < 2 * entries:
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
def _ngram_hashes(hashes: npt.NDArray[np.uint64], size: int, out: npt.NDArray[np.uint64]) -> int:
    """Write the hash of each n-gram, the polynomial of its words modulo 2^64, and return how many there are."""
    power, value = np.uint64(1), np.uint64(0)
    for _ in range(size):
        power *= _BASE
    for word in range(len(hashes)):
        value = value * _BASE + hashes[word]
        if word >= size:
            value -= hashes[word - size] * power
        if word >= size - 1:
            out[word - size + 1] = value
    return max(len(hashes) - size + 1, 0)


@kernel
def _top_ngrams(
    hashes: npt.NDArray[np.uint64],
    chars: npt.NDArray[np.int64],
    gaps: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    size: int,
) -> npt.NDArray[np.int64]:
    out = np.zeros(len(offsets) - 1, np.int64)
    largest = _largest(offsets)
    room = 1 << _table_bits(largest)
    keys, owners = np.empty(room, np.uint64), np.full(room, -1)
    counts, firsts = np.empty(room, np.int32), np.empty(room, np.int64)
    grams = np.empty(largest, np.uint64)
    for row in range(len(out)):
        start = offsets[row]
        bits = _table_bits(offsets[row + 1] - start)
        top, place = 0, 0  # occurrences of the top n-gram, and the word where it starts first
        for word in range(_ngram_hashes(hashes[start : offsets[row + 1]], size, grams)):
            slot = _slot(grams[word], bits, row, keys, owners)
            if owners[slot] != row:
                keys[slot], owners[slot], counts[slot], firsts[slot] = grams[word], row, 0, word
            counts[slot] += 1
            if counts[slot] > top or (counts[slot] == top and firsts[slot] < place):
                top, place = counts[slot], firsts[slot]
        if top > 0:
            first, last = start + place, start + place + size
            out[row] = top * (chars[last] - chars[first] + gaps[last - 1] - gaps[first])
    return out


@kernel
def _repeated_ngrams(
    hashes: npt.NDArray[np.uint64],
    chars: npt.NDArray[np.int64],
    gaps: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    size: int,
) -> npt.NDArray[np.int64]:
    out = np.zeros(len(offsets) - 1, np.int64)
    largest = _largest(offsets)
    room = 1 << _table_bits(largest)
    keys, owners = np.empty(room, np.uint64), np.full(room, -1)
    grams = np.empty(largest, np.uint64)
    for row in range(len(out)):
        start = offsets[row]
        bits = _table_bits(offsets[row + 1] - start)
        count = _ngram_hashes(hashes[start : offsets[row + 1]], size, grams)
        word = 0
        while word < count:
            slot = _slot(grams[word], bits, row, keys, owners)
            if owners[slot] == row:
                out[row] += chars[start + word + size] - chars[start + word]
                word += size
            else:
                keys[slot], owners[slot] = grams[word], row
                word += 1
    return out
