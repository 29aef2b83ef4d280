"""Dedup of a finished run made anew with another plan, beside it: what it would drop, exactly and at the full price."""

from __future__ import annotations

import os
from typing import BinaryIO

from dataproc.config import fingerprint
from dataproc.engines import Engine
from dataproc.shards import Dataset, read_description
from dataproc.storage import SCRATCH, Folder
from jobs.dedup import dedup_made_from, run_dedup
from jobs.funnel import read_recipe
from jobs.progress import ProgressDisplay
from jobs.run import Run
from jobs.signatures import run_signatures, signatures_made_from
from stages.minhash_plan import MinhashDedup


class Beside(Folder):
    """A folder that has some datasets of another, which it reads and never writes."""

    def __init__(self, url: str | os.PathLike[str], other: Folder, datasets: tuple[str, ...]) -> None:
        super().__init__(url)
        self._other, self._datasets = other, datasets

    def __reduce__(self) -> tuple[type[Beside], tuple[str, Folder, tuple[str, ...]]]:  # type: ignore[override]
        return (Beside, (self.url, self._other, self._datasets))

    def _is_other(self, name: str) -> bool:
        return name.removeprefix("manifests/").partition("/")[0] in self._datasets

    def read_text(self, name: str) -> str:
        """Return a small UTF-8 file; raises FileNotFoundError."""
        return self._other.read_text(name) if self._is_other(name) else super().read_text(name)

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading; the result seeks."""
        return self._other.open(name) if self._is_other(name) else super().open(name)

    def exists(self, name: str) -> bool:
        """Say whether a file or folder of that name is there."""
        return self._other.exists(name) if self._is_other(name) else super().exists(name)

    def files(self, prefix: str = "") -> list[str]:
        """Return the sorted names of all files below `prefix`."""
        return self._other.files(prefix) if self._is_other(prefix) else super().files(prefix)

    def size(self, name: str) -> int:
        """Return the bytes of a file; raises FileNotFoundError."""
        return self._other.size(name) if self._is_other(name) else super().size(name)


def dropped_anew(
    folder: Folder, engine: Engine, progress: ProgressDisplay, config: MinhashDedup, *, signed: bool
) -> int:
    """Return how many near duplicates dedup with another plan drops; `signed` says that signatures/ can stay as it is.

    Everything is made below the run's scratch folder, under the fingerprint of all that decides it: a killed call
    leaves it, and the next one of the same plan, on the same documents, goes on with it.
    """
    recipe = read_recipe(folder)
    dedup = recipe.dedup.model_copy(update={"minhash": config, "alarms": None, "index": False})
    documents = recipe.documents.model_copy(update={"dropped_text": "none"})
    recipe = recipe.model_copy(update={"dedup": dedup, "documents": documents})
    shown = ("documents", "signatures") if signed else ("documents",)
    made = {name: read_description(folder, name) or {} for name in shown}
    fingerprints = {name: description["fingerprint"] for name, description in made.items()}
    decides = {"signatures": signatures_made_from(config), **fingerprints, "dedup": dedup_made_from(dedup)}
    name = f"{SCRATCH}/audit-{fingerprint(decides)}"
    beside = Beside(f"{folder.url}/{name}", folder, shown)
    run = Run(beside, recipe, engine, progress, made["documents"]["parts"], fingerprints)
    if not signed:
        run_signatures(run)
    run_dedup(run)
    entries = Dataset(beside, "dedup", {}, run.num_parts).entries()
    dropped = sum(entry.counters["dropped"].get("dedup.minhash", 0) for entry in entries)
    folder.remove(name)
    return int(dropped)
