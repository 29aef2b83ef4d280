from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from classifiers.evaluate import auc, confusion, precision_recall, threshold_for_keep_rate
from classifiers.train import fit
from classifiers.training_config import FastTextParameters
from dataproc.errors import ConfigError, InputError
from jobs.train_classifier import run

WORDS = {"low": "win cash now call free prize text offer", "high": "the river rose slowly under a grey winter sky"}


def tiny(folder: Path) -> tuple[str, Path]:
    """Write texts of ten sites for each of two labels, and a config that holds some sites out."""
    rows = [
        {"text": f"{text} {text[k:]} {text} " * 12, "url": f"https://{label}{k}.org/", "label": label, "language": "en"}
        for label, text in WORDS.items()
        for k in range(10)
    ]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {
        "name": "sites",
        "path": "a.jsonl",
        "reader": "jsonl",
        "labels": {"low": "low", "high": "high"},
        "role": "split",
        "licence": "CC0-1.0",
    }
    fasttext = {"dim": 4, "epochs": 5, "min_count": 1, "buckets": 100, "cutoff": 0, "quantize": False}
    config = {
        "name": "tiny",
        "description": "Two kinds.",
        "labels": ["low", "high"],
        "licence": "CC0-1.0",
        "fasttext": fasttext,
        "sources": [source],
    }
    (folder / "tiny_config.yaml").write_text(yaml.safe_dump(config))
    return str(folder / "tiny_config.yaml"), folder


def test_training_twice_gives_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, data = tiny(tmp_path)
    first, second = run(config, data, tmp_path / "a"), run(config, data, tmp_path / "b")
    for name in ("tiny.bin", "tiny.yaml"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert first == second
    assert first.heldout is not None
    assert first.heldout.accuracy == 1.0
    assert "held out: accuracy 1.000, macro F1 1.000" in capsys.readouterr().out


def test_quantised_model_is_the_same_twice(tmp_path: Path) -> None:
    texts = [
        (label, f"{words} {words.split()[k % 8]} word{k % 300}") for k in range(600) for label, words in WORDS.items()
    ]
    parameters = FastTextParameters(dim=4, epochs=3, min_count=1, buckets=1000, cutoff=400)
    for name in "ab":
        fit(texts, parameters, "words", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_wrong_configs(tmp_path: Path) -> None:
    config, data = tiny(tmp_path)
    with pytest.raises(InputError, match=r"training source .*a.jsonl must exist, got none"):
        run(config, data / "none", tmp_path)
    values = yaml.safe_load(Path(config).read_text())
    values["sources"][0]["dropped_by_rules"] = True
    Path(config).write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError, match="rules must name stages, as a source asks for what they drop, got none"):
        run(config, data, tmp_path)
    values["sources"][0] |= {"dropped_by_rules": False, "labels": {"low": "low"}}
    Path(config).write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError, match="every label must have training passages, got none of high"):
        run(config, data, tmp_path)


def test_measures() -> None:
    table = confusion([0, 0, 1], [0, 1, 1], 2)
    assert table.tolist() == [[1, 1], [0, 1]]
    assert [values.tolist() for values in precision_recall(table)] == [[1, 0.5], [0.5, 1]]
    assert auc([0.1, 0.4, 0.4, 0.9], [False, False, True, True]) == 0.875
    assert threshold_for_keep_rate([0.1, 0.2, 0.3, 0.4], 0.5) == 0.3
