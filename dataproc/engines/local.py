"""The local engine: a pool of processes and an exchange on disk; the reference for the others.

Workers are spawned, not forked (numba, Arrow and gRPC threads do not survive a fork), each with a pipe of its own, so
the parent knows which unit every worker is running. A worker that dies (out of memory, SIGKILL) is replaced and its
unit run again, at most `MAX_TRIES` times; then the unit is `Failed`. Ctrl-C and the parent's death end all workers.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from dataproc.engines import Failed, Retried
from dataproc.engines.spills import Numbered, read_spill, write_spill
from dataproc.engines.worker import MAX_TRIES, answer, died, outcome
from dataproc.exchange import Exchange
from dataproc.resources import ANY, Resources

U = TypeVar("U")

_context = multiprocessing.get_context("spawn")


class LocalEngine:
    """Runs units on `workers` processes of this machine, one per core when None.

    Example: engine = LocalEngine(workers=2); sorted(engine.map("double", double, [1, 2])) == [2, 4]; engine.close()
    """

    def __init__(self, workers: int | None) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"LocalEngine.workers must be at least 1, got {workers}. Give --workers 1 or more.")
        self._num_workers = workers or os.cpu_count() or 1
        self._workers: list[_Worker] = []

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def map(self, name: str, fn: Callable[[U], Any], units: Sequence[U], resources: Resources = ANY) -> Iterator[Any]:
        """Run fn on each unit; at most one unit per worker is in flight. See `Engine.map`."""
        waiting = deque((unit, 1) for unit in units)
        task = pickle.dumps(fn)
        try:
            while waiting or any(worker.busy for worker in self._workers):
                while len(self._workers) < min(self._num_workers, len(waiting)):
                    self._workers.append(_Worker())
                for worker in self._workers:
                    if waiting and not worker.busy:
                        worker.start(task, *waiting.popleft())
                for worker in self._ready():
                    if (answered := worker.finish()) is not None:
                        yield outcome(worker.unit, answered)
                        continue
                    self._workers.remove(worker)
                    how = f"exit code {worker.exit_code}"
                    if worker.tries < MAX_TRIES:
                        waiting.append((worker.unit, worker.tries + 1))
                        yield Retried(name, worker.unit, how)
                    else:
                        yield died(name, worker.unit, how)
        except BaseException:  # Ctrl-C, or the caller's own error: units in flight must not go on in the background
            self.close()
            raise

    def _ready(self) -> list[_Worker]:
        busy = {worker.connection: worker for worker in self._workers if worker.busy}
        sentinels = {worker.sentinel: worker for worker in busy.values()}
        ready = wait([*busy, *sentinels])
        found = [busy[item] if isinstance(item, Connection) else sentinels[item] for item in ready]  # type: ignore[index]
        return list(dict.fromkeys(found))

    def exchange(
        self, spec: Exchange, units: Sequence[Any], scratch: str, skip: frozenset[int] = frozenset()
    ) -> Iterator[Any]:
        """Spill each unit's blocks to one file in `scratch`, then reduce partitions from them. See `Engine.exchange`.

        A spill file is complete when it has its name, so a killed exchange goes on with what it has.
        """
        todo = [partition for partition in range(spec.num_partitions) if partition not in skip]
        if not todo:
            return
        numbered = [Numbered(*unit) for unit in enumerate(units) if not _spill(scratch, unit[0]).exists()]
        failed = False
        for split in self.map(f"{spec.name}: split", partial(_split_unit, spec, scratch), numbered):
            if split is not None:  # a spill is its own report
                failed = failed or isinstance(split, Failed)
                yield split
        if not failed:
            yield from self.map(f"{spec.name}: reduce", partial(_reduce_partition, spec, scratch, len(units)), todo)

    def close(self) -> None:
        """End the workers; running units are broken off."""
        for worker in self._workers:
            worker.end()
        self._workers = []


class _Worker:
    """One process and the unit that it is running."""

    def __init__(self) -> None:
        self.connection, theirs = _context.Pipe()
        self._process = _context.Process(target=_serve, args=(theirs,), daemon=True)
        with _ctrl_c_waits():
            self._process.start()
        theirs.close()
        self.busy = False
        self.unit: Any = None
        self.tries = 0

    @property
    def sentinel(self) -> int:
        return self._process.sentinel

    @property
    def exit_code(self) -> int | None:
        return self._process.exitcode

    def start(self, task: bytes, unit: Any, tries: int) -> None:
        self.busy, self.unit, self.tries = True, unit, tries
        with contextlib.suppress(OSError):  # a worker that is already dead shows at its sentinel
            self.connection.send_bytes(pickle.dumps((task, unit)))

    def finish(self) -> bytes | None:
        """Return what the unit answered, or None when the process died."""
        try:
            answered = self.connection.recv_bytes()
        except (EOFError, OSError):
            self._process.join()
            return None
        self.busy = False
        return answered

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


@contextlib.contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Take Ctrl-C at the end of the block: a worker half started would answer it, or its parent's, with a traceback.

    A process started in the block never sees it: Ctrl-C reaches the whole group, and the parent decides.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python tells only the main thread of signals
        return
    pressed: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))  # other threads may receive it
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # the started process keeps this
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGINT, handler)
        if pressed and callable(handler):
            handler(signal.SIGINT, None)


def _serve(connection: Connection) -> None:
    """Run tasks until the parent closes the pipe or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in `_ctrl_c_waits`, for parents that are not the main thread
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pa.set_cpu_count(1)
    while True:
        try:
            task, unit = pickle.loads(connection.recv_bytes())
        except (EOFError, OSError):
            return
        connection.send_bytes(answer(task, unit))


def _end_with_parent() -> None:
    """End this process when the parent is gone: a unit that went on would write beside those of a new run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _spill(scratch: str, number: int) -> Path:
    return Path(scratch) / f"unit-{number:08d}.spill"


def _split_unit(spec: Exchange, scratch: str, numbered: Numbered) -> None:
    write_spill(_spill(scratch, numbered.number), spec.split(numbered.unit))


def _reduce_partition(spec: Exchange, scratch: str, num_units: int, partition: int) -> Any:
    blocks = (block for number in range(num_units) for block in read_spill(_spill(scratch, number), partition))
    return spec.reduce(partition, blocks, Path(scratch))
