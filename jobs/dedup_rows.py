"""The map sides of dedup's exchanges: what each phase reads of a part, and to which partition each row goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.exchange import Rows
from dataproc.ids import hash_int64
from dataproc.stage import with_columns
from dataproc.storage import Folder
from dataproc.tables import read_aligned, read_part
from jobs.dedup_scope import COLUMNS, Scope, salts, scoped_hashes
from stages.clusters import DECISIONS, EDGES
from stages.minhash_dedup import band_rows
from stages.minhash_plan import MinhashDedup
from stages.places import places

GROUPED = pa.schema(
    [
        ("partition", pa.int32()),
        ("hash", pa.binary()),
        ("root", pa.int64()),
        ("num_flags", pa.int64()),
        ("keep_order", pa.int64()),
        ("doc_id", pa.binary()),
        ("place", pa.int64()),
        ("weight", pa.int64()),
    ]
)
"""What a keeper is chosen from: groups of equal URLs or texts have a hash, components a root."""

MEMBERS = pa.schema([("partition", pa.int32()), ("place", pa.int64()), ("root", pa.int64())])
"""A document of a component, named by the component's least place."""

CONTRACTED_EDGES = 1 << 22
"""Edges held to be contracted, at 40 bytes each."""


def with_partition(batch: pa.RecordBatch, partition: npt.NDArray[Any]) -> pa.RecordBatch:
    """Return the batch with its partition ids as an int32 column."""
    return with_columns(batch, {"partition": pa.array(partition.astype(np.int32))})


def spread(keys: npt.NDArray[np.int64], partitions: int) -> npt.NDArray[np.uint64]:
    """Return the partition of each key, by hash."""
    return hash_int64(keys) % np.uint64(partitions)


Source = Callable[[int], Rows]
"""The map side of an exchange: unit -> rows."""


@dataclass(frozen=True)
class Joined:
    """Rows of several sources: unit (k, n) is unit n of source k."""

    sources: tuple[Source, ...]

    def __call__(self, unit: tuple[int, int]) -> Rows:
        """Yield the rows of one unit."""
        return self.sources[unit[0]](unit[1])


def joined(first: tuple[Source, range], *others: tuple[Source, range]) -> tuple[Callable[[Any], Rows], Sequence[Any]]:
    """Return one source, and its units, for the rows of all."""
    if not others:
        return first
    every = (first, *others)
    units = [(number, unit) for number, (_, units) in enumerate(every) for unit in units]
    return Joined(tuple(source for source, _ in every)), units


@dataclass(frozen=True)
class Keep:
    """How the document to keep of a cluster is chosen."""

    policy: str
    """newest, longest, first, or best."""
    best_by: str | None = None
    """The column that `best` goes by, greatest first."""

    def columns(self) -> dict[str, list[str]]:
        """Return what `order` reads of signatures/ and documents/."""
        best = [self.best_by] if self.policy == "best" and self.best_by else []
        return {"signatures": ["text_bytes"], "documents": ["date", "flags", *best]}

    def order(self, batch: pa.RecordBatch) -> dict[str, pa.Array | npt.NDArray[np.int64]]:
        """Return the two columns of GROUPED that are least for the document to keep, the first before the second.

        Fewest flags come first: a flagged copy that stayed could be dropped by the policy, and the whole cluster with
        it.
        """
        num_flags = pc.fill_null(pc.list_value_length(batch["flags"]), 0).cast(pa.int64())
        return {"num_flags": num_flags, "keep_order": self._keep_order(batch)}

    def _keep_order(self, batch: pa.RecordBatch) -> npt.NDArray[np.int64]:
        """Return an int64 per row, least for the one that the policy prefers; unknown dates and scores come last."""
        if self.policy == "longest":
            text_bytes: npt.NDArray[np.int64] = batch["text_bytes"].to_numpy()
            return -text_bytes
        if self.policy == "newest":
            return np.array([_newest_first(date) for date in batch["date"].to_pylist()], dtype=np.int64)
        if self.policy == "best":
            return _greatest_first(batch[self.best_by])
        return np.zeros(batch.num_rows, dtype=np.int64)


def _newest_first(date: str | None) -> int:
    try:
        return -int(datetime.fromisoformat(date or "").timestamp() * 1e6)
    except ValueError:
        return np.iinfo(np.int64).max


def _greatest_first(scores: pa.Array) -> npt.NDArray[np.int64]:
    """Return int64 in the opposite order of the scores; null and NaN come last.

    The bits of a float, read as an integer, are in its order; below zero in the opposite one.
    """
    values = pc.fill_null(scores.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False)
    bits = (0.0 - values).view(np.int64)  # 0.0 - 0.0 is 0.0, where -0.0 would have other bits
    ordered = np.where(bits < 0, bits ^ np.iinfo(np.int64).max, bits)
    return np.where(np.isnan(values), np.iinfo(np.int64).max, ordered)


