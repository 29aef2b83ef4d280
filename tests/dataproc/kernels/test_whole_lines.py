from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.lines import Lines
from dataproc.kernels.whole_lines import num_written_lines, whole_lines, whole_paragraphs
from tests.dataproc.kernels.texts import PATHOLOGICAL, column, texts

parted = st.lists(texts | st.sampled_from(["\n", "\n\n", " \n", "\u3000", "\u200b", "a", "a "])).map("".join)


def spelled(lines: Lines) -> list[list[str]]:
    found = [lines.data[a:b].tobytes().decode() for a, b in zip(lines.starts, lines.ends, strict=True)]
    return [found[a:b] for a, b in zip(lines.offsets[:-1], lines.offsets[1:], strict=True)]


@given(st.lists(parted | st.none(), max_size=4))
def test_equals_the_oracle(values: list[str | None]) -> None:
    written = [value or "" for value in values]
    lines = [re.split("\n+", text) for text in written]
    assert spelled(whole_lines(column(values))) == lines
    solid = [[line for line in of_text if line.strip()] for of_text in lines]
    assert spelled(whole_lines(column(values), blank=False)) == solid
    assert spelled(whole_paragraphs(column(values))) == [re.split("\n{2,}", text.strip()) for text in written]
    assert num_written_lines(column(values)).tolist() == [len(re.findall("[^\n]*\n|[^\n]+$", text)) for text in written]


def test_examples() -> None:
    assert spelled(whole_lines(column(["\na \n\n \nb"]))) == [["", "a ", " ", "b"]]
    assert spelled(whole_lines(column(["\na \n\n \nb"]), blank=False)) == [["a ", "b"]]
    assert spelled(whole_paragraphs(column([" a\n \nb\n\nc\n"]))) == [["a\n \nb", "c"]]
    assert num_written_lines(column(["a\n\nb\n", None, ""])).tolist() == [3, 0, 0]
    assert spelled(whole_lines(column(["skipped", "\n"])[1:])) == [["", ""]]


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    assert spelled(whole_lines(column([text]))) == [["", ""] if text[0] == "\n" else [text]]
    assert spelled(whole_paragraphs(column([text]))) == [[text.strip()]]
