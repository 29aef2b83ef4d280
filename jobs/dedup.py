"""documents/, signatures/ -> dedup/ and dropped/dedup/: equal URLs, then equal texts, then near duplicates of the rest.

Every phase is a dataset of its own below dedup/, filled by one exchange, so a killed run goes on at the part where it
was:

    url_groups -> url               equal URLs; decisions brought back to the documents' parts
    exact_groups -> exact           the same for equal text hashes among what is left
    round-0/{candidates,shingled,edges} ...
                                    band members paired with their leader, then verified; failures form the next round
    components-0/{large,small} ...  stars until nothing changes: every document points at the least of its component
    near_groups                     who is kept of each component
    dedup                           the sidecar: duplicate_of, reason, cluster_size

A row is addressed by its place, part << 32 | row. The evidence (edges with their Jaccard) stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from dataproc.errors import ShardError
from dataproc.exchange import Exchange, Rows
from dataproc.ids import hash_int64
from dataproc.shards import Dataset, Entry
from jobs.dedup_rows import (
    GROUPED,
    MEMBERS,
    BandRows,
    ByPlace,
    Decided,
    FailedRows,
    HashRows,
    Members,
    StarEdges,
    Stored,
    VerifiedEdges,
)
from jobs.dedup_sinks import AttachSink, SidecarSink
from jobs.run import PartSink, Run
from stages.clusters import DECISIONS, EDGES, ChooseKeepers, large_star, small_star
from stages.minhash_dedup import BANDS, CANDIDATES, AttachShingles, MinhashDedup, Verify, pair_with_leader

MAX_COMPONENT_ROUNDS = 64

SHINGLED = pa.schema([*CANDIDATES, ("shingles", pa.binary())])
VERIFIED = pa.schema([*CANDIDATES, ("jaccard", pa.float64()), ("first", pa.bool_())])
"""`first` marks one row of each pair; the others are the same pair in further bands."""


def run_dedup(run: Run) -> None:
    """Fill dedup/ and dropped/dedup/."""
    config = run.recipe.dedup
    final = declare_dedup(run)
    if final.complete():
        return
    dedup = _Dedup(run)
    if config.url is not None:
        dedup.by_hash("dedup.url", "url_hash", config.url.keep)
    if config.exact is not None:
        dedup.by_hash("dedup.exact", "text_hash", config.keep)
    if config.minhash is not None:
        dedup.near(config.minhash)
    sink = SidecarSink(final, run.recipe, dedup.decided)
    dedup.by_part(final, "dedup/near_groups" if config.minhash is not None else None, sink)


def declare_dedup(run: Run) -> Dataset:
    """Return the dataset dedup/."""
    return _phase(run, "dedup", ["signatures"], run.num_parts)


def _phase(run: Run, name: str, reads: Sequence[str], parts: int) -> Dataset:
    """Return a phase's dataset; all phases share one fingerprint basis, the dedup config."""
    made_from = {"version": 3, "dedup": run.recipe.dedup.model_dump(mode="json"), "phase": name}
    return run.dataset(name, made_from, reads, parts)


