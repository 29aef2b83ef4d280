"""documents/, signatures/ -> dedup/ and dropped/dedup/: exact duplicates, then near duplicates among what is left.

Every phase is a dataset of its own below dedup/, filled by one exchange, so a killed run goes on at the part where it was:

    exact_groups -> exact                        equal text hashes; decisions brought back to the documents' parts
    round-0/{candidates,shingled,edges} ...      band members paired with their leader, then verified; failures form the next round
    components-0/{large,small} ...               stars until nothing changes: every document points at the least of its component
    near_groups                                  who is kept of each component
    dedup                                        the sidecar: duplicate_of, reason, cluster_size

A row is addressed by its place, part << 32 | row. The evidence (edges with their Jaccard) stays.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.errors import ShardError
from dataproc.exchange import Exchange, Rows
from dataproc.ids import hash_int64
from dataproc.schema import DROPPED
from dataproc.shards import Dataset, Entry
from dataproc.stage import with_columns
from dataproc.storage import Folder
from dataproc.tables import create_part, part_name, read_aligned, read_part
from jobs.documents import dropped_rows
from jobs.recipe import Recipe
from jobs.run import PartSink, Run
from stages.clusters import DECISIONS, EDGES, ChooseKeepers, large_star, small_star
from stages.minhash_dedup import BANDS, CANDIDATES, AttachShingles, MinhashDedup, Verify, band_rows, pair_with_leader

MAX_COMPONENT_ROUNDS = 64

GROUPED = pa.schema(
    [
        ("partition", pa.int32()),
        ("text_hash", pa.binary()),
        ("root", pa.int64()),
        ("keep_order", pa.int64()),
        ("doc_id", pa.binary()),
        ("place", pa.int64()),
        ("weight", pa.int64()),
    ]
)
"""What a keeper is chosen from: exact groups have a text_hash, components a root."""

SHINGLED = pa.schema([*CANDIDATES, ("shingles", pa.binary())])
VERIFIED = pa.schema([*CANDIDATES, ("jaccard", pa.float64()), ("first", pa.bool_())])
"""`first` marks one row of each pair; the others are the same pair in further bands."""

SIDECAR = pa.schema(
    [
        ("doc_id", pa.binary()),
        ("duplicate_of", pa.binary()),  # the document kept in its stead, null for kept ones; may itself be a near duplicate
        ("dedup_reason", pa.string()),  # dedup.exact or dedup.minhash, null for kept ones
        ("cluster_size", pa.int64()),  # documents that a kept one stands for, itself included; null for dropped ones
    ]
)


def run_dedup(run: Run) -> None:
    """Fill dedup/ and dropped/dedup/."""
    config = run.recipe.dedup
    final = declare_dedup(run)
    if final.complete():
        return
    dedup = _Dedup(run)
    if config.exact is not None:
        dedup.exact()
    if config.minhash is not None:
        dedup.near(config.minhash)
    sink = _SidecarSink(final, run.recipe)
    dedup.by_part(final, "dedup/near_groups" if config.minhash is not None else None, sink)


def declare_dedup(run: Run) -> Dataset:
    """Return the dataset dedup/."""
    return _phase(run, "dedup", ["signatures"], run.num_parts)


def _phase(run: Run, name: str, reads: Sequence[str], parts: int) -> Dataset:
    """Return a phase's dataset; all phases share one fingerprint basis, the dedup config."""
    made_from = {"version": 1, "dedup": run.recipe.dedup.model_dump(mode="json"), "phase": name}
    return run.dataset(name, made_from, reads, parts)


