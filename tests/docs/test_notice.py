"""NOTICE names every data file that ships, and no file that does not exist; cards name the licence of every source."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from classifiers.cards import load_card
from classifiers.training_config import TrainingConfig
from dataproc.config import load_yaml, validate
from jobs.train_classifier import TRAINING

ROOT = Path(__file__).parent.parent.parent
NOTICE = (ROOT / "NOTICE").read_text(encoding="utf-8")
NAMED = re.findall(r"(?:classifiers|dataproc|jobs|stages|tests)/[\w./*-]*[\w*/]", NOTICE)
DATA = {".ftz", ".gz", ".tiktoken", ".tsv", ".txt", ".warc"}


def test_every_data_file_is_named() -> None:
    files = {
        path
        for top in ("classifiers", "dataproc", "jobs", "stages", "tests/data")
        for path in (ROOT / top).rglob("*")
        if path.suffix in DATA
    }
    named = {path for name in NAMED for path in (ROOT.glob(name) if "*" in name else [ROOT / name])}
    assert len(files) > 20
    unnamed = {path for path in files if path not in named and not named.intersection(path.parents)}
    assert unnamed == set()


def test_every_thing_is_listed_once() -> None:
    titles = re.findall(r"^(?=\S)(.+)\n  ", NOTICE, re.MULTILINE)
    assert len(titles) > 5
    assert len(set(titles)) == len(titles)


def test_every_named_file_exists() -> None:
    assert [name for name in NAMED if not list(ROOT.glob(name.rstrip("/")))] == []


@pytest.mark.parametrize("name", ["quality", "domain"])
def test_cards_say_what_the_training_configs_say_of_licences(name: str) -> None:
    config = validate(TrainingConfig, load_yaml(name, TRAINING, "training config"), name)
    told = {(source.name, source.licence) for source in load_card(name).training}
    assert told == {(source.name, source.licence) for source in config.sources}
