from __future__ import annotations

import re
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.config import validate
from dataproc.errors import ConfigError
from stages.nemo_quality import COLUMNS, NemoQuality, Rule, column
from tests.dataproc.kernels.test_char_counts import linked
from tests.dataproc.kernels.test_char_counts import oracle as char_counts
from tests.dataproc.kernels.texts import PATHOLOGICAL
from tests.stages.rule_sets import SPACES, apply, batch, lines_of, repeating

LIMITS = [0.25, 0.15, 0.2, 0.25, 0.1, 0.85, 1000]  # heuristic_filter_english_pipeline.yaml
OFF: dict[str, Any] = dict.fromkeys(get_args(Rule))
written = st.lists(linked.map("".join) | repeating, max_size=3).map("\n".join)


def test_limits_are_nemos() -> None:
    assert [getattr(NemoQuality(), rule) for rule in get_args(Rule)] == LIMITS
    assert list(NemoQuality().contract().rules) == list(get_args(Rule))


def oracle(text: str) -> dict[str, Any]:
    """Return the columns and the drop reason."""
    counts, lines = char_counts(text), lines_of(text)
    unended = [line for line in lines if not line.endswith((".", "?", "!", '"', "'"))]
    tokens = [token for line in lines for token in re.split(f"[{re.escape(SPACES)}]+", line)]
    chars = max(int(counts.chars), 1)
    measured = {
        "nemo_unusual_chars": int(counts.chars - counts.plain) / chars,
        "nemo_numbers": int(counts.numbers) / chars,
        "nemo_urls": int(counts.urls) / chars,
        "nemo_white_space": int(counts.spaces) / chars,
        "nemo_brackets": int(counts.brackets) / chars,
        "nemo_open_lines": len(unended) / max(len(lines), 1),
        "nemo_word_chars": max(map(len, tokens), default=0),
    }
    broken = [rule for rule, limit in zip(get_args(Rule), LIMITS, strict=True) if measured[column(rule)] > limit]
    return {**measured, "drop_reason": broken[0] if broken else None}


@given(written)
def test_equals_the_oracle(text: str) -> None:
    row, expected = apply(NemoQuality(), text), oracle(text)
    assert {name: row[name] for name in (*COLUMNS, "drop_reason")} == expected


@given(st.lists(written | st.none(), max_size=4))
def test_a_row_does_not_depend_on_its_batch(values: list[str | None]) -> None:
    stage = NemoQuality().build()
    alone = [stage(batch(values)[k : k + 1]).to_pylist()[0] for k in range(len(values))]
    assert stage(batch(values)).to_pylist() == alone


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [
        ("max_unusual_chars", "abc-", "ab-"),
        ("max_numbers", "1ab2cd3efghijklmnopq", "1ab2cd3efghijklmnop"),
        ("max_urls", "http://a" + 32 * "b ".strip() + "", "http://a"),
        ("max_white_space", "abc ", "ab "),
        ("max_brackets", "(bcdefghij", "(bcdefghi"),
        ("max_open_lines", "a\n" * 17 + "a.\n" * 3, "a\n" * 18 + "a.\n" * 3),
        ("max_word_chars", "a" * 1000, "a" * 1001),
    ],
)
def test_rules(rule: str, inside: str, outside: str) -> None:
    limit = getattr(NemoQuality(), rule)
    config = NemoQuality(**{**OFF, rule: limit})
    if rule == "max_urls":
        inside = "See there what it is all about: http://a"  # 8 of 40
    assert apply(config, inside)["drop_reason"] is None
    row = apply(config, outside)
    assert (row["drop_reason"], row["drop_limit"]) == (rule, limit)
    assert apply(NemoQuality(**OFF), outside)["drop_reason"] is None


def test_example_of_the_docstring() -> None:
    row = apply(NemoQuality(), "See [1]:\nhttp://a.b")
    expected = [7 / 19, 1 / 19, 10 / 19, 2 / 19, 2 / 19, 1, 10]
    assert [row[name] for name in COLUMNS] == expected


def test_languages_and_marks() -> None:
    config = NemoQuality(languages={"th": {"max_open_lines": None}})
    assert apply(config, "a", "tha")["drop_reason"] is None
    assert apply(config, "a", "eng")["drop_reason"] == "max_open_lines"
    assert apply(NemoQuality(), "\u4f60\u597d\u3002")["drop_reason"] == "max_unusual_chars"
    assert apply(NemoQuality(max_unusual_chars=None), "\u4f60\u597d\u3002")["drop_reason"] == "max_open_lines"
    assert apply(NemoQuality(max_unusual_chars=None, end_marks=None), "\u4f60\u597d\u3002")["drop_reason"] is None


@pytest.mark.parametrize("text", [None, "", "\n \n"])
def test_texts_without_lines(text: str | None) -> None:
    row = apply(NemoQuality(max_white_space=None, max_unusual_chars=None), text)
    assert (row["nemo_open_lines"], row["nemo_word_chars"], row["drop_reason"]) == (0, 0, None)


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    assert apply(NemoQuality(), text)["drop_reason"] is not None or text[0] == "."


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"max_number": 1}, 'r: n.max_number is not a key of NemoQuality. Did you mean "max_numbers"?'),
        ({"max_urls": 20}, "r: n.max_urls must be less than or equal to 1, got 20. Correct it in the config."),
    ],
)
def test_errors(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        validate(NemoQuality, values, "r: n")
    assert str(error.value) == sentence
