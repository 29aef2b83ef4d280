"""What a driver and its workers use, step by step: wall and CPU time, memory of all together, bytes written to disk.

Linux only: read from /proc. Memory is the proportional set size, in which what processes share counts once, sampled
once a second; pages of files that are memory-mapped count too. Bytes written are those that reach the disk's cache:
spills, sorted runs, and parts.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from jobs.events import Event
from jobs.progress import ProgressDisplay

SAMPLE_S = 1.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class StepUsed:
    """What one step used, and what lay between it and the step before.

    `resumed` says that a part of it was done by a run that was cut off, which told nothing.
    """

    step: str
    resumed: bool
    wall_s: float
    cpu_s: float
    peak_bytes: int
    written_bytes: int


class Meter(ProgressDisplay):
    """Shows the steps of a run, and adds what each used to a file of JSON lines as it ends; samples until it is closed.

    `resumed`: the run was cut off before, perhaps in the middle of the step that is now the first.
    """

    def __init__(self, console: Console, path: Path, *, resumed: bool = False) -> None:
        super().__init__(console)
        self._path = path
        self._resumed = resumed
        self._before = _used()
        self._peak = 0
        self._closed = threading.Event()
        threading.Thread(target=self._sample, daemon=True).start()

    def close(self) -> None:
        """Sample no more."""
        self._closed.set()

    def show(self, event: Event) -> None:
        """Take in an event of a step."""
        super().show(event)
        if event["event"] == "step_started":
            self._resumed |= event["done"] > 0
        elif event["event"] == "step_ended":
            self.take(event["step"])

    def take(self, step: str) -> None:
        """Write down what was used since the last step ended, under this one's name."""
        now, peak = _used(), max(self._peak, _memory())
        wall_s, cpu_s, written = (new - old for new, old in zip(now, self._before, strict=True))
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(StepUsed(step, self._resumed, wall_s, cpu_s, peak, int(written)))) + "\n")
        self._resumed, self._peak, self._before = False, 0, now

    def _sample(self) -> None:
        while not self._closed.wait(SAMPLE_S):
            self._peak = max(self._peak, _memory())


def read_used(path: Path) -> list[StepUsed]:
    """Return what each step used, in order."""
    return [StepUsed(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def _used() -> tuple[float, float, int]:
    """Return wall and CPU seconds, and bytes written, of this process and those that it started."""
    cpu_s, written = 0.0, 0
    for process in _processes():
        with contextlib.suppress(OSError):  # it has just ended
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            cpu_s += sum(map(int, fields[11:15])) / _TICKS  # its own, and of those below it that have ended
            written += int((process / "io").read_text().split("\nwrite_bytes:")[1].split()[0])
    return time.monotonic(), cpu_s, written


def _memory() -> int:
    total = 0
    for process in _processes():
        with contextlib.suppress(OSError):
            total += int((process / "smaps_rollup").read_text().split("\nPss:")[1].split()[0]) << 10
    return total


def _processes(pid: int | None = None) -> Iterator[Path]:
    """Yield the folder in /proc of this process and of all below it."""
    process = Path("/proc") / str(pid or os.getpid())
    yield process
    with contextlib.suppress(OSError):
        for thread in (process / "task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from _processes(int(child))
