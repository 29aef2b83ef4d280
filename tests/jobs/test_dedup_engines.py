"""Dedup on every engine, for any number of partitions, against an earlier run, and killed in each of its phases.

All are compared, file by file, with runs that one process makes in order.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.dedup_driver import drive
from tests.jobs.dedup_runs import Inline, crawl_of, dedup
from tests.jobs.runs import differences
from tests.jobs.test_dedup_earlier import COMMON, NEW, PAGES, TEXT_BYTES, TEXTS
from tests.ray_cluster import two_nodes
from tests.spark_cluster import spark_env

pytestmark = pytest.mark.slow


def of(partitions: int) -> dict[str, Any]:
    """Return a dedup section whose phases over hashes have so many partitions, for the new crawl."""
    return {**COMMON, **({"partition_bytes": TEXT_BYTES // (partitions - 1)} if partitions > 1 else {})}


@pytest.fixture(scope="module")
def crawls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An old and a new crawl, and their runs."""
    folder = tmp_path_factory.mktemp("crawls")
    crawl_of(TEXTS[::2], 2, folder / "old-crawl", PAGES[::2])
    crawl_of(NEW, 3, folder / "new-crawl", [*PAGES[1::2], *[None] * 5])
    dedup(folder / "old-crawl", folder / "old", Inline(), **COMMON)
    return folder


Made = tuple[Path, list[str]]
"""A run, and the steps that made it, in order."""


@pytest.fixture(scope="module")
def inline(crawls: Path) -> Callable[[int], Made]:
    """Return what makes the new run in this process, once for each number of partitions."""

    @cache
    def made(partitions: int) -> Made:
        out, engine = crawls / f"inline-{partitions}", Inline()
        dedup(crawls / "new-crawl", out, engine, **of(partitions), against=[str(crawls / "old")])
        return out, list(dict.fromkeys(engine.ran))

    return made


def files(run: Path, *, evidence: bool) -> dict[str, str]:
    """Return the sha256 of what dedup has stored: its sidecar and what it dropped, or all phases too."""
    found = {}
    for top in ("dedup", "dropped/dedup", "signatures"):
        for path in (run / top).rglob("*.parquet") if evidence else (run / top).glob("*.parquet"):
            found[str(path.relative_to(run))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@contextmanager
def local(folder: Path) -> Iterator[dict[str, str]]:
    yield {**os.environ}


@contextmanager
def ray(folder: Path) -> Iterator[dict[str, str]]:
    with two_nodes(folder) as env:
        yield env


@contextmanager
def spark(folder: Path) -> Iterator[dict[str, str]]:
    yield {**spark_env(folder / "spark"), "SPARK_MASTER": "local[2]"}


on_every_engine = pytest.mark.parametrize(
    "engine",
    [
        local,
        pytest.param(ray, marks=pytest.mark.needs("ray")),
        pytest.param(spark, marks=pytest.mark.needs("pyspark", "java")),
    ],
)


@on_every_engine
def test_partitions_do_not_show(
    engine: Callable[[Path], AbstractContextManager[dict[str, str]]],
    crawls: Path,
    inline: Callable[[int], Made],
    tmp_path: Path,
) -> None:
    """The old run, and the new one against it with 1, 2, 7 and 64 partitions."""
    counts = (1, 2, 7, 64)
    old = tmp_path / "old"
    runs = [(crawls / "new-crawl", tmp_path / str(count), {**of(count), "against": [str(old)]}) for count in counts]
    with engine(tmp_path) as env:
        drive(engine.__name__, [(crawls / "old-crawl", old, COMMON), *runs], env)
    assert differences(files(old, evidence=True), files(crawls / "old", evidence=True)) == []
    decided = files(inline(1)[0], evidence=False)
    assert len(decided) == 9
    for count in counts:
        made = tmp_path / str(count)
        assert len(list((made / "dedup" / "near_groups").glob("*.parquet"))) == count
        assert differences(files(made, evidence=False), decided) == []
        assert differences(files(made, evidence=True), files(inline(count)[0], evidence=True)) == []


@on_every_engine
def test_a_run_killed_in_each_phase_leaves_no_trace(
    engine: Callable[[Path], AbstractContextManager[dict[str, str]]],
    crawls: Path,
    inline: Callable[[int], Made],
    tmp_path: Path,
) -> None:
    """Each time, driver and workers are killed when the first part of a phase is done; then the run goes on.

    Clusters take long to start: they are killed in some phases only, of each kind one.
    """
    run, count = tmp_path / "run", 7
    config = {**of(count), "against": [str(crawls / "old")]}
    whole, steps = inline(count)
    assert len(steps) > 20
    with engine(tmp_path) as env:
        for step in steps if engine is local else steps[::4]:
            drive(engine.__name__, [(crawls / "new-crawl", run, config)], env, die_in=step)
            assert list((run / "manifests" / step).glob("part-*.json")), step
        drive(engine.__name__, [(crawls / "new-crawl", run, config)], env)
    assert differences(files(run, evidence=True), files(whole, evidence=True)) == []
