from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.char_classes import ALONE, LETTER, SPACE, tables
from dataproc.kernels.words import Words, _split, alpha_tokens, split_words, word_chars
from tests.dataproc.kernels.texts import PATHOLOGICAL, column, rows, texts

CLASSES = tables().classes


def words_of(text: str) -> list[str]:
    """The oracle: one character for each class, and one regular expression."""
    kinds = "".join(".LANMFZPS"[CLASSES[ord(char)]] for char in text)
    return [text[m.start() : m.end()] for m in re.finditer("A(?:[MF]*M)?|[LN](?:[LNMF]*[LNM])?", kinds)]


def split(words: Words) -> list[list[str]]:
    found = [words.data[a:b].tobytes().decode() for a, b in zip(words.starts, words.ends, strict=True)]
    return [found[a:b] for a, b in zip(words.offsets[:-1], words.offsets[1:], strict=True)]


@given(values=rows, cut=st.integers(0, 2))
def test_equals_the_oracle(values: list[str | None], cut: int) -> None:
    words = split_words(column(values)[cut:])
    assert split(words) == [words_of(value or "") for value in values[cut:]]
    assert word_chars(words).tolist() == [len("".join(words_of(value or ""))) for value in values[cut:]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world!", ["Hello", "world"]),
        ("don't l\u2019homme snake_case e-mail", ["don", "t", "l", "homme", "snake", "case", "e", "mail"]),
        ("3.14 x2 1\u00bd", ["3", "14", "x2", "1\u00bd"]),
        ("caf\u00e9 cafe\u0301", ["caf\u00e9", "cafe\u0301"]),
        (
            "\u0301a \u263a\ufe0f",
            ["a"],
        ),  # a mark without a letter is no word, nor is an emoji with a variation selector
        (
            "co\u00adoperate \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            ["co\u00adoperate", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"],
        ),
        ("a\u200b b\u200d", ["a", "b"]),
        ("\u4e2d\u6587abc\u4e2d2024\u5e74", ["\u4e2d", "\u6587", "abc", "\u4e2d", "2024", "\u5e74"]),
        ("\u30c6\u30b9\u30c8\u306f\u304b\u3099", ["\u30c6", "\u30b9", "\u30c8", "\u306f", "\u304b\u3099"]),
        ("\ud55c\uad6d\uc5b4 \ub2e8\uc5b4", ["\ud55c\uad6d\uc5b4", "\ub2e8\uc5b4"]),
        ("\u0e17\u0e35\u0e48\u0e19\u0e35\u0e48", ["\u0e17\u0e35\u0e48", "\u0e19\u0e35\u0e48"]),
        (
            "\u0939\u093f\u0928\u094d\u0926\u0940 \u092d\u093e\u0937\u093e",
            ["\u0939\u093f\u0928\u094d\u0926\u0940", "\u092d\u093e\u0937\u093e"],
        ),
        ("\uff21\uff22\u3000\uff11", ["\uff21\uff22", "\uff11"]),
    ],
)
def test_words_of_many_scripts(text: str, expected: list[str]) -> None:
    assert split(split_words(column([text]))) == [expected]


@given(st.lists(st.binary(max_size=40) | st.just(b"\xe4\xb8a\xff \xed\xa0\x80b\xf0\x9f\x98c\xc0\xafd\xf5"), max_size=4))
def test_invalid_utf8_parts_words_and_is_never_read_past(values: list[bytes]) -> None:
    words = split_words(pa.array(values, pa.large_binary()))
    assert split(words) == [words_of(value.decode("utf-8", "replace")) for value in values]


def test_a_character_cut_at_the_end_of_a_row_is_not_completed_from_the_next() -> None:
    character = "\u4e2d".encode()
    words = split_words(pa.array([b"a" + character[:2], character[2:] + b"b"], pa.large_binary()))
    assert split(words) == [["a"], ["b"]]


def test_positions_are_those_of_the_whole_column() -> None:
    words = split_words(column(["skipped", "I'm 5", None])[1:])
    assert words.starts.tolist() == [7, 9, 11]
    assert words.ends.tolist() == [8, 10, 12]
    assert words.offsets.tolist() == [0, 3, 3]


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    words = split_words(column([text]))
    assert len(words.starts) == {"a": len(text.split()), "\u4e2d": len(text)}.get(text[0], 0)
    assert word_chars(words)[0] == sum(text.count(char) for char in "a\u4e2d")


@given(text=texts)
def test_alpha_tokens_equal_the_oracle(text: str) -> None:
    tokens = "".join(" " if CLASSES[ord(char)] == SPACE else char for char in text).split(" ")
    tokens = [token for token in tokens if token]
    alpha = [token for token in tokens if any(CLASSES[ord(char)] in (LETTER, ALONE) for char in token)]
    counted, with_letter = alpha_tokens(column([text]))
    assert (counted.tolist(), with_letter.tolist()) == ([len(tokens)], [len(alpha)])


def test_alpha_tokens_example() -> None:
    counted, with_letter = alpha_tokens(column(["5 % of $10 -- a4", None, ""]))
    assert counted.tolist() == [6, 0, 0]
    assert with_letter.tolist() == [2, 0, 0]


def test_is_compiled_once_for_all_columns() -> None:
    for kind in (pa.string(), pa.large_string(), pa.large_binary()):
        words = split_words(pa.array(["a", "b"], kind)[1:])
        assert words.starts.dtype == np.int64
    assert len(_split.signatures) == 1  # type: ignore[attr-defined]
