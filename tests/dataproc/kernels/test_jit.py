from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dataproc.kernels import jit

HASH = """
import numpy as np
from dataproc.kernels import compiling
from dataproc.kernels.hashing import _hash_slices, hash_slices
compiling.SHORT = 0
print(hash_slices(np.zeros(0, np.uint8), np.zeros(1, np.int64), np.zeros(1, np.int64))[0])
print(sum(_hash_slices.stats.cache_misses.values()))
"""


def run(cache: Path, processes: int) -> tuple[list[str], list[str]]:
    """Return what the processes, all started at once, wrote to stdout and to stderr."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", HASH],
            env=os.environ | {"NUMBA_CACHE_DIR": str(cache)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    told = [process.communicate() for process in started]
    return [word for out, _ in told for word in out.split()], [line for _, err in told for line in err.splitlines()]


def test_one_process_compiles_for_all_and_says_so(tmp_path: Path) -> None:
    right = str(0xEF46DB3751D8E999)
    out, (first, last) = run(tmp_path, 2)
    assert sorted(out) == ["0", "1", right, right]
    assert first == "Compiling kernels, once on this machine ..."
    assert re.fullmatch(r"Compiled kernels in \d+ s, \d+ of them; later runs find them\.", last)
    assert run(tmp_path, 1) == ([right, "0"], [])
    assert [path.name for path in tmp_path.iterdir()] == [jit.cache_dir().name]  # type: ignore[union-attr]


def test_folder_is_named_by_all_sources(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one")
    (tmp_path / "b.py").write_text("two")
    before = jit.sources_digest(tmp_path)
    (tmp_path / "notes.txt").write_text("not code")
    assert jit.sources_digest(tmp_path) == before
    (tmp_path / "b.py").write_text("2")
    assert jit.sources_digest(tmp_path) != before


def candidates(monkeypatch: pytest.MonkeyPatch, *places: Path) -> Path | None:
    monkeypatch.setattr(jit, "_candidates", lambda: iter(places))
    return jit.cache_dir.__wrapped__()


def test_next_place_is_taken_when_one_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")  # no folder can be made below a file, whoever asks
    folder = candidates(monkeypatch, tmp_path / "file" / "cache", tmp_path / "user")
    assert folder is not None
    assert folder.parent == tmp_path / "user"
    assert candidates(monkeypatch, tmp_path / "file" / "cache") is None


def test_places_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(jit.config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert list(jit._candidates()) == [Path(jit.__file__).parent / "__pycache__", tmp_path]
    monkeypatch.setattr(jit.config, "CACHE_DIR", str(tmp_path / "given"))
    assert list(jit._candidates()) == [tmp_path / "given"]
