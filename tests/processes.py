"""What processes of this machine do, from /proc: which ones descend from a test's, and the CPU time they take."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """A process; its id and its start together are never given twice."""

    pid: int
    parent: int
    started: int
    cpu_s: float
    """User and system time of itself, not of children that have ended."""
    state: str


def processes() -> Iterator[Process]:
    """Yield every process that runs now."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            values = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:  # it ended meanwhile
            continue
        cpu_s = (int(values[11]) + int(values[12])) * TICK_S
        yield Process(int(folder.name), int(values[1]), int(values[19]), cpu_s, values[0])


def descendants(*roots: int) -> list[Process]:
    """Return the processes of these ids and all that they started, parents before children."""
    every = list(processes())
    found = [one for one in every if one.pid in roots]
    for parent in found:  # which grows meanwhile
        found += [one for one in every if one.parent == parent.pid and one not in found]
    return found


@dataclass
class CpuTimes:
    """CPU time of each process below some roots, as last seen; what a process takes after that is missed."""

    seen: dict[tuple[int, int], float] = field(default_factory=dict)  # (pid, start) -> seconds

    def look(self, *roots: int) -> None:
        """Take in what the processes have taken so far."""
        self.seen.update({(one.pid, one.started): one.cpu_s for one in descendants(*roots)})

    def of(self, *pids: int) -> float:
        """Return the seconds of these processes alone."""
        return sum(seconds for (pid, _), seconds in self.seen.items() if pid in pids)

    def total(self) -> float:
        """Return the seconds of all."""
        return sum(self.seen.values())


@contextmanager
def cpu_times(*roots: int, every_s: float = 0.05) -> Iterator[CpuTimes]:
    """Look at the processes below the roots while the block runs."""
    times, ended = CpuTimes(), threading.Event()

    def watch() -> None:
        while not ended.wait(every_s):
            times.look(*roots)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield times
    finally:
        ended.set()
        watching.join()
