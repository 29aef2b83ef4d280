from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.cuts import CUTS, add_cuts, apply_cuts, span_cuts
from dataproc.errors import ShardError


def applied(texts: list[str | None], *cuts: list[tuple[int, int, str]] | None) -> Any:
    rows = [
        None if row is None else [dict(zip(("start", "end", "put"), cut, strict=True)) for cut in row] for row in cuts
    ]
    return apply_cuts(pa.array(texts, pa.large_string()), pa.array(rows, CUTS)).to_pylist()


def test_spans_are_bytes_and_replaced() -> None:
    texts = ["one two", "\u00e9\u00e8x", "same", None, "end"]
    cuts = ([(0, 3, "1"), (3, 7, "")], [(2, 4, "\u20ac")], None, None, [(3, 3, "!")])
    assert applied(texts, *cuts) == ["1", "\u00e9\u20acx", "same", None, "end!"]
    assert applied([]) == []


@pytest.mark.parametrize(
    ("cuts", "told"),
    [
        ([(0, 9, "")], "within the 3 bytes of the text, got 0 to 9 after 0"),
        ([(1, 2, ""), (1, 3, "")], "got 1 to 3 after 2"),
        ([(2, 1, "")], "got 2 to 1 after 0"),
        ([(-1, 1, "")], "got -1 to 1 after 0"),
        ([(0, 1, "")], "cuts must not part a character, got 'utf-8' codec"),
    ],
)
def test_impossible_cuts_are_errors(cuts: list[tuple[int, int, str]], told: str) -> None:
    with pytest.raises(ShardError) as caught:
        applied(["\u00e9x"], cuts)
    assert told in str(caught.value)
    assert "Run `dataproc verify`, or rebuild them with --redo." in str(caught.value)


def test_spans_become_cuts_that_put_nothing() -> None:
    found = span_cuts(np.array([3, 0]), np.array([7, 1]), np.array([0, 0, 2]))
    assert found.type == CUTS
    assert found.to_pylist() == [[], [{"start": 3, "end": 7, "put": ""}, {"start": 0, "end": 1, "put": ""}]]


def some_cuts(size: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    places = st.lists(st.integers(0, size), max_size=8, unique=True).map(sorted)
    pairs = places.map(lambda all_: list(zip(all_[::2], all_[1::2], strict=False)))
    return pairs.map(lambda spans: [{"start": start, "end": end, "put": ""} for start, end in spans])


@given(st.data())
def test_added_cuts_leave_what_they_leave_one_after_the_other(data: st.DataObject) -> None:
    text = pa.array(["0123456789abcdef"], pa.large_string())
    cuts = pa.array([data.draw(some_cuts(16))], CUTS)
    first = apply_cuts(text, cuts)
    more = pa.array([data.draw(some_cuts(len(first[0].as_py())))], CUTS)
    both = add_cuts(cuts, more)
    assert apply_cuts(text, both).equals(apply_cuts(first, more))
    assert all(cut in both.to_pylist()[0] for cut in cuts.to_pylist()[0]), "those of the first stay as they are"


def test_what_was_put_stays() -> None:
    cuts = [{"start": 2, "end": 4, "put": "XYZ"}]
    more = [{"start": 0, "end": 3, "put": ""}, {"start": 4, "end": 6, "put": ""}]  # of "abXYZefgh"
    (found,) = add_cuts(pa.array([cuts], CUTS), pa.array([more], CUTS)).to_pylist()
    assert [(cut["start"], cut["end"], cut["put"]) for cut in found] == [(0, 2, ""), (2, 4, "XYZ"), (4, 5, "")]
    assert add_cuts(pa.array([None, cuts], CUTS), pa.array([more, None], CUTS)).to_pylist() == [None, cuts]
