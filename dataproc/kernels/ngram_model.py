"""Bags of words and n-grams: what fastText computes of a text, from the bytes of an Arrow column.

A text is the mean of the rows of a matrix: one for each known word, for each n-gram of the characters of `<word>`, and
for each run of words. Labels are scored from that mean. Sums are made in fastText's order and in its float32, so the
scores are its scores to the last bit where its build is plain x86-64. Words are parted by white space, and at the ends
of spans; `</s>`, which fastText puts at the end itself, and `__label__...` are passed over wherever they stand.

Source: Joulin et al. 2016, https://arxiv.org/abs/1607.01759 and https://arxiv.org/abs/1612.03651; hashes and order as
in fastText 0.9.2.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dataproc.kernels.jit import kernel
from dataproc.kernels.utf8 import byte_at, decode
from dataproc.kernels.windows import Spans, is_space

SOFTMAX, SIGMOIDS, TREE = range(3)
"""How labels are scored: together, each for itself, or by the way to them through a binary tree."""

_FNV_START, _FNV_PRIME, _LOW = 2166136261, 16777619, 0xFFFFFFFF
_WORDS_PRIME = np.uint64(116049371)
_LEFT, _RIGHT = ord("<"), ord(">")
_BLOCK = 16


class Vocabulary(NamedTuple):
    """Which rows of the matrix a text has; read-only arrays."""

    word_bytes: npt.NDArray[np.uint8]  # the known words one after the other
    word_offsets: npt.NDArray[np.int64]  # [W + 1] in word_bytes; word k has row k
    slots: npt.NDArray[np.int32]  # a power of two of them: a word's number at or after its hash, -1 in free ones
    end_of_text: int  # the number of `</s>`, -1 when unknown
    min_chars: int  # lengths of n-grams of characters; max_chars is 0 when there are none
    max_chars: int
    max_words: int  # most words of a run; 1 when there are no runs
    buckets: int  # n-grams and runs are numbered by their hash modulo this
    kept: npt.NDArray[np.uint64]  # one bit for each bucket: does it have a row? They lie behind the words, in order
    before: npt.NDArray[np.int32]  # buckets with a row before each of these 64 bits


class Labels(NamedTuple):
    """How L labels are scored from the mean [D]; read-only arrays."""

    kind: int
    weights: npt.NDArray[np.float32]  # [L, D]; for TREE those of node L + k in row k
    children: npt.NDArray[
        np.int32
    ]  # for TREE, [L - 1, 2]: of node L + k; those below L are labels, the last is the root
    order: npt.NDArray[np.int32]  # labels in the order in which fastText finds them: of equal ones the last is the best


def word_slots(words: list[bytes]) -> npt.NDArray[np.int32]:
    """Return `Vocabulary.slots` of different words."""
    data = np.frombuffer(b"".join(words), np.uint8)
    offsets = np.cumsum([0, *map(len, words)])
    slots = np.full(1 << (2 * len(words) + 1).bit_length(), -1, np.int32)
    _fill_slots(data, offsets, slots)
    return slots


def mean_rows(
    spans: Spans, vocabulary: Vocabulary, matrix: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return the mean row of each document, float32 [N, D], and its number of words, int64 [N]."""
    return _mean_rows(spans, vocabulary, matrix)


def log_scores(means: npt.NDArray[np.float32], labels: Labels) -> npt.NDArray[np.float32]:
    """Return the logarithm of each label's score, float32 [N, L], as fastText has it (of the score + 1e-5)."""
    if labels.kind == TREE:
        return _tree_scores(means, labels.weights, labels.children)
    return _flat_scores(means, labels.weights, labels.kind == SOFTMAX)


def best_labels(log: npt.NDArray[np.float32], labels: Labels) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return the best label of each row of `log_scores`, int32 [N], and its score, float32 [N]."""
    return _best(log, labels.order)


def scores(log: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the scores [N, L] of `log_scores`."""
    return _exp(log.reshape(-1)).reshape(log.shape)


@kernel
def _hash(data: npt.NDArray[np.uint8], start: int, stop: int) -> int:
    value = _FNV_START
    for at in range(start, stop):
        value = _hash_on(value, byte_at(data, at))
    return value


