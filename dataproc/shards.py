"""Manifests: which parts of a dataset are done, what they hold, and which config made them.

    manifests/<dataset>/dataset.json          fingerprint, what it was made from, number of parts
    manifests/<dataset>/part-00000003.json    files with bytes, rows and block checksums; counters; seconds; worker

A part is done when its entry exists, and the entry is written after the data is in place. Resuming a dataset with
another fingerprint is an error that names the keys that differ.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from dataproc.config import canonical_json, fingerprint
from dataproc.errors import ResumeError, ShardError
from dataproc.stage import Stage
from dataproc.storage import Folder, block_checksums


@dataclass(frozen=True)
class File:
    """A file of a part: rows is -1 where rows mean nothing."""

    name: str
    bytes: int
    rows: int
    blocks: tuple[str, ...]  # xxh3_64 of each storage.CHECK_BLOCK_BYTES

    @classmethod
    def of(cls, folder: Folder, name: str, rows: int = -1) -> File:
        """Return the entry of a file that is in place."""
        with folder.open(name) as file:
            return cls(name, folder.size(name), rows, tuple(block_checksums(file)))


@dataclass(frozen=True)
class Entry:
    """One done part: `counters` are what the part adds to the run's figures.

    `seconds` are wall time, and `worker` is HOST:PID of the process that made it; neither is ever compared.
    """

    part: int
    fingerprint: str
    files: tuple[File, ...]
    counters: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    worker: str = ""


@dataclass(frozen=True)
class Dataset:
    """A dataset of a run: its name, what it is made from, and its number of parts.

    `made_from` holds everything that decides the bytes: step config, stage versions, checksums of models and lists,
    versions of libraries, fingerprints of the datasets read.
    """

    folder: Folder
    name: str
    made_from: Mapping[str, Any]
    parts: int | None
    """None until an earlier dataset has said how many there will be."""

    @property
    def fingerprint(self) -> str:
        """Return the 32 hex digits that stand for `made_from`."""
        return fingerprint(self.made_from)

    def start(self) -> None:
        """Write dataset.json, or check the one that is there; raises ResumeError naming the keys that differ."""
        described = {
            "dataset": self.name,
            "fingerprint": self.fingerprint,
            "parts": self.parts,
            "made_from": self.made_from,
        }
        old = read_description(self.folder, self.name)
        if old is not None and old["fingerprint"] != self.fingerprint:
            differing = ", ".join(sorted(_differences(old["made_from"], json.loads(canonical_json(self.made_from)))))
            raise ResumeError(
                f"{self.folder.url}: {self.name} must be made as before to be resumed,"
                f" got other values of: {differing}."
                f" Undo the change, choose another OUT, or rebuild with --redo {self.name.split('/')[0]}."
            )
        if old is None or (self.parts is not None and old["parts"] != self.parts):
            self.folder.write_text(description_name(self.name), json.dumps(described, indent=1, sort_keys=True) + "\n")

    def done(self) -> set[int]:
        """Return the parts whose entry exists."""
        start = f"manifests/{self.name}/part-"
        return {
            int(name[len(start) : -5]) for name in self.folder.files(f"manifests/{self.name}") if name.startswith(start)
        }

    def complete(self) -> bool:
        """Say whether every part is done."""
        return len(self.done()) == self.parts

    def discard(self) -> None:
        """Remove the dataset with those below its name: entries, then data, then descriptions.

        A kill in between leaves no entry without its data, and none without the description that says what made it.
        """
        shutil.rmtree(self.folder.scratch("exchange"))  # spills of a stopped exchange may hold what is rebuilt now
        manifests = f"manifests/{self.name}"
        self.folder.remove_files([name for name in self.folder.files(manifests) if not name.endswith("/dataset.json")])
        self.folder.remove(self.name)
        self.folder.remove(manifests)

    def commit(self, part: int, files: Mapping[str, int], counters: Mapping[str, Any], seconds: float) -> Entry:
        """Write the entry of a part whose files (name -> rows) are in place, and return it."""
        entry = Entry(
            part,
            self.fingerprint,
            tuple(File.of(self.folder, name, rows) for name, rows in files.items()),
            counters,
            seconds,
            f"{platform.node()}:{os.getpid()}",
        )
        self.folder.write_text(entry_name(self.name, part), json.dumps(asdict(entry), sort_keys=True) + "\n")
        return entry

    def entries(self) -> Iterator[Entry]:
        """Yield the entries of the done parts in order."""
        for part in sorted(self.done()):
            yield read_entry(self.folder, self.name, part)


def description_name(dataset: str) -> str:
    """Return the file name of a dataset's description."""
    return f"manifests/{dataset}/dataset.json"


def read_description(folder: Folder, dataset: str) -> dict[str, Any] | None:
    """Return a dataset's description (fingerprint, parts, made_from), or None when it was never started.

    Raises ShardError when it is damaged.
    """
    if not folder.exists(description_name(dataset)):
        return None
    return _read_json(folder, description_name(dataset))


def entry_name(dataset: str, part: int) -> str:
    """Return the file name of a manifest entry."""
    return f"manifests/{dataset}/part-{part:08d}.json"


def read_entry(folder: Folder, dataset: str, part: int) -> Entry:
    """Return the manifest entry of a part; raises FileNotFoundError when it is not done, ShardError when damaged."""
    values = _read_json(folder, entry_name(dataset, part))
    files = tuple(File(**{**file, "blocks": tuple(file["blocks"])}) for file in values.pop("files"))
    return Entry(files=files, **values)


def _read_json(folder: Folder, name: str) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(folder.read_text(name))
    except ValueError as error:  # bad UTF-8 is one too
        raise ShardError(
            f"{folder.url}: {name} must be JSON, got: {error}. Rebuild with --redo {name.split('/')[1]}."
        ) from error
    return values


def _differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted keys at which two JSON values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() | new.keys():
            yield from _differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield path


def stages_made_from(stages: Mapping[str, Stage]) -> dict[str, Any]:
    """Return what a chain of stages puts into a fingerprint: configs in order, versions, assets, library versions."""
    contracts = {name: stage.contract() for name, stage in stages.items()}
    described = {
        name: {
            "stage": type(stage).__name__,
            "version": stage.version(),
            "config": stage.model_dump(mode="json", exclude=set(contracts[name].held_by_assets)),
            "assets": dict(contracts[name].assets),
        }
        for name, stage in stages.items()
    }
    libraries = {library for contract in contracts.values() for library in contract.libraries}
    return {"stages": described, "order": list(stages), "libraries": library_versions(*libraries)}


def library_versions(*names: str) -> dict[str, str]:
    """Return versions of distributions that can change bytes; pyarrow, which writes every part, is always in."""
    return {name: version(name) for name in sorted({"pyarrow", *names})}


def own_version() -> str:
    """Return the version of this project, "" where it is not installed: a cluster may run it from a bare folder."""
    try:
        return version("dataproc-llm")
    except PackageNotFoundError:
        return ""
