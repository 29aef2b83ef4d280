from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.char_classes import SPACE, tables
from dataproc.kernels.lines import (
    BULLETS,
    Lines,
    count_lines,
    ends_with,
    line_chars,
    split_lines,
    join_paragraphs,
    sum_by_row,
)
from tests.dataproc.kernels.texts import PATHOLOGICAL, column, texts

SPACES = "".join(chr(code) for code in range(0x110000) if tables().classes[code] == SPACE)
lined = st.lists(
    texts | st.sampled_from(["- a", " * b", "\u2022c", "d...", "e\u2026 ", "f..", "\u2026.", "...\u200b", ".. ."])
).map("\n".join)


def counts(text: str | None, bullets: str = BULLETS) -> tuple[int, int, int]:
    found = count_lines(split_lines(column([text])), bullets)
    return int(found.lines[0]), int(found.bullets[0]), int(found.ellipses[0])


@given(lined)
def test_equals_the_oracle(text: str) -> None:
    lines = [line.strip(SPACES) for line in text.split("\n")]
    lines = [line for line in lines if line]
    bullets = [line for line in lines if line.startswith(tuple(BULLETS))]
    ellipses = [line for line in lines if line.endswith(("...", "\u2026"))]
    assert counts(text) == (len(lines), len(bullets), len(ellipses))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n\n b...\n", (2, 1, 1)),
        ("* a\n\t\u2022 b\n\u25aa c\n\u2013 d", (4, 3, 0)),
        ("Read more\u2026  \nand so on... \nend..", (3, 0, 2)),
        ("....\n.\n..\n.. .", (4, 0, 1)),
        ("\n \n\u3000\n", (0, 0, 0)),
        ("", (0, 0, 0)),
        (None, (0, 0, 0)),
    ],
)
def test_examples(text: str | None, expected: tuple[int, int, int]) -> None:
    assert counts(text) == expected


def test_bullets_are_the_callers() -> None:
    assert counts("- a\n+ b\n\u2022 c", bullets="+") == (3, 1, 0)
    assert counts("- a", bullets="") == (1, 0, 0)


def test_rows_are_apart() -> None:
    found = count_lines(split_lines(column(["- a..", ".\n- b", None, "c..."])[1:]))
    assert [found.lines.tolist(), found.bullets.tolist(), found.ellipses.tolist()] == [[2, 0, 1], [1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    assert counts(text) == (int(text[0] != "\n"), 0, int(text[0] == "."))


def spans(lines: Lines) -> list[list[str]]:
    found = [lines.data[a:b].tobytes().decode() for a, b in zip(lines.starts, lines.ends, strict=True)]
    return [found[a:b] for a, b in zip(lines.offsets[:-1], lines.offsets[1:], strict=True)]


@given(st.lists(lined | st.none(), max_size=4))
def test_lines_and_paragraphs_equal_the_oracle(values: list[str | None]) -> None:
    stripped = [[line.strip(SPACES) for line in (value or "").split("\n")] for value in values]
    assert spans(split_lines(column(values))) == [[line for line in lines if line] for lines in stripped]
    blank_lines_emptied = [
        "\n".join(line if line.strip(SPACES) else "" for line in (value or "").split("\n")) for value in values
    ]
    paragraphs = [[part.strip(SPACES) for part in re.split("\n{2,}", text)] for text in blank_lines_emptied]
    assert spans(join_paragraphs(split_lines(column(values)))) == [
        [part for part in parts if part] for parts in paragraphs
    ]


def test_lines_of_a_slice() -> None:
    lines = split_lines(column(["skipped", "a \n\n b", None])[1:])
    assert (lines.starts.tolist(), lines.ends.tolist(), lines.offsets.tolist()) == ([7, 12], [8, 13], [0, 2, 2])
    assert spans(join_paragraphs(split_lines(column(["a\nb\n \nc"])))) == [["a\nb", "c"]]


@given(lined, st.text(st.sampled_from(".\u2026\u4e2dc"), max_size=3))
def test_ends_and_chars_equal_the_oracle(text: str, marks: str) -> None:
    lines = split_lines(column([text]))
    [found] = spans(lines)
    assert ends_with(lines, marks).tolist() == [line[-1] in marks for line in found]
    assert line_chars(lines).tolist() == [len(line) for line in found]


def test_sum_by_row() -> None:
    assert sum_by_row(np.array([1, 2, 3]), np.array([0, 2, 2, 3])).tolist() == [3, 0, 3]
    assert sum_by_row(np.array([True, True]), np.array([0, 2])).tolist() == [2]
    assert sum_by_row(np.array([], bool), np.array([0])).tolist() == []


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_lines_of_a_megabyte_of_one_thing(text: str) -> None:
    assert (
        spans(split_lines(column([text])))
        == spans(join_paragraphs(split_lines(column([text]))))
        == [[text.strip()] * (text[0] != "\n")]
    )
