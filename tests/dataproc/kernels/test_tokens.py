from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.char_classes import tables
from dataproc.kernels.tokens import count_tokens, split_tokens
from tests.dataproc.kernels.test_words import split
from tests.dataproc.kernels.texts import PATHOLOGICAL, column, texts

CLASSES = tables().classes
MARKS = ".,_@'\u2019-("
written = st.lists(
    texts | st.sampled_from(["it's ", "3.14", "...", "a.b", "(", "--", "e@f", " ", "'t", "\u2019s"])
).map("".join)


def oracle(text: str) -> list[str]:
    """One character for each class, w for what joins, q for what begins a word, the rest by runs of one mark."""
    text = "".join(char for char in text if CLASSES[ord(char)] != 5)  # format characters count for nothing
    kinds = "".join(".LANMFZPS"[CLASSES[ord(char)]] for char in text)
    kinds = "".join(
        {".": "w", ",": "w", "_": "w", "@": "w", "'": "q", "\u2019": "q"}.get(c, k)
        for c, k in zip(text, kinds, strict=True)
    )
    word = "[LN][LNM]*(?:w(?=[LN])[LN][LNM]*)*"
    found: list[tuple[int, int, str]] = []
    at = 0
    while at < len(text):
        match = re.compile(f"A|{word}").match(kinds, at)
        if match is None and kinds[at] == "q" and found and found[-1][1] == at and found[-1][2] == "word":
            match = re.compile(f"q{word}").match(kinds, at)
        if match is not None:
            end = match.end()
            if match[0] == "A":
                end = at + 1
                found.append((at, end, "alone"))
            else:
                found.append((at, end, "word"))
        elif kinds[at] == "Z":
            end = at + 1
        else:
            end = at + 1
            while end < len(text) and text[end] == text[at]:
                end += 1
            found.append((at, end, "run"))
        at = end
    return [text[a:b] for a, b, _ in found]


@given(written)
def test_equals_the_oracle(text: str) -> None:
    [found] = split(split_tokens(column([text])))
    assert ["".join(char for char in token if CLASSES[ord(char)] != 5) for token in found] == oracle(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's (3.14)...", ["It", "'s", "(", "3.14", ")", "..."]),
        ("example.com, a@b.c - e-mail", ["example.com", ",", "a@b.c", "-", "e", "-", "mail"]),
        ("\u4e2d\u6587\u3002", ["\u4e2d", "\u6587", "\u3002"]),
        ("'quoted' --", ["'", "quoted", "'", "--"]),
        ("", []),
    ],
)
def test_examples(text: str, expected: list[str]) -> None:
    assert split(split_tokens(column([text]))) == [expected]


def test_counts() -> None:
    tokens, with_letter = count_tokens(column(["5 % of $10 -- a4.", None]))
    assert (tokens.tolist(), with_letter.tolist()) == ([8, 0], [2, 0])


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    tokens, _ = count_tokens(column([text]))
    assert tokens.tolist() == [{"a": text.count("a ") or 1, "\u4e2d": len(text), "\n": 0}.get(text[0], 1)]
