"""The same bytes on Spark: the whole chain of recipe `default` on the sample; and what the command says without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.jobs.runs import checksums, dataproc

NO_UI = "--conf spark.ui.enabled=false pyspark-shell"


@pytest.mark.slow
@pytest.mark.needs("pyspark", "java")
def test_spark_writes_the_bytes_of_local(sample_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", NO_UI)
    done = dataproc("run", "--crawl", "sample", "--out", tmp_path / "run", "--engine", "spark")
    found, want = checksums(tmp_path / "run"), checksums(sample_run)
    assert sorted(found) == sorted(want)
    assert found == want
    assert "Exception" not in done.stderr


def hide(module: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `import module` fail in the command, as on a machine that does not have it."""
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.modules[{module!r}] = None\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")])))


def test_without_pyspark_the_command_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide("pyspark", tmp_path, monkeypatch)
    done = dataproc("run", "--crawl", "sample", "--out", tmp_path / "run", "--engine", "spark", ok=False)
    assert done.returncode == 2
    assert "pip install 'dataproc-llm[spark]'" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.needs("pyspark")
def test_without_java_the_command_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    done = dataproc("run", "--crawl", "sample", "--out", tmp_path / "run", "--engine", "spark", ok=False)
    assert done.returncode == 2
    assert "must have Java 17 or newer, got none" in done.stderr
    assert not (tmp_path / "run").exists()
