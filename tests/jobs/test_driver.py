"""Nothing is computed in the driver: its CPU time is a small part of the run's, on every engine.

What a driver takes is its start (imports, the recipe, joining a cluster) and hardly anything per unit. So the share is
measured where there is work: the crawl is the sample several times over, under other names, whose documents are
documents of their own until dedup finds them. Spark's driver has a Java beside it, which starts, plans and schedules: a
fixed cost per run and job, larger than the sample is worth, and none of our code.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.runs import SAMPLE, command
from tests.processes import descendants, watched
from tests.ray_cluster import two_nodes
from tests.spark_cluster import standalone

pytestmark = pytest.mark.slow

COPIES = 6
MAX_SHARE = 0.05


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample so many times over."""
    folder = tmp_path_factory.mktemp("crawl")
    for path in SAMPLE.glob("*.warc.gz"):
        for copy in range(COPIES):
            (folder / f"copy-{copy}-{path.name}").symlink_to(path)
    return folder


@contextmanager
def local(folder: Path) -> Iterator[tuple[dict[str, str], list[int]]]:
    yield {**os.environ}, []


@contextmanager
def ray(folder: Path) -> Iterator[tuple[dict[str, str], list[int]]]:
    with two_nodes(folder) as env:
        yield env, [process.pid for process in descendants(os.getpid()) if process.parent == os.getpid()]


@contextmanager
def spark(folder: Path) -> Iterator[tuple[dict[str, str], list[int]]]:
    with standalone(folder / "spark") as (env, pids):
        yield env, pids


@pytest.mark.parametrize(
    "engine",
    [
        local,
        pytest.param(ray, marks=pytest.mark.needs("ray")),
        pytest.param(spark, marks=pytest.mark.needs("pyspark", "java")),
    ],
)
def test_the_driver_computes_nothing(engine: Callable[[Path], Any], crawl: Path, tmp_path: Path) -> None:
    words = command("run", "--crawl", crawl, "--out", tmp_path / "run", "--engine", engine.__name__)
    with engine(tmp_path) as (env, cluster), open(tmp_path / "told", "w", encoding="utf-8") as told:
        driver = subprocess.Popen(words, env=env, stdout=told, stderr=told)
        with watched(driver.pid, *cluster) as seen:
            driver.wait()
    assert driver.returncode == 0, (tmp_path / "told").read_text(encoding="utf-8")
    (own,) = (one.cpu_s for one in seen if one.pid == driver.pid)
    java = [one for one in seen if one.parent == driver.pid and one.name == "java"]
    total = sum(one.cpu_s for one in seen if one not in java)
    print(
        f"{engine.__name__}: the driver took {own:.1f} s of {total:.1f} s; Java {sum(one.cpu_s for one in java):.1f} s"
    )
    assert len(java) == (engine is spark)
    assert own < MAX_SHARE * total
