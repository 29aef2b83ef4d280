"""One process of a machine compiles a kernel, the others wait for it; and the user is told, since it takes a while.

Kernels are compiled at their first call. With nothing in the cache all workers of a run would compile the same ones
side by side, each for itself and without a word. So a process that misses one takes its turn (a lock beside the cache,
which ends with the process that holds it), looks again, and compiles only what is still not there. Of those that
compile at one time one says so on the log; all do where they can't know of each other, without a cache or without
locks on its file system. Nothing here imports numba.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

F = TypeVar("F")
log = logging.getLogger(__name__)

MAX_WAIT = 600.0
"""Seconds that a process waits for the turn of another, which may have been stopped; then it compiles for itself."""
SHORT = 1.0
"""Seconds of compiling that are not worth a word; 0 tells of all."""
QUIET = 5.0
"""Seconds without compiling after which it is over, for a process that has no units to tell behind."""
_POLL = 0.05  # seconds between two looks at a turn


class Turns:
    """The turns of this process; compiling one kernel can ask for others, within its turn.

    Numba's lock lets one thread at a time begin, compile and end; `tell` may come from any.
    """

    def __init__(self) -> None:
        self._patience = MAX_WAIT
        self._turn: int | None = None  # the lock, held while depth > 0
        self._guard = threading.RLock()  # of all that follows
        self._depth = 0
        self._began: float | None = None  # compiling, in this turn
        self._ending: str | None = None  # of the last line; None while this process does not tell
        self._said = False  # the first line
        self._first: threading.Timer | None = None
        self._teller: int | None = None  # the lock, held from the first line on the log to the last
        self._kernels, self._seconds = 0, 0.0  # since the last line
        self._timer: threading.Timer | None = None

    def begin(self, folder: Path | None, look: Callable[[], F | None] = lambda: None) -> F | None:
        """Wait for a turn among the processes that share the cache `folder`; there is none to wait for without one.

        Returns what `look` finds there meanwhile, which somebody else has compiled: then there is no turn to end.
        """
        if self._depth == 0 and folder is not None:
            found = self._wait(folder / "turn.lock", look)
            if found is not None:
                return found
        with self._guard:
            self._depth += 1
        return None

    def compiling(self, folder: Path | None) -> None:
        """Say that a kernel is compiled in this turn: on the log, unless this process or another has done so."""
        with self._guard:
            self._kernels += 1
            self._began = self._began or time.perf_counter()
            if self._ending is not None:
                return
            try:
                self._teller = _locked(folder / "teller.lock") if folder is not None else None
            except BlockingIOError:
                return  # another process tells
            atexit.register(self.tell)
            if folder is not None:
                self._ending = "; later runs find them"
                self._say_first("Compiling kernels, once on this machine ...")
            else:
                self._ending = "; no folder to keep them can be written, set NUMBA_CACHE_DIR to one that can"
                self._say_first("Compiling kernels, for this process alone ...")

    def end(self) -> None:
        """Give the turn back."""
        with self._guard:
            self._depth -= 1
            if self._depth > 0:
                return
            if self._began is not None:
                self._seconds += time.perf_counter() - self._began
                self._began = None
            self._give_back()
            if self._kernels > 0:
                self._tell_when_quiet()

    def tell(self) -> None:
        """Say on the log what was compiled, if this process has said that it does, and let others say so from now on.

        Workers call it behind each unit; it comes by itself after `QUIET` seconds and at the end of the process.
        """
        with self._guard:
            if self._depth > 0:
                return  # in another thread; the end of that turn comes back to it
            if self._timer is not None:
                self._timer.cancel()
            if self._first is not None:
                self._first.cancel()
            if self._said:
                log.warning("Compiled kernels in %.0f s, %d of them%s.", self._seconds, self._kernels, self._ending)
            if self._ending is not None:
                _release(self._teller)
                atexit.unregister(self.tell)
            self._ending = self._teller = self._first = self._timer = None
            self._said, self._kernels, self._seconds = False, 0, 0.0

    def _say_first(self, message: str) -> None:
        if SHORT > 0:
            self._first = threading.Timer(SHORT, self._say, [message])
            self._first.daemon = True
            self._first.start()
        else:
            self._say(message)

    def _say(self, message: str) -> None:
        with self._guard:
            if self._ending is not None:
                self._said = True
                log.warning(message)

    def _tell_when_quiet(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(QUIET, self.tell)
        self._timer.daemon = True
        self._timer.start()

    def _wait(self, path: Path, look: Callable[[], F | None]) -> F | None:
        """Take the lock of the turn, unless files have none, or others have kept it for too long."""
        until = time.monotonic() + self._patience
        while True:
            try:
                self._turn, waiting = _locked(path), False
            except BlockingIOError:
                waiting = True
            try:
                found = look()  # it may have come while we waited
            except BaseException:
                self._give_back()
                raise
            if found is not None:
                self._give_back()
            if found is not None or not waiting:
                return found
            if time.monotonic() >= until:
                break
            time.sleep(_POLL)
        if self._patience > 0:  # not again for each kernel
            message = "Other processes have held %s for %.0f s. This one compiles kernels for itself now."
            log.warning(message, path, self._patience)
            self._patience = 0.0
        return None

    def _give_back(self) -> None:
        _release(self._turn)
        self._turn = None


turns = Turns()
"""Those of this process."""
os.register_at_fork(
    after_in_child=lambda: Turns.__init__(turns)
)  # a child has no turn and tells nothing for its parent


def _locked(path: Path) -> int | None:
    """Return a descriptor that holds the lock, None where files have none; BlockingIOError when another has it."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise
    except OSError:
        os.close(file)
        return None
    return file


def _release(file: int | None) -> None:
    if file is not None:
        fcntl.flock(file, fcntl.LOCK_UN)  # a forked child may have the file open still, and the lock with it
        os.close(file)
