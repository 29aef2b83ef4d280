"""Typed frozen configs: YAML with `extends:` in, validated models out, and fingerprints of them.

Unknown keys are errors with a suggestion, keys given twice too, and every error names the file and the key. A child
file is merged over its parent key by key; `key: null` takes an inherited mapping away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

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
    except ConfigError as error:  # a validator's own sentence
        raise ConfigError(f"{where}: {error}") from error


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


def _model_at(kind: Any, loc: tuple[Any, ...]) -> type[BaseModel] | None:
    """Return the model that a path leads to, through models, mappings and lists of them; None when it leads to none.

    Example: ("parts", "domain") leads to BucketPart when `parts` is a dict[str, BucketPart].
    """
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if not loc:
            return kind
        field = kind.model_fields.get(str(loc[0]))
        return _model_at(field.annotation, loc[1:]) if field else None
    if get_origin(kind) not in (Annotated, Union, UnionType):
        loc = loc[1:]  # the key of a mapping or the place in a list
    return next(filter(None, (_model_at(inner, loc) for inner in get_args(kind))), None)


class _Loader(yaml.SafeLoader):
    """YAML whose keys are text, each given once: YAML itself lets the last one win, and reads the key `no` as false."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if key.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
                raise yaml.MarkedYAMLError(problem=f"keys must be text, got {key.value}", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} must be given once", problem_mark=key.start_mark)
            seen.add(key.value)
        return node


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
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} must be valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path} must be a mapping of keys, got {type(values).__name__}. See the shipped {kind} files."
        )
    parent = values.pop("extends", None)
    if parent is None:
        return values
    if not isinstance(parent, str):
        raise ConfigError(f"{path}: extends must be one name or path, got {parent!r}. Chain the parents instead.")
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
