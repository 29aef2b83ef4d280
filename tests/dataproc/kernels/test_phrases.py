from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.char_classes import tables
from dataproc.kernels.phrases import contains_any, occurrences
from tests.dataproc.kernels.test_line_rules import rows, split
from tests.dataproc.kernels.texts import PATHOLOGICAL, column, texts

PHRASES = ["k\u00fcch", "OF K", "cookies", "]", "\u4e2d", "[c", "aa", "\u00e9", "s", "\u212a", "\u4e2d\u6587"]
PIECES = [
    "Use of K\u00dcche",
    "\u212a\u00fcch ",
    "cookie\u017f",
    "\u00c9",
    "\u4e2d",
    "\u6587",
    "of \u212a",
    "Aa",
    "a",
    "\n",
]
groups = st.lists(st.lists(st.sampled_from(PHRASES), max_size=3), max_size=3)
written = st.lists(texts | st.sampled_from(PIECES), max_size=12).map("".join)


def folded(text: str) -> str:
    fold = tables().fold
    return "".join(chr(fold[ord(char)]) if ord(char) < len(fold) else char for char in text)


@given(rows | st.lists(written), groups)
def test_phrases_equal_the_oracle(values: list[str | None], groups: list[list[str]]) -> None:
    lines, found = split(values)
    expected = [[any(folded(phrase) in folded(line) for phrase in group) for line in found] for group in groups]
    assert contains_any(lines, *groups).tolist() == expected


@given(st.lists(written | st.none(), max_size=4), st.sampled_from(["...", "#", "\u2026", "\n", "aa", "\u4e2d\u6587"]))
def test_occurrences_equal_the_oracle(values: list[str | None], string: str) -> None:
    assert occurrences(column(values), string).tolist() == [(value or "").count(string) for value in values]


def test_examples() -> None:
    lines, _ = split(["Our Cookie Policy", "a { b", "{", "coo"])
    found = contains_any(lines, ["cookie policy", "b"], ["{"])
    assert found.tolist() == [[True, True, False, False], [False, True, True, False]]
    assert occurrences(column(["a.....", None, ". . ."]), "...").tolist() == [1, 0, 0]


def test_an_empty_phrase_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^contains_any\.groups must have phrases of a character each, got an empty one\.$"
    ):
        contains_any(split(["a"])[0], ["a", ""])


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    lines, found = split([text])
    assert contains_any(lines, ["aab", "b"]).tolist() == [[False] * len(found)]
    assert occurrences(column([text]), "...").tolist() == [text.count("...")]
