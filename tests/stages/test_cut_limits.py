from __future__ import annotations

import numpy as np
import pytest

from stages.cut_limits import CutLimits, over_limits


@pytest.mark.parametrize(
    ("limits", "cut", "chars", "broken"),
    [
        ({}, 5, 10, None),
        ({}, 6, 10, ("max_cut_chars", 0.6, 0.5)),
        ({"max_cut_chars": None}, 9, 10, None),
        ({"max_cut_chars": None}, 10, 10, ("min_left_chars", 0.0, 1.0)),
        ({"max_cut_chars": None, "min_left_chars": 4}, 6, 10, None),
        ({"max_cut_chars": None, "min_left_chars": 4}, 7, 10, ("min_left_chars", 3.0, 4.0)),
        ({"min_left_chars": 20}, 0, 10, None),  # short, but not by what was cut
        ({"min_left_chars": 20}, 6, 10, ("max_cut_chars", 0.6, 0.5)),
        ({}, 0, 0, None),
    ],
)
def test_limits(limits: dict[str, object], cut: int, chars: int, broken: tuple[str, float, float] | None) -> None:
    found = over_limits(CutLimits(**limits), np.array([0, cut]), np.array([1, chars]))
    assert [column.to_pylist() for column in found] == [[None, value] for value in broken or (None, None, None)]


def test_rules_are_the_limits_that_can_be_broken() -> None:
    assert CutLimits().rules == ("max_cut_chars", "min_left_chars")
    assert CutLimits(max_cut_chars=None).rules == ("min_left_chars",)
