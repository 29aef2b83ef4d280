from __future__ import annotations

import fcntl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from numba.core.errors import TypingError

from dataproc.engines import worker
from dataproc.engines.worker import attempt
from dataproc.kernels import compiling, jit
from dataproc.kernels.compiling import Turns
from dataproc.kernels.jit import cache_dir, kernel

FIRST = "Compiling kernels, once on this machine ..."


def last(kernels: int) -> str:
    return f"Compiled kernels in 0 s, {kernels} of them; later runs find them."


@pytest.fixture(autouse=True)
def everything_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for what tests before these have compiled."""
    compiling.turns.tell()
    monkeypatch.setattr(compiling, "SHORT", 0)


def compile_one(turns: Turns, folder: Path | None) -> None:
    turns.begin(folder)
    turns.compiling(folder)
    turns.end()


def test_one_tells_at_a_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ours, other = Turns(), Turns()
    for turns in (ours, other, ours):
        compile_one(turns, tmp_path)
    assert caplog.messages == [FIRST]
    for turns in (ours, other, ours):
        turns.tell()
    assert caplog.messages[1:] == [last(2)]
    compile_one(other, tmp_path)
    other.tell()
    assert caplog.messages[2:] == [FIRST, last(1)]


def test_one_that_was_silent_tells_when_the_other_has_done(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ours, other = Turns(), Turns()
    for turns in (ours, other):
        compile_one(turns, tmp_path)
    ours.tell()
    compile_one(other, tmp_path)
    other.tell()
    assert caplog.messages == [FIRST, last(1), FIRST, last(2)]


def test_it_is_over_when_nothing_was_compiled_for_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver, or a training process, has no units, and may live for days."""
    monkeypatch.setattr(compiling, "QUIET", 0.05)
    turns, told = Turns(), threading.Event()

    def tell() -> None:
        Turns.tell(turns)
        told.set()

    monkeypatch.setattr(turns, "tell", tell)
    compile_one(turns, tmp_path)
    assert told.wait(10)
    assert caplog.messages == [FIRST, last(1)]
    other = Turns()
    compile_one(other, tmp_path)
    other.tell()
    assert caplog.messages[2:] == [FIRST, last(1)]  # the lock was free


def test_what_takes_a_moment_is_not_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "SHORT", 0.1)
    turns = Turns()
    compile_one(turns, tmp_path)
    turns.tell()
    time.sleep(0.2)
    assert caplog.messages == []
    turns.begin(tmp_path)
    turns.compiling(tmp_path)
    deadline = time.monotonic() + 10
    while not caplog.messages and time.monotonic() < deadline:
        time.sleep(0.01)
    turns.end()
    turns.tell()
    assert caplog.messages == [FIRST, last(1)]


def test_nothing_is_over_within_a_turn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    turns = Turns()
    turns.begin(tmp_path)
    turns.compiling(tmp_path)
    thread = threading.Thread(target=turns.tell)
    thread.start()
    thread.join()
    assert caplog.messages == [FIRST]
    turns.end()
    turns.tell()
    assert caplog.messages[1:] == [last(1)]


