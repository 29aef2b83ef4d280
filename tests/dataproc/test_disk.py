"""What a disk refuses is told of the file; files in the making are gone, also those of killed processes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dataproc import disk
from dataproc.disk import move, not_stored, remove_leftovers, storing, temporary
from dataproc.errors import StorageError


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            OSError(errno.ENOSPC, "Error writing bytes"),
            "run/a must be stored, got: No space left on device. Free space on its disk, then `dataproc resume` goes"
            " on; or choose another OUT.",
        ),
        (
            OSError(errno.EROFS, ""),
            "run/a must be stored, got: Read-only file system. Make its folder writable, or choose another OUT.",
        ),
        (
            RuntimeError("no bucket."),
            "run/a must be stored, got: no bucket. Make its folder writable, or choose another OUT.",
        ),
    ],
)
def test_sentences(error: Exception, told: str) -> None:
    assert str(not_stored("run/a", error)) == told


def test_a_temporary_file_is_there_while_its_block_runs(tmp_path: Path) -> None:
    with temporary(tmp_path / "new", tmp_path / "a.txt") as path:
        assert path.read_bytes() == b""
        path.write_text("hi")
        move(path, tmp_path / "b" / "a.txt")
    assert (tmp_path / "b" / "a.txt").read_text() == "hi"
    assert list((tmp_path / "new").iterdir()) == []


def test_a_block_that_writes_may_read_too(tmp_path: Path) -> None:
    """Only what no reader meets is told of the file that is written."""
    with pytest.raises(StorageError, match="/a must be stored, got: Disk quota exceeded"), temporary(tmp_path, "/a"):
        raise OSError(errno.EDQUOT, "")
    with pytest.raises(PermissionError, match="the input"), temporary(tmp_path, "/a"):
        raise PermissionError(errno.EACCES, "the input")
    with pytest.raises(StorageError, match="/a must be stored, got: Permission denied"), storing("/a"):
        raise PermissionError(errno.EACCES, "the output")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_breaks_while_it_is_written_is_told_at_the_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.EIO, "")

    monkeypatch.setattr(os, "fsync", fsync)
    told = "b must be stored, got: Input/output error"
    with pytest.raises(StorageError, match=told), temporary(tmp_path, tmp_path / "b") as path:
        move(path, tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_killed_processes_are_removed_and_others_are_not(tmp_path: Path) -> None:
    killed = (
        "import os, sys, pathlib, dataproc.disk as disk\n"
        "with disk.temporary(pathlib.Path(sys.argv[1]), 'a.spill'): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", killed, str(tmp_path / "exchange")], check=False)
    assert len(list(tmp_path.rglob("making-*-a.spill"))) == 1
    elsewhere = tmp_path / "making-another_host-1-b"
    elsewhere.touch()
    (tmp_path / "making-up").touch()
    with temporary(tmp_path, "c") as mine:
        remove_leftovers(tmp_path)
        assert sorted(tmp_path.iterdir()) == sorted([elsewhere, tmp_path / "exchange", tmp_path / "making-up", mine])
    assert list((tmp_path / "exchange").iterdir()) == []
    assert disk.alive(1)  # init: alive, and perhaps not ours
