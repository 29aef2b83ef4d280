"""What a recipe may not say: each mistake is an error that names file and key, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataproc.errors import ConfigError
from jobs.recipe import Recipe, load_recipe

BARE = """
description: texts that others have filtered
source: ours
documents: {stages: {language_id: {min_score: null}}}
policy: {stages: {assign_bucket: {bucket: web}}}
"""


def load(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    load_recipe(str(path))


def test_the_largest_seed_is_right(tmp_path: Path) -> None:
    load(tmp_path, f"{BARE}seed: {(1 << 63) - 1}\n")


def test_the_shipped_recipe_and_a_bare_one_are_right(tmp_path: Path) -> None:
    assert "language" in load_recipe("default").document_columns()
    load(tmp_path, BARE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "extends: default\ndocuments: {stages: {gopher_quality: {min_word: 3}}}",
            r'mine.yaml.documents.stages: gopher_quality.min_word is not a key of GopherQuality. Did you mean "min_wor',
        ),
        (
            "extends: default\npolicy: {stages: {good: {use: treshold}}}",
            r'mine.yaml.policy.stages: good must use a known stage, got "treshold". Did you mean "threshold"\?',
        ),
        (
            "extends: default\npolicy: {stages: {good: {use: threshold, column: qualty_score, min: 1}}}",
            r'mine.yaml: policy.stages.good reads column "qualty_score", which no earlier stage writes. Did you mean',
        ),
        ("extends: default\ndocuments: {stages: []}", "mine.yaml.documents.stages: stages must be a mapping of names"),
        (
            "extends: default\ndocuments: {stages: {gopher_quality: 3}}",
            "mine.yaml.documents.stages: gopher_quality must be a mapping of fields, got 3. Write `gopher_quality: {}`",
        ),
        (
            "extends: default\ndocuments: {stages: {gopher.v2: {use: gopher_quality}}}",
            r"mine.yaml.documents.stages: names of stages must be lower-case letters, digits and _, .*got 'gopher.v2'",
        ),
        (
            "extends: default\ndocuments: {stages: {failed: {use: gopher_quality}}}",
            r"none of failed, dedup, lines, substrings, policy, got 'failed'. Give it another name",
        ),
        ("extends: default\nseed: 9223372036854775808", "mine.yaml.seed must be less than 9223372036854775808, got 92"),
        ("extends: default\nseed: -1", "mine.yaml.seed must be greater than or equal to 0, got -1"),
        (
            "extends: default\ndedup: {minhash: {seed: 4294967296}}",
            "mine.yaml.dedup.minhash.seed must be less than 4294967296, got 4294967296",
        ),
        ("extends: default\nmix: natrual", r'mine.yaml: mix "natrual" does not exist. Did you mean "natural"\?'),
        (
            BARE.replace("language_id: {min_score: null}", "parse_url: {}"),
            "mine.yaml: documents.stages must write the column language, .* Add language_id",
        ),
        (
            BARE.replace("assign_bucket: {bucket: web}", "t: {use: threshold, column: language_score, min: 0.5}"),
            "mine.yaml: policy.stages must write the column bucket, got no stage that does. Add assign_bucket.",
        ),
        (
            "extends: default\nscores: {stages: {quality: {column: language_score}}}",
            'scores.stages.quality must write a column of its own, got "language_score", which documents/ has.',
        ),
        (
            "extends: default\nscores: {stages: {again: {use: score, model: quality, label: low, column: domain}}}",
            'scores.stages.again must write a column of its own, got "domain", which scores.stages.domain has.',
        ),
        (
            "extends: default\nscores: {stages: {t: {use: threshold, column: num_words, min: 5}}}",
            "scores.stages.t must not drop documents. Move it to policy.stages.",
        ),
        (
            "extends: default\npolicy: {drop_flagged: [gopher_quality.min_words]}",
            'policy.drop_flagged names "gopher_quality.min_words", which no annotating stage gives.',
        ),
    ],
)
def test_a_wrong_recipe_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


def child(folder: Path, text: str) -> Recipe:
    path = folder / "mine.yaml"
    path.write_text(f"extends: default\n{text}\n", encoding="utf-8")
    return load_recipe(str(path))


def test_null_turns_off_what_the_parent_has(tmp_path: Path) -> None:
    dedup = child(tmp_path, "dedup: {minhash: null}").dedup
    assert dedup.minhash is None
    assert dedup.exact is not None
    assert "gopher_quality" not in child(tmp_path, "documents: {stages: {gopher_quality: null}}").documents.stages


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("documents: {stages: {gopher_quality: {min_word: 5}}}", 'gopher_quality.min_word is .* "min_words"'),
        ("policy: {stages: {assign_bucket: {parts: {domain: {vlues: [a]}}}}}", 'parts.domain.vlues is .* "values"'),
        ("dedup: {minhash: {num_band: 3}}", 'dedup.minhash.num_band is .* "num_bands"'),
    ],
)
def test_errors_name_the_file_and_the_key_with_the_nearest(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{tmp_path}/mine\.yaml.*{sentence}\?$"):
        child(tmp_path, text)
