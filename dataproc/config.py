"""Typed frozen configs: YAML with `extends:` in, validated models out, and fingerprints of them.

Unknown keys are errors with a suggestion, and every error names the file and the key. A child file is merged over its
parent key by key; `key: null` takes an inherited entry of a mapping away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from dataproc.errors import ConfigError, suggest


class Config(BaseModel):
    """Base of every config: frozen, strict about unknown keys, documented by the strings under its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


C = TypeVar("C", bound=Config)


def validate(model: type[C], values: Mapping[str, Any], where: str) -> C:
    """Return `model` built from `values`; raise ConfigError naming `where` and each wrong key.

    Example: validate(Minhash, {"num_band": 14}, "default.yaml: dedup") raises
    'default.yaml: dedup.num_band is not a key of Minhash. Did you mean "num_bands"?'
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError("\n".join(_sentence(model, item, where) for item in error.errors())) from error


def _sentence(model: type[BaseModel], item: Any, where: str) -> str:
    path = ".".join([where, *(str(part) for part in item["loc"])])
    if item["type"] == "extra_forbidden":
        owner = _model_at(model, item["loc"][:-1])
        known = owner.model_fields if owner else {}
        place = owner.__name__ if owner else "this mapping"
        return f"{path} is not a key of {place}.{suggest(str(item['loc'][-1]), known)}"
    if item["type"] == "missing":
        return f"{path} must be given. Add it to the config."
    if item["type"] == "value_error":
        return f"{path}: {item['ctx']['error']}"
    rule = item["msg"].removeprefix("Input should be ")
    return f"{path} must be {rule}, got {item['input']!r}. Correct it in the config."


def _model_at(model: type[BaseModel], loc: tuple[Any, ...]) -> type[BaseModel] | None:
    """Follow field names down nested models; None when the path leaves models (a mapping or a list)."""
    for part in loc:
        field = model.model_fields.get(str(part))
        nested = field.annotation if field else None
        if not (isinstance(nested, type) and issubclass(nested, BaseModel)):
            return None
        model = nested
    return model


def load_yaml(name: str, shipped: Path, kind: str) -> dict[str, Any]:
    """Return the mapping of a YAML file with its `extends:` chain merged in.

    `name` is a path ending in .yaml/.yml, or the name of a file shipped in the folder `shipped`; `kind` ("recipe",
    "mix") is only for messages. Raises ConfigError for a missing file, bad YAML, an unknown parent or a circle of
    parents.
    """
    return _load_chain(name, shipped, kind, seen=())


def _load_chain(name: str, shipped: Path, kind: str, seen: tuple[str, ...]) -> dict[str, Any]:
    path = Path(name) if name.endswith((".yaml", ".yml")) else shipped / f"{name}.yaml"
    if not path.is_file():
        known = (file.stem for file in shipped.glob("*.yaml"))
        raise ConfigError(f'{kind} "{name}" does not exist.{suggest(name, known)}')
    if str(path.resolve()) in seen:
        raise ConfigError(f"{path}: extends must not form a circle, got {' -> '.join([*seen, str(path)])}. Break it.")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} must be valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path} must be a mapping of keys, got {type(values).__name__}. See the shipped {kind} files."
        )
    parent = values.pop("extends", None)
    if parent is None:
        return values
    if parent.endswith((".yaml", ".yml")):
        parent = str(path.parent / parent)
    return merge(_load_chain(parent, shipped, kind, (*seen, str(path.resolve()))), values)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `over` laid on it: mappings merge key by key, null removes a key, anything else replaces.

    Example: merge({"a": {"x": 1, "y": 2}}, {"a": {"x": None, "z": 3}}) == {"a": {"y": 2, "z": 3}}
    """
    merged = dict(base)
    for key, value in over.items():
        if value is None and isinstance(merged.get(key), Mapping):
            merged.pop(key)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces: equal values give equal strings."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(value: Any) -> str:
    """Return the first 32 hex digits of the sha256 of a JSON-able value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:32]
