from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from dataproc.config import validate
from dataproc.errors import ConfigError, SchemaError
from stages.flagged import Bypass, covers, drop_flagged

ROWS: dict[str, Any] = {
    "flags": [None, ["g.min"], ["g.min"], ["g.max", "c.curly"], ["c.curly"], ["g.min"], ["other.rule"]],
    "score": pa.array([0.1, 0.899, 0.9, 0.95, 0.95, None, 1.0], pa.float32()),
    "language": ["eng", "eng", "eng", "eng", "deu", "eng", "eng"],
}


def decide(dropping: tuple[str, ...], **bypass: Any) -> list[tuple[str | None, str | None]]:
    """Return (drop_reason, bypassed) of each row."""
    ids = pa.array([bytes([row]) for row in range(7)])
    batch = pa.RecordBatch.from_pydict({"doc_id": ids, **ROWS})
    marked = drop_flagged(batch, dropping, Bypass(**bypass) if bypass else None)
    return list(zip(marked["drop_reason"].to_pylist(), marked["bypassed"].to_pylist(), strict=True))


def test_without_a_bypass_the_first_reason_drops() -> None:
    g, c = "g.*", "c.curly"
    dropped = [None, g, g, g, c, g, None]
    assert decide((g, c)) == [(reason, None) for reason in dropped]
    assert decide((c, g)) == [(c if row == 3 else reason, None) for row, reason in enumerate(dropped)]


def test_a_score_takes_all_flags_off() -> None:
    """0.899 is just below, 0.9 as stored in float32 is not; no score helps nothing."""
    g, c = "g.*", "c.curly"
    expected = [(None, None), (g, None), (None, g), (None, g), (None, c), (g, None), (None, None)]
    assert decide((g, c), column="score", min=0.9) == expected


def test_reasons_outside_the_bypass_drop_all_the_same() -> None:
    g, c = "g.*", "c.curly"
    expected = [(None, None), (g, None), (None, g), (c, None), (c, None), (g, None), (None, None)]
    assert decide((g, c), column="score", min=0.9, reasons=["g.*"]) == expected
    assert decide((g, c), column="score", min=0.9, reasons=["g.min", "c.curly"])[3] == (g, None)


def test_languages_have_limits_of_their_own() -> None:
    c = ("c.*",)
    assert decide(c, column="score", min=0.9, languages={"de": 0.96})[3:5] == [(None, "c.*"), ("c.*", None)]
    assert decide(c, column="score", min=0.9, languages={"de": None})[4] == ("c.*", None)
    assert decide(c, column="score", min=2.0, languages={"de": 0.95})[3:5] == [("c.*", None), (None, "c.*")]


@pytest.mark.parametrize(
    ("reason", "flag", "expected"),
    [
        ("g.*", "g.min", True),
        ("g.min", "g.min", True),
        ("g.min", "g.min2", False),
        ("g.*", "g2.min", False),
        ("*", "g.min", False),
    ],
)
def test_covers(reason: str, flag: str, expected: bool) -> None:
    assert covers(reason, flag) is expected


def test_a_column_of_text_is_no_score() -> None:
    with pytest.raises(
        SchemaError, match=r"policy\.bypass\.column must be a column of numbers, got one of type string"
    ):
        decide(("g.*",), column="language", min=0.9)


def test_an_empty_list_of_reasons_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"test\.reasons must"):
        validate(Bypass, {"column": "score", "min": 0.9, "reasons": []}, "test")
    assert Bypass(column="score", min=0.9, languages={"de": 1}).reads == ("score", "language")
