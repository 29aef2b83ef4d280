"""`@kernel`: numba's njit, compiled on first use, the GIL released, cached on disk.

Numba's own cache looks only at the file of the function it stores, so a kernel would live on, stale, after a change
to another file whose functions it inlines. Here the cache folder is named by the sources of all kernels: other
sources, other folder.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

config: Any = numba.config  # its attributes have no types

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a function with numba at its first call; its globals must be constants.

    The cache lies in NUMBA_CACHE_DIR when that is set, else in this folder's __pycache__, else (a read-only install)
    in the user's cache folder; where none can be written, every process compiles anew.
    """
    folder = cache_dir()
    if folder is None:
        return cast(F, numba.njit(nogil=True)(function))
    given = config.CACHE_DIR  # read by njit when it picks the place, that is now
    config.CACHE_DIR = str(folder)
    try:
        return cast(F, numba.njit(nogil=True, cache=True)(function))
    finally:
        config.CACHE_DIR = given


@cache
def cache_dir() -> Path | None:
    """Return the folder of the compiled kernels, made if need be; None where nothing can be written."""
    for base in _candidates():
        folder = base / f"dataproc-kernels-{sources_digest(Path(__file__).parent)}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            continue  # the next place; None at the end means no cache, not an error
        return folder
    return None


def _candidates() -> Iterator[Path]:
    if config.CACHE_DIR:
        yield Path(config.CACHE_DIR)
        return
    yield Path(__file__).parent / "__pycache__"
    users = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    if users.is_absolute():  # a container's user may have no home
        yield users


def sources_digest(folder: Path) -> str:
    """Return 16 hex digits of the sha256 of the Python files of a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
