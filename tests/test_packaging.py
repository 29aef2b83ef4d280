"""The wheel holds what a run needs: built here, installed into an environment outside the checkout, and run there.

No network: the core dependencies are linked from this environment, and only they, so an undeclared one is missing.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PACKAGES = ("dataproc", "stages", "classifiers", "jobs")
IGNORED = shutil.ignore_patterns("__pycache__", ".*")
WARC = ROOT / "jobs" / "sample" / "crawl" / "captured-00000.warc.gz"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build from a copy, so that nothing is left in the checkout."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=IGNORED)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(target)]
    _call([sys.executable, "-m", "pip", "wheel", *options, str(source)], source)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the `dataproc` command of a fresh environment."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    _call(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)], folder
    )
    (site,) = folder.glob("lib/python*/site-packages")
    for path in _core_dependencies():
        if not (site / path.name).exists():
            (site / path.name).symlink_to(path)
    return folder / "bin" / "dataproc"


def _core_dependencies() -> Iterator[Path]:
    """Yield what lies in site-packages of everything that the project depends on, its extras left out."""
    waiting, seen = [("dataproc-llm", "")], set[tuple[str, str]]()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        distribution = importlib.metadata.distribution(name)
        for line in distribution.requires or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(needed.name, wanted) for wanted in ("", *needed.extras)]
        if name != "dataproc-llm":
            tops = {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}
            yield from (Path(str(distribution.locate_file(top))) for top in sorted(tops))


def _call(arguments: list[str], folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}
    result = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA"))
        licences = {Path(name).name for name in archive.namelist() if ".dist-info/licenses/" in name}
    assert names == expected
    assert "\nLicense-Expression: Apache-2.0\n" in metadata
    assert licences == {"LICENSE", "NOTICE"}


def test_run_from_the_wheel(command: Path, tmp_path: Path) -> None:
    crawl = shutil.copy(WARC, tmp_path)
    _call([str(command), "run", "--crawl", str(crawl), "--out", "out", "--workers", "1"], tmp_path)
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert record["order"]["recipe_name"] == "default"
    assert record["git_commit"] is None
    assert (tmp_path / "out" / "mixture.json").exists()
    assert (tmp_path / "out" / "report" / "index.html").exists()
    assert "Every file is what its manifest says." in _call([str(command), "verify", "out"], tmp_path)


def test_the_sample_crawl_is_in_the_wheel(command: Path, tmp_path: Path) -> None:
    """Its recipe, lists, models and tokenizer are too: one file of it runs to tokens."""
    _call([str(command), "run", "--crawl", "sample", "--limit", "1", "--out", "out"], tmp_path)
    shards = list((tmp_path / "out" / "tokens").rglob("shard-*.bin"))
    assert sum(shard.stat().st_size for shard in shards) > 0
