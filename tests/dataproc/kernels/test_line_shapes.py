from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.char_classes import ALONE, LETTER, NUMBER, SPACE, tables
from dataproc.kernels.line_shapes import line_shapes
from tests.dataproc.kernels.texts import PATHOLOGICAL, column, texts

lined = st.lists(texts | st.sampled_from(["3 likes", "ABC def", " 12 ", "\u732b\u304c \u597d\u304d", "\u01c5a"])).map(
    "\n".join
)
Line = tuple[str, int, int, int, int]


def found(text: str | None) -> list[Line]:
    shapes = line_shapes(column([text]))
    data = bytes(shapes.data)
    pieces = [data[start:stop].decode() for start, stop in zip(shapes.starts, shapes.starts[1:], strict=False)]
    counts = (shapes.chars, shapes.capitals, shapes.numerals, shapes.tokens)
    return list(zip(pieces, *(count.tolist() for count in counts), strict=True))


def oracle(line: str) -> Line:
    classes = tables().classes
    spaces = "".join(char for char in set(line) if classes[ord(char)] == SPACE)
    bare = line.strip(spaces)
    capitals = sum(char.isupper() and char.lower() != char for char in bare)
    tokens = 0
    for token in re.split(f"[{re.escape(spaces)}]", bare) if spaces else [bare]:
        words = [char for char in token if classes[ord(char)] in (LETTER, NUMBER, ALONE)]
        alone = [classes[ord(char)] == ALONE for char in words]
        tokens += (token != "") + sum(one or before for before, one in pairwise(alone))
    return line, len(bare), capitals, sum(classes[ord(char)] == NUMBER for char in bare), tokens


@given(lined)
def test_equals_the_oracle(text: str) -> None:
    assert found(text) == [oracle(line) for line in re.findall(r"[^\n]*\n|[^\n]+", text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AB 1.\n\n", [("AB 1.\n", 5, 2, 1, 2), ("\n", 0, 0, 0, 0)]),
        ("\t a  b \n c", [("\t a  b \n", 4, 0, 0, 2), (" c", 1, 0, 0, 1)]),
        ("\u00c9\u00df\u0130 \u00bd\u0664", [("\u00c9\u00df\u0130 \u00bd\u0664", 6, 2, 2, 2)]),
        ("\u732b\u304c\u597d\u304d\u3002", [("\u732b\u304c\u597d\u304d\u3002", 5, 0, 0, 4)]),
        ("(\u732b)a -", [("(\u732b)a -", 6, 0, 0, 3)]),
        ("\U0001d400", [("\U0001d400", 1, 0, 0, 1)]),  # a capital without a small form is none
        ("", []),
        (None, []),
    ],
)
def test_examples(text: str | None, expected: list[Line]) -> None:
    assert found(text) == expected


def test_rows_are_apart_and_slices_work() -> None:
    shapes = line_shapes(column(["a", "b\nc", None, "\n", ""])[1:])
    assert shapes.offsets.tolist() == [0, 2, 2, 3, 3]
    assert shapes.starts.tolist() == [1, 3, 4, 5]
    assert shapes.chars.tolist() == [1, 1, 0]


def test_capitals_are_those_of_unicode() -> None:
    """All capital letters that have a small form, of the Unicode version of the tables."""
    letters = [chr(code) for code in np.flatnonzero(tables().classes[:0x20000] == LETTER).tolist()]
    capitals = [unicodedata.category(char) == "Lu" and char.lower() != char for char in letters]
    assert line_shapes(column([*letters])).capitals.tolist() == capitals


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    assert sum(line[1] for line in found(text)) == len(text.replace("\n", "").strip())
