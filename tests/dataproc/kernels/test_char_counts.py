from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.char_classes import tables
from dataproc.kernels.char_counts import BRACKETS, PLAIN_SIGNS, count_chars_by_kind
from tests.dataproc.kernels.texts import PATHOLOGICAL, column, texts

CLASSES = tables().classes
linked = st.lists(texts | st.sampled_from(["http://", "https://", "a.b/c?d=%20", "http", "(", "]", "1", "\u27e8"]))


class Counts(NamedTuple):
    chars: int
    plain: int
    numbers: int
    spaces: int
    brackets: int
    urls: int
    longest: int


def counts(text: str | None) -> Counts:
    found = count_chars_by_kind(column([text]))
    return Counts(*(int(values[0]) for values in found))


def oracle(text: str) -> Counts:
    kinds = [CLASSES[ord(char)] for char in text]
    plain = sum(kind in (1, 2, 3, 4) or char in PLAIN_SIGNS for kind, char in zip(kinds, text, strict=True))
    urls = re.findall(r"https?://[A-Za-z0-9$\-_@.&+/:=?#~!*(),%]+", text)
    brackets = sum(char in BRACKETS for char in text)
    runs = "".join(" " if kind == 6 else char for kind, char in zip(kinds, text, strict=True)).split(" ")
    counted = (len(text), plain, kinds.count(3), kinds.count(6), brackets, len("".join(urls)), max(map(len, runs)))
    return Counts(*counted)


@given(linked.map("".join))
def test_equals_the_oracle(text: str) -> None:
    assert counts(text) == oracle(text)


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("http://", 0),
        ("http://a", 8),
        ("xhttps://a b", 9),
        ("http://a\u00e9", 8),
        ("HTTP://a", 0),
        ("https:/a", 0),
        ("http://http://b", 15),
    ],
)
def test_urls(text: str, urls: int) -> None:
    assert counts(text).urls == urls


def test_example_of_the_docstring() -> None:
    assert list(map(int, counts("See http://a.b (5)"))) == [18, 11, 1, 2, 2, 10, 10]
    assert not any(counts(None))


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    assert counts(text).chars == len(text)
    assert counts("http://" + text).chars == len(text) + 7
