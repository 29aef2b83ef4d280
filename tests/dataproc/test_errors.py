"""Exit codes and suggestions."""

from __future__ import annotations

import pytest

from dataproc import errors
from dataproc.errors import DataprocError, suggest


def test_each_error_has_an_exit_code_of_its_own() -> None:
    codes = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, DataprocError)
    }
    assert codes == {
        "DataprocError": 1,
        "ConfigError": 2,
        "InputError": 3,
        "SchemaError": 4,
        "ShardError": 5,
        "ResumeError": 6,
        "StorageError": 7,
    }


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("min_word", ["min_words", "max_words"], ' Did you mean "min_words"?'),
        ("MIN_WORDS", ["zzz", "aaa"], " Known: aaa, zzz."),
        ("anything", [], ""),
        ("min_words", iter(["min_words"]), ' Did you mean "min_words"?'),
    ],
)
def test_suggest(name: str, known: list[str], expected: str) -> None:
    assert suggest(name, known) == expected
