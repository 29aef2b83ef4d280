from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dataproc.config import validate
from dataproc.errors import ConfigError, SchemaError
from dataproc.stage import check_plan
from stages.assign_bucket import BUCKET, AssignBucket

texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]))

FIVE_LINES = """
bucket: "{language}-{domain}-{quality}"
parts:
  language: {values: [en, de, fra]}
  domain: {values: [news, forum]}
  quality: {tiers: {low: 0, mid: 0.3, high: 0.7}}
"""


def batch(rows: list[tuple[Any, Any, Any]]) -> pa.RecordBatch:
    columns = {"language": pa.string(), "domain": pa.string(), "quality_score": pa.float32()}
    return pa.RecordBatch.from_arrays(
        [pa.array([row[k] for row in rows], kind) for k, kind in enumerate(columns.values())], names=list(columns)
    )


def buckets(rows: list[tuple[Any, Any, Any]], **config: Any) -> list[str]:
    names: list[str] = AssignBucket(**config).build()(batch(rows))["bucket"].to_pylist()
    return names


def test_language_domain_quality_in_five_lines() -> None:
    rows = [
        ("eng", "news", 0.9),
        ("deu", "forum", 0.3),
        ("fin", "news", 0.1),
        ("fra", "fiction", 0.7),
        (None, None, None),
    ]
    assert buckets(rows, **yaml.safe_load(FIVE_LINES)) == [
        "eng-news-high",
        "deu-forum-mid",
        "other-news-low",
        "fra-other-high",
        "other-other-other",
    ]


def test_default_takes_languages_and_domains_as_they_are() -> None:
    assert buckets([("fin", "news", 0.29), ("eng", None, 0.0)]) == ["fin-news-low", "eng-other-low"]
    config = AssignBucket()
    assert config.contract().reads == ("language", "domain", "quality_score")
    assert config.contract().writes == {"bucket": pa.string()}
    assert config.contract().rules == ()


@pytest.mark.parametrize(
    ("score", "tier"),
    [
        *[(0.2999, "low"), (0.3, "mid"), (0.6999, "mid"), (0.7, "high"), (1.0, "high"), (0.0, "low"), (-0.1, "other")],
        *[(float("nan"), "other"), (None, "other"), (float("inf"), "high")],
    ],
)
def test_tiers_start_at_their_value_as_stored(score: float | None, tier: str) -> None:
    assert buckets([("eng", "news", score)]) == [f"eng-news-{tier}"]


def test_tiers_may_be_written_in_any_order() -> None:
    tiers = {"high": 0.7, "low": 0.0, "mid": 0.3}
    assert buckets([("a", "b", 0.5)], parts={"quality": {"column": "quality_score", "tiers": tiers}}) == ["a-b-mid"]


def test_other_can_be_named_by_part() -> None:
    parts = {
        "language": {"values": ["eng"], "other": "multilingual"},
        "quality": {"column": "quality_score", "tiers": {"good": 0.5}, "other": "bad"},
    }
    assert buckets([("fin", "news", 0.4)], parts=parts) == ["multilingual-news-bad"]


def test_templates() -> None:
    assert buckets([("eng", "news", 1.0)], bucket="web_2024-{domain}") == ["web_2024-news"]
    assert buckets([("eng", "news", 1.0)], bucket="all") == ["all"]
    assert buckets([("eng", "news", 1.0)], bucket="{language}_{language}") == ["eng_eng"]
    assert AssignBucket(bucket="all").contract().reads == ()


def test_a_part_may_read_any_column() -> None:
    parts = {"topic": {"column": "domain", "values": ["news"]}}
    assert buckets([("eng", "news", 1.0), ("eng", "x", 1.0)], bucket="{topic}", parts=parts) == ["news", "other"]


@given(st.lists(st.tuples(texts, texts, st.none() | st.floats(width=32)), max_size=5))
def test_every_name_is_a_bucket_name(rows: list[tuple[Any, Any, Any]]) -> None:
    for name in buckets(rows, **yaml.safe_load(FIVE_LINES)):
        assert re.fullmatch(BUCKET, name)
        assert len(name.split("-")) == 3


