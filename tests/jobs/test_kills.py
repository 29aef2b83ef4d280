"""A worker killed in the middle of a map, of a split and of a reduce, on every engine: the same bytes, with exit 0.

Killed from outside, on evidence that it is in the middle: files in the making bear the id of the process that makes
them, and one that splits a unit has its documents open. It is stopped first, and killed if the evidence still holds.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.jobs.runs import SAMPLE, checksums, command, dataproc, differences
from tests.ray_cluster import two_nodes
from tests.spark_cluster import spark_env

pytestmark = pytest.mark.slow

ATTEMPTS = 5


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three largest files of the sample crawl: workers must be busy long enough to be seen."""
    folder = tmp_path_factory.mktemp("crawl")
    for path in sorted(SAMPLE.glob("*.warc.gz"), key=lambda path: path.stat().st_size)[-3:]:
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def reference(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The checksums of an undisturbed run."""
    out = tmp_path_factory.mktemp("reference") / "run"
    dataproc("run", "--crawl", crawl, "--out", out, "--workers", "2")
    return checksums(out)


def makers(run: Path, name: str) -> Iterator[int]:
    """Yield the processes that are making a file of this run whose name matches."""
    for path in (run / ".scratch" / "making").glob("making-*"):
        if made := re.fullmatch(rf"making-\w*-(\d+)-[0-9a-f]+-{name}", path.name):
            yield int(made[1])


def mapping(run: Path) -> Iterator[int]:
    """Yield the processes in the middle of a unit of the step `documents`."""
    yield from makers(run, r"part-\d+\.parquet")


def splitting(run: Path) -> Iterator[int]:
    """Yield the processes in the middle of a split of the step `tokens`: they read documents when all have buckets."""
    done = {step: len(list((run / "manifests" / step).glob("part-*.json"))) for step in ("documents", "buckets")}
    if not done["buckets"] or done["buckets"] < done["documents"]:
        return
    documents = re.escape(str(run / "documents"))
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile, or is somebody else's
            opened = [os.readlink(file) for file in (process / "fd").iterdir()]
            if any(re.fullmatch(rf"{documents}/part-\d+\.parquet", name) for name in opened):
                yield int(process.name)


def reducing(run: Path) -> Iterator[int]:
    """Yield the processes in the middle of a token shard."""
    yield from makers(run, r"shard-\d+\.bin")


def state(pid: int) -> str:
    """Return the letter of a process's state, Z for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def kill_one(run: Path, busy: Callable[[Path], Iterator[int]], driver: subprocess.Popen[str]) -> bool:
    """Kill the first process that is seen to be busy, and is so still when it is stopped; False when none was."""
    while driver.poll() is None:
        for pid in busy(run):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                while state(pid) not in "TZ":
                    time.sleep(0.0001)
                if pid in busy(run):
                    os.kill(pid, signal.SIGKILL)
                    return True
                os.kill(pid, signal.SIGCONT)
        time.sleep(0.0005)
    return False


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


@pytest.mark.parametrize(
    "engine",
    [
        local,
        pytest.param(ray, marks=pytest.mark.needs("ray")),
        pytest.param(spark, marks=pytest.mark.needs("pyspark", "java")),
    ],
)
def test_killed_workers_leave_no_trace(
    engine: Callable[[Path], Iterator[dict[str, str]]], crawl: Path, reference: dict[str, str], tmp_path: Path
) -> None:
    with engine(tmp_path) as env:  # type: ignore[attr-defined]
        for attempt in range(ATTEMPTS):  # a step of milliseconds may be over before it is seen
            run = tmp_path / f"run-{attempt}"
            words = command("run", "--crawl", crawl, "--out", run, "--engine", engine.__name__)
            with subprocess.Popen(
                words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            ) as driver:
                killed = [kill_one(run, busy, driver) for busy in (mapping, splitting, reducing)]
                told, _ = driver.communicate()
            if all(killed):
                break
    assert killed == [True, True, True], told
    assert driver.returncode == 0, told
    retried = dict(re.findall(r"^(\S+): .* units in .*, (\d+) tried again$", told, re.M))
    assert retried == {"documents": "1", "tokens": "2"}, told
    assert differences(checksums(run), reference) == []
