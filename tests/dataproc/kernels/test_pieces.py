from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.char_classes import tables
from dataproc.kernels.pieces import pieces_with, split_pieces
from tests.dataproc.kernels.texts import PATHOLOGICAL, column, texts

CLASSES = tables().classes
LETTERS = np.isin(CLASSES, (1, 2))
PARTS = ["a.b", "1,2", "3:4", "n't", "..", "'", ",", "5", "\u2019s", "a" * 61, ". " * 31, "\u2026", "\u201c\u201d"]
written = st.lists(st.none() | st.lists(texts | st.sampled_from(PARTS)).map("".join), max_size=4)
"""Of some length, since the kernel goes by blocks of 64 bytes."""


def pieces_of(text: str) -> list[str]:
    """The oracle: a character for each class, and one regular expression; then runs of signs cut where they change."""
    kinds = "".join(".LANMFZPS"[CLASSES[ord(char)]] for char in text)
    kinds = "".join(inside(kinds, k, char) or kinds[k] for k, char in enumerate(text))
    found = []
    for match in re.finditer("A(?:[MF]*M)?|[LN](?:[LNMFJ]*[LNM])?|[.PS](?:[.PSMF]*[.PS])?", kinds):
        piece = text[match.start() : match.end()]
        if kinds[match.start()] in "LAN":
            found.append(piece)
        else:  # marks and format characters in between are no part of words, and don't break a run
            bare = "".join(char for char in piece if CLASSES[ord(char)] not in (4, 5))
            found += [run.group() for run in re.finditer(r"(.)\1*", bare, re.DOTALL)]
    return found


def inside(kinds: str, place: int, char: str) -> str | None:
    """Return J for a sign that joins what is around it, Q for one that parts it and is no piece, None for others."""
    around = kinds[:place].rstrip("MF")[-1:] + kinds[place + 1 : place + 2]
    if char in "._" and re.fullmatch("[LN][LN]", around):
        return "J"
    if char in "'\u2019" and around == "LL":
        return "Q"
    return "J" if char in ",:/" and around == "NN" else None


def split(values: list[str | None]) -> list[list[str]]:
    pieces = split_pieces(column(values))
    found = [pieces.data[a:b].tobytes().decode() for a, b in zip(pieces.starts, pieces.ends, strict=True)]
    return [found[a:b] for a, b in zip(pieces.offsets[:-1], pieces.offsets[1:], strict=True)]


def without_invisible(piece: str) -> str:
    return piece if CLASSES[ord(piece[0])] in (1, 2, 3) else "".join(c for c in piece if CLASSES[ord(c)] not in (4, 5))


@given(written)
def test_equals_the_oracle(values: list[str | None]) -> None:
    found = [[without_invisible(piece) for piece in pieces] for pieces in split(values)]
    assert found == [pieces_of(value or "") for value in values]
    number, chars = pieces_with(split_pieces(column(values)), LETTERS)
    alpha = [[piece for piece in pieces if any(LETTERS[ord(char)] for char in piece)] for pieces in split(values)]
    assert number.tolist() == [len(pieces) for pieces in alpha]
    assert chars.tolist() == [len("".join(pieces)) for pieces in alpha]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=== 5%", ["a", "===", "5", "%"]),
        ('so," he', ["so", ",", '"', "he"]),
        ("... ...", ["...", "..."]),
        ("don't 'so'", ["don", "t", "'", "so", "'"]),
        ("3.14 1,000 12:30 1/2 e.g. a/b", ["3.14", "1,000", "12:30", "1/2", "e.g", ".", "a", "/", "b"]),
        ("x.1 \u4e2d.1", ["x.1", "\u4e2d", ".", "1"]),
        ("|---|", ["|", "---", "|"]),
        ("\u4e2d\u6587\u3002", ["\u4e2d", "\u6587", "\u3002"]),
        ("", []),
    ],
)
def test_cases(text: str, expected: list[str]) -> None:
    assert split([text]) == [expected]


def test_example_of_the_docstring() -> None:
    number, chars = pieces_with(split_pieces(column(["5 % of $10 -- a4"])), LETTERS)
    assert (number.tolist(), chars.tolist()) == ([2], [4])


@pytest.mark.parametrize(("text", "number"), [*zip(PATHOLOGICAL, (1, 300_000, 300_000, 0, 1, 0), strict=True)])
def test_a_megabyte_of_one_thing(text: str, number: int) -> None:
    assert len(split_pieces(column([text])).starts) == number
