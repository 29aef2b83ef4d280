from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from dataproc.cuts import CUTS, apply_cuts
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
