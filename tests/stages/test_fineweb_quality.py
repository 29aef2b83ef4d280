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
from tests.stages.rule_sets import apply, batch, lines_of, pieces_of, published, repeating, repeats_of, words_of


def test_limits_of_the_variants() -> None:
    fields = [*get_args(Rule), "short_line_chars"]
    released, paper = FinewebQuality(), FinewebQuality(variant="paper")
    assert [getattr(released, field) for field in fields] == [0.12, 0.67, 0.01, 0.3, 30]
    assert [getattr(paper, field) for field in fields] == [0.12, 0.67, 0.1, None, 29]
    assert FinewebQuality(variant="paper", max_newline_ratio=0.5).max_newline_ratio == 0.5
    assert FinewebQuality(max_dup_line_chars=None).max_dup_line_chars is None


LIMITS = {"datatrove": (0.12, 0.67, 0.01, 0.3), "paper": (0.12, 0.67, 0.1, float("inf"))}


def oracle(text: str, variant: str = "datatrove", language: str = "eng") -> dict[str, Any]:
    """Return the columns and the drop reason."""
    limits = LIMITS.get(variant)
    if limits is None:  # fineweb2
        own = published(language)
        limits = float(own["min_line_punct"]), float("inf"), 0.1, float(own["max_newline_ratio"])
    if variant == "paper":
        lines, words, longest = lines_of(text), words_of(text)[0], 29
    else:
        lines, words, longest = [line for line in text.split("\n") if line.strip()], pieces_of(text), 30
    measured = [
        sum(line.endswith(tuple(sentence_ends())) for line in lines) / max(len(lines), 1),
        sum(len(line) <= longest for line in lines) / max(len(lines), 1),
        len("".join(repeats_of(lines))) / max(len(text.replace("\n", "")), 1),
        text.count("\n") / max(len(words), 1),
    ]
    least, *most = limits
    broken = [measured[0] < least, *(value > limit for value, limit in zip(measured[1:], most, strict=True))]
    reasons = [rule for rule, is_broken in zip(get_args(Rule), broken, strict=True) if is_broken]
    return {**dict(zip(COLUMNS, measured, strict=True)), "drop_reason": reasons[0] if reasons else None}


@pytest.mark.parametrize(("variant", "language"), [("datatrove", "eng"), ("paper", "eng"), ("fineweb2", "fra")])
@given(text=repeating)
def test_equals_the_oracle(variant: Any, language: str, text: str) -> None:
    expected = oracle(text, variant, language)
    row = apply(FinewebQuality(variant=variant), text, language)
    assert {name: row[name] for name in expected} == expected


@given(st.lists(repeating | st.none(), max_size=4))
def test_a_row_does_not_depend_on_its_batch(values: list[str | None]) -> None:
    stage = FinewebQuality().build()
    alone = [stage(batch(values)[k : k + 1]).to_pylist()[0] for k in range(len(values))]
    assert stage(batch(values)).to_pylist() == alone


def test_example_of_the_docstring() -> None:
    row = apply(FinewebQuality(), "The end.\nMore\nMore")
    assert [row[name] for name in COLUMNS] == [1 / 3, 1.0, 4 / 16, 2 / 5]


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
            "r: f.variant must be 'datatrove', 'paper' or 'fineweb2', got 'papr'. Correct it in the config.",
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
