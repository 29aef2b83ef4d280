"""A run's folder: files appear whole or not at all, names are found again, blocks are told apart by their checksums."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import fsspec
import pytest
import xxhash
from fsspec.implementations.local import LocalFileSystem

from dataproc.errors import ConfigError, StorageError
from dataproc.storage import SCRATCH, Folder, block_checksums


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """The same contract holds on the local disk and on an object store."""
    return Folder(tmp_path / "run") if request.param == "local" else Folder(f"memory://{tmp_path.name}/run")


def test_a_file_appears_when_its_block_ends(folder: Folder) -> None:
    with folder.create("a/b.txt") as path:
        path.write_text("hi")
        assert not folder.exists("a/b.txt")
    assert folder.read_text("a/b.txt") == "hi"
    assert folder.size("a/b.txt") == 2
    with folder.open("a/b.txt") as file:
        file.seek(1)
        assert file.read() == b"i"


def test_a_writer_that_fails_leaves_nothing(folder: Folder) -> None:
    def write_half() -> None:
        with folder.create("a/b.txt") as path:
            path.write_text("half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_half()
    assert folder.files() == []
    assert list(folder.scratch("making").iterdir()) == []


def test_a_store_that_refuses_is_told_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(f"memory://{tmp_path.name}/run")

    def refuse(*_: object) -> None:
        raise RuntimeError("AccessDenied")  # clients of stores have errors of their own

    monkeypatch.setattr(type(folder._fs), "put_file", refuse)
    with pytest.raises(
        StorageError, match=rf"^{folder.url}/a/b.txt must be stored, got: AccessDenied. Make its folder"
    ):
        folder.write_text("a/b.txt", "hi")
    assert list(folder.scratch("making").iterdir()) == []


def test_the_disk_of_scratch_is_named_where_the_run_is_remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    with pytest.raises(StorageError, match=rf"^{tmp_path}/file/dataproc/\w+/making/b.txt .* or set TMPDIR to another."):
        Folder("memory://x/run").write_text("a/b.txt", "hi")


def test_files_are_sorted_and_leave_scratch_out(folder: Folder) -> None:
    for name in ("b/2", "a", "b/1"):
        folder.write_text(name, name)
    folder.scratch("exchange").joinpath("spill").touch()
    assert folder.files() == ["a", "b/1", "b/2"]
    assert folder.files("b") == ["b/1", "b/2"]
    assert folder.files("none") == []


def test_remove(folder: Folder) -> None:
    folder.write_text("b/1", "x")
    folder.remove("b")
    folder.remove("b")
    assert folder.files() == []
    with pytest.raises(FileNotFoundError):
        folder.read_text("b/1")


def test_a_folder_travels_to_workers(folder: Folder) -> None:
    folder.write_text("a", "x")
    assert pickle.loads(pickle.dumps(folder)).read_text("a") == "x"


def test_scratch_of_a_local_run_is_inside_it(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert folder.scratch("x") == tmp_path / SCRATCH / "x"
    folder.remove_scratch()
    assert list(tmp_path.iterdir()) == []


def test_scratch_of_a_remote_run_is_its_own() -> None:
    one, other = Folder("memory://scratch/one"), Folder("memory://scratch/other")
    one.scratch("exchange").joinpath("spill").touch()
    assert not other.scratch("exchange").joinpath("spill").exists()
    other.remove_scratch()
    assert one.scratch("exchange").joinpath("spill").exists()
    one.remove_scratch()
    assert not one.scratch("exchange").joinpath("spill").exists()
    one.remove_scratch()


class _RemembersListings(LocalFileSystem):  # type: ignore[misc]
    """As stores do: a listing is asked for once, then remembered."""

    protocol = "remembers"

    def ls(self, path: str, detail: bool = False, **kwargs: Any) -> Any:
        if path not in self.dircache:
            self.dircache[path] = super().ls(path, detail=True, **kwargs)
        return self.dircache[path] if detail else [info["name"] for info in self.dircache[path]]

    def invalidate_cache(self, path: str | None = None) -> None:
        self.dircache.clear()


def test_files_of_other_processes_are_seen(tmp_path: Path) -> None:
    fsspec.register_implementation("remembers", _RemembersListings, clobber=True)
    folder = Folder(f"remembers://{tmp_path}")
    assert folder.files() == []
    (tmp_path / "part-0.json").touch()  # by a worker
    assert folder.files() == ["part-0.json"]


def test_local_path_of_a_remote_folder_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"Folder.url must be a local path here, got memory://x"):
        Folder("memory://x").local_path("a")


def test_block_checksums() -> None:
    sums = block_checksums(io.BytesIO(b"aaaabbbbcc"), block_bytes=4)
    assert sums == [xxhash.xxh3_64_hexdigest(block) for block in (b"aaaa", b"bbbb", b"cc")]
    assert block_checksums(io.BytesIO(b"")) == []