@dataclass(frozen=True)
class Decided:
    """What earlier kinds of dedup have decided of the documents of a part."""

    folder: Folder
    datasets: tuple[str, ...]
    """In order: a document that one drops is not seen by the next."""

    def dropped(self, part: int) -> npt.NDArray[np.int64]:
        """Return the places of the documents that they drop."""
        tables = (table.filter(pc.is_valid(table["duplicate_of"])) for table in self._tables(part))
        return np.concatenate([np.zeros(0, np.int64), *(table["place"].to_numpy() for table in tables)])

    def sizes(self, part: int) -> dict[int, int]:
        """Return how many documents each kept one stands for, where these are more than one, by place."""
        sizes: dict[int, int] = {}
        for table in self._tables(part):  # a later size counts what the earlier ones did
            kept = table.filter(pc.is_null(table["duplicate_of"]))
            sizes |= dict(zip(kept["place"].to_pylist(), kept["cluster_size"].to_pylist(), strict=True))
        return sizes

    def _tables(self, part: int) -> Iterator[pa.Table]:
        for name in self.datasets:
            yield pa.Table.from_batches(read_part(self.folder, name, part, DECISIONS.names), DECISIONS)


def weights_of(places: npt.NDArray[np.int64], sizes: Mapping[int, int]) -> npt.NDArray[np.int64]:
    """Return how many documents the one at each place stands for."""
    return np.array([sizes.get(place, 1) for place in places.tolist()], dtype=np.int64)


@dataclass(frozen=True)
class HashRows:
    """Rows to group by a hash of signatures/: those that have one and were not dropped before."""

    folder: Folder
    column: str
    keep: Keep
    scope: Scope
    partitions: int
    decided: Decided

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        dropped, sizes = self.decided.dropped(part), self.decided.sizes(part)
        row = 0
        needed = self.keep.columns()
        columns = {
            "signatures": ["doc_id", self.column, *needed["signatures"]],
            "documents": [*needed["documents"], *COLUMNS[self.scope]],
        }
        for batch in read_aligned(self.folder, part, columns):
            here = places(part, row, batch.num_rows)
            row += batch.num_rows
            left = pc.is_valid(batch[self.column]).to_numpy(zero_copy_only=False) & ~np.isin(here, dropped)
            batch, here = batch.filter(pa.array(left)), here[left]
            added = {**self.keep.order(batch), "place": here, "weight": weights_of(here, sizes)}
            yield hash_groups(with_columns(batch, added), self.column, self.scope, self.partitions)


def hash_groups(batch: pa.RecordBatch, column: str, scope: Scope, partitions: int) -> pa.RecordBatch:
    """Return GROUPED from rows with all of it but the group, which is a hash in `column` within the scope."""
    scoped = scoped_hashes(batch[column], batch, scope)
    hashes = np.frombuffer(b"".join(scoped.to_pylist()), np.dtype("<u8"))[::2]
    grouped = with_columns(batch, {"hash": scoped, "root": pa.nulls(batch.num_rows, pa.int64())})
    return with_partition(grouped, hashes % np.uint64(partitions))


