"""documents/, signatures/ -> dedup/ and dropped/dedup/: equal URLs, then equal texts, then near duplicates of the rest.

Every phase is a dataset of its own below dedup/, filled by one exchange, so a killed run goes on at the part where it
was:

    url_groups -> url               equal URLs; decisions brought back to the documents' parts
    exact_groups -> exact           the same for equal text hashes among what is left
    near_groups                     the same for near duplicates, after the phases of `jobs.dedup_near`
    dedup                           the sidecar: duplicate_of, reason, cluster_size
    sources                         documents and drops of each crawl and domain, for the alarms

A row is addressed by its place, part << 32 | row (`stages.places`). The evidence (edges with their Jaccard) stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from dataproc.exchange import Exchange, Rows
from dataproc.shards import Dataset, Entry
from jobs.dedup_alarms import fill_sources
from jobs.dedup_earlier import Earlier, EarlierHashes, open_earlier
from jobs.dedup_near import NearDedup
from jobs.dedup_rows import GROUPED, ByPlace, Decided, HashRows, Keep, joined
from jobs.dedup_sinks import SidecarSink
from jobs.recipe import DedupConfig
from jobs.run import PartSink, Run, num_partitions
from stages.clusters import DECISIONS, WITH_EARLIER, ChooseKeepers

KINDS = ("dedup.url", "dedup.exact", "dedup.minhash")
"""Reasons, in the order in which they act."""


def run_dedup(run: Run) -> None:
    """Fill dedup/ and dropped/dedup/, and the figures for the alarms."""
    config = run.recipe.dedup
    earlier = open_earlier(config)
    final = _declare(run, earlier)
    dedup = _Dedup(run, earlier)
    if not final.complete():
        if config.url is not None:
            dedup.by_hash("dedup.url", "url_hash", config.url.keep)
        if config.exact is not None:
            dedup.by_hash("dedup.exact", "text_hash", config.keep)
        if config.minhash is not None:
            dedup.near()
        sink = SidecarSink(final, run.recipe, dedup.decided, tuple(one.fingerprint for one in earlier))
        dedup.by_part(final, "dedup/near_groups" if config.minhash is not None else None, sink)
    if config.alarms is not None:
        fill_sources(run, config.alarms, dedup.partitions)


def declare_dedup(run: Run) -> Dataset:
    """Return the dataset dedup/; raises as `jobs.dedup_earlier.open_earlier` does."""
    return _declare(run, open_earlier(run.recipe.dedup))


def _declare(run: Run, earlier: tuple[Earlier, ...]) -> Dataset:
    return _phase(run, earlier, "dedup", ["signatures"], run.num_parts)


def _phase(run: Run, earlier: tuple[Earlier, ...], name: str, reads: Sequence[str], parts: int) -> Dataset:
    """Return a phase's dataset; all phases share one fingerprint basis, the dedup config and the earlier runs."""
    return run.dataset(name, {**dedup_made_from(run.recipe.dedup, earlier), "phase": name}, reads, parts)


def dedup_made_from(config: DedupConfig, earlier: tuple[Earlier, ...] = ()) -> dict[str, Any]:
    """Return what decides the bytes of dedup/, but for what is in signatures/."""
    return {
        "version": 4,
        "dedup": config.model_dump(mode="json", exclude={"against", "alarms"}),
        "against": [one.fingerprint for one in earlier],
    }


@dataclass
class _Dedup:
    """The phases of one run."""

    run: Run
    earlier: tuple[Earlier, ...]

    decided: dict[str, str] = field(default_factory=dict)
    """Reason -> dataset of the kinds of dedup that have decided, in order."""

    def __post_init__(self) -> None:
        entries = Dataset(self.run.folder, "documents", {}, self.run.num_parts).entries()
        text = sum(entry.counters["text_bytes"] for entry in entries)
        self.partitions = num_partitions(text, self.run.recipe.dedup.partition_bytes)
        self.decisions = WITH_EARLIER if self.earlier else DECISIONS

    def dataset(self, name: str, *reads: str, parts: int | None = None) -> Dataset:
        return _phase(self.run, self.earlier, name, reads, self.partitions if parts is None else parts)

    def by_hash(self, reason: str, column: str, policy: str) -> None:
        """Decide among the documents left that have equal hashes in a column of signatures/."""
        name = reason.replace(".", "/")  # dedup.url -> dedup/url
        groups = self.dataset(f"{name}_groups", "signatures", *self.decided.values())
        config = self.run.recipe.dedup
        keep = Keep(policy, config.best_by)
        rows = HashRows(self.run.folder, column, keep, config.scope, self.partitions, self._decided())
        before = KINDS[: KINDS.index(reason) + 1]
        theirs = [
            (EarlierHashes(one, column, before, config.scope, self.partitions), range(one.parts))
            for one in self.earlier
        ]
        source, units = joined((rows, range(self.run.num_parts)), *theirs)
        self.run.regroup(
            groups,
            Exchange(
                name=groups.name,
                source=source,
                schema=GROUPED,
                partition="partition",
                sort_by=("hash", "num_flags", "keep_order", "doc_id"),
                num_partitions=self.partitions,
                reduce_fn=ChooseKeepers("hash"),
                sink=PartSink(groups, self.decisions),
            ),
            units,
        )
        decided = self.dataset(name, groups.name, parts=self.run.num_parts)
        self.by_part(decided, groups.name, PartSink(decided, self.decisions))
        self.decided[reason] = name

    def near(self) -> None:
        """Decide among the documents left that are near duplicates."""
        config = self.run.recipe.dedup
        assert config.minhash is not None
        groups = self.dataset("dedup/near_groups", "signatures", *self.decided.values())
        NearDedup(
            run=self.run,
            config=config.minhash,
            scope=config.scope,
            keep=Keep(config.keep, config.best_by),
            index=config.index,
            partitions=self.partitions,
            decided=self._decided(),
            earlier=self.earlier,
            dataset=self.dataset,
        ).fill(groups, self.decisions)

    def _decided(self) -> Decided:
        return Decided(self.run.folder, tuple(self.decided.values()))

    def by_part(self, dataset: Dataset, source: str | None, sink: Callable[[int, Rows], Entry]) -> None:
        """Bring decisions back to the parts of the documents that they are about, in row order."""
        schema = pa.schema([("partition", pa.int32()), *self.decisions])
        parts = self.run.num_parts
        self.run.regroup(
            dataset,
            Exchange(
                name=dataset.name,
                source=ByPlace(self.run.folder, source or "", "place", schema, parts, parts, self.partitions),
                schema=schema,
                partition="partition",
                sort_by=("place",),
                num_partitions=parts,
                reduce_fn=_same,
                sink=sink,
            ),
            range(self.partitions) if source else [],
        )


def _same(rows: Rows) -> Rows:
    return rows
