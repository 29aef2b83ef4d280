from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.char_classes import FORMAT, SPACE, tables
from dataproc.kernels.shingles import (
    _shingles,
    character_shingles,
    lower_ascii,
    shingle_hashes,
    token_shingles,
    word_hashes,
)
from dataproc.kernels.sorting import sort_hashes
from dataproc.kernels.words import split_words
from tests.dataproc.kernels.test_words import words_of
from tests.dataproc.kernels.texts import PATHOLOGICAL, column, rows, texts

CLASSES, FOLD = tables()


def folded(word: str) -> str:
    codes = [ord(char) for char in word if CLASSES[ord(char)] != FORMAT]
    return "".join(chr(FOLD[code]) if code < len(FOLD) else chr(code) for code in codes)


def shingles_of(text: str, size: int) -> list[int]:
    """The oracle: XXH64 of the folded words, joined by spaces."""
    words = [folded(word) for word in words_of(text)]
    grams = [" ".join(words[k : k + size]) for k in range(max(len(words) - size, 0) + 1)] if words else []
    return sorted({xxhash.xxh64_intdigest(gram.encode()) for gram in grams})


def found(texts: Sequence[str | None], size: int = 5) -> list[list[int]]:
    hashes, offsets = shingle_hashes(column(texts), size)
    assert hashes.dtype == np.uint64
    return [hashes[a:b].tolist() for a, b in pairwise(offsets)]


@given(values=rows, size=st.integers(1, 6))
def test_equals_the_oracle(values: list[str | None], size: int) -> None:
    assert found(values, size) == [shingles_of(value or "", size) for value in values]


@given(texts)
def test_word_hashes_equal_the_oracle(text: str) -> None:
    expected = [xxhash.xxh64_intdigest(folded(word).encode()) for word in words_of(text)]
    assert word_hashes(split_words(column([text]))).tolist() == expected


def test_capitals_of_words_of_any_length() -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    words = [letters[:size] for size in range(1, 20)]
    words += [
        letters[:size][:place] + "\u00c9" + letters[:size][place:] for size in (7, 8, 9, 17) for place in range(size)
    ]
    assert found(words, 1) == [shingles_of(word, 1) for word in words]
    assert found([" ".join(words)], 3) == [shingles_of(" ".join(words), 3)]


@pytest.mark.parametrize("after", ["", "\u00ff"])
def test_lower_ascii(after: str) -> None:
    for start in range(0, 128, 7):
        eight = bytes(range(start, min(start + 7, 128))) + after.encode("latin-1")
        lowered = int(lower_ascii(np.uint64(int.from_bytes(eight[:8].ljust(8, b"\0"), "little")))).to_bytes(8, "little")
        assert lowered[: min(7, 128 - start)] == eight[: min(7, 128 - start)].lower()


def test_vectors() -> None:
    """The contract: these numbers never change."""
    text = "It was the best of times, it was the worst of times."
    assert [f"{value:016x}" for value in found([text])[0]] == [
        f"{xxhash.xxh64_intdigest(gram):016x}"
        for gram in sorted(
            [
                *(b"it was the best of", b"was the best of times", b"the best of times it", b"best of times it was"),
                *(b"of times it was the", b"times it was the worst", b"it was the worst of", b"was the worst of times"),
            ],
            key=xxhash.xxh64_intdigest,
        )
    ]
    assert f"{found(['The'])[0][0]:016x}" == "4b1b03a21f8b5f26"


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("One, two -- THREE \u201cfour\u201d five!", "one two three four five"),
        ("don't stop", "DON\u2019T STOP"),
        ("\u039f\u0394\u039f\u03a3", "\u03bf\u03b4\u03bf\u03c2"),
        ("co\u00adoperate", "cooperate"),
        ("a\nb\tc", "a b c"),
    ],
)
def test_what_does_not_tell_texts_apart(text: str, same: str) -> None:
    assert found([text]) == found([same])


@pytest.mark.parametrize(
    ("text", "other"),
    [("a b c d e", "a b c e d"), ("ab c", "a bc"), ("1 2 3", "1 2 4"), ("resume", "r\u00e9sum\u00e9"), ("a", "a a")],
)
def test_what_does(text: str, other: str) -> None:
    assert set(found([text])[0]).isdisjoint(found([other])[0])


def test_short_and_empty_texts() -> None:
    assert found(["a b c", "", None, "...", "a b c d e", "a b c d e f"]) == [
        [xxhash.xxh64_intdigest(b"a b c")],
        *([], [], []),
        [xxhash.xxh64_intdigest(b"a b c d e")],
        sorted([xxhash.xxh64_intdigest(b"a b c d e"), xxhash.xxh64_intdigest(b"b c d e f")]),
    ]