def test_values_that_cannot_stand_in_a_name_are_refused() -> None:
    with pytest.raises(SchemaError) as error:
        buckets([("eng", "Home & Garden", 1.0)])
    assert str(error.value) == (
        'assign_bucket.parts.domain: values of the column "domain" must match [a-z0-9_]+, got "Home & Garden".'
        " List the values that shall name buckets under `values`."
    )


def test_tiers_need_numbers() -> None:
    with pytest.raises(
        SchemaError, match=r"^assign_bucket\.parts\.quality\.column must be a column of numbers, got one of type string"
    ):
        buckets([("eng", "news", 1.0)], parts={"quality": {"column": "domain", "tiers": {"low": 0}}})


def test_unknown_columns_are_found_by_the_plan() -> None:
    known = {"language": pa.string(), "domain": pa.string(), "quality": pa.float32()}
    with pytest.raises(ConfigError, match=r'^r\.b reads column "quality_score", which no earlier stage writes\.'):
        check_plan({"b": AssignBucket()}, known, "r")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"bucket": "{language}-Web"},
            'r: b: bucket must match [a-z0-9_]+(-[a-z0-9_]+)*, parts in braces, got "{language}-Web".'
            ' Example: "{language}-web".',
        ),
        (
            {"bucket": "{language"},
            'r: b: bucket must match [a-z0-9_]+(-[a-z0-9_]+)*, parts in braces, got "{language".'
            ' Example: "{language}-web".',
        ),
        ({"parts": {"qualty": {}}}, 'r: b: parts must be named in the template, got "qualty". Did you mean "quality"?'),
        (
            {"parts": {"domain": {"values": ["Home"]}}},
            'r: b.parts.domain: names in a bucket must match [a-z0-9_]+, got "Home". Use lower case and _.',
        ),
        (
            {"parts": {"quality": {"tiers": {"very-low": 0}}}},
            'r: b.parts.quality: names in a bucket must match [a-z0-9_]+, got "very-low". Use lower case and _.',
        ),
        (
            {"parts": {"quality": {"tiers": {"low": 0, "mid": 0}}}},
            "r: b.parts.quality: tiers must start at different values, got {'low': 0.0, 'mid': 0.0}. Take one out.",
        ),
        (
            {"parts": {"quality": {"tiers": {"low": 0}, "values": ["a"]}}},
            "r: b.parts.quality: a part must have values or tiers, got both. Keep one of them.",
        ),
        (
            {"parts": {"domain": {"values": []}}},
            "r: b.parts.domain: a part must list at least one value or tier, got none. Leave the key out to take all.",
        ),
        (
            {"parts": {"language": {"values": ["en", "eng"]}}},
            "r: b.parts.language: languages must be named once each, got ['en', 'eng']. Keep one code of each.",
        ),
        (
            {"parts": {"language": {"values": [3]}}},
            "r: b.parts.language.values.0 must be a valid string, got 3. Correct it in the config.",
        ),
        ({"parts": 3}, "r: b.parts must be a valid dictionary, got 3. Correct it in the config."),
        ({"bucket": 3}, "r: b.bucket must be a valid string, got 3. Correct it in the config."),
        ({"template": "x"}, "r: b.template is not a key of AssignBucket. Known: annotate, bucket, parts."),
    ],
)
def test_errors(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        validate(AssignBucket, values, "r: b")
    assert str(error.value) == sentence


def test_resolved_config_says_all_and_round_trips() -> None:
    config = AssignBucket(parts={"language": {"values": ["de", "en"]}})
    assert config.model_dump()["parts"]["language"] == {
        "column": "language",
        "values": ("deu", "eng"),
        "tiers": None,
        "other": "other",
    }
    assert config.model_dump()["parts"]["quality"]["tiers"] == {"low": 0.0, "mid": 0.3, "high": 0.7}
    assert AssignBucket.model_validate_json(config.model_dump_json()) == config
