from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.char_classes import SPACE, tables
from dataproc.kernels.lines import BULLETS, count_lines
from tests.dataproc.kernels.texts import PATHOLOGICAL, column, texts

SPACES = "".join(chr(code) for code in range(0x110000) if tables().classes[code] == SPACE)
lined = st.lists(
    texts | st.sampled_from(["- a", " * b", "\u2022c", "d...", "e\u2026 ", "f..", "\u2026.", "...\u200b", ".. ."])
).map("\n".join)


def counts(text: str | None, bullets: str = BULLETS) -> tuple[int, int, int]:
    found = count_lines(column([text]), bullets)
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
    found = count_lines(column(["- a..", ".\n- b", None, "c..."])[1:])
    assert [found.lines.tolist(), found.bullets.tolist(), found.ellipses.tolist()] == [[2, 0, 1], [1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    assert counts(text) == (int(text[0] != "\n"), 0, int(text[0] == "."))