@kernel
def _hash_on(value: int, byte: int) -> int:
    """Return FNV-1a of one more byte; fastText takes bytes as signed."""
    if byte >= 0x80:
        byte |= 0xFFFFFF00
    return (value ^ byte) * _FNV_PRIME & _LOW


@kernel
def _fill_slots(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], slots: npt.NDArray[np.int32]) -> None:
    for word in range(len(offsets) - 1):
        at = _hash(data, offsets[word], offsets[word + 1]) & len(slots) - 1
        while slots[at] >= 0:
            at = at + 1 & len(slots) - 1
        slots[at] = word


@kernel
def _find_word(word: npt.NDArray[np.uint8], length: int, hashed: int, vocabulary: Vocabulary) -> Any:
    """Return the number of the word in word[1 : 1 + length], -1 when it is unknown."""
    slots, offsets = vocabulary.slots, vocabulary.word_offsets
    at = hashed & len(slots) - 1
    while slots[at] >= 0:
        known = slots[at]
        start = offsets[known]
        if offsets[known + 1] - start == length:
            same = True
            for k in range(length):
                same &= vocabulary.word_bytes[start + k] == word[1 + k]
            if same:
                return np.int64(known)
        at = at + 1 & len(slots) - 1
    return -1


@kernel
def _modulo(value: int, divisor: int, inverse: float) -> Any:
    """Return value % divisor of a 32-bit value; an integer division would take as long as all the rest."""
    rest = value - np.int64(value * inverse) * divisor
    if rest < 0:
        return rest + divisor
    return rest - divisor if rest >= divisor else rest


@kernel
def _is_kept(bucket: Any, kept: npt.NDArray[np.uint64]) -> Any:
    """Return 1 when the bucket has a row, else 0."""
    return np.int64(kept[np.uint64(bucket >> 6)] >> np.uint64(bucket & 63) & np.uint64(1))


