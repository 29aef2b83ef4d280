"""The same bytes on every engine: the whole chain of recipe `default` on the sample crawl, WARC files to batches.

Every run is compared, file by file, with the one that `sample_run` makes on two local workers; so are the first batches
that a loader gives. Each run has to have done every step itself, and what Ray and Spark know of it to bear that out.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataproc.loader import StreamingLoader
from tests.jobs.runs import checksums, command, differences
from tests.ray_cluster import tasks, two_nodes
from tests.spark_cluster import event_log, jobs_and_shuffles, spark_env, standalone

pytestmark = pytest.mark.slow

BATCHES = 20

MADE_BY_THE_DRIVER = {"units", "tokens/manifests", "mixture"}
"""Datasets that are no step of an engine: the plan, and small files made of manifests."""


def batches(run: Path) -> list[str]:
    """Return a hash of everything in each of the first batches."""
    loader = StreamingLoader(run / "mixture.json")
    assert len(loader) >= BATCHES
    return [_hash(loader[step]) for step in range(BATCHES)]


def _hash(batch: Any) -> str:
    values = [np.asarray(value) for value in astuple(batch)]
    assert sum(value.nbytes for value in values) > 10_000
    return hashlib.sha256(b"".join(f"{v.dtype}{v.shape}".encode() + v.tobytes() for v in values)).hexdigest()


def steps(run: Path) -> dict[str, int]:
    """Return the parts of every dataset that the engine of a run fills."""
    found: dict[str, int] = {}
    for entry in (run / "manifests").rglob("part-*.json"):
        name = str(entry.parent.relative_to(run / "manifests"))
        found[name] = found.get(name, 0) + 1
    edges = {name: parts for name, parts in found.items() if re.fullmatch(r"dedup/round-\d+/edges", name)}
    found |= {name.replace("edges", "shingled"): parts for name, parts in edges.items()}  # removed when it was read
    return {name: parts for name, parts in found.items() if name not in MADE_BY_THE_DRIVER}


def done(told: str) -> dict[str, int]:
    """Return the units of every step that a run told of."""
    return {
        name: int(units)
        for name, ended, units in re.findall(r"^(\S+): (\d+) of (\d+) units in ", told, re.M)
        if ended == units
    }


Check = Callable[[set[str], set[str]], None]
"""Is given the names of all steps, and of those that are maps, when the run has ended."""


@contextmanager
def local(folder: Path) -> Iterator[tuple[list[str], dict[str, str], Check]]:
    yield ["--workers", "1"], {**os.environ}, lambda every, maps: None


@contextmanager
def ray_two_nodes(folder: Path) -> Iterator[tuple[list[str], dict[str, str], Check]]:
    with two_nodes(folder) as env:

        def check(every: set[str], maps: set[str]) -> None:
            ran = tasks(env)
            phases = {f"{step}: {phase}" for step in every - maps for phase in ("split", "reduce")}
            assert {name for name, _ in ran} >= maps | phases
            for phase in ("documents", "split", "reduce"):
                assert len({node for name, node in ran if name.endswith(phase)}) == 2, phase

        yield ["--engine", "ray"], env, check


def check_event_log(env: dict[str, str], jobs: set[str], shuffles: set[str]) -> None:
    """Hold Spark's event log against the steps that should be its jobs, and those of them that shuffle."""
    written = jobs_and_shuffles(event_log(env))
    assert written.keys() == jobs
    assert {name for name, size in written.items() if size > 0} == shuffles


@contextmanager
def spark_local(folder: Path) -> Iterator[tuple[list[str], dict[str, str], Check]]:
    env = {**spark_env(folder / "spark"), "SPARK_MASTER": "local[2]"}
    yield ["--engine", "spark"], env, lambda every, maps: check_event_log(env, every, every - maps)


@contextmanager
def spark_standalone(folder: Path) -> Iterator[tuple[list[str], dict[str, str], Check]]:
    with standalone(folder / "spark") as env:

        def check(every: set[str], maps: set[str]) -> None:
            check_event_log(env, every, every - maps)
            hosts = [event["Task Info"]["Executor ID"] for event in event_log(env) if "Task Info" in event]
            assert len(set(hosts)) == 2, "both workers worked"

        yield ["--engine", "spark"], env, check


@contextmanager
def ray_and_spark(folder: Path) -> Iterator[tuple[list[str], dict[str, str], Check]]:
    with two_nodes(folder) as env:
        env = {**spark_env(folder / "spark", env), "SPARK_MASTER": "local[2]"}

        def check(every: set[str], maps: set[str]) -> None:
            assert {name for name, _ in tasks(env)} == maps
            check_event_log(env, every - maps, every - maps)

        yield ["--engine", "ray+spark"], env, check


NEEDS = {"ray": pytest.mark.needs("ray"), "spark": pytest.mark.needs("pyspark", "java")}


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param(mode, marks=[mark for name, mark in NEEDS.items() if name in mode.__name__], id=mode.__name__)
        for mode in (local, ray_two_nodes, spark_local, spark_standalone, ray_and_spark)
    ],
)
def test_every_engine_writes_the_same_bytes(mode: Any, sample_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with mode(tmp_path) as (options, env, check):
        words = command("run", "--crawl", "sample", "--out", run, *options)
        ended = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "Exception" not in ended.stderr
        want = steps(sample_run)
        assert len(want) > 15
        assert done(ended.stdout) == want, "each step, with each of its units"
        check(set(want), {"documents", "signatures", "scores", "buckets"})
        assert differences(checksums(run), checksums(sample_run)) == []
        assert batches(run) == batches(sample_run)
        resume(run, options, env)
    assert differences(checksums(run), checksums(sample_run)) == []


def resume(run: Path, options: list[str], env: dict[str, str]) -> None:
    """Forget half of the token parts, as a kill does, and go on; the command is given a relative name."""
    forgotten = sorted((run / "manifests" / "tokens").glob("part-*.json"))[::2]
    for entry in forgotten:
        entry.unlink()
    words = command("resume", run.name, *options)
    ended = subprocess.run(words, env=env, cwd=run.parent, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert done(ended.stdout)["tokens"] == len(forgotten)
