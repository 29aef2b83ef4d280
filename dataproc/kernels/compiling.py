"""One process of a machine compiles a kernel, the others wait for it; and the user is told, since it takes a while.

Kernels are compiled at their first call. With nothing in the cache all workers of a run would compile the same ones
side by side, each for itself and without a word. So a process that misses one takes its turn (a lock beside the cache,
which ends with the process that holds it), looks again, and compiles only what is still not there. Of those that
compile at one time one says so on the log. Nothing here imports numba.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import time
from pathlib import Path

log = logging.getLogger(__name__)


class Turns:
    """The turns of this process; compiling one kernel can ask for others, within its turn."""

    def __init__(self) -> None:
        self._depth = 0
        self._began = 0.0
        self._lock: int | None = None  # held while depth > 0
        self._teller: int | None = None  # held from the first line on the log to the last
        self._kernels, self._seconds = 0, 0.0  # since that first line

    def begin(self, folder: Path) -> None:
        """Wait until no other process that shares the cache `folder` has its turn."""
        if self._depth == 0:
            self._lock = _locked(folder / "turn.lock", wait=True)
            self._began = time.perf_counter()
        self._depth += 1

    def compiling(self, folder: Path) -> None:
        """Say that a kernel is compiled in this turn: the first time on the log, unless another process has done so."""
        if self._kernels == 0:
            self._teller = _locked(folder / "teller.lock", wait=False)
            if self._teller is not None:
                log.warning("Compiling kernels, once on this machine ...")
                atexit.register(self.tell)
        self._kernels += 1

    def end(self, compiled: bool) -> None:
        """Give the turn back; `compiled` says whether it was used."""
        self._depth -= 1
        if self._depth == 0:
            if compiled:
                self._seconds += time.perf_counter() - self._began
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def tell(self) -> None:
        """Say on the log what was compiled since `compiling` said so first; workers call it behind each unit."""
        if self._teller is not None:
            log.warning("Compiled kernels in %.0f s, %d of them; later runs find them.", self._seconds, self._kernels)
            os.close(self._teller)
            atexit.unregister(self.tell)
        self._kernels, self._seconds, self._teller = 0, 0.0, None


turns = Turns()
"""Those of this process; numba compiles in one thread at a time."""


def _locked(path: Path, wait: bool) -> int | None:
    """Return a descriptor that holds the lock; None where another has it and we don't wait, or files have no locks."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return None
    return file
