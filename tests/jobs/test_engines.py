"""The same bytes on every engine: the whole chain of recipe `default` on the sample crawl."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.jobs.runs import checksums, dataproc
from tests.ray_cluster import two_nodes

pytestmark = [pytest.mark.slow, pytest.mark.needs("ray")]


def test_ray_of_this_machine_writes_the_bytes_of_local(
    sample_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    dataproc("run", "--crawl", "sample", "--out", tmp_path / "run", "--engine", "ray", "--workers", "2")
    assert checksums(tmp_path / "run") == checksums(sample_run)


def test_ray_of_two_nodes_writes_the_bytes_of_local_and_resumes(
    sample_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with two_nodes(tmp_path) as env:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        dataproc("run", "--crawl", "sample", "--out", "run", "--engine", "ray")
        assert checksums(tmp_path / "run") == checksums(sample_run)
        entries = sorted((tmp_path / "run" / "manifests" / "tokens").glob("part-*.json"))[::2]
        assert entries
        for entry in entries:
            entry.unlink()
        dataproc("resume", "run", "--engine", "ray")
        assert checksums(tmp_path / "run") == checksums(sample_run)
