from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.char_classes import FORMAT, LETTER, MARK, NUMBER, SPACE, tables
from dataproc.kernels.cuts import MAX_WORD_BYTES, Cuts, cut_chars, neat
from tests.dataproc.kernels.texts import PATHOLOGICAL, column, texts


def edges(text: str, *spans: tuple[int, int], whole_lines: bool = False) -> list[tuple[int, int]]:
    """Return the spans of a text, in its bytes, as `neat` leaves them; other texts lie around it."""
    data = np.frombuffer(b"word" + text.encode() + b"word", np.uint8)
    starts, ends = (np.array([span[side] for span in spans], np.int64) for side in (0, 1))
    marked = Cuts(starts, ends, np.array([0, 0, len(spans)]))
    found = neat(data, np.array([4, 4]), np.array([4, len(data) - 4]), marked, whole_lines=whole_lines)
    assert found.offsets.tolist() == [0, 0, len(found.starts)]
    return list(zip(found.starts.tolist(), found.ends.tolist(), strict=True))


def without(text: str, *spans: tuple[int, int]) -> str:
    data, at, left = text.encode(), 0, b""
    for start, end in edges(text, *spans):
        assert at <= start < end <= len(data)
        left, at = left + data[at:start], end
    return (left + data[at:]).decode()


@pytest.mark.parametrize(
    ("text", "what", "left"),
    [
        ("Alice wanted [to go to the ]store", "words", "Alice wanted store"),
        ("Alice wanted[ to go to the st]ore", "words", "Alice wanted store"),
        ("Alice wan[ted to go to the] store", "words", "Alice wanted store"),
        ("a one[ two ]three", "one space stays", "a one three"),
        ("one [two, three], four", "punctuation parts words", "one , four"),
        ("one\n[two\n]three", "lines", "one\nthree"),
        ("one[\ntwo\n]three", "lines", "one\nthree"),
        ("one[\ntwo]\nthree", "lines", "one\nthree"),
        ("one\n\n[two\n]three", "paragraphs", "one\n\nthree"),
        ("one.[ two.\n\n]three", "the wider gap stays", "one.\n\nthree"),
        ("one\n[two. ]three", "the wider gap stays", "one\nthree"),
        ("if a:\n[    b()\n]    c()", "indentation of the next line stays", "if a:\n    c()"),
        ("if a:[\n    b()\n    ]c()", "indentation of the next line stays", "if a:\n    c()"),
        ("[one two\n\n]    three", "start", "    three"),
        ("[one ]two", "start", "two"),
        ("one\n\n[two\n]", "end", "one"),
        ("[one two]", "all", ""),
        ("  [one two]\n", "all but white space", ""),
        ("one[   ]two", "white space alone is nothing", "one   two"),
        ("one [two] [three] four", "white space alone between", "one four"),
        ("no[ne]theless", "inside a word", "nonetheless"),
        ("\u4e2d[\u6587\u5b57]\u3002", "every ideograph is a word", "\u4e2d\u3002"),
        ("\u4e2d [\u6587] \u5b57", "spaces between ideographs", "\u4e2d \u5b57"),
        ("e[\u0301 f g] h", "a mark belongs to its letter", "e\u0301 h"),
        ("\u0e01[\u0e34\u0e01 ]\u0e02", "and to a letter that stands alone", "\u0e01\u0e34 \u0e02"),
        ("one[-two-]three", "words that would meet keep the last character between", "one-three"),
        ("one[-]two", "or all of them", "one-two"),
        ("(one)[(two)](three)", "others may meet", "(one)(three)"),
    ],
)
def test_edges(text: str, what: str, left: str) -> None:
    spans, plain = [], text
    while "[" in plain:
        start, end = plain.index("["), plain.index("]") - 1
        plain = plain.replace("[", "", 1).replace("]", "", 1)
        spans.append((len(plain[:start].encode()), len(plain[:end].encode())))
    assert without(plain, *spans) == left, what


