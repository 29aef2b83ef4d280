from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.line_cuts import cut_lines, trim_ends
from dataproc.kernels.lines import Lines, join_paragraphs, split_lines
from tests.dataproc.kernels.texts import column, texts
from tests.stages.rule_sets import SPACES

ONE = np.array([0, 1])
lined = st.lists(texts | st.sampled_from([" a", "  b c \t", "", "\u00e9\u3000"])).map("\n".join)


def cut(values: list[str | None], marks: list[bool]) -> list[str]:
    found: list[str] = cut_lines(split_lines(column(values)), np.array(marks, bool)).to_pylist()
    return found


def oracle(text: str, marks: list[bool]) -> str:
    """Take the marked lines out with the blank ones behind them; white space at the ends aside."""
    kept, flags, taking = [], iter(marks), True
    for line in text.split("\n"):
        if line.strip(SPACES):
            taking = not next(flags)
        if taking:
            kept.append(line)
    return "\n".join(kept).strip(SPACES)


@given(st.lists(lined | st.none(), min_size=1, max_size=3), st.lists(st.booleans(), min_size=1, max_size=9))
def test_equals_the_oracle(values: list[str | None], drawn: list[bool]) -> None:
    lines = split_lines(column(values))
    marks = (drawn * (len(lines.starts) + 1))[: len(lines.starts)]
    ranges = zip(lines.offsets[:-1], lines.offsets[1:], strict=True)
    expected = [oracle(value or "", marks[a:b]) for value, (a, b) in zip(values, ranges, strict=True)]
    assert [text.strip(SPACES) for text in cut(values, marks)] == expected


def test_indentation_and_blank_lines_stay() -> None:
    assert cut([" a\n\nb\n\n  c\n"], [False, True, False]) == ["a\n\n  c"]
    assert cut(["a\n  b\nc", "d\n e"], [True, False, False, True, False]) == ["  b\nc", " e"]
    assert cut(["a\nb"], [True, True]) == [""]


def test_paragraphs() -> None:
    paragraphs = join_paragraphs(split_lines(column(["a\nb\n\nc\n\nd"])))
    assert cut_lines(paragraphs, np.array([False, True, False])).to_pylist() == ["a\nb\n\nd"]


@given(lined)
def test_trimmed_ends(text: str) -> None:
    whole = Lines(np.frombuffer(text.encode(), np.uint8), np.zeros(1, np.int64), np.array([len(text.encode())]), ONE)
    assert trim_ends(whole).ends.tolist() == [len(text.rstrip(SPACES).encode())]
