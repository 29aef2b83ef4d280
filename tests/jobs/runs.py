"""Starting the command in tests, and comparing what runs wrote."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import jobs

COMPARED = (
    "documents",
    "dropped",
    "signatures",
    "dedup",
    "lines",
    "substrings",
    "scores",
    "buckets",
    "tokens",
    "mixture.json",
    "units.parquet",
)
"""What has to be the same bytes however a run was made; run.json, report, logs and manifests hold times."""

SAMPLE = Path(jobs.__file__).parent / "sample" / "crawl"


def command(*words: str | Path) -> list[str]:
    """Return the words that start `dataproc`."""
    return [sys.executable, "-m", "jobs.cli", *map(str, words)]


def dataproc(*words: str | Path, ok: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `dataproc` and return what it printed; with `ok` it has to succeed."""
    done = subprocess.run(command(*words), capture_output=True, text=True, check=False)
    if ok:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def checksums(run: Path) -> dict[str, str]:
    """Return the sha256 of every compared file of a run, by name."""
    files = [path for top in COMPARED for path in ([run / top] if (run / top).is_file() else (run / top).rglob("*"))]
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()
    }


def differences(found: dict[str, str], want: dict[str, str]) -> list[str]:
    """Return what differs between the checksums of two runs, file by file; none when every file is the same."""
    names = sorted(found.keys() | want.keys())
    told = {name: "missing" if name not in found else "not wanted" if name not in want else "other" for name in names}
    return [f"{name}: {told[name]}" for name in names if found.get(name) != want.get(name)]
