from __future__ import annotations

import math

import pyarrow as pa
import pytest

from stages.by_language import by_code, limits


def test_codes_are_made_iso_639_3_and_ordered() -> None:
    assert list(by_code({"zh": 1, "eng": 2, "de": 3}).items()) == [("cmn", 1), ("deu", 3), ("eng", 2)]


def test_wrong_and_doubled_codes_are_refused() -> None:
    with pytest.raises(ValueError, match=r'^language must be an ISO 639-1 or 639-3 code.*, got "english"\.'):
        by_code({"english": 1})
    with pytest.raises(
        ValueError, match=r"^languages must be named once each, got \['en', 'eng'\]\. Keep one code of each\.$"
    ):
        by_code({"en": 1, "eng": 2})


def test_limits_by_row() -> None:
    languages = pa.array(["eng", "deu", None, "fra", "deu"])
    found = limits(languages, 3, {"deu": None, "fra": 0}).tolist()
    assert found == [3, pytest.approx(math.nan, nan_ok=True), 3, 0, pytest.approx(math.nan, nan_ok=True)]
    assert limits(languages[2:4], None, {"fra": 1.5}).tolist() == [pytest.approx(math.nan, nan_ok=True), 1.5]
    assert limits(pa.array([], pa.string()), 3, {}).tolist() == []
    assert limits(pa.nulls(2, pa.string()), 3, {"deu": 1}).tolist() == [3, 3]
