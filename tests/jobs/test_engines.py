"""What the command and `make pipeline` say and install when an engine's libraries or Java are missing.

That all else works without them is tests/test_packaging.py, which runs from an environment without any extra.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.jobs.runs import dataproc

ROOT = Path(__file__).parents[2]


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


@pytest.mark.needs("ray", "pyspark")
def test_without_java_the_command_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    done = dataproc("run", "--crawl", "sample", "--out", tmp_path / "run", "--engine", "ray+spark", ok=False)
    assert done.returncode == 2
    assert "must have Java 17 or newer, got none" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.needs("make")
@pytest.mark.parametrize(
    ("engine", "extras"), [("local", ""), ("ray", "[ray]"), ("spark", "[spark]"), ("ray+spark", "[ray,spark]")]
)
def test_make_pipeline_installs_what_the_engine_needs(engine: str, extras: str) -> None:
    words = ["make", "--dry-run", "VENV=/nowhere", "pipeline", f"ENGINE={engine}"]
    told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    installed = [line.split()[-1].strip("'") for line in told.splitlines() if " install " in line]
    assert installed == [".", f".{extras}"][: 2 if extras else 1]
    assert f"dataproc run --crawl 'sample' --recipe 'default' --engine '{engine}'" in told
