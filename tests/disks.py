"""A small disk for a test, in a mount namespace of its own: nothing outside sees it, and it goes with its process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

NAMESPACE = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]


@cache
def can_mount() -> bool:
    """Tell whether this machine lets us mount a disk: as root, or as root of a user namespace."""
    try:
        tried = subprocess.run([*NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return tried.returncode == 0


@dataclass(frozen=True)
class Disk:
    """A tmpfs at `folder`, as seen by processes that `enter` starts."""

    folder: Path
    holder: int

    def enter(self, *words: str) -> list[str]:
        """Return the words that run a command where the disk is."""
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", "--target", str(self.holder), "--mount", *user, f"--wd={os.getcwd()}", *words]

    def seen(self, path: Path) -> Path:
        """Return where this process finds a file of the disk."""
        return Path(f"/proc/{self.holder}/root{path}")

    def remount(self, options: str) -> None:
        """Change the disk: "size=1m", "ro", "rw"."""
        subprocess.run(self.enter("mount", "-o", f"remount,{options}", "none", str(self.folder)), check=True)


@contextmanager
def disk(folder: Path, options: str) -> Iterator[Disk]:
    """Mount a tmpfs over an empty folder while the block runs."""
    script = f'mount -t tmpfs -o {options} none "$0" && echo mounted && exec cat'
    command = [*NAMESPACE, "sh", "-c", script, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "mounted\n"
        try:
            yield Disk(folder, holder.pid)
        finally:
            holder.stdin.close()
