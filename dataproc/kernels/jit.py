"""`@kernel`: numba's njit, compiled on first use, the GIL released, cached on disk.

Numba's own cache looks only at the file of the function it stores, so a kernel would live on, stale, after a change
to another file whose functions it inlines. Here the cache folder is named by the sources of all kernels: other
sources, other folder. Processes that miss the same kernel take turns, see `compiling`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import FunctionCache
from numba.core.types import unliteral

from dataproc.kernels.compiling import turns

config: Any = numba.config  # its attributes have no types

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a function with numba at its first call; its globals must be constants.

    The cache lies in NUMBA_CACHE_DIR when that is set, else in this folder's __pycache__, else (a read-only install)
    in the user's cache folder; where none can be written, every process compiles anew, and says so.
    """
    folder = cache_dir()
    dispatcher: Any = numba.njit(nogil=True)(function)
    dispatcher.get_call_template = _without_literals(dispatcher.get_call_template)
    if folder is not None:
        given = config.CACHE_DIR  # read by the cache when it picks the place, that is now
        config.CACHE_DIR = str(folder)
        try:
            dispatcher._cache = _Cache(function, folder)  # as njit(cache=True) does
        finally:
            config.CACHE_DIR = given
    wrap = _in_a_turn if folder is None else _ending_turns
    dispatcher._compiler.compile = wrap(dispatcher._compiler.compile)
    return cast(F, dispatcher)


def _without_literals(template: Callable[..., Any]) -> Callable[..., Any]:
    """Return a dispatcher's typing of calls by other kernels, for which a constant is a number like any other.

    Numba compiles a kernel once more for each constant that it is called with. That took a tenth of the time to compile
    those of a recipe, and made none faster: constants spread by inlining all the same.
    """
    plain: Any = unliteral  # which has no types
    return lambda args, kws: template(tuple(map(plain, args)), {name: plain(kws[name]) for name in kws})


def _in_a_turn(compile_: Callable[..., Any]) -> Callable[..., Any]:
    """Return numba's compile for a kernel without a cache: nobody waits, but the user is told."""

    def compile_and_tell(*args: Any) -> Any:
        turns.begin(None)
        try:
            turns.compiling(None)
            return compile_(*args)
        finally:
            turns.end()

    return compile_and_tell


def _ending_turns(compile_: Callable[..., Any]) -> Callable[..., Any]:
    """Return numba's compile, which gives back the turn of a kernel that cannot be compiled: others wait for it."""

    def compile_or_end(*args: Any) -> Any:
        try:
            return compile_(*args)
        except BaseException:
            turns.end()
            raise

    return compile_or_end


class _Cache(FunctionCache):
    """Numba's cache of one kernel, of which one process at a time compiles what is missing."""

    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        self._folder = folder

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return the compiled kernel, None to have it compiled: then `save_overload` follows."""
        look = partial(super().load_overload, signature, context)
        found = look()
        if found is None:
            found = turns.begin(self._folder, look)
            if found is None:
                turns.compiling(self._folder)
        return found

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Store what `load_overload` has missed."""
        try:
            super().save_overload(signature, compiled)  # type: ignore[no-untyped-call]
        finally:
            turns.end()


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
