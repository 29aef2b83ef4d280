"""Runs the conformance vectors of docs/conformance.md: documents whose fate follows by hand from published rules."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dataproc.config import validate
from dataproc.schema import RAW
from dataproc.stage import Stage
from stages.registry import STAGES

FOLDER = Path(__file__).parents[1] / "data" / "conformance"
KEYS = ("id", "stage", "config", "document", "drop_reason", "drop_value", "columns", "text", "why")
OPTIONAL = {"drop_value", "columns", "text"}
TYPES = {field.name: field.type for field in RAW}

Vector = dict[str, Any]


def read(path: Path) -> list[Vector]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


FILES = {path.stem: read(path) for path in sorted(FOLDER.glob("*.jsonl"))}
VECTORS = [vector for vectors in FILES.values() for vector in vectors]


def spelled_out(text: str | list[list[Any]] | None) -> str | None:
    return "".join(piece * times for piece, times in text) if isinstance(text, list) else text


def near(value: Any) -> Any:
    """Numbers in the files may be rounded in the last place."""
    return pytest.approx(value, rel=1e-12) if isinstance(value, float) else value


@cache
def stage(name: str, config: str) -> Stage:
    return validate(STAGES[name], json.loads(config), name)


def configured(vector: Vector) -> Stage:
    return stage(vector["stage"], json.dumps(vector["config"]))


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_vector(vector: Vector) -> None:
    values = {"doc_id": b"0" * 16, **vector["document"], "text": spelled_out(vector["document"].get("text"))}
    batch = pa.RecordBatch.from_pydict(
        {name: pa.array([value], TYPES.get(name, pa.string())) for name, value in values.items()}
    )
    row = configured(vector).build()(batch).to_pylist()[0]
    assert row.get("drop_reason") == vector["drop_reason"]
    if "drop_value" in vector:
        assert row["drop_value"] == near(vector["drop_value"])
    for name, expected in vector.get("columns", {}).items():
        assert row[name] == near(expected), name
    if "text" in vector:
        assert row["text"] == spelled_out(vector["text"])


@pytest.mark.parametrize("name", FILES)
def test_file(name: str) -> None:
    """It holds 30 vectors at least, in one form, and one that is dropped for each rule."""
    vectors = FILES[name]
    assert len(vectors) >= 30
    assert len({vector["id"] for vector in vectors}) == len(vectors)
    for vector in vectors:
        assert vector["stage"] == name
        assert vector["id"].startswith(f"{name}-")
        assert list(vector) == [key for key in KEYS if key in vector]
        assert {*KEYS} - {*vector} <= OPTIONAL
        assert vector["why"].endswith(".")
    rules = {rule for vector in vectors for rule in configured(vector).contract().rules}
    assert rules == {vector["drop_reason"] for vector in vectors} - {None}


def test_texts_are_spelled_out() -> None:
    assert spelled_out([["ab", 2], ["c", 1]]) == "ababc"
    assert spelled_out("ab") == "ab"
