from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import pytest
from numba.core.errors import TypingError

from dataproc.engines import worker
from dataproc.engines.worker import attempt
from dataproc.kernels.compiling import Turns
from dataproc.kernels.jit import cache_dir, kernel


def compile_one(turns: Turns, folder: Path) -> None:
    turns.begin(folder)
    turns.compiling(folder)
    turns.end(compiled=True)


def test_one_tells_at_a_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ours, other = Turns(), Turns()
    for turns in (ours, other, ours):
        compile_one(turns, tmp_path)
    assert caplog.messages == ["Compiling kernels, once on this machine ..."]
    for turns in (ours, other, ours):
        turns.tell()
    assert caplog.messages[1:] == ["Compiled kernels in 0 s, 2 of them; later runs find them."]
    compile_one(other, tmp_path)
    other.tell()
    assert caplog.messages[3:] == ["Compiled kernels in 0 s, 1 of them; later runs find them."]


def test_a_turn_ends_before_the_next_begins(tmp_path: Path) -> None:
    ours, other, begun = Turns(), Turns(), threading.Event()
    ours.begin(tmp_path)
    ours.begin(tmp_path)  # a kernel inside a kernel
    ours.end(compiled=True)

    def wait_and_begin() -> None:
        other.begin(tmp_path)
        begun.set()

    thread = threading.Thread(target=wait_and_begin)
    thread.start()
    assert not begun.wait(0.2)
    ours.end(compiled=True)
    assert begun.wait(10)
    thread.join()
    other.end(compiled=False)


def test_without_locks_nobody_waits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")  # no lock can be made below a file
    for turns in (Turns(), Turns()):
        turns.begin(tmp_path / "file")
        turns.compiling(tmp_path / "file")
    assert caplog.messages == []


def test_workers_tell_behind_each_unit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = Turns()
    monkeypatch.setattr(worker, "turns", turns)
    attempt(lambda: compile_one(turns, tmp_path))
    attempt(lambda: None)
    assert caplog.messages[1:] == ["Compiled kernels in 0 s, 1 of them; later runs find them."]


def test_a_kernel_that_cannot_be_compiled_gives_its_turn_back(tmp_path: Path) -> None:
    @kernel
    def wrong(value: int) -> int:
        return value + "text"  # type: ignore[operator]

    with pytest.raises(TypingError):
        wrong(1)
    folder = cache_dir()
    assert folder is not None
    with open(folder / "turn.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where another still has it
