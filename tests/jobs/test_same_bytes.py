"""The same bytes for any number of workers, and after ten kills."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.jobs.runs import SAMPLE, checksums, command, dataproc


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three smallest files of the sample crawl."""
    folder = tmp_path_factory.mktemp("crawl")
    for path in sorted(SAMPLE.glob("*.warc.gz"), key=lambda path: path.stat().st_size)[:3]:
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def reference(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The checksums of an undisturbed run with one worker."""
    out = tmp_path_factory.mktemp("reference") / "run"
    dataproc("run", "--crawl", crawl, "--out", out, "--workers", "1")
    return checksums(out)


def test_two_workers_write_the_bytes_of_one(crawl: Path, reference: dict[str, str], tmp_path: Path) -> None:
    for top in ("documents", "dropped/documents", "signatures", "dedup", "scores", "buckets", "tokens"):
        assert any(name.startswith(f"{top}/") for name in reference), top
    dataproc("run", "--crawl", crawl, "--out", tmp_path / "run", "--workers", "2")
    assert checksums(tmp_path / "run") == reference


def entries(run: Path) -> int:
    return len(list((run / "manifests").rglob("part-*.json"))) if (run / "manifests").exists() else 0


@pytest.mark.slow
def test_ten_kills_leave_no_trace(crawl: Path, reference: dict[str, str], tmp_path: Path) -> None:
    """SIGKILL the whole process group ten times, each time after some more parts are done and before all are."""
    out = tmp_path / "run"
    killed_at = []
    for _ in range(10):
        before = entries(out)
        with open(tmp_path / "log", "w") as log:
            process = subprocess.Popen(
                command("run", "--crawl", crawl, "--out", out, "--workers", "2"),
                start_new_session=True,
                stdout=log,
                stderr=log,
            )
        while entries(out) <= before and process.poll() is None:
            time.sleep(0.002)
        assert process.poll() is None, (tmp_path / "log").read_text()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        killed_at.append(entries(out))
    assert killed_at == sorted(set(killed_at)), "each kill found some more parts done"
    assert not (out / "mixture.json").exists(), "and not all of them"
    assert len(set(reference) - set(checksums(out))) > 0
    dataproc("resume", out, "--workers", "2")
    assert checksums(out) == reference


def test_finished_parts_are_not_made_again(crawl: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    dataproc("run", "--crawl", crawl, "--out", out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    dataproc("run", "--crawl", crawl, "--out", out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")} == before


def test_another_recipe_in_the_same_folder_is_an_error(crawl: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("extends: default\ndocuments: {stages: {gopher_quality: {min_words: 40}}}\n")
    dataproc("run", "--crawl", crawl, "--out", tmp_path / "run", "--limit", "1")
    done = dataproc("run", "--crawl", crawl, "--out", tmp_path / "run", "--recipe", recipe, "--limit", "1", ok=False)
    assert done.returncode == 6
    assert "documents.stages.gopher_quality.config.min_words" in done.stderr
    dataproc(
        "run", "--crawl", crawl, "--out", tmp_path / "run", "--recipe", recipe, "--limit", "1", "--redo", "documents"
    )
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["order"]["recipe"]["documents"]["stages"]["gopher_quality"]["min_words"] == 40


def test_another_input_in_the_same_folder_is_an_error(crawl: Path, tmp_path: Path) -> None:
    dataproc("run", "--crawl", crawl, "--out", tmp_path / "run", "--limit", "1")
    done = dataproc("run", "--crawl", crawl, "--out", tmp_path / "run", ok=False)
    assert done.returncode == 6
    assert "the input must be as it was, got 2 new, 0 missing and 0 changed files" in done.stderr


def test_reuse_takes_unchanged_datasets(crawl: Path, reference: dict[str, str], tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("extends: default\npolicy: {stages: {min_quality: {min: 0.5}}}\n")
    old, new = tmp_path / "old", tmp_path / "new"
    dataproc("run", "--crawl", crawl, "--out", old)
    dataproc("run", "--crawl", crawl, "--out", new, "--recipe", recipe, "--reuse", old)
    found = checksums(new)
    same = {name for name in reference if name.split("/")[0] in ("documents", "signatures", "scores")}
    assert {name: found[name] for name in same} == {name: reference[name] for name in same}
    assert any(found.get(name) != reference[name] for name in reference if name.startswith("buckets/"))
    for path in new.glob("documents/*.parquet"):
        assert path.stat().st_mtime_ns > (old / path.relative_to(new)).stat().st_mtime_ns
    dataproc("verify", new)
