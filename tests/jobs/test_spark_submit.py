"""jobs/spark_submit.py: the command where `import jobs` would fail, and through spark-submit itself."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from jobs import spark_submit
from tests.jobs.runs import dataproc

SCRIPT = Path(spark_submit.__file__)


def test_the_projects_folder_takes_the_place_of_the_scripts(tmp_path: Path) -> None:
    """A python without our package, as a fresh checkout has it: only `sys.path` leads to `jobs`."""
    tell = tmp_path / "tell.py"
    tell.write_text(
        "import runpy, sys\n"
        f"sys.path[0] = {str(SCRIPT.parent)!r}\n"
        "sys.argv = ['spark_submit.py', '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
        "finally:\n"
        "    print(sys.path[0], sys.modules['jobs'].__file__)\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, tell], capture_output=True, text=True, cwd=tmp_path, env=env, check=False)
    assert "Turn web crawls into training tokens." in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == f"{SCRIPT.parent.parent} {SCRIPT.parent / '__init__.py'}"


@pytest.mark.slow
@pytest.mark.needs("pyspark", "java")
def test_spark_submit_runs_a_crawl(tmp_path: Path) -> None:
    spec = find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    submit = Path(spec.origin).parent / "bin" / "spark-submit"
    env = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    env["PYTHONPATH"] = str(SCRIPT.parent.parent)  # of the workers
    settings = ["--master", "local[2,4]", "--conf", "spark.ui.enabled=false", "--conf", "spark.driver.host=127.0.0.1"]
    words = ["run", "--crawl", "sample", "--limit", "1", "--engine", "spark", "--out", str(tmp_path / "run")]
    done = subprocess.run([submit, *settings, SCRIPT, *words], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "documents: 1 of 1 units in" in done.stdout
    dataproc("verify", tmp_path / "run")