def test_size_must_be_positive() -> None:
    with pytest.raises(ValueError, match=r"^shingle_hashes\.size must be at least 1, got 0\.$"):
        shingle_hashes(column(["a"]), 0)


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    word = text.split()[0] if text.strip() else ""
    expected = {"a": " ".join([word] * min(5, len(text.split()))), "\u4e2d": " ".join("\u4e2d" * 5)}.get(text[0])
    assert found([text]) == [[xxhash.xxh64_intdigest(expected.encode())] if expected else []]


def test_words_that_grow_when_folded_fit() -> None:
    """U+023A takes two bytes, folded three: the room for a document is made for that."""
    assert found(["\u023a" * 1000, "\u023a " * 999]) == [
        shingles_of("\u023a" * 1000, 5),
        shingles_of("\u023a " * 999, 5),
    ]


def sort(values: npt.NDArray[np.uint64]) -> list[int]:
    ordered = values.copy()
    sort_hashes(ordered, np.empty(len(values), np.uint64), np.empty(2 * len(values) + 2, np.int64))
    found: list[int] = ordered.tolist()
    return found


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 300), max_size=300))
def test_sort_hashes_sorts(values: list[int]) -> None:
    assert sort(np.array(values, np.uint64)) == sorted(values)


@pytest.mark.parametrize("name", ["uniform", "low", "one", "two", "few", "descending", "close"])
def test_sort_hashes_of_many(name: str) -> None:
    draw = np.random.default_rng(0)
    count = 200_000
    values = {
        "uniform": draw.integers(0, 2**64, count, np.uint64),
        "low": draw.integers(0, 1000, count, np.uint64),
        "one": np.full(count, 2**63, np.uint64),
        "two": np.tile(np.array([7, 5], np.uint64), count // 2),
        "few": draw.integers(0, 2**64, 50, np.uint64)[draw.integers(0, 50, count)],
        "descending": np.arange(count, 0, -1, dtype=np.uint64) << np.uint64(40),
        "close": draw.integers(2**40, 2**40 + count, count, np.uint64),
    }[name]
    assert sort(values) == np.sort(values).tolist()


def test_is_compiled_once() -> None:
    shingle_hashes(column(["a b"])[1:], 2)
    assert len(_shingles.signatures) == 1  # type: ignore[attr-defined]


def character_shingles_of(text: str, size: int) -> list[int]:
    """The oracle: XXH64 of windows over the folded text, each run of white space one space, none at the ends."""
    spaced = "".join(" " if CLASSES[ord(char)] == SPACE else folded(char) for char in text)
    chars = " ".join(word for word in spaced.split(" ") if word)
    grams = {chars[k : k + size] for k in range(max(len(chars) - size, 0) + 1)} if chars else set()
    return sorted(xxhash.xxh64_intdigest(gram.encode()) for gram in grams)


@given(values=rows, size=st.integers(1, 30))
def test_character_shingles_equal_the_oracle(values: list[str | None], size: int) -> None:
    hashes, offsets = character_shingles(column(values), size)
    expected = [character_shingles_of(value or "", size) for value in values]
    assert [hashes[a:b].tolist() for a, b in pairwise(offsets)] == expected


def test_characters_are_folded_and_punctuation_counts() -> None:
    def of(*values: str) -> list[list[int]]:
        hashes, offsets = character_shingles(column(list(values)), 3)
        return [hashes[a:b].tolist() for a, b in pairwise(offsets)]

    expected = sorted(xxhash.xxh64_intdigest(gram) for gram in (b"ab ", b"b c"))
    assert of(" Ab  C", "ab\nc", "ab c") == [expected] * 3
    assert of("ab c") != of("ab, c")
    assert of("ab", "", " \n") == [[xxhash.xxh64_intdigest(b"ab")], [], []]


@given(
    values=st.lists(st.lists(st.integers(0, 3) | st.integers(0, 2**32 - 1), max_size=12), max_size=4),
    size=st.integers(1, 6),
)
def test_token_shingles_equal_the_oracle(values: list[list[int]], size: int) -> None:
    flat, ends = np.array(list(chain(*values)), np.uint32), np.cumsum([0, *map(len, values)])
    hashes, offsets = token_shingles(flat, ends, size)
    for row, (a, b) in enumerate(pairwise(offsets)):
        ids = values[row]
        grams = {tuple(ids[k : k + size]) for k in range(max(len(ids) - size, 0) + 1)} if ids else set()
        expected = {xxhash.xxh64_intdigest(np.array(gram, "<u4").tobytes()) for gram in grams}
        assert hashes[a:b].tolist() == sorted(expected)


def test_sizes_of_shingles_are_positive() -> None:
    with pytest.raises(ValueError, match=r"^character_shingles\.size must be at least 1, got 0\.$"):
        character_shingles(column(["a"]), 0)
    with pytest.raises(ValueError, match=r"^token_shingles\.size must be at least 1, got 0\.$"):
        token_shingles(np.zeros(1, np.uint32), np.array([0, 1]), 0)
