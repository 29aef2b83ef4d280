"""Manifests: a part is done when its entry exists; another fingerprint is an error that names the keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dataproc.errors import ResumeError, ShardError
from dataproc.shards import Dataset, File, read_description, read_entry
from dataproc.storage import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_part_is_done_when_its_entry_exists(folder: Folder) -> None:
    dataset = Dataset(folder, "dedup", {"a": 1}, 2)
    inner = Dataset(folder, "dedup/exact", {"a": 1}, 1)
    folder.write_text("dedup/part-00000001.parquet", "data")
    assert dataset.done() == set()
    inner.commit(0, {}, {}, 0.0)
    entry = dataset.commit(1, {"dedup/part-00000001.parquet": 3}, {"rows_in": 3}, 0.5)
    assert dataset.done() == {1}
    assert not dataset.complete()
    assert read_entry(folder, "dedup", 1) == entry
    assert entry.files == (File("dedup/part-00000001.parquet", 4, 3, entry.files[0].blocks),)
    assert list(dataset.entries()) == [entry]
    dataset.commit(0, {}, {}, 0.0)
    assert dataset.complete()


def test_the_same_config_resumes(folder: Folder) -> None:
    made_from = {"stages": [{"name": "a", "config": {"min": 1}}], "reads": {"units": "x"}}
    Dataset(folder, "documents", made_from, None).start()
    Dataset(folder, "documents", made_from, 4).start()
    description = read_description(folder, "documents")
    assert description is not None
    assert (description["parts"], description["made_from"]) == (4, made_from)


def test_another_config_is_an_error_that_names_the_keys(folder: Folder) -> None:
    Dataset(folder, "dedup/exact", {"dedup": {"keep": "newest", "min": 1}, "version": 1}, 1).start()
    with pytest.raises(
        ResumeError,
        match=r"dedup/exact must be made as before .* got other values of: dedup.keep, dedup.seed. .*--redo dedup\.",
    ):
        Dataset(folder, "dedup/exact", {"dedup": {"keep": "longest", "min": 1, "seed": 2}, "version": 1}, 1).start()


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("removals", range(8))
def test_a_discard_that_is_killed_leaves_nothing_done_under_another_config(
    folder: Folder, removals: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The removal of every file in turn is where the kill comes."""
    old = Dataset(folder, "scores", {"model": 1}, 2)
    old.start()
    for part in range(2):
        folder.write_text(f"scores/part-{part:08d}.parquet", "data")
        old.commit(part, {f"scores/part-{part:08d}.parquet": 1}, {}, 0.0)
    left = removals

    def remove(path: str, *rest: Any, **options: Any) -> None:
        nonlocal left
        if not left:
            raise _Killed
        left -= 1
        real(path, *rest, **options)

    real = os.remove
    monkeypatch.setattr(os, "remove", remove)
    monkeypatch.setattr(os, "unlink", remove)
    killed = False
    try:
        old.discard()
    except _Killed:
        killed = True
    monkeypatch.undo()
    assert killed == (removals < 5)
    if read_description(folder, "scores") is None:
        assert old.done() == set()
    for part in old.done():
        assert folder.exists(f"scores/part-{part:08d}.parquet")


@pytest.mark.parametrize("text", ['{"part": 0', "\xff"])
def test_a_damaged_manifest_is_an_error_that_names_it(folder: Folder, text: str) -> None:
    dataset = Dataset(folder, "dedup/exact", {}, 1)
    dataset.start()
    dataset.commit(0, {}, {}, 0.0)
    for name in ("dataset.json", "part-00000000.json"):
        folder.local_path(f"manifests/dedup/exact/{name}").write_bytes(text.encode("latin-1"))
    with pytest.raises(ShardError, match=r"manifests/dedup/exact/dataset.json must be JSON, got: .*--redo dedup\."):
        dataset.start()
    with pytest.raises(ShardError, match=r"manifests/dedup/exact/part-00000000.json must be JSON, got"):
        read_entry(folder, "dedup/exact", 0)


def test_discard_removes_entries_and_data(folder: Folder) -> None:
    dataset = Dataset(folder, "scores", {}, 1)
    folder.write_text("scores/part-00000000.parquet", "data")
    dataset.start()
    dataset.commit(0, {"scores/part-00000000.parquet": 1}, {}, 0.0)
    spill = folder.scratch("exchange/scores-0") / "unit-00000000.spill"
    spill.touch()
    dataset.discard()
    assert not spill.exists()
    assert folder.files() == []
    assert read_description(folder, "scores") is None
