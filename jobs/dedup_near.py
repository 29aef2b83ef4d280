"""Near duplicates, phase by phase: rounds of leading and verifying, connected components, who is kept of each.

    dedup/round-0/{candidates,shingled,edges} ...
                                    band members paired with their leader, then verified; failures form the next round
    dedup/components-0/{large,small} ...
                                    stars until nothing changes: every document points at the least of its component
    dedup/members                   the documents of components, with what the choice of a keeper needs
    dedup/keepers/round-0/... , dedup/checked
                                    with `check_keeper`: the same rounds inside components, led by the best to keep
    dedup/near_groups               who is kept of each

With earlier runs, their leaders lead first, and a component with one of their documents keeps none of this run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dataproc.errors import ShardError
from dataproc.exchange import Exchange, Rows
from dataproc.ids import hash_int64
from dataproc.shards import Dataset, Entry
from dataproc.stage import with_columns
from jobs.dedup_earlier import Earlier, EarlierKeepers, LinkedToEarlier, earlier_parts, leaders_of
from jobs.dedup_rows import (
    GROUPED,
    MEMBERS,
    BandRows,
    ByPlace,
    Decided,
    FailedRows,
    Keep,
    Members,
    Source,
    StarEdges,
    Stored,
    VerifiedEdges,
    by_key,
    joined,
    own_members,
    verified,
    with_claim,
)
from jobs.dedup_scope import Scope
from jobs.dedup_sinks import AttachSink, CheckedSink, LeadersSink
from jobs.run import PartSink, Run
from stages.clusters import EDGES, ChooseKeepers, large_star, small_star
from stages.minhash_dedup import BANDS, CANDIDATES, CLAIMS, AttachSketch, PairWithLeaders, Verify
from stages.minhash_plan import MinhashDedup

MAX_COMPONENT_ROUNDS = 64

SKETCH = pa.field("sketch", pa.binary())
MEASURED = (pa.field("jaccard", pa.float64()), pa.field("first", pa.bool_()))
"""`first` marks one row of each pair; the others are the same pair in further bands."""

KEEP_ORDER = pa.schema([("num_flags", pa.int64()), ("keep_order", pa.int64())])
"""What members of a component are sorted by, before doc_id."""


@dataclass
class NearDedup:
    """The phases of one run."""

    run: Run
    config: MinhashDedup
    scope: Scope
    keep: Keep
    index: bool
    partitions: int
    decided: Decided
    earlier: tuple[Earlier, ...]
    dataset: Callable[..., Dataset]
    """(name, *reads, parts) -> the dataset of a phase."""

    def fill(self, groups: Dataset, decisions: pa.Schema) -> None:
        """Decide among the documents left that are near duplicates."""
        if groups.complete():
            return
        edges, parts = self._linked()
        limit = None if self.config.verification == "none" else self.config.min_jaccard
        roots = self._components(VerifiedEdges(self.run.folder, edges, limit, self.partitions), range(parts), edges)
        keepers = EarlierKeepers(self.run.folder, edges, limit, self.partitions)
        beside = [(keepers, range(parts))] if self.earlier else []
        members = self._members(roots, edges, range(parts), limit)
        if self.config.check_keeper:
            members = self._checked(members, beside)
        source, units = joined((Stored(self.run.folder, members), range(self.run.num_parts)), *beside)
        order = ("root", "num_flags", "keep_order", "doc_id")
        sink = PartSink(groups, decisions)
        self.run.regroup(groups, _exchange(groups, source, GROUPED, order, ChooseKeepers("root"), sink), units)

    def _linked(self) -> tuple[tuple[str, ...], int]:
        """Run rounds of leading; return the names of the datasets of pairs that link, and their number of parts."""
        rounds = _Rounds(self, "dedup", pa.schema([]))
        first = BandRows(self.run.folder, self.config, self.scope, self.partitions, self.decided)
        if self.config.verification == "none":
            sources = joined((first, range(self.run.num_parts)), *leaders_of(self.earlier, 0, self.partitions))
            candidates = rounds.pair(0, sources, "signatures")
            return (candidates.name,), self.partitions
        for number in range(self.config.max_rounds):
            source = first if number == 0 else rounds.failed()
            leaders = leaders_of(self.earlier, number, self.partitions)
            if not rounds.run_round(number, (source, rounds.units(number)), leaders, "signatures"):
                break
        return tuple(rounds.edges), rounds.parts

    def _components(self, source: Source, units: range, reads: Sequence[str]) -> str:
        """Run large and small stars until the edges stay as they are; return the name of the last dataset."""
        folder, before = self.run.folder, None
        for number in range(MAX_COMPONENT_ROUNDS):
            large = self.dataset(f"dedup/components-{number}/large", *reads)
            small = self.dataset(f"dedup/components-{number}/small", large.name)
            by_node = ("node", "other")
            spread = pa.schema([("partition", pa.int32()), *EDGES])
            sink = PartSink(large, EDGES)
            self.run.regroup(large, _exchange(large, source, spread, by_node, large_star, sink), units)
            down = StarEdges(folder, large.name, self.partitions, both_ways=False)
            sink = PartSink(small, EDGES, _digest_edges)
            self.run.regroup(small, _exchange(small, down, spread, by_node, small_star, sink), range(self.partitions))
            digest = sum((Counter(entry.counters) for entry in small.entries()), Counter[str]())
            if digest == before or not digest:
                return small.name
            before = digest
            source = StarEdges(folder, small.name, self.partitions, both_ways=True)
            units, reads = range(self.partitions), [small.name]
        raise ShardError(
            f"dedup components must settle within {MAX_COMPONENT_ROUNDS} rounds, got no end. Report this as a bug."
        )

    def _members(self, roots: str, edges: tuple[str, ...], units: range, limit: float | None) -> str:
        folder, parts = self.run.folder, self.run.num_parts
        members = self.dataset("dedup/members", roots, parts=parts)
        linked = LinkedToEarlier(folder, edges, limit)
        direct = [(linked, units)] if self.earlier and self.config.check_keeper else []
        source, every = joined((Members(folder, roots), range(self.partitions)), *direct)
        sink = AttachSink(members, self.keep, self.decided, self.partitions)
        self.run.regroup(members, _exchange(members, source, MEMBERS, ("place", "root"), _same, sink), every)
        return members.name

    def _checked(self, members: str, beside: Sequence[tuple[Source, range]]) -> str:
        """Lead and verify inside components; return the dataset of members in clusters of verified pairs only."""
        folder = self.run.folder
        rounds = _Rounds(self, "dedup/keepers", KEEP_ORDER)
        inside = (_AsBand(Stored(folder, members), self.partitions), range(self.run.num_parts))
        earlier = [(_AsBand(source, self.partitions), units) for source, units in beside]
        for number in range(self.config.max_rounds):
            source = inside if number == 0 else (rounds.failed(), rounds.units(number))
            if not rounds.run_round(number, source, earlier if number == 0 else [], members):
                break
        checked = self.dataset("dedup/checked", members, *rounds.edges, parts=self.run.num_parts)
        led = _Led(folder, tuple(rounds.edges), self.config.min_jaccard)
        sink = CheckedSink(checked, members, self.partitions)
        order = ("place", "root")
        self.run.regroup(checked, _exchange(checked, led, MEMBERS, order, _same, sink), range(rounds.parts))
        return checked.name


class _Rounds:
    """Rounds of leading and verifying below one name; the `extra` columns of their rows say who leads first."""

    def __init__(self, near: NearDedup, prefix: str, extra: pa.Schema) -> None:
        self._near, self._prefix, self._extra = near, prefix, extra
        self.edges: list[str] = []
        # Pairs come to ranges of parts, not to each: blocks and files would grow with the square of the parts.
        self._ranges = min(near.partitions, near.run.num_parts)
        self.parts = self._ranges + earlier_parts(near.partitions, near.earlier)

    def failed(self) -> FailedRows:
        """Return the rows that the last round leaves."""
        near = self._near
        columns = ("band", "key", "doc_id", "place", *self._extra.names)
        only_failed = not near.earlier
        limit = near.config.min_jaccard
        return FailedRows(near.run.folder, self.edges[-1], limit, near.partitions, only_failed, columns)

    def units(self, number: int) -> range:
        """Return the parts of what a round starts from."""
        return range(self.parts if number else self._near.run.num_parts)

    def pair(self, number: int, sources: tuple[Callable[[Any], Rows], Sequence[Any]], reads: str) -> Dataset:
        """Pair the rows of a round with their leaders."""
        near, extra = self._near, list(self._extra)
        candidates = near.dataset(f"{self._prefix}/round-{number}/candidates", reads)
        claims = [list(CLAIMS)[:1], list(CLAIMS)[1:]] if near.earlier else [[], []]
        columns = [*BANDS, *claims[0], *extra, *claims[1]]
        names = [column.name for column in (*claims[0], *extra)]
        order = ("band", "key", *names, "doc_id", *(column.name for column in claims[1]))
        sink: Callable[[int, Rows], Entry] = PartSink(candidates, pa.schema([*CANDIDATES, *extra]))
        index = near.index and self._prefix == "dedup"
        if index:
            sink = LeadersSink(candidates, f"{self._prefix}/round-{number}/leaders")
        pair = PairWithLeaders(leaders=index)
        source, units = sources
        near.run.regroup(candidates, _exchange(candidates, source, pa.schema(columns), order, pair, sink), units)
        return candidates

    def run_round(
        self, number: int, source: tuple[Source, range], leaders: Sequence[tuple[Source, range]], reads: str
    ) -> int:
        """Pair, attach, verify; return how many rows failed."""
        near, extra = self._near, list(self._extra)
        folder, config = near.run.folder, near.config
        candidates = pa.schema([*CANDIDATES, *extra])
        name = f"{self._prefix}/round-{number}"
        reads = self.edges[-1] if number else reads
        made = near.dataset(f"{name}/candidates", reads)
        shingled = near.dataset(f"{name}/shingled", made.name, parts=self._ranges)
        edges = near.dataset(f"{name}/edges", shingled.name, parts=self.parts)
        if not edges.complete():
            self.pair(number, joined(source, *leaders), reads)
            spread = pa.schema([("partition", pa.int32()), *candidates])
            by_member = self._by_place(made, "place", spread)
            order = ("place", "a_place", "band")
            with_sketch = candidates.append(SKETCH)
            sink = PartSink(shingled, with_sketch)
            attach = AttachSketch(folder, config.sketch)
            spec = _exchange(shingled, by_member, spread, order, attach, sink)
            near.run.regroup(shingled, spec, range(near.partitions))
            spread = pa.schema([("partition", pa.int32()), *with_sketch])
            by_leader = self._by_place(shingled, "a_place", spread)
            order = ("a_place", "place", "band")
            sink = PartSink(edges, pa.schema([*candidates, *MEASURED]), _CountPairs(config.min_jaccard))
            verify = Verify(folder, [run.folder for run in near.earlier], config)
            near.run.regroup(edges, _exchange(edges, by_leader, spread, order, verify, sink), range(self._ranges))
        shingled.discard()  # shingles travelled only to be compared: not worth keeping
        self.edges.append(edges.name)
        return sum(entry.counters.get("rows_failed", 0) for entry in edges.entries())

    def _by_place(self, dataset: Dataset, column: str, schema: pa.Schema) -> ByPlace:
        run = self._near.run
        return ByPlace(run.folder, dataset.name, column, schema, run.num_parts, self._ranges, self._near.partitions)


@dataclass(frozen=True)
class _AsBand:
    """Rows of GROUPED as those of a band, so that a component is led as a band is."""

    source: Source
    partitions: int

    def __call__(self, part: int) -> Rows:
        for batch in self.source(part):
            earlier = batch["place"].to_numpy() < 0
            rows = with_columns(batch, {"band": np.zeros(batch.num_rows, np.int32), "key": batch["root"]})
            run = pa.array(np.where(earlier, -1, 0).astype(np.int32))
            yield by_key(with_columns(with_claim(rows), {"run": run}), self.partitions)


@dataclass(frozen=True)
class _Led:
    """(place, root) of each member whose pair with its leader, now its root, was verified."""

    folder: Any
    edges: tuple[str, ...]
    min_jaccard: float

    def __call__(self, part: int) -> Rows:
        for name in self.edges:
            for batch in verified(self.folder, name, part, self.min_jaccard, ("place", "a_place")):
                yield own_members(batch["place"].to_numpy(), batch["a_place"].to_numpy())


def _exchange(
    dataset: Dataset,
    source: Callable[[Any], Rows],
    schema: pa.Schema,
    sort_by: tuple[str, ...],
    reduce_fn: Callable[[Rows], Rows],
    sink: Callable[[int, Rows], Entry],
) -> Exchange:
    return Exchange(
        name=dataset.name,
        source=source,
        schema=schema,
        partition="partition",
        sort_by=sort_by,
        num_partitions=dataset.parts or 0,
        reduce_fn=reduce_fn,
        sink=sink,
    )


def _same(rows: Rows) -> Rows:
    return rows


@dataclass(frozen=True)
class _CountPairs:
    """Counts the pairs that a part verified, and the rows that failed."""

    min_jaccard: float

    def __call__(self, batch: pa.RecordBatch) -> Mapping[str, int]:
        passed = batch["jaccard"].to_numpy() >= self.min_jaccard
        first = batch["first"].to_numpy(zero_copy_only=False)
        return {"pairs": int(first.sum()), "edges": int((first & passed).sum()), "rows_failed": int((~passed).sum())}


def _digest_edges(batch: pa.RecordBatch) -> dict[str, int]:
    """Return an order-free digest of edges, by which two rounds are compared."""
    node, other = batch["node"].to_numpy(), batch["other"].to_numpy()
    mixed = hash_int64(hash_int64(node).view(np.int64) ^ other)
    return {"edges": batch.num_rows, "digest": int((mixed >> np.uint64(16)).sum())}
