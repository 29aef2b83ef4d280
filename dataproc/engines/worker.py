"""One unit on a worker, the same on every engine: what it returns, or why it failed, as bytes for the driver."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from typing import Any

from dataproc.engines import Failed
from dataproc.errors import DataprocError, StorageError

MAX_TRIES = 3
"""How often a unit is run whose worker dies (out of memory, SIGKILL, a lost node); bugs are not run again."""

_loaded: dict[bytes, Callable[[Any], Any]] = {}


def answer(task: bytes, unit: Any) -> bytes:
    """Run a pickled task on a unit; return what `outcome` reads, whatever happened short of the worker's death."""
    try:
        return pickle.dumps((True, _load(task)(unit)))
    except StorageError as error:
        return pickle.dumps((False, error))
    except DataprocError as error:
        return pickle.dumps((False, (str(error), "")))
    except Exception as error:  # a bug or the machine: reported with its trace, the other units go on
        told = "; ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
        return pickle.dumps((False, (told, traceback.format_exc())))


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


def _load(task: bytes) -> Callable[[Any], Any]:
    """Unpickle a task once per worker, so that what it builds lazily (models) lives as long as the task."""
    if task not in _loaded:
        _loaded.clear()
        _loaded[task] = pickle.loads(task)
    return _loaded[task]
