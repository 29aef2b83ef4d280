"""dedup/sources: how many documents of each crawl and registered domain dedup dropped, and which of them lost too many.

What is boiler-plate to all of a site, or a mistake in a recipe, can make all its pages near duplicates of one. Each
part sends its counts; neither text nor place travels.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.exchange import Exchange, Rows
from dataproc.ids import hash64
from dataproc.shards import Dataset, Entry, library_versions, read_description
from dataproc.storage import Folder
from dataproc.tables import create_part, part_name, read_aligned
from dataproc.urls import host_of, registered_domain
from jobs.dedup_rows import with_partition
from jobs.dedup_scope import crawl_of
from jobs.recipe import Alarms
from jobs.run import Run
from stages.clusters import group_starts

SOURCES = pa.schema(
    [
        ("kind", pa.string()),  # crawl or domain
        ("name", pa.string()),
        ("documents", pa.int64()),  # that came to dedup
        ("dropped", pa.int64()),  # by it
    ]
)
"""Sources with at least `min_docs` documents."""

TOLD = 20
"""Alarms that a part tells of in its manifest; of all, the number."""


def fill_sources(run: Run, alarms: Alarms, partitions: int) -> None:
    """Fill dedup/sources; other limits than before make it anew, which redoes nothing else."""
    made_from = {
        "version": 2,
        "alarms": alarms.model_dump(mode="json"),
        "libraries": library_versions("publicsuffixlist"),  # whose list says which part of a host is registered
    }
    name = "dedup/sources"
    wanted = {**made_from, "reads": {"dedup": run.fingerprints["dedup"]}}
    if (old := read_description(run.folder, name)) is not None and old["made_from"] != wanted:
        Dataset(run.folder, name, old["made_from"], old["parts"]).discard()
    dataset = run.dataset(name, made_from, ["dedup"], partitions)
    run.regroup(
        dataset,
        Exchange(
            name=name,
            source=CountSources(run.folder, partitions),
            schema=pa.schema([("partition", pa.int32()), *SOURCES]),
            partition="partition",
            sort_by=("kind", "name", "documents", "dropped"),
            num_partitions=partitions,
            reduce_fn=AddUp(alarms.min_docs),
            sink=SourcesSink(dataset, alarms),
        ),
        range(run.num_parts),
    )


@dataclass(frozen=True)
class CountSources:
    """Counts of a part: one row for each of its crawls and domains."""

    folder: Folder
    partitions: int

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        seen = Counter[tuple[str, str | None, bool]]()
        for batch in read_aligned(self.folder, part, {"documents": ["url", "input"], "dedup": ["dedup_reason"]}):
            dropped = pc.is_valid(batch["dedup_reason"]).to_pylist()
            seen.update(zip(batch["input"].to_pylist(), map(host_of, batch["url"].to_pylist()), dropped, strict=True))
        counts: dict[tuple[str, str], list[int]] = {}
        for (name, host, lost), number in seen.items():
            for source in _sources(name, host):
                count = counts.setdefault(source, [0, 0])
                count[0] += number
                count[1] += lost * number
        rows = [(kind, name, *count) for (kind, name), count in sorted(counts.items())]
        columns = zip(*rows, strict=True) if rows else ([] for _ in SOURCES)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SOURCES, strict=True)]
        hashes = [hash64(f"{kind}\0{name}".encode()) for kind, name, *_ in rows]
        batch = pa.RecordBatch.from_arrays(arrays, schema=SOURCES)
        yield with_partition(batch, np.array(hashes, np.int64).view(np.uint64) % np.uint64(self.partitions))


def _sources(name: str, host: str | None) -> Iterator[tuple[str, str]]:
    yield "crawl", crawl_of(name)
    if host is not None:
        yield "domain", registered_domain(host)


class AddUp:
    """Reducer that adds up the counts of a source, sorted by kind and name, and leaves out the small ones."""

    def __init__(self, min_docs: int) -> None:
        self._min_docs = min_docs

    def __call__(self, rows: Rows) -> Rows:
        """Yield SOURCES."""
        open_: pa.RecordBatch | None = None  # the source that the last batch ended with, its sums so far
        for batch in rows:
            if not batch.num_rows:
                continue
            batch = batch.select(SOURCES.names)
            joined = batch if open_ is None else pa.concat_batches([open_, batch])
            first = np.flatnonzero(group_starts(joined, ["kind", "name"]))
            sums = [pa.array(np.add.reduceat(joined[name].to_numpy(), first)) for name in ("documents", "dropped")]
            names = joined.select(["kind", "name"]).take(pa.array(first))
            summed = pa.RecordBatch.from_arrays([*names.columns, *sums], schema=SOURCES)
            yield self._large(summed.slice(0, summed.num_rows - 1))
            open_ = summed.slice(summed.num_rows - 1)
        if open_ is not None:
            yield self._large(open_)

    def _large(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.filter(pc.greater_equal(batch["documents"], self._min_docs))


@dataclass(frozen=True)
class SourcesSink:
    """Stores sources, and tells the worst of those above the limit in the manifest."""

    dataset: Dataset
    alarms: Alarms

    def __call__(self, part: int, rows: Rows) -> Entry:
        """Write one part and return its entry."""
        started = time.perf_counter()
        name = part_name(self.dataset.name, part)
        worst: list[tuple[int, str, str, int]] = []  # dropped, kind, name, documents
        number = 0
        with create_part(self.dataset.folder, name, SOURCES) as out:
            for batch in rows:
                out.write(batch)
                share = batch["dropped"].to_numpy() / np.maximum(batch["documents"].to_numpy(), 1)
                lost = batch.filter(pa.array(share > self.alarms.max_dropped)).to_pylist()
                number += len(lost)
                worst += [(one["dropped"], one["kind"], one["name"], one["documents"]) for one in lost]
                worst = heapq.nlargest(TOLD, worst)
        counters = {"alarms": number, "worst": worst}
        return self.dataset.commit(part, {name: out.rows}, counters, time.perf_counter() - started)
