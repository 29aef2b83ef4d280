from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dataproc.kernels import jit

HASH = """
import numpy as np
from dataproc.kernels.hashing import _hash_slices, hash_slices
print(hash_slices(np.zeros(0, np.uint8), np.zeros(1, np.int64), np.zeros(1, np.int64))[0])
print(sum(_hash_slices.stats.cache_hits.values()))
"""


def run(cache: Path) -> list[str]:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run([sys.executable, "-c", HASH], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_kernels_are_compiled_once_for_all_processes(tmp_path: Path) -> None:
    assert run(tmp_path) == [str(0xEF46DB3751D8E999), "0"]
    assert run(tmp_path) == [str(0xEF46DB3751D8E999), "1"]
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


def test_without_a_place_kernels_still_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "cache_dir", lambda: None)

    @jit.kernel
    def double(value: int) -> int:
        return value * 2

    assert double(21) == 42


def test_places_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(jit.config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert list(jit._candidates()) == [Path(jit.__file__).parent / "__pycache__", tmp_path]
    monkeypatch.setattr(jit.config, "CACHE_DIR", str(tmp_path / "given"))
    assert list(jit._candidates()) == [tmp_path / "given"]
