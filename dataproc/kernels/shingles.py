"""Sets of n-grams of words, characters or tokens, as hashes: what near-duplicate detection compares.

Words: the hash of a shingle is the XXH64 of its folded words joined by single spaces; a folded word is the word in
simple case folding without format characters. So case, spacing, punctuation and the kind of quote or hyphen don't tell
two texts apart. Characters: the XXH64 of n code points of the folded text, each run of white space one space, none at
the ends; punctuation counts. Tokens: the XXH64 of n ids as little-endian uint32; all that the tokenizer sees counts.
A text shorter than n is one shingle of all it has; one without words, characters or tokens has none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.kernels.bits import NONE, below
from dataproc.kernels.buffers import frozen, text_buffers
from dataproc.kernels.char_classes import FORMAT, SPACE, tables
from dataproc.kernels.hashing import hash_bytes, load64, store64
from dataproc.kernels.jit import kernel
from dataproc.kernels.sorting import sort_hashes
from dataproc.kernels.utf8 import byte_at, decode, encode
from dataproc.kernels.words import Words, split_words

_HIGH_BITS = np.uint64(0x8080808080808080)
_TO_A, _BEHIND_Z = np.uint64(0x3F3F3F3F3F3F3F3F), np.uint64(0x2525252525252525)  # what lifts "A", "[" to 0x80


def shingle_hashes(text: pa.Array, size: int = 5) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Return the shingles of `size` words of each document: (hashes uint64 [S], offsets int64 [N + 1]).

    Document k has hashes[offsets[k]:offsets[k + 1]], each once, ascending. Raises ValueError when size is not
    positive. Example: "To be, to be." with size 2 has two: the hashes of "to be" and of "be to".
    """
    if size < 1:
        raise ValueError(f"shingle_hashes.size must be at least 1, got {size}.")
    words = split_words(text)
    out, offsets = np.empty(len(words.starts), np.uint64), np.empty(len(words.offsets), np.int64)
    classes, fold = tables()
    count = _shingles(*words, classes, fold, size, out, offsets)
    return out[:count], offsets


def character_shingles(text: pa.Array, size: int = 24) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Return the shingles of `size` characters of each document, as `shingle_hashes` does those of words.

    Example: " Ab  C" with size 3 has two: the hashes of "ab " and of "b c".
    """
    if size < 1:
        raise ValueError(f"character_shingles.size must be at least 1, got {size}.")
    data, rows = text_buffers(text)
    out, offsets = np.empty(int(rows[-1] - rows[0]), np.uint64), np.empty(len(rows), np.int64)
    count = _character_shingles(data, rows, *tables(), size, out, offsets)
    return out[:count], offsets


def token_shingles(
    ids: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64], size: int = 5
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Return the shingles of `size` token ids of each document, as `shingle_hashes` does those of words.

    Document k has the tokens ids[offsets[k]:offsets[k + 1]]. Example: ids 7 8 7 8 7 with size 2 have two shingles.
    """
    if size < 1:
        raise ValueError(f"token_shingles.size must be at least 1, got {size}.")
    data = np.ascontiguousarray(ids, np.dtype("<u4")).view(np.uint8)
    out, rows = np.empty(len(ids), np.uint64), np.empty(len(offsets), np.int64)
    count = _token_shingles(frozen(data), frozen(offsets), size, out, rows)
    return out[:count], rows


def word_hashes(words: Words) -> npt.NDArray[np.uint64]:
    """Return the XXH64 of each folded word, uint64 [W]: one-word shingles in the order of the text.

    Example: "The" and "the" both give xxh64(b"the").
    """
    out = np.empty(len(words.starts), np.uint64)
    _word_hashes(*words, *tables(), out)
    return frozen(out)


@kernel
def fold_slice(
    data: npt.NDArray[np.uint8],
    start: int,
    stop: int,
    classes: npt.NDArray[np.uint8],
    fold: npt.NDArray[np.int32],
    out: npt.NDArray[np.uint8],
    end: int,
) -> int:
    """Append the folded form of data[start:stop] at out[end] and return the new end; for use inside other kernels."""
    at = start
    while at < stop:
        size = min(stop - at, 8)
        if at + 8 <= len(data) and end + 8 <= len(out):
            eight = load64(data, at)
            if eight & _HIGH_BITS & below(8 * size) == NONE:  # ASCII: most words are one such step
                store64(out, end, lower_ascii(eight))  # what lies behind the word is overwritten later
                at += size
                end += size
                continue
        code, after = byte_at(data, at), at + 1
        if code < 0x80:
            out[end] = fold[code]
            end += 1
        else:
            code, after = decode(data, at, stop)
            if classes[code] != FORMAT:
                end = encode(fold[code] if code < len(fold) else code, out, end)
        at = after
    return end