def test_edges_inside_characters_move_inwards() -> None:
    text = "\u4e2d\u6587\u5b57\u4e00"  # three bytes each
    assert edges(text, (1, 11)) == [(3, 9)]
    assert edges(text, (2, 8)) == [(3, 6)]
    assert edges(text, (4, 5)) == []
    assert edges("\U0001f600" * 3, (1, 11)) == [(4, 8)]


def test_words_too_long_to_be_words_are_parted() -> None:
    word = "x" * MAX_WORD_BYTES
    assert edges(f"a {word} b c {word}", (2, len(word) + 7)) == [(2, len(word) + 7)]
    assert edges(f"{word} b {word}", (1, 2 * len(word))) == [(MAX_WORD_BYTES + 1, MAX_WORD_BYTES + 3)]
    assert edges(f"{word}xx b {word}xx", (1, 2 * len(word) + 6)) == [(1, 2 * len(word) + 5)]


@pytest.mark.parametrize(
    ("span", "found"),
    [
        ((0, 15), [(0, 16)]),  # two lines, and the white space behind them
        ((1, 15), [(6, 14)]),
        ((6, 14), [(6, 14)]),
        ((7, 14), [(6, 14)]),
        ((8, 15), []),
        ((7, 13), []),
        ((12, 20), [(14, 20)]),
        ((0, 20), [(0, 20)]),
    ],
)
def test_whole_lines(span: tuple[int, int], found: list[tuple[int, int]]) -> None:
    assert edges("\u00e9 one\ntwo six\n\nfour", span, whole_lines=True) == found


spanned = texts.flatmap(
    lambda text: st.tuples(
        st.just(text),
        st.lists(st.integers(0, len(text.encode())), max_size=6, unique=True).map(sorted),
    )
)


@given(spanned)
def test_only_white_space_goes_that_was_in_no_span_and_no_word_is_parted(drawn: tuple[str, list[int]]) -> None:
    text, places = drawn
    spans = [(start, end) for start, end in zip(places[::2], places[1::2], strict=False) if start < end]
    classes = tables().classes
    inside = {at for start, end in spans for at in range(start, end)}
    at = 0
    left: list[int] = []  # classes of what is left, -1 at each seam
    found = edges(text, *spans)
    gone = {byte for start, end in found for byte in range(start, end)}
    assert [start for start, _ in found] == sorted(start for start, _ in found)
    for char in text:
        size, kind = len(char.encode()), int(classes[ord(char)])
        here = gone & set(range(at, at + size))
        assert len(here) in (0, size), "no character is parted"
        if here and kind != SPACE:
            assert inside.issuperset(here), "only white space goes that was in no span"
        if not here:
            left.append(kind)
        elif left[-1:] != [-1]:
            left.append(-1)
        at += size
    for before, seam, after in zip(left, left[1:], left[2:], strict=False):
        if seam == -1:
            assert not (before in (LETTER, NUMBER, MARK) and after in (LETTER, NUMBER)), "no two words meet"
            assert not (after in (MARK, FORMAT) and before not in (SPACE, -1))
            assert not (before == after == SPACE) or "\n" in text


@given(spanned)
def test_characters_are_counted(drawn: tuple[str, list[int]]) -> None:
    text, places = drawn
    starts, ends = places[: len(places) // 2 * 2 : 2], places[1::2]
    spans = Cuts(np.array(starts, np.int64), np.array(ends, np.int64), np.array([0, 0, len(ends)]))
    data = text.encode()
    want = sum(sum(byte & 0xC0 != 0x80 for byte in data[start:end]) for start, end in zip(starts, ends, strict=True))
    assert cut_chars(column([None, text]), spans).tolist() == [0, want]


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    size = len(text.encode())
    assert edges(text, (0, size)) == ([] if text[0] == "\n" else [(0, size)])
