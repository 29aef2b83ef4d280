from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given

from dataproc.config import validate
from dataproc.errors import ConfigError
from stages.repeated_runs import RepeatedRuns
from tests.dataproc.kernels.texts import PATHOLOGICAL
from tests.stages.rule_sets import apply, pieces_of, repeating


def oracle(text: str, most: int = 31) -> dict[str, Any]:
    """Return the columns and the drop reason; n pieces in a row like those a period before are n / period repeats."""
    pieces = pieces_of(text)
    repeats, best = (1, 1) if pieces else (0, 0)
    for period in range(1, 14):
        run = 0
        for piece, before in zip(pieces[period:], pieces, strict=False):
            run = run + 1 if piece == before else 0
            if run // period + 1 > repeats:
                repeats, best = run // period + 1, period
    return {"run_repeats": repeats, "run_period": best, "drop_reason": "max_repeats" if repeats > most else None}


@given(repeating)
def test_equals_the_oracle(text: str) -> None:
    row, expected = apply(RepeatedRuns(max_repeats=3), text), oracle(text, 3)
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize(("period", "times"), [*product((1, 2, 13), (31, 32))])
def test_the_papers_limit(period: int, times: int) -> None:
    phrase = " ".join(f"w{number}" for number in range(period))
    row = apply(RepeatedRuns(), f"first {f'{phrase} ' * times}last")
    assert (row["run_repeats"], row["run_period"]) == (times, period)
    assert row["drop_reason"] == ("max_repeats" if times > 31 else None)


def test_longer_phrases_are_let_pass() -> None:
    phrase = " ".join(f"w{number}" for number in range(14))
    assert apply(RepeatedRuns(), f"{phrase} " * 40)["run_repeats"] == 1
    assert apply(RepeatedRuns(max_period=14), f"{phrase} " * 40)["drop_reason"] == "max_repeats"


def test_null_only_measures() -> None:
    assert apply(RepeatedRuns(max_repeats=None), "0 " * 99)["drop_reason"] is None


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_texts_without_pieces(text: str | None) -> None:
    row = apply(RepeatedRuns(), text)
    assert (row["run_repeats"], row["run_period"], row["drop_reason"]) == (0, 0, None)


def test_a_ruler_is_one_piece() -> None:
    assert apply(RepeatedRuns(), f"Title\n{'=' * 80}\nText")["run_repeats"] == 1


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    repeats = 300_000 if text[0] in "a\u4e2d" and len(text) < 1_000_000 else 1 if text[0] in "a." else 0
    assert apply(RepeatedRuns(), text)["run_repeats"] == repeats


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"max_runs": 3}, 'r: s.max_runs is not a key of RepeatedRuns. Did you mean "max_repeats"?'),
        ({"max_period": 0}, "r: s.max_period must be greater than or equal to 1, got 0. Correct it in the config."),
    ],
)
def test_errors(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        validate(RepeatedRuns, values, "r: s")
    assert str(error.value) == sentence
