from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.config import validate
from dataproc.errors import ConfigError, SchemaError
from dataproc.stage import check_plan
from stages.threshold import Threshold

FLOAT64 = pa.float64()
Outcome = tuple[str | None, float | None, float | None]
KEPT: Outcome = (None, None, None)


def apply(values: list[Any], kind: pa.DataType = FLOAT64, **config: Any) -> list[Outcome]:
    batch = pa.RecordBatch.from_pydict(
        {"score": pa.array(values).cast(kind), "language": ["eng", "deu", None][: len(values)]}
    )
    result = Threshold(column="score", **config).build()(batch)
    assert result.schema.names == ["score", "language", "drop_reason", "drop_value", "drop_limit"]
    return [(row["drop_reason"], row["drop_value"], row["drop_limit"]) for row in result.to_pylist()]


def test_min() -> None:
    assert apply([0.5, 0.49, 0.51], min=0.5) == [KEPT, ("min", 0.49, 0.5), KEPT]


def test_max() -> None:
    assert apply([0.5, 0.49, 0.51], max=0.5) == [KEPT, KEPT, ("max", 0.51, 0.5)]


def test_zero_is_a_bound() -> None:
    assert apply([0.0, -0.1, 0.1], min=0, max=0) == [KEPT, ("min", -0.1, 0), ("max", 0.1, 0)]


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_null_policy(missing: float | None) -> None:
    assert apply([missing, 1.0], min=0.5) == [("null", None, None), KEPT]
    assert apply([missing, 0.0], min=0.5, max=0.9, keep_null=True) == [KEPT, ("min", 0.0, 0.5)]


def test_min_of_single_languages() -> None:
    assert apply([0.4, 0.4, 0.4], min=0.5, languages={"de": 0.4}) == [("min", 0.4, 0.5), KEPT, ("min", 0.4, 0.5)]
    assert apply([0.4, 0.3, 0.4], languages={"deu": 0.4}) == [KEPT, ("min", 0.3, 0.4), KEPT]
    assert apply([0.4, 0.3, 0.4], min=0.5, languages={"deu": None})[1] == KEPT


@pytest.mark.parametrize("limit", [0.65, 0.1, 0.3, 0.7, 0.9999])
def test_float32_is_compared_as_stored(limit: float) -> None:
    """float32(0.65) is 0.64999998 as a double, yet a score that reads 0.65 must pass a min and a max of 0.65."""
    below, above = round(limit - 1e-4, 4), round(limit + 1e-4, 4)
    values = [limit, below, above]
    assert apply(values, pa.float32(), min=limit) == [KEPT, ("min", below, limit), KEPT]
    assert apply(values, pa.float32(), max=limit) == [KEPT, KEPT, ("max", above, limit)]


@given(stored=st.integers(0, 10_000), limit=st.integers(0, 10_000))
def test_float32_scores_decide_like_decimals(stored: int, limit: int) -> None:
    dropped = apply([np.float32(stored / 10_000)], pa.float32(), min=limit / 10_000)[0][0] == "min"
    assert dropped == (stored < limit)


@pytest.mark.parametrize("kind", [pa.int64(), pa.int32(), pa.uint8(), pa.float16(), pa.bool_()], ids=str)
def test_other_types_of_numbers(kind: pa.DataType) -> None:
    assert apply([1, 0], kind, min=1) == [KEPT, ("min", 0, 1)]


def test_contract() -> None:
    assert Threshold(column="score", min=1).contract().reads == ("score",)
    assert Threshold(column="score", languages={"en": 1}).contract().reads == ("score", "language")
    assert Threshold(column="score", min=1).contract().rules == ("null", "min")
    assert Threshold(column="score", max=1, keep_null=True).contract().rules == ("max",)
    with pytest.raises(ConfigError, match=r'^r\.good reads column "scor", which no earlier stage writes\.'):
        check_plan({"good": Threshold(column="scor", min=1)}, {"score": pa.float32()}, "r")


def test_a_column_of_words_is_refused() -> None:
    sentence = r'^threshold on "score" must be a column of numbers, got one of type string\. Name a score or a count\.$'
    with pytest.raises(SchemaError, match=sentence):
        apply(["a"], pa.string(), min=1)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"min": 1}, "r: t.column must be given. Add it to the config."),
        (
            {"column": "a"},
            "r: t: threshold must have min, max or languages, got none of them. Set one, or take the stage out.",
        ),
        ({"column": "a", "min": 2, "max": 1}, "r: t: min must be at most max, got 2.0 and 1.0. No row could pass."),
        (
            {"column": "a", "max": 1, "languages": {"en": 2}},
            "r: t: min must be at most max, got 2.0 and 1.0 for eng. No row could pass.",
        ),
        ({"column": "a", "mini": 1, "min": 1}, 'r: t.mini is not a key of Threshold. Did you mean "min"?'),
        ({"column": "a", "min": float("nan")}, "r: t.min must be a finite number, got nan. Correct it in the config."),
    ],
)
def test_errors(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        validate(Threshold, values, "r: t")
    assert str(error.value) == sentence


def test_json_round_trip() -> None:
    config = Threshold(column="a", min=0, languages={"de": None, "en": 0.5})
    assert Threshold.model_validate_json(config.model_dump_json()) == config
