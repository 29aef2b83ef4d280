"""The map sides of dedup's exchanges: what each phase reads of a part, and to which partition each row goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from stages.clusters import DECISIONS, EDGES
from stages.minhash_dedup import MinhashDedup, band_rows

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

KEEPER_COLUMNS = {"signatures": ["text_bytes"], "documents": ["date", "flags"]}
"""What `keeper_columns` reads."""

MEMBERS = pa.schema([("partition", pa.int32()), ("place", pa.int64()), ("root", pa.int64())])
"""A document of a component, named by the component's least place."""


def with_partition(batch: pa.RecordBatch, partition: npt.NDArray[Any]) -> pa.RecordBatch:
    """Return the batch with its partition ids as an int32 column."""
    return with_columns(batch, {"partition": pa.array(partition.astype(np.int32))})


def spread(keys: npt.NDArray[np.int64], partitions: int) -> npt.NDArray[np.uint64]:
    """Return the partition of each key, by hash."""
    return hash_int64(keys) % np.uint64(partitions)


def _places(part: int, first_row: int, rows: int) -> npt.NDArray[np.int64]:
    return (part << 32) + np.arange(first_row, first_row + rows, dtype=np.int64)


def keeper_columns(batch: pa.RecordBatch, keep: str) -> dict[str, pa.Array | npt.NDArray[np.int64]]:
    """Return the two columns of GROUPED that are least for the document to keep, the first before the second.

    Fewest flags come first: a flagged copy that stayed could be dropped by the policy, and the whole cluster with it.
    """
    num_flags = pc.fill_null(pc.list_value_length(batch["flags"]), 0).cast(pa.int64())
    return {"num_flags": num_flags, "keep_order": _keep_order(batch, keep)}


def _keep_order(batch: pa.RecordBatch, keep: str) -> npt.NDArray[np.int64]:
    """Return an int64 per row, least for the one that `keep` prefers; unknown dates come last."""
    if keep == "longest":
        text_bytes: npt.NDArray[np.int64] = batch["text_bytes"].to_numpy()
        return -text_bytes
    if keep == "newest":
        return np.array([_newest_first(date) for date in batch["date"].to_pylist()], dtype=np.int64)
    return np.zeros(batch.num_rows, dtype=np.int64)


def _newest_first(date: str | None) -> int:
    try:
        return -int(datetime.fromisoformat(date or "").timestamp() * 1e6)
    except ValueError:
        return np.iinfo(np.int64).max


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
            yield pa.Table.from_batches(read_part(self.folder, name, part), DECISIONS)


def weights_of(places: npt.NDArray[np.int64], sizes: Mapping[int, int]) -> npt.NDArray[np.int64]:
    """Return how many documents the one at each place stands for."""
    return np.array([sizes.get(place, 1) for place in places.tolist()], dtype=np.int64)


@dataclass(frozen=True)
class HashRows:
    """Rows to group by a hash of signatures/: those that have one and were not dropped before."""

    folder: Folder
    column: str
    keep: str
    partitions: int
    decided: Decided

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        dropped, sizes = self.decided.dropped(part), self.decided.sizes(part)
        row = 0
        columns = {**KEEPER_COLUMNS, "signatures": ["doc_id", self.column, *KEEPER_COLUMNS["signatures"]]}
        for batch in read_aligned(self.folder, part, columns):
            places = _places(part, row, batch.num_rows)
            row += batch.num_rows
            here = pc.is_valid(batch[self.column]).to_numpy(zero_copy_only=False) & ~np.isin(places, dropped)
            batch, places = batch.filter(pa.array(here)), places[here]
            hashes = np.frombuffer(b"".join(batch[self.column].to_pylist()), np.dtype("<u8"))[::2]
            added = {
                "hash": batch[self.column],
                "root": pa.nulls(batch.num_rows, pa.int64()),
                **keeper_columns(batch, self.keep),
                "place": places,
                "weight": weights_of(places, sizes),
            }
            yield with_partition(with_columns(batch, added), hashes % np.uint64(self.partitions))


@dataclass(frozen=True)
class ByPlace:
    """The rows of a stored dataset, spread to the part that the place in `column` is in."""

    folder: Folder
    dataset: str
    column: str
    schema: pa.Schema

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        for batch in read_part(self.folder, self.dataset, part):
            yield with_partition(batch, batch[self.column].to_numpy() >> 32)


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
    partitions: int
    decided: Decided

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        dropped = self.decided.dropped(part)
        row = 0
        for batch in read_part(self.folder, "signatures", part, ["doc_id", "minhash"]):
            places = _places(part, row, batch.num_rows)
            row += batch.num_rows
            left = with_columns(batch, {"place": places}).filter(pa.array(~np.isin(places, dropped)))
            for rows in band_rows(left, self.config):
                yield _by_key(rows, self.partitions)


def _by_key(rows: pa.RecordBatch, partitions: int) -> pa.RecordBatch:
    return with_partition(rows, spread(rows["key"].to_numpy() + rows["band"].to_numpy(), partitions))


@dataclass(frozen=True)
class FailedRows:
    """Members whose pair with their leader failed: what the band's next round is made of."""

    folder: Folder
    edges: str
    min_jaccard: float
    partitions: int

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        for batch in read_part(self.folder, self.edges, part, ["band", "key", "doc_id", "place", "jaccard"]):
            failed = batch.filter(pc.less(batch["jaccard"], self.min_jaccard))
            yield _by_key(failed.select(["band", "key", "doc_id", "place"]), self.partitions)


@dataclass(frozen=True)
class VerifiedEdges:
    """The verified pairs of all rounds, contracted part by part before they travel, seen from both ends."""

    folder: Folder
    edges: list[str]
    min_jaccard: float
    partitions: int

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
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
    """(place, root) of every document in a component, from its stars; a root may come from several parts."""

    folder: Folder
    stars: str

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        for batch in read_part(self.folder, self.stars, part):
            roots = np.unique(batch["other"].to_numpy())
            place = np.concatenate([batch["node"].to_numpy(), roots])
            root = np.concatenate([batch["other"].to_numpy(), roots])
            rows = pa.RecordBatch.from_arrays([pa.array(place), pa.array(root)], names=["place", "root"])
            yield with_partition(rows, place >> 32)
