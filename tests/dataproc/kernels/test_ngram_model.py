from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.buffers import frozen
from dataproc.kernels.ngram_model import (
    SIGMOIDS,
    SOFTMAX,
    TREE,
    Labels,
    Vocabulary,
    best_labels,
    log_scores,
    mean_rows,
    scores,
    word_slots,
)
from dataproc.kernels.windows import whole_texts
from tests.dataproc.kernels.texts import texts as any_text

WORDS = [b"</s>", b"the", b"\xc3\xa9t\xc3\xa9", b"a", b"aa"]
BUCKETS = 97
KEPT = np.arange(128) % 3 == 0
KEPT[BUCKETS:] = False
MATRIX = frozen(np.arange((len(WORDS) + BUCKETS) * 19, dtype=np.float32).reshape(-1, 19) % 31)


def vocabulary(max_chars: int, max_words: int) -> Vocabulary:
    return Vocabulary(
        frozen(np.frombuffer(b"".join(WORDS), np.uint8)),
        frozen(np.cumsum([0, *map(len, WORDS)])),
        frozen(word_slots(WORDS)),
        0,
        2,
        max_chars,
        max_words,
        BUCKETS,
        frozen(np.packbits(KEPT, bitorder="little").view(np.uint64)),
        frozen(np.array([0, KEPT[:64].sum()], np.int32)),
    )


def fnv(data: bytes) -> int:
    value = 2166136261
    for byte in data:
        value = (value ^ (byte - 256 if byte > 127 else byte)) * 16777619 % 2**32
    return value


def signed(value: int) -> int:
    return value - 2**32 if value >= 2**31 else value


def oracle(text: str, max_chars: int, max_words: int) -> list[int]:
    """The rows of a text: words with their n-grams of characters, the end, runs of words."""
    names, found, buckets = [word.decode() for word in WORDS], [], []
    words = [word for word in text.replace("\0", " ").split() if word != "</s>" and not word.startswith("__label__")]
    for word in words:
        found += [names.index(word)] if word in names else []
        marked = f"<{word}>"
        for first in range(len(marked)):
            for stop in range(first + 2, min(first + max_chars, len(marked)) + 1):
                found.append(-1 - fnv(marked[first:stop].encode()) % BUCKETS)
    found.append(0)
    hashes = [signed(fnv(word.encode())) for word in (*words, "</s>")]
    for first in range(len(hashes)):
        value = hashes[first] % 2**64
        for other in hashes[first + 1 : first + max_words]:
            value = (value * 116049371 + other) % 2**64
            found.append(-1 - value % BUCKETS)
    buckets = np.flatnonzero(KEPT).tolist()
    rows = [row if row >= 0 else len(WORDS) + buckets.index(-1 - row) for row in found if row >= 0 or KEPT[-1 - row]]
    return rows


@given(st.lists(any_text, max_size=3), st.sampled_from([0, 2, 4]), st.integers(1, 3))
def test_rows_are_those_of_the_oracle(texts: list[str], max_chars: int, max_words: int) -> None:
    texts += ["the \u00e9t\u00e9 a aa", "</s> __label__x </s", ""]
    spans = whole_texts(pa.array(texts, pa.large_string()))
    means, _ = mean_rows(spans, vocabulary(max_chars, max_words), MATRIX)
    for mean, text in zip(means, texts, strict=True):
        rows = oracle(text, max_chars, max_words)
        # Sums of small whole numbers are exact in float32.
        expected = MATRIX[rows].sum(axis=0, dtype=np.float32) * np.float32(1 / len(rows))
        assert mean.tolist() == expected.tolist()


def test_words_are_counted() -> None:
    texts = pa.array(["one two\nthree", " \n ", None, "</s> __label__x", "a\0b\u3000c"])
    assert mean_rows(whole_texts(texts), vocabulary(4, 2), MATRIX)[1].tolist() == [3, 0, 0, 0, 3]


def test_long_words_and_texts() -> None:
    for text in ("x" * 30_000, "a " * 10_000, "\u00e9" * 10_000):
        (mean,), _ = mean_rows(whole_texts(pa.array([text])), vocabulary(4, 2), MATRIX)
        assert mean[0] == np.float32(MATRIX[oracle(text, 4, 2), 0].sum()) * np.float32(1 / len(oracle(text, 4, 2)))


MEANS = np.array([[1, 2], [-3, 0.5], [0, 0]], np.float32)
WEIGHTS = frozen(np.array([[1, -1], [0.5, 0.25], [0, 4]], np.float32))
FLAT = Labels(SOFTMAX, WEIGHTS, frozen(np.zeros((0, 2), np.int32)), frozen(np.arange(3, dtype=np.int32)))


def test_softmax() -> None:
    powers = np.exp(MEANS @ WEIGHTS.T)
    expected = powers / powers.sum(axis=1, keepdims=True) + 1e-5
    log = log_scores(MEANS, FLAT)
    assert np.allclose(scores(log), expected, rtol=1e-6, atol=0)
    index, score = best_labels(log, FLAT)
    assert index.tolist() == [2, 2, 2]  # of equal ones, as in the third row, the last
    assert score.tolist() == scores(log).max(axis=1).tolist()


def test_each_for_itself() -> None:
    expected = 1 / (1 + np.exp(-(MEANS @ WEIGHTS.T).clip(-8, 8)))
    assert np.allclose(scores(log_scores(MEANS, FLAT._replace(kind=SIGMOIDS))), expected, atol=0.01)


def test_tree() -> None:
    """Node 3 joins labels 2 and 1, node 4, the root, node 3 and label 0; going right has the sigmoid's probability."""
    tree = Labels(
        TREE, WEIGHTS[:2], frozen(np.array([[2, 1], [3, 0]], np.int32)), frozen(np.array([2, 1, 0], np.int32))
    )
    for mean, found in zip(MEANS, scores(log_scores(MEANS, tree)), strict=True):
        low, root = (1 / (1 + math.exp(-float(mean @ weights))) for weights in WEIGHTS[:2])
        assert np.allclose(found, [root, (1 - root) * low, (1 - root) * (1 - low)], rtol=1e-3)