@kernel
def _rank(bucket: int, vocabulary: Vocabulary) -> Any:
    """Return how many buckets below this one have a row."""
    word = np.uint64(bucket >> 6)
    bits = vocabulary.kept[word] & (np.uint64(1) << np.uint64(bucket & 63)) - np.uint64(1)
    bits -= bits >> np.uint64(1) & np.uint64(0x5555555555555555)
    bits = (bits & np.uint64(0x3333333333333333)) + (bits >> np.uint64(2) & np.uint64(0x3333333333333333))
    bits = bits + (bits >> np.uint64(4)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64(vocabulary.before[word]) + np.int64(bits * np.uint64(0x0101010101010101) >> np.uint64(56))


@kernel
def _char_ngrams(
    word: npt.NDArray[np.uint8],
    length: int,
    is_ascii: bool,
    vocabulary: Vocabulary,
    ids: npt.NDArray[np.int64],
    num: int,
) -> int:
    """Write num_words + bucket of the n-grams of characters of word[:length] to `ids` from `num` on; return the end."""
    min_chars, max_chars, buckets = vocabulary.min_chars, vocabulary.max_chars, vocabulary.buckets
    kept, num_words, inverse = vocabulary.kept, len(vocabulary.word_offsets) - 1, 1.0 / buckets
    if is_ascii:
        for first in range(length):
            value, most = _FNV_START, min(max_chars, length - first)
            for chars in range(1, most + 1):
                value = (value ^ byte_at(word, first + chars - 1)) * _FNV_PRIME & _LOW
                if chars >= min_chars and not (chars == 1 and (first == 0 or first == length - 1)):
                    bucket = _modulo(value, buckets, inverse)
                    ids[np.uint64(num)] = num_words + bucket
                    num += _is_kept(bucket, kept)
        return num
    for first in range(length):
        if byte_at(word, first) & 0xC0 == 0x80:
            continue
        value, at = _FNV_START, first
        for chars in range(1, max_chars + 1):
            if at >= length:
                break
            value = _hash_on(value, byte_at(word, at))
            at += 1
            while at < length and byte_at(word, at) & 0xC0 == 0x80:
                value = _hash_on(value, byte_at(word, at))
                at += 1
            if chars >= min_chars and not (chars == 1 and (first == 0 or at == length)):
                bucket = _modulo(value, buckets, inverse)
                ids[np.uint64(num)] = num_words + bucket
                num += _is_kept(bucket, kept)  # no branch: there is nothing to learn from hashes
    return num


@kernel
def _is_skipped(word: npt.NDArray[np.uint8], length: int) -> bool:
    """Say whether word[1 : 1 + length] is `</s>` or begins with `__label__`."""
    if length == 4:
        return _begins(word, (60, 47, 115, 62))
    return length >= 9 and _begins(word, (95, 95, 108, 97, 98, 101, 108, 95, 95))


@kernel
def _begins(word: npt.NDArray[np.uint8], start: tuple[int, ...]) -> bool:
    same = True
    for k, byte in enumerate(start):
        same &= word[1 + k] == byte
    return same


@kernel
def _mean_rows(
    spans: Spans, vocabulary: Vocabulary, matrix: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    data, starts, ends, offsets = spans.data, spans.starts, spans.ends, spans.offsets
    min_chars, max_chars, max_words = vocabulary.min_chars, vocabulary.max_chars, vocabulary.max_words
    num_words = len(vocabulary.word_offsets) - 1
    longest = most = 0
    for row in range(len(offsets) - 1):
        size = 0
        for span in range(offsets[row], offsets[row + 1]):
            size += ends[span] - starts[span]
            longest = max(longest, ends[span] - starts[span])
        most = max(most, size)
    # A word of n bytes has n + 2 characters at most with < and >, and takes n + 1 bytes with the space before it.
    ngrams = max(max_chars - min_chars + 1, 0) if max_chars > 0 else 0
    ids = np.empty((most + 1) * 2 * ngrams + (most // 2 + 3) * max_words + 1, np.int64)
    hashes = np.empty(most // 2 + 3, np.int32)
    word = np.empty(longest + 2, np.uint8)
    means = np.zeros((len(offsets) - 1, matrix.shape[1]), np.float32)
    counts = np.zeros(len(offsets) - 1, np.int64)
    for row in range(len(counts)):
        num = seen = 0
        for span in range(offsets[row], offsets[row + 1]):
            at, stop, length, high = starts[span], ends[span], 0, 0
            while at <= stop:
                space, after = True, at + 1
                if at < stop:
                    code = byte_at(data, at)
                    if code >= 0x80:
                        code, after = decode(data, at, stop)
                    space = code == 0 or is_space(code)
                if not space:
                    for k in range(at, after):
                        word[1 + length] = byte_at(data, k)
                        high |= byte_at(data, k)
                        length += 1
                elif length > 0 and not _is_skipped(word, length):
                    hashed = _hash(word, 1, 1 + length)
                    hashes[seen] = np.int32(np.uint32(hashed))
                    seen += 1
                    known = _find_word(word, length, hashed, vocabulary)
                    if known >= 0:
                        ids[num] = known
                        num += 1
                    if max_chars > 0:
                        word[0], word[1 + length] = _LEFT, _RIGHT
                        num = _char_ngrams(word, length + 2, high < 0x80, vocabulary, ids, num)
                if space:
                    length = high = 0
                at = after
        counts[row] = seen
        if vocabulary.end_of_text >= 0:
            ids[num] = vocabulary.end_of_text
            num += 1
        if max_words > 1:
            hashes[seen] = np.int32(np.uint32(_END_HASH))
            num = _word_runs(hashes, seen + 1, vocabulary, ids, num)
        for k in range(num):
            if ids[k] >= num_words:
                ids[k] = num_words + _rank(ids[k] - num_words, vocabulary)
        _mean(ids, num, matrix, means[row])
    return means, counts


_END_HASH = 3617362777


@kernel
def _word_runs(
    hashes: npt.NDArray[np.int32], seen: int, vocabulary: Vocabulary, ids: npt.NDArray[np.int64], num: int
) -> int:
    """Write num_words + bucket of the runs of 2 to max_words words to `ids` from `num` on; return where they end."""
    num_words, buckets = len(vocabulary.word_offsets) - 1, np.uint64(vocabulary.buckets)
    for first in range(seen):
        value = np.uint64(np.int64(hashes[first]))
        for other in range(first + 1, min(first + vocabulary.max_words, seen)):
            value = value * _WORDS_PRIME + np.uint64(np.int64(hashes[other]))
            bucket = np.int64(value % buckets)
            ids[num] = num_words + bucket
            num += _is_kept(bucket, vocabulary.kept)
    return num


@kernel
def _mean(ids: npt.NDArray[np.int64], num: int, matrix: npt.NDArray[np.float32], out: npt.NDArray[np.float32]) -> None:
    if num == 0:
        return
    share = np.float32(1.0 / num)
    for first in range(0, len(out), _BLOCK):
        if first + _BLOCK <= len(out):  # a constant width is two or four vector additions a row
            sums = np.zeros(_BLOCK, np.float32)
            for k in range(num):
                row = matrix[ids[k], first : first + _BLOCK]
                for d in range(_BLOCK):
                    sums[d] += row[d]
            for d in range(_BLOCK):
                out[first + d] = sums[d] * share
        else:
            for d in range(first, len(out)):
                total = np.float32(0)
                for k in range(num):
                    total += matrix[ids[k], d]
                out[d] = total * share


@kernel
def _dot(weights: npt.NDArray[np.float32], mean: npt.NDArray[np.float32]) -> Any:
    total = np.float32(0)
    for d in range(len(mean)):
        total += weights[d] * mean[d]
    return total


@kernel
def _log(value: np.float32) -> Any:
    return np.float32(math.log(np.float64(value) + 1e-5))


@kernel
def _sigmoid(value: np.float32) -> Any:
    """Return the sigmoid at the step of 1/32 below the value: fastText reads it from a table from -8 to 8."""
    if value < -8:
        return np.float32(0)
    if value > 8:
        return np.float32(1)
    step = np.float32(np.floor((value + np.float32(8)) * np.float32(32)) / 32 - 8)
    return np.float32(1 / (1 + np.float64(math.exp(-step))))


@kernel
def _tree_scores(
    means: npt.NDArray[np.float32], weights: npt.NDArray[np.float32], children: npt.NDArray[np.int32]
) -> npt.NDArray[np.float32]:
    num = len(children) + 1
    out = np.empty((len(means), num), np.float32)
    nodes = np.empty(2 * num - 1, np.float32)
    for row in range(len(means)):
        nodes[2 * num - 2] = 0
        for node in range(num - 2, -1, -1):  # a parent comes after its children, so going down it is ready
            at = _dot(weights[node], means[row])
            right = np.float32(1.0 / np.float64(np.float32(1) + np.float32(math.exp(-at))))
            nodes[children[node, 0]] = nodes[num + node] + _log(np.float32(1.0 - np.float64(right)))
            nodes[children[node, 1]] = nodes[num + node] + _log(right)
        out[row] = nodes[:num]
    return out


@kernel
def _flat_scores(
    means: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    together: bool,
) -> npt.NDArray[np.float32]:
    out = np.empty((len(means), len(weights)), np.float32)
    for row in range(len(means)):
        line = out[row]
        for label in range(len(weights)):
            line[label] = _dot(weights[label], means[row])
        if together:
            top, total = line.max(), np.float32(0)
            for label in range(len(line)):
                line[label] = np.float32(math.exp(line[label] - top))
                total += line[label]
            for label in range(len(line)):
                line[label] = _log(line[label] / total)
        else:
            for label in range(len(line)):
                line[label] = _log(_sigmoid(line[label]))
    return out


@kernel
def _best(
    log: npt.NDArray[np.float32], order: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    index, score = np.empty(len(log), np.int32), np.empty(len(log), np.float32)
    for row in range(len(log)):
        best = order[0]
        for label in order:
            if log[row, label] >= log[row, best]:
                best = label
        index[row], score[row] = best, np.float32(math.exp(log[row, best]))
    return index, score


@kernel
def _exp(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    out = np.empty_like(values)
    for k in range(len(values)):
        out[k] = np.float32(math.exp(values[k]))
    return out