@dataclass
class _Dedup:
    """The phases of one run."""

    run: Run

    def __post_init__(self) -> None:
        entries = Dataset(self.run.folder, "documents", {}, self.run.num_parts).entries()
        text = sum(entry.counters["text_bytes"] for entry in entries)
        self.partitions = 1 + text // self.run.recipe.dedup.partition_bytes

    def dataset(self, name: str, *reads: str, parts: int | None = None) -> Dataset:
        return _phase(self.run, name, reads, self.partitions if parts is None else parts)

    def exact(self) -> None:
        groups = self.dataset("dedup/exact_groups", "signatures")
        self.run.regroup(
            groups,
            Exchange(
                name=groups.name,
                source=_ExactRows(self.run.folder, self.run.recipe.dedup.keep, self.partitions),
                schema=GROUPED,
                partition="partition",
                sort_by=("text_hash", "keep_order", "doc_id"),
                num_partitions=self.partitions,
                reduce_fn=ChooseKeepers("text_hash"),
                sink=PartSink(groups, DECISIONS),
            ),
            range(self.run.num_parts),
        )
        exact = self.dataset("dedup/exact", groups.name, parts=self.run.num_parts)
        self.by_part(exact, groups.name, PartSink(exact, DECISIONS))

    def by_part(self, dataset: Dataset, source: str | None, sink: Callable[[int, Rows], Entry]) -> None:
        """Bring decisions back to the parts of the documents that they are about, in row order."""
        schema = pa.schema([("partition", pa.int32()), *DECISIONS])
        self.run.regroup(
            dataset,
            Exchange(
                name=dataset.name,
                source=_ByPlace(self.run.folder, source or "", "place", schema),
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
        groups = self.dataset("dedup/near_groups", "signatures")
        if groups.complete():
            return
        edges = self._verified_edges(config)
        roots = self._components(edges)
        exact = "dedup/exact" if self.run.recipe.dedup.exact is not None else None
        attached = self.dataset("dedup/members", roots, parts=self.run.num_parts)
        self.run.regroup(
            attached,
            Exchange(
                name=attached.name,
                source=_Members(self.run.folder, roots),
                schema=pa.schema([("partition", pa.int32()), ("place", pa.int64()), ("root", pa.int64())]),
                partition="partition",
                sort_by=("place", "root"),
                num_partitions=self.run.num_parts,
                reduce_fn=_same,
                sink=_AttachSink(attached, self.run.recipe.dedup.keep, exact, self.partitions),
            ),
            range(self.partitions),
        )
        self.run.regroup(
            groups,
            Exchange(
                name=groups.name,
                source=_Stored(self.run.folder, attached.name),
                schema=GROUPED,
                partition="partition",
                sort_by=("root", "keep_order", "doc_id"),
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
            source: Callable[[int], Rows] = _BandRows(self.run.folder, config, self.partitions, self.run.recipe.dedup.exact is not None)
            units, reads = range(self.run.num_parts), "signatures"
            if number:
                source = _FailedRows(self.run.folder, names[-1], config.min_jaccard, self.partitions)
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
            self.run.regroup(candidates, _exchange(candidates, source, BANDS, by_key, pair_with_leader, CANDIDATES), units)
            spread = pa.schema([("partition", pa.int32()), *CANDIDATES])
            by_member = _ByPlace(folder, candidates.name, "place", spread)
            order = ("place", "a_place", "band")
            self.run.regroup(
                shingled, _exchange(shingled, by_member, spread, order, AttachShingles(folder), SHINGLED), range(self.partitions)
            )
            spread = pa.schema([("partition", pa.int32()), *SHINGLED])
            by_leader = _ByPlace(folder, shingled.name, "a_place", spread)
            order = ("a_place", "place", "band")
            count = _CountPairs(config.min_jaccard)
            self.run.regroup(
                edges, _exchange(edges, by_leader, spread, order, Verify(folder), VERIFIED, count), range(parts)
            )
        shingled.discard()  # shingles travelled only to be compared: not worth keeping
        return edges.name, sum(entry.counters.get("rows_failed", 0) for entry in edges.entries())

    def _components(self, edge_names: list[str]) -> str:
        """Run large and small stars until the edges stay as they are; return the name of the last dataset."""
        source: Callable[[int], Rows] = _VerifiedEdges(
            self.run.folder, edge_names, self.run.recipe.dedup.minhash.min_jaccard, self.partitions  # type: ignore[union-attr]
        )
        units, reads, before = range(self.run.num_parts), edge_names, None
        for number in range(MAX_COMPONENT_ROUNDS):
            large = self.dataset(f"dedup/components-{number}/large", *reads)
            small = self.dataset(f"dedup/components-{number}/small", large.name)
            by_node = ("node", "other")
            spread = pa.schema([("partition", pa.int32()), *EDGES])
            self.run.regroup(large, _exchange(large, source, spread, by_node, large_star, EDGES), units)
            down = _StarEdges(self.run.folder, large.name, self.partitions, both_ways=False)
            self.run.regroup(
                small, _exchange(small, down, spread, by_node, small_star, EDGES, _digest_edges), range(self.partitions)
            )
            digest = sum((Counter(entry.counters) for entry in small.entries()), Counter[str]())
            if digest == before or not digest:
                return small.name
            before = digest
            source = _StarEdges(self.run.folder, small.name, self.partitions, both_ways=True)
            units, reads = range(self.partitions), [small.name]
        raise ShardError(f"dedup components must settle within {MAX_COMPONENT_ROUNDS} rounds, got no end. Report this as a bug.")


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


def _with_partition(batch: pa.RecordBatch, partition: npt.NDArray[Any]) -> pa.RecordBatch:
    return with_columns(batch, {"partition": pa.array(partition.astype(np.int32))})


def _spread(keys: npt.NDArray[np.int64], partitions: int) -> npt.NDArray[np.uint64]:
    return hash_int64(keys) % np.uint64(partitions)


def _places(part: int, first_row: int, rows: int) -> npt.NDArray[np.int64]:
    return (part << 32) + np.arange(first_row, first_row + rows, dtype=np.int64)


def keep_order(batch: pa.RecordBatch, keep: str) -> npt.NDArray[np.int64]:
    """Return an int64 per row, least for the document to keep; needs columns date and text_bytes. Unknown dates come last."""
    if keep == "longest":
        return -batch["text_bytes"].to_numpy()
    if keep == "newest":
        return np.array([_newest_first(date) for date in batch["date"].to_pylist()], dtype=np.int64)
    return np.zeros(batch.num_rows, dtype=np.int64)


def _newest_first(date: str | None) -> int:
    try:
        return -int(datetime.fromisoformat(date or "").timestamp() * 1e6)
    except ValueError:
        return np.iinfo(np.int64).max


@dataclass(frozen=True)
class _ExactRows:
    """Rows to group by text hash."""

    folder: Folder
    keep: str
    partitions: int

    def __call__(self, part: int) -> Rows:
        row = 0
        columns = {"signatures": ["doc_id", "text_hash", "text_bytes"], "documents": ["date"]}
        for batch in read_aligned(self.folder, part, columns):
            hashes = np.frombuffer(b"".join(batch["text_hash"].to_pylist()), np.dtype("<u8"))[::2]
            added = {
                "root": pa.nulls(batch.num_rows, pa.int64()),
                "keep_order": keep_order(batch, self.keep),
                "place": _places(part, row, batch.num_rows),
                "weight": np.ones(batch.num_rows, dtype=np.int64),
            }
            yield _with_partition(with_columns(batch, added), hashes % np.uint64(self.partitions))
            row += batch.num_rows


@dataclass(frozen=True)
class _ByPlace:
    """The rows of a stored dataset, spread to the part that the place in `column` is in."""

    folder: Folder
    dataset: str
    column: str
    schema: pa.Schema

    def __call__(self, part: int) -> Rows:
        for batch in read_part(self.folder, self.dataset, part):
            yield _with_partition(batch, batch[self.column].to_numpy() >> 32)


@dataclass(frozen=True)
class _Stored:
    """The rows of a stored dataset that has its partition column already."""

    folder: Folder
    dataset: str

    def __call__(self, part: int) -> Rows:
        return read_part(self.folder, self.dataset, part)


@dataclass(frozen=True)
class _BandRows:
    """The band keys of the documents that exact dedup left."""

    folder: Folder
    config: MinhashDedup
    partitions: int
    exact: bool

    def __call__(self, part: int) -> Rows:
        dropped = np.array([], dtype=np.int64)
        if self.exact:
            decided = pa.Table.from_batches(read_part(self.folder, "dedup/exact", part), DECISIONS)
            dropped = decided["place"].filter(pc.is_valid(decided["duplicate_of"])).to_numpy()
        row = 0
        for batch in read_part(self.folder, "signatures", part, ["doc_id", "minhash"]):
            places = _places(part, row, batch.num_rows)
            row += batch.num_rows
            left = with_columns(batch, {"place": places}).filter(pa.array(~np.isin(places, dropped)))
            for rows in band_rows(left, self.config):
                yield _by_key(rows, self.partitions)


def _by_key(rows: pa.RecordBatch, partitions: int) -> pa.RecordBatch:
    return _with_partition(rows, _spread(rows["key"].to_numpy() + rows["band"].to_numpy(), partitions))


@dataclass(frozen=True)
class _FailedRows:
    """Members whose pair with their leader failed: what the band's next round is made of."""

    folder: Folder
    edges: str
    min_jaccard: float
    partitions: int

    def __call__(self, part: int) -> Rows:
        for batch in read_part(self.folder, self.edges, part, ["band", "key", "doc_id", "place", "jaccard"]):
            failed = batch.filter(pc.less(batch["jaccard"], self.min_jaccard))
            yield _by_key(failed.select(["band", "key", "doc_id", "place"]), self.partitions)


@dataclass(frozen=True)
class _CountPairs:
    """Counts the pairs that a part verified, and the rows that failed."""

    min_jaccard: float

    def __call__(self, batch: pa.RecordBatch) -> dict[str, int]:
        passed = batch["jaccard"].to_numpy() >= self.min_jaccard
        first = batch["first"].to_numpy(zero_copy_only=False)
        return {"pairs": int(first.sum()), "edges": int((first & passed).sum()), "rows_failed": int((~passed).sum())}


@dataclass(frozen=True)
class _VerifiedEdges:
    """The verified pairs of all rounds, contracted part by part before they travel, seen from both ends."""

    folder: Folder
    edges: list[str]
    min_jaccard: float
    partitions: int

    def __call__(self, part: int) -> Rows:
        from dataproc.kernels.union_find import components

        columns = ["place", "a_place", "jaccard", "first"]
        nodes, others = [np.array([], np.int64)], [np.array([], np.int64)]
        for name in self.edges:
            for batch in read_part(self.folder, name, part, columns):
                batch = batch.filter(pc.and_(batch["first"], pc.greater_equal(batch["jaccard"], self.min_jaccard)))
                nodes.append(batch["place"].to_numpy())
                others.append(batch["a_place"].to_numpy())
        node, root = components(np.concatenate(nodes), np.concatenate(others))
        yield from _both_ways(node[node != root], root[node != root], self.partitions)


@dataclass(frozen=True)
class _StarEdges:
    """The edges that the last star left, seen from both ends or from the greater only."""

    folder: Folder
    dataset: str
    partitions: int
    both_ways: bool

    def __call__(self, part: int) -> Rows:
        for batch in read_part(self.folder, self.dataset, part):
            node, other = batch["node"].to_numpy(), batch["other"].to_numpy()
            if self.both_ways:
                yield from _both_ways(node, other, self.partitions)
            else:
                yield _with_partition(batch, _spread(node, self.partitions))


def _both_ways(node: npt.NDArray[np.int64], other: npt.NDArray[np.int64], partitions: int) -> Rows:
    for near, far in ((node, other), (other, node)):
        batch = pa.RecordBatch.from_arrays([pa.array(near), pa.array(far)], schema=EDGES)
        yield _with_partition(batch, _spread(near, partitions))


def _digest_edges(batch: pa.RecordBatch) -> dict[str, int]:
    """Return an order-free digest of edges, by which two rounds are compared."""
    node, other = batch["node"].to_numpy(), batch["other"].to_numpy()
    mixed = hash_int64(hash_int64(node).view(np.int64) ^ other)
    return {"edges": batch.num_rows, "digest": int((mixed >> np.uint64(16)).sum())}


@dataclass(frozen=True)
class _Members:
    """(place, root) of every document in a component, from its stars; a root may come from several parts."""

    folder: Folder
    stars: str

    def __call__(self, part: int) -> Rows:
        for batch in read_part(self.folder, self.stars, part):
            roots = np.unique(batch["other"].to_numpy())
            place = np.concatenate([batch["node"].to_numpy(), roots])
            root = np.concatenate([batch["other"].to_numpy(), roots])
            rows = pa.RecordBatch.from_arrays([pa.array(place), pa.array(root)], names=["place", "root"])
            yield _with_partition(rows, place >> 32)


@dataclass(frozen=True)
class _AttachSink:
    """Stores the members of a part with what the choice of a keeper needs: doc_id, keep_order and weight."""

    dataset: Dataset
    keep: str
    exact: str | None
    partitions: int

    def __call__(self, part: int, rows: Rows) -> Entry:
        started = time.perf_counter()
        folder, name = self.dataset.folder, part_name(self.dataset.name, part)
        members = _unique_places(pa.Table.from_batches(rows, pa.schema([("partition", pa.int32()), *_MEMBER])))
        weights = _exact_sizes(folder, self.exact, part)
        columns = {"signatures": ["doc_id", "text_bytes"], "documents": ["date"]}
        row = 0
        with create_part(folder, name, GROUPED) as out:
            for batch in read_aligned(folder, part, columns) if members.num_rows else []:
                here = _slice_rows(members, part, row, batch.num_rows)
                place = here["place"].to_numpy()
                picked = batch.take(pa.array(place - (part << 32) - row))
                added = {
                    "text_hash": pa.nulls(len(place), pa.binary()),
                    "root": here["root"].combine_chunks(),
                    "keep_order": keep_order(picked, self.keep),
                    "place": place,
                    "weight": np.array([weights.get(one, 1) for one in place.tolist()], dtype=np.int64),
                }
                out.write(_with_partition(with_columns(picked, added), _spread(here["root"].to_numpy(), self.partitions)))
                row += batch.num_rows
        return self.dataset.commit(part, {name: out.rows}, {}, time.perf_counter() - started)


_MEMBER = pa.schema([("place", pa.int64()), ("root", pa.int64())])


def _unique_places(table: pa.Table) -> pa.Table:
    place = table["place"].to_numpy()
    return table.filter(pa.array(np.diff(place, prepend=-1) != 0))


def _slice_rows(table: pa.Table, part: int, row: int, rows: int) -> pa.Table:
    """Return the rows of a table sorted by place that are about rows [row, row + rows) of a part."""
    start, stop = np.searchsorted(table["place"].to_numpy(), [(part << 32) + row, (part << 32) + row + rows])
    return table.slice(start, stop - start)


def _exact_sizes(folder: Folder, exact: str | None, part: int) -> dict[int, int]:
    """Return the cluster size of each document that exact dedup kept for several."""
    if exact is None:
        return {}
    decided = pa.Table.from_batches(read_part(folder, exact, part), DECISIONS)
    kept = decided.filter(pc.is_null(decided["duplicate_of"]))
    return dict(zip(kept["place"].to_pylist(), kept["cluster_size"].to_pylist(), strict=True))


@dataclass(frozen=True)
class _SidecarSink:
    """Writes dedup/ and dropped/dedup/ of one part from the decisions of both kinds of dedup."""

    dataset: Dataset
    recipe: Recipe

    def __call__(self, part: int, rows: Rows) -> Entry:
        started = time.perf_counter()
        folder, keep_text = self.dataset.folder, self.recipe.documents.dropped_text
        near = pa.Table.from_batches((batch.select(DECISIONS.names) for batch in rows), DECISIONS)
        exact = DECISIONS.empty_table()
        if self.recipe.dedup.exact is not None:
            exact = pa.Table.from_batches(read_part(folder, "dedup/exact", part), DECISIONS)
        text = [] if keep_text == "none" else ["text"]
        name, dropped_name = part_name("dedup", part), part_name("dropped/dedup", part)
        columns = {"documents": ["doc_id", "url", "input", "position", *text]}
        reasons: Counter[str] = Counter()
        row = 0
        with create_part(folder, name, SIDECAR) as out, create_part(folder, dropped_name, DROPPED) as dropped:
            for batch in read_aligned(folder, part, columns):
                sidecar = self._decide(batch["doc_id"], part, row, exact, near)
                out.write(sidecar)
                lost = with_columns(batch, {"drop_reason": sidecar["dedup_reason"], **self._values(sidecar)})
                lost = lost.filter(pc.is_valid(sidecar["dedup_reason"]))
                dropped.write(dropped_rows(lost, keep_text))
                reasons.update(lost["drop_reason"].to_pylist())
                row += batch.num_rows
        counters = {"rows_in": out.rows, "rows_kept": out.rows - dropped.rows, "dropped": dict(reasons)}
        return self.dataset.commit(part, {name: out.rows, dropped_name: dropped.rows}, counters, time.perf_counter() - started)

    def _decide(self, ids: pa.Array, part: int, row: int, exact: pa.Table, near: pa.Table) -> pa.RecordBatch:
        rows = len(ids)
        keeper = np.full(rows, None, dtype=object)
        reason = np.full(rows, None, dtype=object)
        size: npt.NDArray[Any] = np.ones(rows, dtype=np.int64)
        for table, name in ((exact, "dedup.exact"), (near, "dedup.minhash")):
            here = _slice_rows(table, part, row, rows)
            at = here["place"].to_numpy() - (part << 32) - row
            keeper[at] = here["duplicate_of"].to_pylist()
            is_dropped = pc.is_valid(here["duplicate_of"]).to_numpy()
            reason[at[is_dropped]] = name
            size[at] = pc.fill_null(here["cluster_size"], 0).to_numpy()
        columns = [
            ids,
            pa.array(keeper, pa.binary()),
            pa.array(reason, pa.string()),
            pa.array(size, mask=reason != None),  # noqa: E711 - elementwise on an object array
        ]
        return pa.RecordBatch.from_arrays(columns, schema=SIDECAR)

    def _values(self, sidecar: pa.RecordBatch) -> dict[str, pa.Array]:
        """Return drop_value (nothing is measured here; the edges hold the Jaccard) and drop_limit."""
        nothing = pa.nulls(sidecar.num_rows, pa.float64())
        if self.recipe.dedup.minhash is None:
            return {"drop_value": nothing, "drop_limit": nothing}
        is_near = pc.equal(sidecar["dedup_reason"], "dedup.minhash")
        return {"drop_value": nothing, "drop_limit": pc.if_else(is_near, self.recipe.dedup.minhash.min_jaccard, nothing)}