def test_threads_tell_while_one_compiles(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every kernel is told of once, and each first line has its last."""
    turns, ended = Turns(), threading.Event()

    def keep_telling() -> None:
        while not ended.is_set():
            turns.tell()

    threads = [threading.Thread(target=keep_telling) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        compile_one(turns, tmp_path)
    ended.set()
    for thread in threads:
        thread.join()
    turns.tell()
    assert caplog.messages[::2] == [FIRST] * (len(caplog.messages) // 2)
    assert sum(int(line.split()[5]) for line in caplog.messages[1::2]) == 50


def test_a_turn_ends_before_the_next_begins(tmp_path: Path) -> None:
    ours, other, begun = Turns(), Turns(), threading.Event()
    ours.begin(tmp_path)
    ours.begin(tmp_path)  # a kernel inside a kernel
    ours.end()

    def wait_and_begin() -> None:
        other.begin(tmp_path)
        begun.set()

    thread = threading.Thread(target=wait_and_begin)
    thread.start()
    assert not begun.wait(0.2)
    ours.end()
    assert begun.wait(10)
    thread.join()
    other.end()


def test_one_that_waits_takes_what_comes_meanwhile(tmp_path: Path) -> None:
    """A process with many kernels to compile takes turn after turn, and others need not wait for its last."""
    ours, other = Turns(), Turns()
    ours.begin(tmp_path)
    looks = iter([None, None, "a kernel"])
    assert other.begin(tmp_path, lambda: next(looks)) == "a kernel"
    ours.end()
    assert ours.begin(tmp_path, lambda: "a kernel") == "a kernel"
    with open(tmp_path / "turn.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where one has a turn

    def broken() -> None:
        raise OSError("a cache that cannot be read")

    with pytest.raises(OSError, match="cannot be read"):
        other.begin(tmp_path, broken)
    other.begin(tmp_path)  # or this would wait
    other.end()


def test_it_is_over_also_when_a_turn_that_compiled_nothing_was_in_the_way(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "QUIET", 0.05)
    turns = Turns()
    compile_one(turns, tmp_path)
    turns.begin(tmp_path)
    time.sleep(0.2)  # the timer finds a turn
    turns.end()
    deadline = time.monotonic() + 10
    while len(caplog.messages) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert caplog.messages == [FIRST, last(1)]


def test_a_forked_child_tells_nothing(tmp_path: Path) -> None:
    script = (
        "import os; from pathlib import Path; from dataproc.kernels import compiling\n"
        "compiling.SHORT = 0; turns = compiling.turns\n"
        f"folder = Path({str(tmp_path)!r}); turns.begin(folder); turns.compiling(folder); turns.end()\n"
        "child = os.fork()\n"
        "if child: os.waitpid(child, 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stderr.splitlines() == [FIRST, last(1)]


def test_nobody_waits_for_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped in its turn keeps it."""
    monkeypatch.setattr(compiling, "MAX_WAIT", 0.1)
    stopped, ours = Turns(), Turns()
    stopped.begin(tmp_path)
    for _ in range(3):
        ours.begin(tmp_path)
        ours.end()
    assert caplog.messages == [
        f"Other processes have held {tmp_path / 'turn.lock'} for 0 s. This one compiles kernels for itself now."
    ]
    stopped.end()
    ours.begin(tmp_path)  # turns go on where nobody keeps them
    with open(tmp_path / "turn.lock") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    ours.end()


def test_a_turn_ends_with_its_process(tmp_path: Path) -> None:
    script = (
        f"from pathlib import Path; from dataproc.kernels.compiling import turns; turns.begin(Path({str(tmp_path)!r}))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    with open(tmp_path / "turn.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_without_locks_all_tell_and_nobody_waits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")  # no lock can be made below a file
    both = Turns(), Turns()
    for turns in both:
        turns.begin(tmp_path / "file")
        turns.compiling(tmp_path / "file")
    assert caplog.messages == [FIRST, FIRST]
    for turns in both:
        turns.end()
        turns.tell()
    assert caplog.messages[2:] == [last(1), last(1)]


def test_without_a_cache_each_process_tells(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "cache_dir", lambda: None)

    @kernel
    def inner(value: int) -> int:
        return value + 1

    @kernel
    def double(value: int) -> int:
        return inner(value) * 2

    assert (double(20), double(21)) == (42, 44)
    compiling.turns.tell()
    first, told = caplog.messages
    assert first == "Compiling kernels, for this process alone ..."
    assert told.startswith("Compiled kernels in ")
    assert told.endswith("2 of them; no folder to keep them can be written, set NUMBA_CACHE_DIR to one that can.")


def test_workers_tell_behind_each_unit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = Turns()
    monkeypatch.setattr(worker, "turns", turns)
    attempt(lambda: compile_one(turns, tmp_path))
    attempt(lambda: None)
    assert caplog.messages[1:] == [last(1)]


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
