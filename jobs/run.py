"""A run under way: its folder, recipe, engine and inputs, and the two ways in which a job fills a dataset."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from dataproc.engines import Engine, Retried
from dataproc.errors import ShardError
from dataproc.exchange import BLOCK_FORMAT, Exchange, Rows
from dataproc.resources import ANY, Resources
from dataproc.shards import Dataset, Entry, read_description
from dataproc.storage import Folder
from dataproc.tables import create_part, part_name
from jobs.events import ERROR_CHARS, EventLog, new_event
from jobs.progress import ProgressDisplay
from jobs.recipe import Recipe

SHOWN_FAILURES = 5

TOGETHER, MIN_SPLITS = 8, 256
"""Units that an exchange splits in one task, where at least so many tasks are left: each has a block a partition."""

MAX_PARTITIONS = 4096
"""Blocks of an exchange grow with parts times partitions. A partition may be of any size: it is sorted on disk."""


def num_partitions(text_bytes: int, partition_bytes: int) -> int:
    """Return how many partitions an exchange about so much text has, when their number decides no result.

    Example: num_partitions(10**9, 2**28) == 4, and num_partitions(10**15, 2**28) == 4096.
    """
    return min(MAX_PARTITIONS, 1 + text_bytes // partition_bytes)


@dataclass
class Run:
    """What every job gets. `num_parts` is the number of units, so of parts in documents/ and all sidecars."""

    folder: Folder
    recipe: Recipe
    engine: Engine
    progress: ProgressDisplay
    num_parts: int
    fingerprints: dict[str, str] = field(default_factory=dict)
    worked: bool = False
    """Whether any part was missing, and made or taken from another run."""
    log: EventLog | None = None
    """Where events are stored; they are shown in any case."""

    def dataset(
        self, name: str, made_from: Mapping[str, Any], reads: Sequence[str], parts: int | None = None
    ) -> Dataset:
        """Return a dataset of this run, its resume checked; `reads` names the datasets that its fingerprint builds on.

        Raises ResumeError when it is there already, made from something else.
        """
        inputs = {read: self.fingerprints[read] for read in reads}
        dataset = Dataset(self.folder, name, {**made_from, "reads": inputs}, parts)
        if read_description(self.folder, name) is None:
            dataset.discard()  # what a killed --redo left: parts of another config must not pass for ours
        dataset.start()
        self.fingerprints[name] = dataset.fingerprint
        return dataset

    def fill(
        self,
        dataset: Dataset,
        task: Callable[[Any], Entry],
        units: Iterable[Any] | None = None,
        resources: Resources = ANY,
    ) -> None:
        """Run `task` on each unit (its part number, or something with `.part`) whose part is not done.

        Raises ShardError, after all other units have ended, when some failed; ConfigError for resources that the engine
        will never have.
        """
        done = dataset.done()
        every = range(self.num_parts) if units is None else units
        todo = [unit for unit in every if getattr(unit, "part", unit) not in done]
        if todo:
            self._collect(dataset.name, len(done), len(todo), self.engine.map(dataset.name, task, todo, resources))
        else:
            self.tell("step_skipped", step=dataset.name, units=len(done))

    def regroup(self, dataset: Dataset, spec: Exchange, units: Sequence[Any]) -> None:
        """Run the exchange whose sink fills the dataset; done parts stay. Raises ShardError when units failed."""
        done = dataset.done()
        if len(done) < spec.num_partitions:
            name = f"{dataset.name.replace('/', '-')}-{dataset.fingerprint}-{BLOCK_FORMAT}"
            scratch = self.folder.scratch(f"exchange/{name}")
            outcomes = self.engine.exchange(*together(spec, units), str(scratch), frozenset(done))
            self._collect(dataset.name, len(done), spec.num_partitions - len(done), outcomes)
            shutil.rmtree(scratch, ignore_errors=True)  # else a run needs the disk of all its exchanges together
        else:
            self.tell("step_skipped", step=dataset.name, units=len(done))

    def tell(self, kind: str, **values: Any) -> None:
        """Show an event, and store it."""
        event = new_event(kind, **values)
        self.progress.show(event)
        if self.log is not None:
            self.log.add(event)

    def _collect(self, name: str, done: int, units: int, outcomes: Iterator[Any]) -> None:
        failures = []
        self.worked = True
        self.tell("step_started", step=name, units=done + units, done=done)
        try:
            for outcome in outcomes:
                if isinstance(outcome, Entry):
                    self._tell_end(name, outcome)
                elif isinstance(outcome, Retried):
                    self.tell("unit_retried", step=name, unit=_name_of(outcome.unit), error=outcome.error)
                else:
                    failures.append(outcome)
                    self.tell("unit_failed", step=name, unit=_name_of(outcome.unit), error=outcome.error[:ERROR_CHARS])
        finally:
            self.tell("step_ended", step=name)
        if failures:
            told = "\n".join(f"  {_name_of(failure.unit)}: {failure.error}" for failure in failures[:SHOWN_FAILURES])
            trace = next((failure.trace for failure in failures if failure.trace), "")
            raise ShardError(
                f"{name}: {len(failures)} of {units} units failed; the others are done and a resume keeps them.\n{told}"
                + (f"\n{trace}" if trace else "")
            )

    def _tell_end(self, name: str, entry: Entry) -> None:
        rows_in = entry.counters.get("rows_in", 0)
        self.tell(
            "unit_ended",
            step=name,
            unit=entry.part,
            rows_in=rows_in,
            rows_kept=entry.counters.get("rows_kept", rows_in),
            bytes=entry.counters.get("bytes", 0),
            seconds=round(entry.seconds, 3),
            worker=entry.worker,
        )


def _name_of(unit: Any) -> Any:
    """Return the part number of a unit, or the unit where that is one; a split has both, and its number comes first."""
    unit = unit[0] if isinstance(unit, tuple) else unit
    return getattr(unit, "part", unit)


@dataclass(frozen=True)
class Together:
    """The map side of an exchange for several units at once."""

    source: Callable[[Any], Rows]

    def __call__(self, units: Sequence[Any]) -> Rows:
        """Yield the rows of the units, one after another."""
        for unit in units:
            yield from self.source(unit)


def together(spec: Exchange, units: Sequence[Any]) -> tuple[Exchange, Sequence[Any]]:
    """Return the exchange with several units to a task, when there are many; the result has the same bytes.

    Units and partitions both grow with a crawl, blocks with their product, and a block has its price however small.
    Example: 2,000 units become 286 tasks of 7 units, 500 stay as they are.
    """
    size = min(TOGETHER, len(units) // MIN_SPLITS)
    if size < 2:
        return spec, units
    groups = [tuple(units[first : first + size]) for first in range(0, len(units), size)]
    return replace(spec, source=Together(spec.source)), groups


@dataclass(frozen=True)
class PartSink:
    """Exchange sink that writes each partition as one part of a dataset."""

    dataset: Dataset
    schema: pa.Schema
    count: Callable[[pa.RecordBatch], Mapping[str, int]] | None = None
    """Counters to add up over the batches written."""

    def __call__(self, partition: int, rows: Rows) -> Entry:
        """Write one partition and return its entry."""
        started = time.perf_counter()
        name = part_name(self.dataset.name, partition)
        counters: dict[str, int] = {}
        with create_part(self.dataset.folder, name, self.schema) as part:
            for batch in rows:
                part.write(batch)
                for key, value in (self.count(batch) if self.count else {}).items():
                    counters[key] = counters.get(key, 0) + value
        return self.dataset.commit(partition, {name: part.rows}, counters, time.perf_counter() - started)
