from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.char_classes import ALONE, LETTER, MARK, NUMBER, SPACE, tables
from dataproc.kernels.cuts import cut_chars
from dataproc.kernels.line_keys import ACCENTS, cut_spans, line_keys
from tests.dataproc.kernels.texts import PATHOLOGICAL, column, texts

VECTORS = Path(__file__).parents[2] / "data" / "line_normalization.jsonl"
lined = st.lists(texts | st.sampled_from(["", " ", "Caf\u00e9 12!", "-----", "\tx", "    y"]), max_size=8).map(
    "\n".join
)


def normalized(line: str) -> str:
    """Say in plain Python what the kernel hashes."""
    classes, fold = tables()
    out = ""
    for char in line:
        kind = classes[ord(char)]
        if kind == SPACE:
            out += " "
        elif kind == NUMBER:
            out += "0"
        elif kind in (LETTER, ALONE, MARK):
            small = chr(fold[ord(char)]) if ord(char) < len(fold) else char
            first, *marks = list(unicodedata.normalize("NFD", small))
            first = chr(fold[ord(first)]) if ord(first) < len(fold) else first
            out += first if marks and all(map(is_accent, marks)) else "" if is_accent(small) else small
    return " ".join(filter(None, out.split(" ")))


def is_accent(char: str) -> bool:
    return any(first <= ord(char) <= last for first, last in ACCENTS)


def keys(text: str | None, seed: int = 0) -> list[int]:
    result: list[int] = line_keys(column([text]), np.array([seed], np.uint64)).keys.tolist()
    return result


@given(lined, st.integers(0, 2**64 - 1))
def test_equals_the_oracle(text: str, seed: int) -> None:
    lines = text.split("\n")
    lines = lines[:-1] if lines[-1] == "" else lines
    found = line_keys(column([text]), np.array([seed], np.uint64))
    assert found.keys.tolist() == [xxhash.xxh64_intdigest(normalized(line).encode(), seed) for line in lines]
    assert found.chars.tolist() == [len(normalized(line)) for line in lines]
    assert found.blank.tolist() == [all(tables().classes[ord(char)] == SPACE for char in line) for line in lines]
    assert found.indented.tolist() == [
        line.startswith(("\t", "    ")) and not blank for line, blank in zip(lines, found.blank, strict=True)
    ]


def vectors() -> list[dict[str, Any]]:
    return [json.loads(line) for line in VECTORS.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector["id"])
def test_vectors(vector: dict[str, Any]) -> None:
    """Normalised lines written by hand: another implementation has to give the same."""
    assert keys(vector["line"]) == [xxhash.xxh64_intdigest(vector["normalized"].encode())]
    if "key" in vector:
        assert f"{keys(vector['line'])[0]:016x}" == vector["key"]


def test_rows_have_their_own_seed() -> None:
    found = line_keys(column(["x", "a", None, "a\na"])[1:], np.array([1, 2, 3], np.uint64))
    assert found.offsets.tolist() == [0, 1, 1, 3]
    assert found.keys.tolist() == [xxhash.xxh64_intdigest(b"a", seed) for seed in (1, 3, 3)]


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    lines = [text] if text[0] != "\n" else [""] * len(text)
    assert keys(text) == [xxhash.xxh64_intdigest(normalized(line).encode()) for line in lines]


def cut(text: str | None, which: set[int]) -> tuple[str, list[int]]:
    """Return what is left of a text without the numbered lines."""
    whole = column(["zz", text])[1:]
    lines = line_keys(whole, np.array([0], np.uint64))
    cuts = cut_spans(whole, lines, np.array([line in which for line in range(len(lines.keys))], bool))
    data, end, left = (text or "").encode(), 0, b""
    for start, stop in zip(cuts.starts.tolist(), cuts.ends.tolist(), strict=True):
        assert end <= start < stop <= len(data)
        left, end = left + data[end:start], stop
    return (left + data[end:]).decode(), cut_chars(whole, cuts).tolist()


@pytest.mark.parametrize(
    ("text", "which", "left"),
    [
        ("a\nb\nc", set(), "a\nb\nc"),
        ("a\nb\nc", {0}, "b\nc"),
        ("a\nb\nc", {1}, "a\nc"),
        ("a\nb\nc", {2}, "a\nb"),
        ("a\nb\nc\n", {2}, "a\nb"),
        ("a\nb\nc", {1, 2}, "a"),
        ("a\nb\nc", {0, 1, 2}, ""),
        ("a\n\nb\n\nc", {2}, "a\n\nc"),
        ("a\n\nb\n \nc", {0}, "b\n \nc"),
        ("a\n\nb\n\nc", {4}, "a\n\nb"),
        ("a\nb\n\nc", {1}, "a\n\nc"),
        ("a\n\nb\nc", {2}, "a\n\nc"),
        ("\n\na\n\nb", {2}, "\n\nb"),
        ("a\n\nb\n\nc\n\nd", {2, 4}, "a\n\nd"),
        ("a\nb\n\nc\n\n", {1, 3}, "a"),
        ("\u00e9\n\u00e9\u00e9\nx", {1}, "\u00e9\nx"),
        (None, set(), ""),
    ],
)
def test_what_is_left(text: str | None, which: set[int], left: str) -> None:
    assert cut(text, which) == (left, [len(text or "") - len(left)])


@given(lined, st.data())
def test_every_other_line_stays(text: str, data: st.DataObject) -> None:
    lines = text.split("\n")
    which = data.draw(st.sets(st.integers(0, len(lines) - 1)))
    which &= {number for number, line in enumerate(lines) if normalized(line)}
    solid = [line for number, line in enumerate(lines) if number not in which and not _blank(line)]
    left = cut(text, which)[0]
    assert [line for line in left.split("\n") if not _blank(line)] == solid
    if not which:
        assert left == text


def _blank(line: str) -> bool:
    return all(tables().classes[ord(char)] == SPACE for char in line)
