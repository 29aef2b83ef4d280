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
