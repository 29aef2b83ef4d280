"""Recipes: what a child file says about its parent's sections holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataproc.errors import ConfigError
from jobs.recipe import Recipe, load_recipe


def child(folder: Path, text: str) -> Recipe:
    path = folder / "mine.yaml"
    path.write_text(f"extends: default\n{text}\n", encoding="utf-8")
    return load_recipe(str(path))


def test_null_turns_off_what_the_parent_has(tmp_path: Path) -> None:
    dedup = child(tmp_path, "dedup: {minhash: null}").dedup
    assert dedup.minhash is None
    assert dedup.exact is not None
    assert "gopher_quality" not in child(tmp_path, "documents: {stages: {gopher_quality: null}}").documents.stages


def test_errors_in_stages_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        child(tmp_path, "documents: {stages: {gopher_quality: {min_word: 5}}}")
    assert str(caught.value) == (
        f"{tmp_path}/mine.yaml: stages.gopher_quality.min_word is not a key of GopherQuality."
        ' Did you mean "min_words"?'
    )
    with pytest.raises(ConfigError) as caught:
        child(tmp_path, "policy: {stages: {assign_bucket: {parts: {domain: {vlues: [a]}}}}}")
    assert str(caught.value) == (
        f"{tmp_path}/mine.yaml: stages.assign_bucket.parts.domain.vlues is not a key of BucketPart."
        ' Did you mean "values"?'
    )