@kernel
def lower_ascii(eight: np.uint64) -> np.uint64:
    """Return eight bytes, small letters for capitals, right up to the first not ASCII; for use inside other kernels."""
    # Sums of ASCII carry nothing into the next byte.
    return eight | (eight + _TO_A & ~(eight + _BEHIND_Z) & _HIGH_BITS) >> np.uint64(2)


@kernel
def folded_room(num_bytes: int, num_words: int) -> int:
    """Return the bytes that words may have when folded, each with a space behind it; for use inside other kernels."""
    # Folding makes at most three bytes of two (a test holds it); each word is followed by a space; eight are written.
    return num_bytes + num_bytes // 2 + num_words + 8


@kernel
def _shingles(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    words: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    fold: npt.NDArray[np.int32],
    size: int,
    out: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
) -> int:
    count = 0
    offsets[0] = 0
    folded = np.empty(0, np.uint8)  # the words of one document, a space after each
    for row in range(len(words) - 1):
        first, num_words = words[row], words[row + 1] - words[row]
        if num_words > 0:
            room = folded_room(ends[first + num_words - 1] - starts[first], num_words)
            if room > len(folded):
                folded = np.empty(room, np.uint8)
            places = np.empty(num_words + 1, np.int64)  # where each folded word starts
            end = 0
            for word in range(num_words):
                places[word] = end
                end = fold_slice(data, starts[first + word], ends[first + word], classes, fold, folded, end)
                folded[end] = 32
                end += 1
            places[num_words] = end
            count = _windows(folded, places, num_words, size, 1, out, count)
        offsets[row + 1] = count
    return count


@kernel
def _each_once(out: npt.NDArray[np.uint64], start: int, found: npt.NDArray[np.uint64]) -> int:
    """Move each value of `found`, ascending and lying at out[start:], to the front of its place; return the end."""
    last = start
    for hashed in found[1:]:
        if hashed != out[last]:
            last += 1
            out[last] = hashed
    return last + 1


@kernel
def _windows(
    data: npt.NDArray[np.uint8],
    places: npt.NDArray[np.int64],
    num_items: int,
    size: int,
    gap: int,
    out: npt.NDArray[np.uint64],
    start: int,
) -> int:
    """Hash the windows of `size` items into out[start:], each once, ascending; return the end.

    Item i is data[places[i]:places[i + 1]]; `gap` bytes at its end only part it from the next.
    """
    length = min(size, num_items)
    found = out[start : start + num_items - length + 1]
    for item in range(len(found)):
        found[item] = hash_bytes(data, places[item], places[item + length] - gap, np.uint64(0))
    sort_hashes(found, np.empty(len(found), np.uint64), np.empty(2 * len(found) + 2, np.int64))
    return _each_once(out, start, found)


@kernel
def _character_shingles(
    data: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    fold: npt.NDArray[np.int32],
    size: int,
    out: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
) -> int:
    count = 0
    offsets[0] = 0
    folded, places = np.empty(0, np.uint8), np.empty(0, np.int64)
    for row in range(len(rows) - 1):
        at, stop = rows[row], rows[row + 1]
        room = 3 * (stop - at) + 2  # a byte that is not UTF-8 becomes three
        if room > len(folded):
            folded, places = np.empty(room, np.uint8), np.empty(room, np.int64)
        end = chars = 0
        space = False  # is one due before the next character?
        while at < stop:
            code, after = byte_at(data, at), at + 1
            if code >= 0x80:
                code, after = decode(data, at, stop)
            at = after
            kind = classes[code]
            if kind == SPACE:
                space = chars > 0
            elif kind != FORMAT:
                if space:
                    places[chars], folded[end] = end, 32
                    chars, end, space = chars + 1, end + 1, False
                places[chars] = end
                chars += 1
                end = encode(fold[code] if code < len(fold) else code, folded, end)
        if chars > 0:
            places[chars] = end
            count = _windows(folded, places, chars, size, 0, out, count)
        offsets[row + 1] = count
    return count


@kernel
def _token_shingles(
    data: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    size: int,
    out: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
) -> int:
    count = 0
    offsets[0] = 0
    for row in range(len(rows) - 1):
        if rows[row + 1] > rows[row]:
            places = np.arange(rows[row], rows[row + 1] + 1) * 4
            count = _windows(data, places, len(places) - 1, size, 0, out, count)
        offsets[row + 1] = count
    return count


@kernel
def _word_hashes(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    words: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    fold: npt.NDArray[np.int32],
    out: npt.NDArray[np.uint64],
) -> None:
    folded = np.empty(64, np.uint8)
    for word in range(len(starts)):
        room = folded_room(ends[word] - starts[word], 0)
        if room > len(folded):
            folded = np.empty(2 * room, np.uint8)
        end = fold_slice(data, starts[word], ends[word], classes, fold, folded, 0)
        out[word] = hash_bytes(folded, 0, end, np.uint64(0))