@dataclass
class _Dedup:
    """The phases of one run."""

    run: Run

    decided: dict[str, str] = field(default_factory=dict)
    """Reason -> dataset of the kinds of dedup that have decided, in order."""

    def __post_init__(self) -> None:
        entries = Dataset(self.run.folder, "documents", {}, self.run.num_parts).entries()
        text = sum(entry.counters["text_bytes"] for entry in entries)
        self.partitions = 1 + text // self.run.recipe.dedup.partition_bytes

    def dataset(self, name: str, *reads: str, parts: int | None = None) -> Dataset:
        return _phase(self.run, name, reads, self.partitions if parts is None else parts)

    def by_hash(self, reason: str, column: str, keep: str) -> None:
        """Decide among the documents left that have equal hashes in a column of signatures/."""
        name = reason.replace(".", "/")  # dedup.url -> dedup/url
        groups = self.dataset(f"{name}_groups", "signatures", *self.decided.values())
        self.run.regroup(
            groups,
            Exchange(
                name=groups.name,
                source=HashRows(self.run.folder, column, keep, self.partitions, self._decided()),
                schema=GROUPED,
                partition="partition",
                sort_by=("hash", "num_flags", "keep_order", "doc_id"),
                num_partitions=self.partitions,
                reduce_fn=ChooseKeepers("hash"),
                sink=PartSink(groups, DECISIONS),
            ),
            range(self.run.num_parts),
        )
        decided = self.dataset(name, groups.name, parts=self.run.num_parts)
        self.by_part(decided, groups.name, PartSink(decided, DECISIONS))
        self.decided[reason] = name

    def _decided(self) -> Decided:
        return Decided(self.run.folder, tuple(self.decided.values()))

    def by_part(self, dataset: Dataset, source: str | None, sink: Callable[[int, Rows], Entry]) -> None:
        """Bring decisions back to the parts of the documents that they are about, in row order."""
        schema = pa.schema([("partition", pa.int32()), *DECISIONS])
        self.run.regroup(
            dataset,
            Exchange(
                name=dataset.name,
                source=ByPlace(self.run.folder, source or "", "place", schema),
                schema=schema,
                partition="partition",
                sort_by=("place",),
                num_partitions=self.run.num_parts,
                reduce_fn=_same,
                sink=sink,
            ),
            range(self.partitions) if source else [],
        )

    def near(self, config: MinhashDedup) -> None:
        groups = self.dataset("dedup/near_groups", "signatures", *self.decided.values())
        if groups.complete():
            return
        edges = self._verified_edges(config)
        roots = self._components(edges, config.min_jaccard)
        attached = self.dataset("dedup/members", roots, parts=self.run.num_parts)
        self.run.regroup(
            attached,
            Exchange(
                name=attached.name,
                source=Members(self.run.folder, roots),
                schema=MEMBERS,
                partition="partition",
                sort_by=("place", "root"),
                num_partitions=self.run.num_parts,
                reduce_fn=_same,
                sink=AttachSink(attached, self.run.recipe.dedup.keep, self._decided(), self.partitions),
            ),
            range(self.partitions),
        )
        self.run.regroup(
            groups,
            Exchange(
                name=groups.name,
                source=Stored(self.run.folder, attached.name),
                schema=GROUPED,
                partition="partition",
                sort_by=("root", "num_flags", "keep_order", "doc_id"),
                num_partitions=self.partitions,
                reduce_fn=ChooseKeepers("root"),
                sink=PartSink(groups, DECISIONS),
            ),
            range(self.run.num_parts),
        )

    def _verified_edges(self, config: MinhashDedup) -> list[str]:
        """Run rounds of leading and verifying; return the names of the datasets with verified edges."""
        names: list[str] = []
        for number in range(config.max_rounds):
            source: Callable[[int], Rows] = BandRows(self.run.folder, config, self.partitions, self._decided())
            units, reads = range(self.run.num_parts), "signatures"
            if number:
                source = FailedRows(self.run.folder, names[-1], config.min_jaccard, self.partitions)
                units, reads = range(self.run.num_parts), names[-1]
            edges, left = self._round(number, source, units, reads, config)
            names.append(edges)
            if not left:
                break
        return names

    def _round(
        self, number: int, source: Callable[[int], Rows], units: range, reads: str, config: MinhashDedup
    ) -> tuple[str, int]:
        """Pair, attach, verify; return the name of the edges dataset and how many rows failed."""
        folder, parts = self.run.folder, self.run.num_parts
        candidates = self.dataset(f"dedup/round-{number}/candidates", reads)
        shingled = self.dataset(f"dedup/round-{number}/shingled", candidates.name, parts=parts)
        edges = self.dataset(f"dedup/round-{number}/edges", shingled.name, parts=parts)
        if not edges.complete():
            by_key = ("band", "key", "doc_id")
            self.run.regroup(
                candidates, _exchange(candidates, source, BANDS, by_key, pair_with_leader, CANDIDATES), units
            )
            spread = pa.schema([("partition", pa.int32()), *CANDIDATES])
            by_member = ByPlace(folder, candidates.name, "place", spread)
            order = ("place", "a_place", "band")
            self.run.regroup(
                shingled,
                _exchange(shingled, by_member, spread, order, AttachShingles(folder), SHINGLED),
                range(self.partitions),
            )
            spread = pa.schema([("partition", pa.int32()), *SHINGLED])
            by_leader = ByPlace(folder, shingled.name, "a_place", spread)
            order = ("a_place", "place", "band")
            count = _CountPairs(config.min_jaccard)
            self.run.regroup(
                edges, _exchange(edges, by_leader, spread, order, Verify(folder), VERIFIED, count), range(parts)
            )
        shingled.discard()  # shingles travelled only to be compared: not worth keeping
        return edges.name, sum(entry.counters.get("rows_failed", 0) for entry in edges.entries())

    def _components(self, edge_names: list[str], min_jaccard: float) -> str:
        """Run large and small stars until the edges stay as they are; return the name of the last dataset."""
        source: Callable[[int], Rows] = VerifiedEdges(
            self.run.folder,
            edge_names,
            min_jaccard,
            self.partitions,
        )
        units, reads, before = range(self.run.num_parts), edge_names, None
        for number in range(MAX_COMPONENT_ROUNDS):
            large = self.dataset(f"dedup/components-{number}/large", *reads)
            small = self.dataset(f"dedup/components-{number}/small", large.name)
            by_node = ("node", "other")
            spread = pa.schema([("partition", pa.int32()), *EDGES])
            self.run.regroup(large, _exchange(large, source, spread, by_node, large_star, EDGES), units)
            down = StarEdges(self.run.folder, large.name, self.partitions, both_ways=False)
            self.run.regroup(
                small, _exchange(small, down, spread, by_node, small_star, EDGES, _digest_edges), range(self.partitions)
            )
            digest = sum((Counter(entry.counters) for entry in small.entries()), Counter[str]())
            if digest == before or not digest:
                return small.name
            before = digest
            source = StarEdges(self.run.folder, small.name, self.partitions, both_ways=True)
            units, reads = range(self.partitions), [small.name]
        raise ShardError(
            f"dedup components must settle within {MAX_COMPONENT_ROUNDS} rounds, got no end. Report this as a bug."
        )


