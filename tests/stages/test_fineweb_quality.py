from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.config import validate
from dataproc.errors import ConfigError
from dataproc.kernels.sentences import sentence_ends
from stages.fineweb_quality import COLUMNS, FinewebQuality, Rule
from tests.dataproc.kernels.texts import PATHOLOGICAL
from tests.stages.rule_sets import apply, batch, lines_of, repeating, repeats_of, words_of


def test_limits_of_the_variants() -> None:
    fields = [*get_args(Rule), "short_line_chars"]
    code, paper = FinewebQuality(), FinewebQuality(variant="paper")
    assert [getattr(code, field) for field in fields] == [0.12, 0.67, 0.01, 0.3, 30]
    assert [getattr(paper, field) for field in fields] == [0.12, 0.67, 0.1, None, 29]
    assert FinewebQuality(variant="paper", max_newline_ratio=0.5).max_newline_ratio == 0.5
    assert FinewebQuality(max_dup_line_chars=None).max_dup_line_chars is None


def oracle(text: str) -> list[float]:
    lines = lines_of(text)
    return [
        sum(line.endswith(tuple(sentence_ends())) for line in lines) / max(len(lines), 1),
        sum(len(line) <= 30 for line in lines) / max(len(lines), 1),
        len("".join(repeats_of(lines))) / max(len(text.replace("\n", "")), 1),
        text.count("\n") / max(len(words_of(text)[0]), 1),
    ]


@given(repeating)
def test_equals_the_oracle(text: str) -> None:
    row, expected = apply(FinewebQuality(), text), oracle(text)
    assert [row[name] for name in COLUMNS] == expected
    punct, short, dup, newlines = expected
    broken = (punct < 0.12, short > 0.67, dup > 0.01, newlines > 0.3)
    reasons = [rule for rule, is_broken in zip(get_args(Rule), broken, strict=True) if is_broken]
    assert row["drop_reason"] == (reasons[0] if reasons else None)


@given(st.lists(repeating | st.none(), max_size=4))
def test_a_row_does_not_depend_on_its_batch(values: list[str | None]) -> None:
    stage = FinewebQuality().build()
    alone = [stage(batch(values)[k : k + 1]).to_pylist()[0] for k in range(len(values))]
    assert stage(batch(values)).to_pylist() == alone


def test_example_of_the_docstring() -> None:
    row = apply(FinewebQuality(), "The end.\nMore\nMore")
    assert [row[name] for name in COLUMNS] == [1 / 3, 1.0, 4 / 16, 2 / 4]


@pytest.mark.parametrize("text", [None, "", "\n \n"])
def test_texts_without_lines(text: str | None) -> None:
    row = apply(FinewebQuality(max_newline_ratio=None), text)
    assert (row["drop_reason"], row["drop_value"], row["fineweb_short_lines"]) == ("min_line_punct", 0.0, 0.0)


def test_languages() -> None:
    config = FinewebQuality(languages={"th": {"min_line_punct": None, "max_newline_ratio": 0.153}})
    text = "a line without a mark, but longer than thirty characters" + "\nno"
    assert apply(config, text, "eng")["drop_reason"] == "min_line_punct"
    assert apply(config, text, "tha")["drop_reason"] is None
    assert FinewebQuality.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    assert apply(FinewebQuality(), text)["drop_reason"] == (None if text[0] == "." else "min_line_punct")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"variant": "papr"},
            "r: f.variant must be 'code', 'paper' or 'fineweb2', got 'papr'. Correct it in the config.",
        ),
        (
            {"min_line_punct": 12},
            "r: f.min_line_punct must be less than or equal to 1, got 12. Correct it in the config.",
        ),
        (
            {"short_line_char": 3},
            'r: f.short_line_char is not a key of FinewebQuality. Did you mean "short_line_chars"?',
        ),
    ],
)
def test_errors(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        validate(FinewebQuality, values, "r: f")
    assert str(error.value) == sentence
