"""A run's folder, local or on any fsspec URL: whole files appear at once or not at all.

Every file is first made under a scratch folder of this machine and then moved (local) or uploaded (object store) in one
step, so a killed writer leaves nothing that a reader could trust. Names are relative, with "/" on every system.
What the disk or store refuses is a StorageError that names the file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec
import xxhash
from fsspec.implementations.local import LocalFileSystem

from dataproc.disk import move, not_stored, own_scratch, remove_leftovers, storing, temporary
from dataproc.errors import ConfigError

CHECK_BLOCK_BYTES = 1 << 18
"""Files are checksummed in blocks of this size, so that damage is located and not only noticed."""

SCRATCH = ".scratch"
"""Folder for files in the making and exchange spills; never part of a run's result."""


class Folder:
    """A folder named by a path or URL.

    Example: with Folder("runs/x").create("a/b.txt") as path: path.write_text("hi")  # runs/x/a/b.txt appears at the end
    """

    def __init__(self, url: str | os.PathLike[str]) -> None:
        self.url = os.fspath(url).rstrip("/")
        self._fs, self._root = fsspec.core.url_to_fs(self.url)
        self.is_local = isinstance(self._fs, LocalFileSystem)

    def __reduce__(self) -> tuple[type[Folder], tuple[str]]:
        return (Folder, (self.url,))

    def _full(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def local_path(self, name: str = "") -> Path:
        """Return the path of a file of a local folder; raises ConfigError when the folder is remote."""
        if not self.is_local:
            raise ConfigError(
                f"Folder.url must be a local path here, got {self.url}. Copy the folder to this machine first."
            )
        return Path(self._full(name))

    def scratch(self, name: str) -> Path:
        """Return a folder on this machine for temporary files: inside a local run, else under the system's own."""
        path = self._scratch() / name
        with storing(path):
            path.mkdir(parents=True, exist_ok=True)
        return path

    def _scratch(self) -> Path:
        if self.is_local:
            return Path(self._root) / SCRATCH
        return own_scratch() / xxhash.xxh3_64_hexdigest(self.url.encode())

    @contextmanager
    def making(self, name: str) -> Iterator[Path]:
        """Give a local path to write what may become the file `name`; it is gone when the block ends."""
        folder = self._scratch() / "making"
        place = self._full(name) if self.is_local else folder / Path(name).name
        with temporary(folder, place) as path:
            yield path

    @contextmanager
    def create(self, name: str) -> Iterator[Path]:
        """Give a local path to write; when the block ends well, the file takes its place in one step.

        Raises StorageError when the disk is full or the folder is read-only; nothing is left under `name` then.
        """
        with self.making(name) as path:
            yield path
            self._commit(path, name)

    def _commit(self, making: Path, name: str) -> None:
        if self.is_local:
            move(making, Path(self._full(name)))
        else:
            try:
                self._fs.put_file(str(making), self._full(name))
            except Exception as error:  # each store has exceptions of its own
                raise not_stored(f"{self.url}/{name}", error) from error

    def write_text(self, name: str, text: str) -> None:
        """Write a small UTF-8 file in one step."""
        with self.create(name) as path:
            path.write_text(text, encoding="utf-8", newline="\n")

    def read_text(self, name: str) -> str:
        """Return a small UTF-8 file; raises FileNotFoundError."""
        return cast(bytes, self._fs.cat_file(self._full(name))).decode()

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading; the result seeks."""
        return cast(BinaryIO, self._fs.open(self._full(name), "rb"))

    def exists(self, name: str) -> bool:
        """Say whether a file or folder of that name is there, as the store has it now."""
        self._fs.invalidate_cache()  # object stores remember listings, and other processes write here too
        return bool(self._fs.exists(self._full(name)))

    def files(self, prefix: str = "") -> list[str]:
        """Return the sorted names of all files below `prefix`, scratch left out, as the store has them now."""
        if not self.exists(prefix):
            return []
        root = self._full("").rstrip("/") + "/"
        names = (str(path).removeprefix(root) for path in self._fs.find(self._full(prefix)))
        return sorted(name for name in names if not name.startswith(f"{SCRATCH}/"))

    def remove(self, name: str) -> None:
        """Remove a file or a folder with all that is in it; nothing happens when it is not there."""
        if self.exists(name):
            with storing(f"{self.url}/{name}"):
                self._fs.rm(self._full(name), recursive=True)

    def remove_files(self, names: Sequence[str]) -> None:
        """Remove files that are there, in few requests."""
        if names:
            with storing(f"{self.url}/{names[0]}"):
                self._fs.rm([self._full(name) for name in names])

    def remove_leftovers(self) -> None:
        """Remove what killed processes of this machine left of files in the making."""
        remove_leftovers(self._scratch())

    def remove_scratch(self) -> None:
        """Remove the temporary files of this run on this machine."""
        shutil.rmtree(self._scratch(), ignore_errors=True)

    def size(self, name: str) -> int:
        """Return the bytes of a file; raises FileNotFoundError."""
        return int(cast(Any, self._fs.size(self._full(name))))


def block_checksums(file: BinaryIO, block_bytes: int = CHECK_BLOCK_BYTES) -> list[str]:
    """Return the xxh3_64 of each block of a file, 16 hex digits each; an empty file has none."""
    return [xxhash.xxh3_64_hexdigest(block) for block in iter(lambda: file.read(block_bytes), b"")]
