"""Files of this machine's disk: each made under another name and moved into place whole; what the disk refuses is told.

An error of the disk is a StorageError that names the file, never a bare OSError: it is the one error of a unit that all
other units would meet too, so it ends a run (dataproc/engines/).
"""

from __future__ import annotations

import errno
import os
import platform
import re
import tempfile
import uuid
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dataproc.errors import StorageError

FULL = (errno.ENOSPC, errno.EDQUOT)
ONLY_WRITERS = (*FULL, errno.EROFS, errno.EFBIG)
"""What no reader meets: told of the file in the making even where its writer reads others meanwhile."""


def own_scratch() -> Path:
    """Return the folder of this machine for temporary files of runs that are elsewhere."""
    return Path(tempfile.gettempdir()) / "dataproc"


def not_stored(place: str | Path, error: Exception) -> StorageError:
    """Return the error that says which file could not be stored, why, and what to do.

    Example: a full disk gives "run/a must be stored, got: No space left on device. Free space on its disk, then ..."
    """
    code = error.errno if isinstance(error, OSError) else None
    told = os.strerror(code) if code else (str(error) or type(error).__name__).rstrip(".")
    do = "Free space on its disk, then `dataproc resume` goes on;" if code in FULL else "Make its folder writable,"
    instead = "set TMPDIR to another" if Path(place).is_relative_to(own_scratch()) else "choose another OUT"
    return StorageError(f"{place} must be stored, got: {told}. {do} or {instead}.")


@contextmanager
def storing(place: str | Path, errnos: Container[int | None] | None = None) -> Iterator[None]:
    """Make an OSError of the block, of any kind or of `errnos` alone, a StorageError that names `place`."""
    try:
        yield
    except OSError as error:
        if errnos is not None and error.errno not in errnos:
            raise
        raise not_stored(place, error) from error


@contextmanager
def temporary(folder: Path, place: str | Path) -> Iterator[Path]:
    """Give an empty new file in a folder, for what is to be stored as `place`; it is gone when the block ends.

    Raises StorageError when it cannot be made, before the block starts, and for a disk that is full in the block. A
    kill leaves the file; `remove_leftovers` finds it.
    """
    making = folder / f"{_mine(os.getpid())}{uuid.uuid4().hex}-{Path(place).name}"
    with storing(place):
        folder.mkdir(parents=True, exist_ok=True)
        making.touch()
    try:
        with storing(place, ONLY_WRITERS):
            yield making
    finally:
        with suppress(OSError):  # a disk that went read-only; the block's own error tells of it
            making.unlink(missing_ok=True)


def _mine(pid: int) -> str:
    host = re.sub(r"\W", "_", platform.node())
    return f"making-{host}-{pid}-"


def remove_leftovers(folder: Path) -> None:
    """Remove files in the making below a folder whose process, of this machine, is gone: they fill disks."""
    for path in folder.rglob("making-*"):
        pid = re.match(r"making-\w*-(\d+)-", path.name)
        if pid and path.name.startswith(_mine(int(pid[1]))) and not alive(int(pid[1])):
            path.unlink(missing_ok=True)


def alive(pid: int) -> bool:
    """Say whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def move(making: Path, target: Path) -> None:
    """Give a finished file its name in one step; raises StorageError."""
    with storing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        # What is written next, a manifest entry, must not outlive this data in a power cut.
        with open(making, "rb") as file:
            os.fsync(file.fileno())
        os.replace(making, target)