@dataclass(frozen=True)
class ByPlace:
    """The rows of a stored dataset, spread by the part that the place in `column` is in: to `ranges` of the parts.

    Those of earlier runs are spread over partitions of their own, from `ranges` on, a part of a run whole in one.
    """

    folder: Folder
    dataset: str
    column: str
    schema: pa.Schema
    parts: int
    ranges: int
    partitions: int

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        for batch in read_part(self.folder, self.dataset, part):
            where = batch[self.column].to_numpy() >> 32
            beyond = self.ranges + spread(where, self.partitions).astype(np.int64)
            yield with_partition(batch, np.where(where < 0, beyond, where * self.ranges // self.parts))


@dataclass(frozen=True)
class Stored:
    """The rows of a stored dataset that has its partition column already."""

    folder: Folder
    dataset: str

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        return read_part(self.folder, self.dataset, part)


@dataclass(frozen=True)
class BandRows:
    """The band keys of the documents that were not dropped before."""

    folder: Folder
    config: MinhashDedup
    scope: Scope
    partitions: int
    decided: Decided

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        dropped = self.decided.dropped(part)
        row = 0
        columns = {"signatures": ["doc_id", "minhash"]}
        if self.scope != "global":
            columns["documents"] = COLUMNS[self.scope]
        for batch in read_aligned(self.folder, part, columns):
            here = places(part, row, batch.num_rows)
            row += batch.num_rows
            added = {"place": here, "salt": salts(batch, self.scope)}
            left = with_columns(batch, added).filter(pa.array(~np.isin(here, dropped)))
            for rows in band_rows(left, self.config):
                yield by_key(with_claim(rows), self.partitions)


def with_claim(rows: pa.RecordBatch, run: int = 0, open_: pa.Array | None = None) -> pa.RecordBatch:
    """Return band rows with the columns CLAIMS, which exchanges without earlier runs leave out."""
    added = {
        "run": pa.array(np.full(rows.num_rows, run, np.int32)),
        "open": pa.array(np.ones(rows.num_rows, bool)) if open_ is None else open_,
    }
    return with_columns(rows, added)


def by_key(rows: pa.RecordBatch, partitions: int) -> pa.RecordBatch:
    """Return band rows with the partition in which a band's rows meet."""
    return with_partition(rows, spread(rows["key"].to_numpy() + rows["band"].to_numpy(), partitions))


@dataclass(frozen=True)
class FailedRows:
    """Members whose pair with their leader failed: what the band's next round is made of.

    With earlier runs a member can have several leaders; then those that passed come too, no longer open.
    """

    folder: Folder
    edges: str
    min_jaccard: float
    partitions: int
    only_failed: bool
    columns: tuple[str, ...]

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        for batch in read_part(self.folder, self.edges, part, [*self.columns, "jaccard"]):
            failed = pc.less(batch["jaccard"], self.min_jaccard)
            rows = with_claim(batch, open_=failed)
            yield by_key(rows.filter(failed) if self.only_failed else rows, self.partitions)


@dataclass(frozen=True)
class VerifiedEdges:
    """The verified pairs of all rounds, contracted part by part before they travel, seen from both ends."""

    folder: Folder
    edges: tuple[str, ...]
    min_jaccard: float | None
    """None: every pair counts."""
    partitions: int

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        held: list[pa.RecordBatch] = []
        size = 0
        for name in self.edges:
            for batch in verified(self.folder, name, part, self.min_jaccard, ("place", "a_place")):
                held.append(batch.select(["place", "a_place"]))
                size += batch.num_rows
                if size >= CONTRACTED_EDGES:
                    yield from self._contracted(held)
                    held, size = [], 0
        if held:
            yield from self._contracted(held)

    def _contracted(self, held: Sequence[pa.RecordBatch]) -> Rows:
        from dataproc.kernels.union_find import components

        edges = pa.Table.from_batches(held)
        node, root = components(edges["place"].to_numpy(), edges["a_place"].to_numpy())
        yield from _both_ways(node[node != root], root[node != root], self.partitions)


def verified(folder: Folder, name: str, part: int, min_jaccard: float | None, columns: Sequence[str]) -> Rows:
    """Yield the named columns of the pairs of a part that link; all do without a limit."""
    if min_jaccard is None:
        yield from read_part(folder, name, part, columns)
        return
    for batch in read_part(folder, name, part, [*columns, "jaccard", "first"]):
        yield batch.filter(pc.and_(batch["first"], pc.greater_equal(batch["jaccard"], min_jaccard)))


@dataclass(frozen=True)
class StarEdges:
    """The edges that the last star left, seen from both ends or from the greater only."""

    folder: Folder
    dataset: str
    partitions: int
    both_ways: bool

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        for batch in read_part(self.folder, self.dataset, part):
            node, other = batch["node"].to_numpy(), batch["other"].to_numpy()
            if self.both_ways:
                yield from _both_ways(node, other, self.partitions)
            else:
                yield with_partition(batch, spread(node, self.partitions))


def _both_ways(node: npt.NDArray[np.int64], other: npt.NDArray[np.int64], partitions: int) -> Rows:
    for near, far in ((node, other), (other, node)):
        batch = pa.RecordBatch.from_arrays([pa.array(near), pa.array(far)], schema=EDGES)
        yield with_partition(batch, spread(near, partitions))


@dataclass(frozen=True)
class Members:
    """(place, root) of each document of this run in a component, from its stars; a root may come from several parts."""

    folder: Folder
    stars: str

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        for batch in read_part(self.folder, self.stars, part):
            roots = np.unique(batch["other"].to_numpy())
            place = np.concatenate([batch["node"].to_numpy(), roots])
            root = np.concatenate([batch["other"].to_numpy(), roots])
            yield own_members(place, root)


def own_members(place: npt.NDArray[np.int64], root: npt.NDArray[np.int64]) -> pa.RecordBatch:
    """Return MEMBERS, those of earlier runs left out, spread to their parts."""
    own = place >= 0
    rows = pa.RecordBatch.from_arrays([pa.array(place[own]), pa.array(root[own])], names=["place", "root"])
    return with_partition(rows, place[own] >> 32)
