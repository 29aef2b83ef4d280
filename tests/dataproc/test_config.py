"""Configs: unknown keys, values out of bounds and broken files are sentences; merging and fingerprints are exact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, field_validator

from dataproc.config import Config, canonical_json, fingerprint, load_yaml, merge, validate
from dataproc.errors import ConfigError


class Inner(Config):
    num_bands: int = Field(14, gt=0)
    """Bands."""
    keep: Literal["newest", "first"] = "newest"


class Outer(Config):
    inner: Inner = Inner()
    limit: float
    names: dict[str, int] = {}
    maybe: Inner | None = None
    parts: dict[str, Inner] = {}
    steps: tuple[Annotated[Inner, Field()], ...] = ()

    @field_validator("names")
    @classmethod
    def _not_empty(cls, names: dict[str, int]) -> dict[str, int]:
        if "" in names:
            raise ValueError("names must not be empty, got ''. Name it.")
        if 7 in names.values():
            raise ConfigError("names.x must be less than 7, got 7.")
        return names


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"limit": 1, "inner": {"num_band": 3}},
            'f.yaml.inner.num_band is not a key of Inner. Did you mean "num_bands"?',
        ),
        (
            {"limit": 1, "maybe": {"num_band": 3}},
            'f.yaml.maybe.num_band is not a key of Inner. Did you mean "num_bands"?',
        ),
        (
            {"limit": 1, "parts": {"keep": {"num_band": 3}}},
            'f.yaml.parts.keep.num_band is not a key of Inner. Did you mean "num_bands"?',
        ),
        (
            {"limit": 1, "steps": [{}, {"num_band": 3}]},
            'f.yaml.steps.1.num_band is not a key of Inner. Did you mean "num_bands"?',
        ),
        (
            {"limit": 1, "zzz": 3},
            "f.yaml.zzz is not a key of Outer. Known: inner, limit, maybe, names, parts, steps.",
        ),
        ({"limit": 1, "names": {"x": 7}}, "f.yaml: names.x must be less than 7, got 7."),
        ({}, "f.yaml.limit must be given. Add it to the config."),
        (
            {"limit": 1, "inner": {"num_bands": 0}},
            "f.yaml.inner.num_bands must be greater than 0, got 0. Correct it in the config.",
        ),
        (
            {"limit": 1, "inner": {"keep": "last"}},
            "f.yaml.inner.keep must be 'newest' or 'first', got 'last'. Correct it in the config.",
        ),
        ({"limit": float("nan")}, "f.yaml.limit must be a finite number, got nan. Correct it in the config."),
        ({"limit": 1, "names": {"": 1}}, "f.yaml.names: names must not be empty, got ''. Name it."),
        (
            {"limit": 1, "names": {"a": "b"}},
            "f.yaml.names.a must be a valid integer, unable to parse string as an integer",
        ),
    ],
)
def test_validate_names_file_and_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(Outer, values, "f.yaml")
    assert str(caught.value).startswith(message)


def test_validate_names_every_wrong_key() -> None:
    with pytest.raises(ConfigError) as caught:
        validate(Outer, {"limits": 1, "inner": {"num_bands": -1}}, "f.yaml")
    assert [line.split()[0] for line in str(caught.value).splitlines()] == [
        "f.yaml.inner.num_bands",
        "f.yaml.limit",
        "f.yaml.limits",
    ]


def test_configs_are_frozen_values() -> None:
    config = validate(Outer, {"limit": 0.5}, "f.yaml")
    assert (config.inner.num_bands, config.limit) == (14, 0.5)
    assert config == Outer(limit=0.5)
    with pytest.raises(ValidationError):
        config.limit = 1.0  # type: ignore[misc]
    assert Inner.model_fields["num_bands"].description == "Bands."


@pytest.mark.parametrize(
    ("base", "over", "expected"),
    [
        (
            {"a": {"x": 1, "y": 2}},
            {"a": {"x": None, "z": 3}},
            {"a": {"x": None, "y": 2, "z": 3}},
        ),  # null is a value: "off"
        (
            {"a": {"x": {"k": 1}, "y": {}}},
            {"a": {"x": None}},
            {"a": {"y": {}}},
        ),  # null takes an entry that is a mapping away
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"x": 1}}, {"a": 3}, {"a": 3}),
        ({"a": 3}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"b": 1, "a": 2}, {"c": 3, "b": 4}, {"b": 4, "a": 2, "c": 3}),
    ],
)
def test_merge(base: dict[str, Any], over: dict[str, Any], expected: dict[str, Any]) -> None:
    before = json.dumps([base, over])
    merged = merge(base, over)
    assert merged == expected
    assert list(merged) == list(expected)  # stages keep their order
    assert json.dumps([base, over]) == before


def _write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def test_extends(tmp_path: Path) -> None:
    _write(
        tmp_path, base="a: {x: 1, y: {k: 2}}\nb: 1", child="extends: base\na: {y: {k: 3}}", leaf="extends: child\nb: 2"
    )
    assert load_yaml("leaf", tmp_path, "recipe") == {"a": {"x": 1, "y": {"k": 3}}, "b": 2}
    own = tmp_path / "own"
    own.mkdir()
    _write(own, mine="extends: parent.yaml", parent="extends: leaf\nb: 5")
    assert load_yaml(str(own / "mine.yaml"), tmp_path, "recipe")["b"] == 5


def test_a_key_may_override_what_an_alias_merges_in(tmp_path: Path) -> None:
    _write(tmp_path, merged="base: &b {x: 1, y: 2}\nmore: &m {<<: *b, x: 3}\nmost: {<<: *m, y: 4}")
    assert load_yaml("merged", tmp_path, "mix")["most"] == {"x": 3, "y": 4}


def test_empty_file_is_an_empty_mapping(tmp_path: Path) -> None:
    _write(tmp_path, empty="# nothing\n")
    assert load_yaml("empty", tmp_path, "mix") == {}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("defualt", 'recipe "defualt" does not exist. Did you mean "default"?'),
        ("no/such.yaml", 'recipe "no/such.yaml" does not exist. Known: '),
        ("orphan", 'recipe "nobody" does not exist.'),
        ("broken", "{folder}/broken.yaml must be valid YAML: "),
        ("a_list", "{folder}/a_list.yaml must be a mapping of keys, got list. See the shipped recipe files."),
        ("one", "{folder}/one.yaml: extends must not form a circle, got {folder}/one.yaml -> {folder}/two.yaml -> "),
        ("twice", '{folder}/twice.yaml must be valid YAML: stage must be given once\n  in "<unicode string>", line 3'),
        ("norway", "{folder}/norway.yaml must be valid YAML: keys must be text, got no\n"),
        ("number", "{folder}/number.yaml: extends must be one name or path, got ['a', 'b']. Chain the parents"),
        ("latin", "{folder}/latin.yaml must be valid YAML: 'utf-8' codec can't decode byte 0xe9"),
        ("selfish", "{folder}/selfish.yaml: extends must not form a circle, got "),
    ],
)
def test_load_yaml_errors(tmp_path: Path, name: str, message: str) -> None:
    _write(
        tmp_path,
        default="a: 1",
        orphan="extends: nobody",
        broken="a: [1",
        a_list="- 1",
        one="extends: two",
        two="extends: one.yaml",
        selfish="extends: selfish",
        twice="stages:\n  stage: {min: 1}\n  stage: {max: 2}",
        norway="languages: {en: 1, no: 2}",
        number="extends: [a, b]",
    )
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(ConfigError) as caught:
        load_yaml(name, tmp_path, "recipe")
    assert str(caught.value).startswith(message.format(folder=tmp_path))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.dictionaries(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.integers(), max_size=5), st.randoms()
)
def test_fingerprint_ignores_order(values: dict[str, int], random: Any) -> None:
    items = list(values.items())
    random.shuffle(items)
    assert canonical_json(dict(items)) == canonical_json(values)
    assert fingerprint(dict(items)) == fingerprint(values)


@given(JSON)
def test_canonical_json_keeps_values(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


def test_fingerprint_vectors() -> None:
    assert fingerprint({}) == "44136fa355b3678a1146ad16f7e8649e"  # printf '{}' | sha256sum
    assert fingerprint({"b": 1, "a": [1.5, None]}) == fingerprint({"a": [1.5, None], "b": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
