"""Reading ranges of files that stay put: pread on this machine, seek and read elsewhere, behind one small door.

pread, not mmap: a file that shrinks or a network file system that hiccups is an exception then, not a signal that ends
the process, and memory is what the cache holds, not what the kernel feels like.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

from dataproc.storage import Folder

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class RangeFile(Protocol):
    """An open file of known size whose ranges any thread may read."""

    size: int

    def read(self, start: int, length: int) -> bytes:
        """Return `length` bytes from `start`, fewer at the end of the file. Raises OSError."""
        ...


class _LocalFile:
    def __init__(self, path: str) -> None:
        self._handle = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self._handle).st_size

    def read(self, start: int, length: int) -> bytes:
        return os.pread(self._handle, length, start)

    def __del__(self) -> None:
        # Closed when the last reader lets go, so that a cache may forget a file while another thread reads from it.
        if hasattr(self, "_handle"):
            os.close(self._handle)


class _RemoteFile:
    def __init__(self, folder: Folder, name: str) -> None:
        self._file = folder.open(name)
        self._lock = threading.Lock()
        self.size = folder.size(name)

    def read(self, start: int, length: int) -> bytes:
        with self._lock:
            self._file.seek(start)
            return self._file.read(length)


def open_range(folder: Folder, name: str) -> RangeFile:
    """Open a file of the folder for reading ranges; raises FileNotFoundError."""
    return _LocalFile(str(folder.local_path(name))) if folder.is_local else _RemoteFile(folder, name)


class Cache(Generic[K, V]):
    """Keeps the values used last, up to a total cost; any thread may use it.

    Example: cache = Cache(100, len); cache.get("k", lambda: b"value")  # loads once, then remembers
    """

    def __init__(self, max_cost: int, cost: Callable[[V], int] = lambda value: 1) -> None:
        self._max_cost, self._cost = max_cost, cost
        self._held: OrderedDict[K, V] = OrderedDict()
        self._total = 0
        self._lock = threading.Lock()

    def get(self, key: K, load: Callable[[], V]) -> V:
        """Return the value of a key, loading it when it is not held; two threads may both load, which does no harm."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        value = load()
        with self._lock:
            if key not in self._held:
                self._held[key] = value
                self._total += self._cost(value)
            while self._total > self._max_cost and len(self._held) > 1:  # the newest stays, or it could never be used
                self._total -= self._cost(self._held.popitem(last=False)[1])
        return value
