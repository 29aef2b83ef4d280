from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs.dedup_pairs import CONTEXT, MAX_SHOWN, MAX_WORDS, side_by_side


def test_what_one_has_alone_is_marked() -> None:
    left, right = side_by_side("a b c", "a x c")
    assert left == (("same", "a "), ("only", "b "), ("same", "c"))
    assert right == (("same", "a "), ("only", "x "), ("same", "c"))
    assert side_by_side("a b", "a") == ((("same", "a "), ("only", "b")), (("same", "a"),))
    assert side_by_side("", "a") == ((), (("only", "a"),))


def test_what_is_the_same_for_long_is_cut_between_differences() -> None:
    words = [f"w{number}" for number in range(100)]
    left, right = side_by_side(" ".join(["x", *words, "y"]), " ".join(["z", *words, "y", "v"]))
    assert [kind for kind, _ in left] == ["only", "same", "gap", "same"]
    assert left[1][1].split() == words[:CONTEXT]
    assert [kind for kind, _ in right] == ["only", "same", "gap", "same", "only"]
    assert right[2] == ("gap", f"{101 - 2 * CONTEXT} equal words")


def test_equal_texts_show_their_beginning() -> None:
    left, right = side_by_side("same words " * 300, "same words " * 300)
    assert left == right
    assert [kind for kind, _ in left] == ["same", "gap"]


def test_texts_without_spaces_are_compared_by_character() -> None:
    left, right = side_by_side("\u6771\u4eac\u90fd", "\u6771\u897f\u90fd")
    assert [kind for kind, _ in left] == ["same", "only", "same"]
    assert right[1] == ("only", "\u897f")


def test_long_texts_end_in_the_number_of_words_left_out() -> None:
    left, right = side_by_side(" ".join(f"a{k}" for k in range(5000)), " ".join(f"b{k}" for k in range(MAX_WORDS)))
    assert left[-1] == ("gap", f"{5000 - MAX_SHOWN:,} more words")
    assert right[-1] == ("gap", f"{MAX_WORDS - MAX_SHOWN:,} more words")
    assert len(left[0][1].split()) == MAX_SHOWN


@given(st.text("ab \n", max_size=60), st.text("ab \n", max_size=60))
def test_the_spans_of_short_texts_are_the_texts(left: str, right: str) -> None:
    for text, spans in zip((left, right), side_by_side(left, right), strict=True):
        if all(kind != "gap" for kind, _ in spans):
            assert "".join(part for _, part in spans) == text.lstrip()
