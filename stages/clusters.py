"""Reducers over sorted groups: who leads a group, which documents form a component, which of them is kept.

A group may span batches, so each reducer carries one row from batch to batch and never holds a group. The rows that
come out, and their order, depend on the rows that go in alone: where batches end, engines may differ.
Components: Kiveris et al. 2014, "Connected Components in MapReduce and Beyond", large-star and small-star.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.exchange import Rows
from dataproc.stage import with_columns

EDGES = pa.schema([("node", pa.int64()), ("other", pa.int64())])
"""An edge of the graph of places; after `small_star` it points from the greater place to the smaller."""

DECISIONS = pa.schema(
    [
        ("place", pa.int64()),  # part << 32 | row
        ("doc_id", pa.binary()),
        ("duplicate_of", pa.binary()),  # the document kept in its stead; null for the one kept
        ("cluster_size", pa.int64()),  # documents that the kept one stands for; null for the others
    ]
)
"""What dedup decides of a document that has duplicates; documents without any have no row."""

WITH_EARLIER = DECISIONS.append(pa.field("keeper_place", pa.int64()))
"""DECISIONS of a run with earlier ones: also where the document kept is; negative in an earlier run."""


def lead(
    rows: Rows, keys: Sequence[str], columns: Sequence[str]
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch, npt.NDArray[np.bool_]]]:
    """Yield each batch of sorted rows with the leader's columns for each row and a mask of the rows that open a group.

    A group is a run of rows with equal `keys`; its first row leads. Example: keys 1 1 2 with column a b c give leaders
    a a c and starts [True, False, True].
    """
    carried: pa.RecordBatch | None = None
    for batch in rows:
        if not batch.num_rows:
            continue
        joined = batch if carried is None else pa.concat_batches([carried, batch])
        starts = group_starts(joined, keys)
        leader = np.maximum.accumulate(np.where(starts, np.arange(joined.num_rows), 0))
        leaders = joined.select(list(columns)).take(pa.array(leader))
        skip = 0 if carried is None else 1
        yield batch, leaders.slice(skip), starts[skip:]
        carried = joined.slice(int(leader[-1]), 1)


def group_starts(batch: pa.RecordBatch, keys: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Return a mask of the rows whose keys differ from the row before; the first row always starts."""
    starts = np.zeros(batch.num_rows, dtype=bool)
    starts[0] = True
    for key in keys:
        column = batch[key]
        starts[1:] |= pc.not_equal(column.slice(1), column.slice(0, len(column) - 1)).to_numpy(zero_copy_only=False)
    return starts


def large_star(rows: Rows) -> Rows:
    """Link each greater neighbour to the node's least one; edges seen from both ends, sorted by (node, other)."""
    for batch, leaders, _ in lead(_without_repeats(rows), ["node"], ["other"]):
        node, other = batch["node"].to_numpy(), batch["other"].to_numpy()
        least = np.minimum(node, leaders["other"].to_numpy())
        yield _edges(other, least, other > node)


def small_star(rows: Rows) -> Rows:
    """Link the node and its neighbours to the least one; edges from greater to smaller, sorted by (node, other)."""
    for batch, leaders, starts in lead(_without_repeats(rows), ["node"], ["other"]):
        node, other = batch["node"].to_numpy(), batch["other"].to_numpy()
        # The first of a node's rows is that of its least neighbour, which needs no edge to itself.
        yield _edges(np.where(starts, node, other), leaders["other"].to_numpy(), np.ones(len(node), bool))


def _without_repeats(rows: Rows) -> Rows:
    """Yield sorted edges, each once: several nodes may have led to the same one."""
    for batch, _, starts in lead(rows, ["node", "other"], []):
        yield batch.filter(pa.array(starts))


def _edges(node: npt.NDArray[np.int64], other: npt.NDArray[np.int64], keep: npt.NDArray[np.bool_]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(node[keep]), pa.array(other[keep])], schema=EDGES)


class ChooseKeepers:
    """Reducer to WITH_EARLIER: the first row of each group is kept and stands for the sum of the group's weights.

    Rows have `group` columns, doc_id, place and weight (int64), sorted so that the best of a group comes first. Groups
    that stand for one document give no rows; in others the one kept comes last, when its group is known. Nothing is
    decided of documents of earlier runs.
    """

    def __init__(self, *group: str) -> None:
        self._group = list(group)

    def __call__(self, rows: Rows) -> Rows:
        """Yield WITH_EARLIER."""
        open_: pa.RecordBatch | None = None  # the keeper of the last group, its weight the sum so far
        for batch in rows:
            if not batch.num_rows:
                continue
            joined = batch if open_ is None else pa.concat_batches([open_, batch])
            starts = group_starts(joined, self._group)
            first = np.flatnonzero(starts)
            sums = np.add.reduceat(joined["weight"].to_numpy(), first)
            owner = np.cumsum(starts) - 1
            # A row that opens a group ends the one before it, whose keeper comes in its stead; any other is dropped.
            closes = starts[1:]
            about = np.where(closes, first[owner[:-1]], np.arange(1, len(owner)))
            keeper = joined.take(pa.array(first[owner[:-1]]))
            yield _decisions(joined.take(pa.array(about)), keeper, sums[owner[:-1]], closes)
            open_ = with_columns(joined.slice(int(first[-1]), 1), {"weight": sums[-1:]})
        if open_ is not None:
            yield _decisions(open_, open_, open_["weight"].to_numpy(), np.array([True]))


def _decisions(
    rows: pa.RecordBatch, keeper: pa.RecordBatch, size: npt.NDArray[np.int64], is_kept: npt.NDArray[np.bool_]
) -> pa.RecordBatch:
    """Return WITH_EARLIER about the rows, less those kept that stand for one document, and those of earlier runs."""
    kept = pa.array(is_kept)
    columns = [
        rows["place"],
        rows["doc_id"],
        pc.if_else(kept, pa.scalar(None, pa.binary()), keeper["doc_id"]),
        pa.array(size, mask=~is_kept),
        pc.if_else(kept, pa.scalar(None, pa.int64()), keeper["place"]),
    ]
    told = (~is_kept | (size > 1)) & (rows["place"].to_numpy() >= 0)
    return pa.RecordBatch.from_arrays(columns, schema=WITH_EARLIER).filter(pa.array(told))
