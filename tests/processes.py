"""What processes of this machine do, from /proc: which ones descend from a test's, and the CPU time they take."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """A process; its id and its start together are never given twice."""

    pid: int
    parent: int
    name: str
    started: int
    cpu_s: float
    """User and system time of itself, not of children that have ended."""
    state: str


def processes() -> Iterator[Process]:
    """Yield every process that runs now."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            head, _, tail = (folder / "stat").read_text().rpartition(")")
        except OSError:  # it ended meanwhile
            continue
        values = tail.split()
        cpu_s = (int(values[11]) + int(values[12])) * TICK_S
        yield Process(int(folder.name), int(values[1]), head.partition("(")[2], int(values[19]), cpu_s, values[0])


def descendants(*roots: int) -> list[Process]:
    """Return the processes of these ids and all that they started, parents before children."""
    every = list(processes())
    found = [one for one in every if one.pid in roots]
    for parent in found:  # which grows meanwhile
        found += [one for one in every if one.parent == parent.pid and one not in found]
    return found


@contextmanager
def watched(*roots: int) -> Iterator[list[Process]]:
    """Give a list that holds, when the block ends, every process below the roots as it was last seen.

    What a process takes after that is missed: a fifth of a second at most.
    """
    last: dict[tuple[int, int], Process] = {}
    found: list[Process] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            last.update({(one.pid, one.started): one for one in descendants(*roots)})
        found.extend(last.values())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield found
    finally:
        ended.set()
        watching.join()
