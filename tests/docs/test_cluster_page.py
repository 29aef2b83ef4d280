"""docs/cluster.md: its YAML parses, and is what Ray's own schema takes; its commands name options that exist."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from jobs.cli import app

PAGE = Path(__file__).parent.parent.parent / "docs" / "cluster.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
YAML = {text.splitlines()[0][2:].split(":")[0]: yaml.safe_load(text) for language, text in BLOCKS if language == "yaml"}
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def lines() -> list[str]:
    """Return every line of a shell, and the entry point of the RayJob."""
    shell = [line for language, text in BLOCKS if language == "bash" for line in text.splitlines()]
    indented = [line.strip() for line in re.findall(r"^    dataproc .*$", TEXT, re.MULTILINE)]
    return [*shell, *indented, YAML["rayjob.yaml"]["spec"]["entrypoint"]]


def words(line: str) -> list[str]:
    return shlex.split(re.sub(r"\s#.*", "", line))


def verbs(line: str) -> list[list[str]]:
    """Return what follows `dataproc`, jobs.cli or jobs/spark_submit.py in a line: verbs with their options."""
    found = []
    said = words(line)
    for place, word in enumerate(said[:-1]):
        ours = word in ("dataproc", "jobs.cli") or word.endswith("jobs/spark_submit.py")
        if ours and said[place + 1] in COMMANDS:
            found.append(said[place + 1 :])
        if word == "--job-driver":
            found.append(json.loads(said[place + 1])["sparkSubmit"]["entryPointArguments"])
    return found


CALLS = [call for line in lines() for call in verbs(line)]


def test_the_page_has_the_configurations_that_it_promises() -> None:
    assert sorted(YAML) == ["cluster.yaml", "rayjob.yaml"]
    assert [call[0] for call in CALLS].count("run") == 6
    assert "status" in [call[0] for call in CALLS]
    assert [language for language, _ in BLOCKS].count("dockerfile") == 1


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_options_exist(call: list[str]) -> None:
    known = {option for parameter in COMMANDS[call[0]].params for option in parameter.opts}
    assert {word for word in call[1:] if word.startswith("--")} <= known
    if call[0] == "run":
        assert {"--crawl", "--out", "--engine"} <= set(call)
        assert call[call.index("--engine") + 1] in ("ray", "spark")


def test_spark_submit_gets_settings_before_the_script_and_ours_behind() -> None:
    submits = [words(line) for line in lines() if line.startswith("spark-submit ")]
    assert len(submits) == 3
    for said in submits:
        script = next(place for place, word in enumerate(said) if word.endswith("jobs/spark_submit.py"))
        assert "--master" in said[:script]
        assert said[script + 1] == "run"
        settings = [said[place + 1] for place, word in enumerate(said) if word == "--conf"]
        assert all(re.fullmatch(r"spark\.[\w.]+=\S+", setting) for setting in settings)


@pytest.mark.needs("ray", "jsonschema")
def test_the_cluster_is_what_rays_schema_takes() -> None:
    jsonschema: Any = importlib.import_module("jsonschema")
    spec = importlib.util.find_spec("ray")
    assert spec is not None
    assert spec.origin is not None
    schema = json.loads((Path(spec.origin).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(YAML["cluster.yaml"], schema)
    assert YAML["cluster.yaml"]["head_node_type"] in YAML["cluster.yaml"]["available_node_types"]


def test_the_rayjob_has_what_a_cluster_needs() -> None:
    cluster = YAML["rayjob.yaml"]["spec"]["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    for group in (cluster["headGroupSpec"], workers):
        (container,) = group["template"]["spec"]["containers"]
        assert container["resources"]["limits"] == container["resources"]["requests"]
    mounts = {mount["name"] for mount in workers["template"]["spec"]["containers"][0]["volumeMounts"]}
    assert mounts == {volume["name"] for volume in workers["template"]["spec"]["volumes"]}
    assert all(isinstance(value, str) for value in cluster["headGroupSpec"]["rayStartParams"].values())


def test_the_arithmetic_is_right() -> None:
    assert "30,000 / 76 = 395 s; 1,050 / 2.5 = 420 s" in TEXT
    assert round(30_000 / 76) == 395
    assert 1050 / 2.5 == 420
    assert 90_000 * 420 / 3600 == 10_500
    assert round(10_500 / 2048, 1) == 5.1
    assert round(94_500 / (5.1 * 3600), 1) == 5.1
    assert (round((30.5 - 14.7) / 3, 1), round(400 / 5.27), round(13.0 / 5.27, 1)) == (5.3, 76, 2.5)
