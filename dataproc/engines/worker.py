"""One unit on a worker, the same on every engine: what it returns, or why it failed, as bytes for the driver."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from typing import Any

from dataproc.engines import Failed
from dataproc.errors import DataprocError, StorageError
from dataproc.kernels.compiling import turns

MAX_TRIES = 3
"""How often a unit is run whose worker dies (out of memory, SIGKILL, a lost node); bugs are not run again."""

_loaded: dict[bytes, Any] = {}


def answer(task: bytes, unit: Any) -> bytes:
    """Run a pickled task on a unit; return what `outcome` reads, whatever happened short of the worker's death."""
    return attempt(lambda: load(task)(unit))


def attempt(run: Callable[[], Any]) -> bytes:
    """Call; return what `outcome` reads, as `answer` does."""
    try:
        return pickle.dumps((True, run()))
    except Exception as error:  # a bug or the machine: reported with its trace, the other units go on
        return failure(error)
    finally:
        turns.tell()


def failure(error: Exception) -> bytes:
    """Return what `outcome` reads for an error of a unit."""
    if isinstance(error, StorageError):
        return pickle.dumps((False, error))
    if isinstance(error, DataprocError):
        return pickle.dumps((False, (str(error), "")))
    told = "; ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
    return pickle.dumps((False, (told, "".join(traceback.format_exception(error)))))


def outcome(unit: Any, answered: bytes) -> Any:
    """Return what the unit returned, or Failed; raises its StorageError."""
    ok, value = pickle.loads(answered)
    if isinstance(value, StorageError):
        raise value
    return value if ok else Failed(unit, *value)


def died(name: str, unit: Any, how: str) -> Failed:
    """Return the failure of a unit whose worker died at every try; `how` is the last time's exit code or error."""
    return Failed(
        unit,
        f"{name}: the worker died {MAX_TRIES} times on {unit}, {how}."
        " Give it more memory or fewer workers, or look at the unit.",
    )


def load(task: bytes) -> Any:
    """Unpickle a task once per worker, so that what it builds lazily (models) lives as long as the task."""
    if task not in _loaded:
        _loaded.clear()
        _loaded[task] = pickle.loads(task)
    return _loaded[task]
