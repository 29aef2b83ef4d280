from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.lines import split_lines
from dataproc.kernels.repetition import (
    _ngrams,
    count_repeats,
    ngram_chars,
)
from dataproc.kernels.words import Words, split_words
from tests.dataproc.kernels.test_lines import SPACES
from tests.dataproc.kernels.texts import PATHOLOGICAL, column, texts

repeating = st.lists(
    texts | st.sampled_from(["a", "b", " ", "ab", "\u4e2d", "\u6587", "\u00e9 ", "to be ", "\n"]), max_size=30
).map("".join)
sizes = st.integers(1, 6)


def streamed(text: str | None) -> Words:
    return split_words(column([text]))


def top_ngram_chars(stream: Words, size: int) -> npt.NDArray[np.int64]:
    return ngram_chars(stream, [size], []).top[:, 0]


def repeated_ngram_chars(stream: Words, size: int) -> npt.NDArray[np.int64]:
    return ngram_chars(stream, [], [size]).repeated[:, 0]


def parted(text: str) -> tuple[list[str], list[int]]:
    """Return the words, and 1 for each that something parts from the next, else 0."""
    words = split_words(column([text]))
    found = [words.data[a:b].tobytes().decode() for a, b in zip(words.starts, words.ends, strict=True)]
    return found, [int(a < b) for a, b in zip(words.ends[:-1], words.starts[1:], strict=True)]


@given(repeating)
def test_repeats_equal_the_oracle(text: str) -> None:
    lines = [line for line in (line.strip(SPACES) for line in text.split("\n")) if line]
    repeats = [line for k, line in enumerate(lines) if line in lines[:k]]
    found = count_repeats(split_lines(column([text])))
    assert (found.elements.tolist(), found.chars.tolist()) == ([len(repeats)], [len("".join(repeats))])


@given(repeating, sizes)
def test_top_ngrams_equal_the_oracle(text: str, size: int) -> None:
    words, gaps = parted(text)
    grams = [tuple(words[k : k + size]) for k in range(len(words) - size + 1)]
    expected = 0
    if grams:
        (top, count), *_ = Counter(grams).most_common(1)  # of several, the first in the text
        place = grams.index(top)
        expected = count * (len("".join(top)) + sum(gaps[place : place + size - 1]))
    assert top_ngram_chars(streamed(text), size).tolist() == [expected]


@given(repeating, sizes)
def test_repeated_ngrams_equal_the_oracle(text: str, size: int) -> None:
    words, _ = parted(text)
    seen, chars, k = set(), 0, 0
    while k + size <= len(words):
        gram = tuple(words[k : k + size])
        if gram in seen:
            chars += len("".join(gram))
            k += size
        else:
            seen.add(gram)
            k += 1
    assert repeated_ngram_chars(streamed(text), size).tolist() == [chars]


@given(st.lists(repeating | st.none(), max_size=4), sizes)
def test_rows_are_apart(values: list[str | None], size: int) -> None:
    """The table of a document serves the next: nothing of it may be left."""
    stream, lines = split_words(column(values)), split_lines(column(values))
    alone = [streamed(value) for value in values]
    assert top_ngram_chars(stream, size).tolist() == [int(top_ngram_chars(one, size)[0]) for one in alone]
    assert repeated_ngram_chars(stream, size).tolist() == [int(repeated_ngram_chars(one, size)[0]) for one in alone]
    repeats = [int(count_repeats(split_lines(column([value]))).elements[0]) for value in values]
    assert count_repeats(lines).elements.tolist() == repeats


def test_examples() -> None:
    assert top_ngram_chars(streamed("to be or not to be"), 2).tolist() == [10]
    assert repeated_ngram_chars(streamed("to be or not to be"), 2).tolist() == [4]
    found = count_repeats(split_lines(column(["a\nbc\nbc\na\nbc"])))
    assert (found.elements.tolist(), found.chars.tolist()) == ([3], [5])


def test_no_rows() -> None:
    assert top_ngram_chars(split_words(column([])), 2).tolist() == []
    assert count_repeats(split_lines(column([]))).chars.tolist() == []


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    words = len(split_words(column([text])).starts)
    assert top_ngram_chars(streamed(text), 2).tolist() == [max(words - 1, 0) * (2 if text[0] == "\u4e2d" else 3)]
    length = len(text.split()[0]) if words and text[0] == "a" else 1
    assert repeated_ngram_chars(streamed(text), 5).tolist() == [max(words - 1, 0) // 5 * 5 * length]


def test_is_compiled_once() -> None:
    assert len(_ngrams.signatures) == 1  # type: ignore[attr-defined]
