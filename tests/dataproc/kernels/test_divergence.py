from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.divergence import unigram_divergence
from dataproc.kernels.hash_table import build_table

EXPECTED = {1: 0.1, 2: 0.5, 7 << 60: 0.01}
UNKNOWN = 1e-6


def divergence(documents: list[list[int]]) -> list[float]:
    hashes = np.array([number for document in documents for number in document], np.uint64)
    offsets = np.cumsum([0, *map(len, documents)], dtype=np.int64)
    table = build_table(np.array([*EXPECTED], np.uint64), np.arange(1, len(EXPECTED) + 1, dtype=np.int32))
    logs = np.log(np.array([UNKNOWN, *EXPECTED.values()]))
    found: list[float] = unigram_divergence(hashes, offsets, table, logs).tolist()
    return found


def oracle(words: list[int]) -> float:
    shares = {word: count / len(words) for word, count in Counter(words).items()}
    return sum(p * math.log(p / EXPECTED.get(word, UNKNOWN)) for word, p in shares.items())


@given(st.lists(st.lists(st.sampled_from([1, 2, 3, 4, 7 << 60, 2**64 - 1]), max_size=40), max_size=4))
def test_equals_the_oracle(documents: list[list[int]]) -> None:
    assert divergence(documents) == pytest.approx([oracle(words) for words in documents], rel=1e-9, abs=1e-12)


def test_examples() -> None:
    assert divergence([[1], [], [9], [1, 1, 2, 2]]) == pytest.approx(
        [math.log(10), 0, math.log(1e6), 0.5 * math.log(5)]
    )
