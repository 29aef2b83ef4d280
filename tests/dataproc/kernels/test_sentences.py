from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.char_classes import ALONE, FORMAT, LETTER, MARK, PUNCTUATION, SPACE, tables
from dataproc.kernels.lines import split_lines
from dataproc.kernels.sentences import _marks, count_sentences, sentence_ends
from tests.dataproc.kernels.texts import PATHOLOGICAL, column, texts

CLASSES = tables().classes


def count(text: str | None) -> int:
    return int(count_sentences(split_lines(column([text]))).sum())


def kind(char: str) -> str:
    """Return one letter for what the rule tells apart."""
    ends = {".": ".", "?": "!", "!": "!"}
    if char in sentence_ends():
        return ends.get(char, "W")  # W: a mark that needs no white space behind it
    if CLASSES[ord(char)] in (SPACE, PUNCTUATION):
        return "_" if CLASSES[ord(char)] == SPACE else "p"
    if CLASSES[ord(char)] in (FORMAT, MARK):
        return ""
    if CLASSES[ord(char)] in (LETTER, ALONE):
        return "a" if ord(char) < 0x20000 and _marks()[1][ord(char)] else "A"
    return "0"


def oracle(line: str) -> int:
    kinds = "".join(map(kind, line))
    breaks = 0
    for match in re.finditer("([.!W][.!Wp_]*)(?=[aA0])", kinds):
        marks = re.sub("[p_]", "", match[1])
        initial = re.search("(?<![aA])[aA]$", kinds[: match.start()])
        stopped = not marks.strip(".") and (initial or kinds[match.end()] == "a")
        breaks += bool(re.search("W|_", match[1])) and not stopped
    return breaks + bool(line.strip())


sentences = st.lists(
    texts.map(lambda text: text.replace("\n", ""))
    | st.sampled_from(["One", "two", "A", "b", ". ", ".", "! ", "?", "\u3002", '." ', " (", "... ", "3", "\u0661"]),
    max_size=20,
).map("".join)


@given(sentences)
def test_equals_the_oracle(text: str) -> None:
    lines = split_lines(column([text]))
    stripped = lines.data[int(lines.starts[0]) : int(lines.ends[0])].tobytes().decode() if len(lines.starts) else ""
    assert count(text) == (oracle(stripped) if stripped else 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("...", 1),
        ("no mark", 1),
        ("One. Two! Three? Four", 4),
        ('He said "Go!" We went.', 2),
        ("It cost 3.14 dollars.", 1),
        ("approx. five, etc. and so on", 1),
        ("J. Smith and the U.S. Army", 1),
        ("Mr. J. Smith went", 2),  # no abbreviations are known
        ("Wait?! What... No.", 3),
        ("Wait... what", 1),
        ("Stop! he said", 2),
        ("See example.com/Path", 1),
        ("1. One", 2),
        ("\u6211\u6765\u4e86\u3002\u4f60\u5462\uff1f\u300d\u597d", 3),
        ("\u0930\u093e\u092e \u0917\u092f\u093e\u0964 \u0935\u0939 \u0906\u092f\u093e\u0964", 2),
        ("\u0627\u064a\u0646\u061f \u0647\u0646\u0627.", 2),
    ],
)
def test_examples(text: str, expected: int) -> None:
    assert count(text) == expected


def test_marks() -> None:
    ends = sentence_ends()
    assert len(ends) == len(set(ends)) == 159
    assert {".", "?", "!", "\u3002", "\uff1f", "\u0964", "\u061f", "\u17d4"} <= set(ends)
    assert not {",", ":", ";", '"', "'", "\u2026"} & set(ends)
    assert {unicodedata.category(char) for char in ends} <= {"Po", "Cn"}  # Cn: newer than this Python


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    assert count(text) == int(text[0] != "\n")
