from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.line_rules import cut_citations, ends_in, has_long_token, join_lines, line_tokens
from dataproc.kernels.lines import Lines, split_lines
from tests.dataproc.kernels.test_lines import SPACES, spans
from tests.dataproc.kernels.texts import PATHOLOGICAL, column, texts

PIECES = [
    "[1]",
    "[]",
    "[edit]",
    "[citation needed]",
    "[",
    "]",
    "7",
    "...",
    " ",
    "Use of K\u00dcche",
    "cookies",
    "\n",
    "a",
]
written = st.lists(texts | st.sampled_from(PIECES), max_size=12).map("".join)
rows = st.lists(written | st.none(), max_size=4)


def split(values: list[str | None]) -> tuple[Lines, list[str]]:
    lines = split_lines(column(values))
    return lines, [line for row in spans(lines) for line in row]


@given(rows, st.integers(0, 9))
def test_tokens_equal_the_oracle(values: list[str | None], most: int) -> None:
    lines, found = split(values)
    tokens = [[token for token in re.split(f"[{re.escape(SPACES)}]", line) if token] for line in found]
    assert line_tokens(lines).tolist() == [len(line) for line in tokens]
    assert has_long_token(lines, most).tolist() == [max(map(len, line)) > most for line in tokens]


@given(rows)
def test_citations_equal_the_oracle(values: list[str | None]) -> None:
    lines, found = split(values)
    cut, cuts = cut_citations(lines)
    expected = [re.subn(r"\[[0-9]*\]|\[edit\]|\[citation needed\]", "", line) for line in found]
    assert [line for row in spans(cut) for line in row] == [line for line, _ in expected]
    assert cuts.tolist() == [count for _, count in expected]
    assert ends_in(cut, "...").tolist() == [line.endswith("...") for line, _ in expected]


@given(rows, st.integers(0))
def test_joined_lines_equal_the_oracle(values: list[str | None], bits: int) -> None:
    lines, found = split(values)
    kept = np.array([bool(bits >> k & 1) for k in range(len(found))], bool)
    numbers = iter(kept)
    expected = ["\n".join(line for line in row if next(numbers)) for row in spans(lines)]
    joined = join_lines(lines, kept)
    joined.validate(full=True)
    assert joined.to_pylist() == expected


def test_examples() -> None:
    lines, _ = split(["Our Cookie Policy", "a bcd e", "He left.[12] Really.", "and so on..."])
    assert has_long_token(lines, 5).tolist() == [True, False, True, False]
    assert has_long_token(lines, 6).tolist() == [False, False, True, False]
    assert spans(cut_citations(lines)[0])[2] == ["He left. Really."]
    assert ends_in(lines, "...").tolist() == [False, False, False, True]


@pytest.mark.parametrize("text", [*PATHOLOGICAL, "[" * 500_000, "[1" * 300_000])
def test_a_megabyte_of_one_thing(text: str) -> None:
    lines, found = split([text])
    assert cut_citations(lines)[1].tolist() == [0] * len(found)
    assert join_lines(lines, np.ones(len(found), bool)).to_pylist() == ["".join(found)]
    assert line_tokens(lines).tolist() == [len(line.split()) for line in found]