def _exchange(
    dataset: Dataset,
    source: Callable[[int], Rows],
    schema: pa.Schema,
    sort_by: tuple[str, ...],
    reduce_fn: Callable[[Rows], Rows],
    out: pa.Schema,
    count: Callable[[pa.RecordBatch], Mapping[str, int]] | None = None,
) -> Exchange:
    return Exchange(
        name=dataset.name,
        source=source,
        schema=schema,
        partition="partition",
        sort_by=sort_by,
        num_partitions=dataset.parts or 0,
        reduce_fn=reduce_fn,
        sink=PartSink(dataset, out, count),
    )


def _same(rows: Rows) -> Rows:
    return rows


@dataclass(frozen=True)
class _CountPairs:
    """Counts the pairs that a part verified, and the rows that failed."""

    min_jaccard: float

    def __call__(self, batch: pa.RecordBatch) -> dict[str, int]:
        passed = batch["jaccard"].to_numpy() >= self.min_jaccard
        first = batch["first"].to_numpy(zero_copy_only=False)
        return {"pairs": int(first.sum()), "edges": int((first & passed).sum()), "rows_failed": int((~passed).sum())}


def _digest_edges(batch: pa.RecordBatch) -> dict[str, int]:
    """Return an order-free digest of edges, by which two rounds are compared."""
    node, other = batch["node"].to_numpy(), batch["other"].to_numpy()
    mixed = hash_int64(hash_int64(node).view(np.int64) ^ other)
    return {"edges": batch.num_rows, "digest": int((mixed >> np.uint64(16)).sum())}
