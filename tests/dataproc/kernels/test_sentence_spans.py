from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.char_classes import SPACE, tables
from dataproc.kernels.sentence_spans import as_strings, capitalized_words, split_sentences
from dataproc.kernels.sentences import sentence_ends
from dataproc.kernels.words import split_words
from tests.dataproc.kernels.texts import PATHOLOGICAL, column, texts

SPACES = "".join(chr(code) for code in range(0x110000) if tables().classes[code] == SPACE)
OTHERS = "".join(mark for mark in sentence_ends() if mark not in ".?!")
ENDED = re.compile(f"(?<=[.?!{OTHERS}])[{SPACES}]+|(?<=[{OTHERS}])(?![.?!{OTHERS}])")
written = st.lists(
    texts | st.sampled_from([". ", "One two", "?!\n", "\u3002", "\u3002.", "3.5", " \u0964 ", "\n"])
).map("".join)


def split(values: list[str | None]) -> list[list[str]]:
    spans = split_sentences(column(values))
    found = as_strings(spans).to_pylist()
    return [found[a:b] for a, b in zip(spans.offsets[:-1], spans.offsets[1:], strict=True)]


def oracle(text: str) -> list[str]:
    """Cut behind a mark and white space, or behind a mark of another script."""
    return [part.strip(SPACES) for part in ENDED.split(text) if part.strip(SPACES)]


@given(st.lists(written | st.none(), max_size=4))
def test_equals_the_oracle(values: list[str | None]) -> None:
    assert split(values) == [oracle(value or "") for value in values]


@given(written)
def test_capitals_equal_the_oracle(text: str) -> None:
    values = column([text])
    words, capitalized = capitalized_words(split_sentences(values), split_words(values))
    for sentence, number, capitals in zip(oracle(text), words, capitalized, strict=True):
        inside = split_words(column([sentence]))
        firsts = [inside.data[start:].tobytes().decode()[0] for start in inside.starts]
        assert number == len(firsts)
        assert capitals == sum(first.isupper() and first.lower() != first for first in firsts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two\nthree? 3.5.", ["One.", "Two\nthree?", "3.5."]),
        ("\u4f60\u597d\u3002\u518d\u89c1\uff01 ok", ["\u4f60\u597d\u3002", "\u518d\u89c1\uff01", "ok"]),
        ('"Go." We went', ['"Go." We went']),
        (" \n ", []),
        ("?", ["?"]),
    ],
)
def test_cases(text: str, expected: list[str]) -> None:
    assert split([text]) == [expected]


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    assert len(split([text])[0]) == (1 if text.strip(SPACES) else 0)
