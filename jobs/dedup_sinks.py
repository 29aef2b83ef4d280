"""The reduce sides of dedup's exchanges that write more than the rows they get."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.exchange import Rows
from dataproc.schema import DROPPED
from dataproc.shards import Dataset, Entry
from dataproc.stage import with_columns
from dataproc.tables import create_part, part_name, read_aligned, read_part
from jobs.dedup_rows import GROUPED, MEMBERS, Decided, Keep, spread, weights_of, with_partition
from jobs.documents import dropped_rows
from jobs.recipe import Recipe
from stages.clusters import DECISIONS, WITH_EARLIER
from stages.minhash_dedup import BANDS, CANDIDATES
from stages.places import run_part_row

SIDECAR = pa.schema(
    [
        ("doc_id", pa.binary()),
        (
            "duplicate_of",
            pa.binary(),
        ),  # the document kept in its stead, null for kept ones; may itself be dropped by a later kind of dedup
        ("dedup_reason", pa.string()),  # dedup.url, dedup.exact or dedup.minhash, null for kept ones
        ("cluster_size", pa.int64()),  # documents that a kept one stands for, itself included; null for dropped ones
    ]
)


EARLIER_SIDECAR = SIDECAR.append(pa.field("duplicate_run", pa.string()))
"""SIDECAR of a run with earlier ones: also the fingerprint of the dedup/ that has `duplicate_of`, null for this run."""

LEADERS = pa.schema([column for column in BANDS if column.name != "partition"])
"""A document of this run that led its band in a round: what later runs compare theirs with."""


@dataclass(frozen=True)
class LeadersSink:
    """Stores pairs with a leader as candidates; leaders paired with themselves apart from them, as an index."""

    dataset: Dataset
    leaders: str

    def __call__(self, part: int, rows: Rows) -> Entry:
        """Write one part and return its entry."""
        started = time.perf_counter()
        folder, name, index = self.dataset.folder, part_name(self.dataset.name, part), part_name(self.leaders, part)
        with create_part(folder, name, CANDIDATES) as out, create_part(folder, index, LEADERS) as led:
            for batch in rows:
                leads = pc.equal(batch["a_place"], batch["place"])
                led.write(batch.filter(leads))
                out.write(batch.filter(pc.invert(leads)))
        return self.dataset.commit(part, {name: out.rows, index: led.rows}, {}, time.perf_counter() - started)


@dataclass(frozen=True)
class AttachSink:
    """Stores the members of a part with what the choice of a keeper needs: doc_id, its two orders and weight.

    Of several roots of a document the last, so the greatest, is taken: it has more than one only with `check_keeper`
    and earlier runs, and is linked to the earlier document that the last one names.
    """

    dataset: Dataset
    keep: Keep
    decided: Decided
    partitions: int

    def __call__(self, part: int, rows: Rows) -> Entry:
        """Write one part and return its entry."""
        started = time.perf_counter()
        folder, name = self.dataset.folder, part_name(self.dataset.name, part)
        members = _unique_places(pa.Table.from_batches(rows, MEMBERS))
        sizes = self.decided.sizes(part)
        row = 0
        with create_part(folder, name, GROUPED) as out:
            for batch in read_aligned(folder, part, self.keep.columns()) if members.num_rows else []:
                here = _slice_rows(members, part, row, batch.num_rows)
                place = here["place"].to_numpy()
                picked = batch.take(pa.array(place - (part << 32) - row))
                added = {
                    "hash": pa.nulls(len(place), pa.binary()),
                    "root": here["root"].combine_chunks(),
                    **self.keep.order(picked),
                    "place": place,
                    "weight": weights_of(place, sizes),
                }
                out.write(with_partition(with_columns(picked, added), spread(here["root"].to_numpy(), self.partitions)))
                row += batch.num_rows
        return self.dataset.commit(part, {name: out.rows}, {}, time.perf_counter() - started)


def _unique_places(table: pa.Table) -> pa.Table:
    place = table["place"].to_numpy()
    return table.filter(pa.array(np.diff(place, append=-1) != 0))


@dataclass(frozen=True)
class CheckedSink:
    """Stores members of components in the clusters of the leaders they were verified with, others alone."""

    dataset: Dataset
    members: str
    partitions: int

    def __call__(self, part: int, rows: Rows) -> Entry:
        """Write one part and return its entry."""
        started = time.perf_counter()
        folder, name = self.dataset.folder, part_name(self.dataset.name, part)
        led = pa.Table.from_batches(rows, MEMBERS)
        where, leader = led["place"].to_numpy(), led["root"].to_numpy()
        with create_part(folder, name, GROUPED) as out:
            for batch in read_part(folder, self.members, part):
                root = batch["place"].to_numpy().copy()
                root[np.isin(root, where)] = leader[np.searchsorted(where, root[np.isin(root, where)])]
                out.write(with_partition(with_columns(batch, {"root": root}), spread(root, self.partitions)))
        return self.dataset.commit(part, {name: out.rows}, {}, time.perf_counter() - started)


def _slice_rows(table: pa.Table, part: int, row: int, rows: int) -> pa.Table:
    """Return the rows of a table sorted by place that are about rows [row, row + rows) of a part."""
    start, stop = np.searchsorted(table["place"].to_numpy(), [(part << 32) + row, (part << 32) + row + rows])
    return table.slice(start, stop - start)


@dataclass(frozen=True)
class SidecarSink:
    """Writes dedup/ and dropped/dedup/ of one part from the decisions of every kind of dedup."""

    dataset: Dataset
    recipe: Recipe
    before: Mapping[str, str]
    """Reason -> dataset of what was decided before near duplicates, in order."""
    earlier: tuple[str, ...] = ()
    """Fingerprints of the dedup/ of the earlier runs."""

    def __call__(self, part: int, rows: Rows) -> Entry:
        """Write one part and return its entry."""
        started = time.perf_counter()
        folder, keep_text = self.dataset.folder, self.recipe.documents.dropped_text
        schema, decisions = (EARLIER_SIDECAR, WITH_EARLIER) if self.earlier else (SIDECAR, DECISIONS)
        decided = {
            reason: pa.Table.from_batches(read_part(folder, name, part), decisions)
            for reason, name in self.before.items()
        }
        decided["dedup.minhash"] = pa.Table.from_batches((batch.select(decisions.names) for batch in rows), decisions)
        text = [] if keep_text == "none" else ["text"]
        name, dropped_name = part_name("dedup", part), part_name("dropped/dedup", part)
        columns = {"documents": ["doc_id", "url", "input", "position", *text]}
        reasons: Counter[str] = Counter()
        row, largest = 0, (1, "")
        with create_part(folder, name, schema) as out, create_part(folder, dropped_name, DROPPED) as dropped:
            for batch in read_aligned(folder, part, columns):
                sidecar = _decide(batch["doc_id"], part, row, decided, self.earlier)
                out.write(sidecar)
                largest = max(largest, _largest(sidecar))
                lost = with_columns(batch, {"drop_reason": sidecar["dedup_reason"], **self._values(sidecar)})
                lost = lost.filter(pc.is_valid(sidecar["dedup_reason"]))
                dropped.write(dropped_rows(lost, keep_text))
                reasons.update(lost["drop_reason"].to_pylist())
                row += batch.num_rows
        counters: dict[str, Any] = {
            "rows_in": out.rows,
            "rows_kept": out.rows - dropped.rows,
            "dropped": dict(reasons),
            "largest_cluster": largest,
        }
        return self.dataset.commit(
            part, {name: out.rows, dropped_name: dropped.rows}, counters, time.perf_counter() - started
        )

    def _values(self, sidecar: pa.RecordBatch) -> dict[str, pa.Array]:
        """Return drop_value (nothing is measured here; the edges hold the Jaccard) and drop_limit."""
        nothing = pa.nulls(sidecar.num_rows, pa.float64())
        if self.recipe.dedup.minhash is None:
            return {"drop_value": nothing, "drop_limit": nothing}
        is_near = pc.equal(sidecar["dedup_reason"], "dedup.minhash")
        return {
            "drop_value": nothing,
            "drop_limit": pc.if_else(is_near, self.recipe.dedup.minhash.min_jaccard, nothing),
        }


def _largest(sidecar: pa.RecordBatch) -> tuple[int, str]:
    """Return the size and keeper of the largest cluster of a batch; 1 and "" without any."""
    sizes = pc.fill_null(sidecar["cluster_size"], 0).to_numpy()
    row = int(np.argmax(sizes)) if len(sizes) else 0
    return (int(sizes[row]), sidecar["doc_id"][row].as_py().hex()) if len(sizes) and sizes[row] > 1 else (1, "")


def _decide(
    ids: pa.Array, part: int, row: int, decided: Mapping[str, pa.Table], earlier: tuple[str, ...]
) -> pa.RecordBatch:
    """Return sidecar rows for the documents from `row` of a part on; what is decided later counts what was before."""
    rows = len(ids)
    keeper = np.full(rows, None, dtype=object)
    reason = np.full(rows, None, dtype=object)
    run = np.full(rows, None, dtype=object)
    size: npt.NDArray[Any] = np.ones(rows, dtype=np.int64)
    for name, table in decided.items():
        here = _slice_rows(table, part, row, rows)
        at = here["place"].to_numpy() - (part << 32) - row
        keeper[at] = here["duplicate_of"].to_pylist()
        is_dropped = pc.is_valid(here["duplicate_of"]).to_numpy()
        reason[at[is_dropped]] = name
        size[at] = pc.fill_null(here["cluster_size"], 0).to_numpy()
        if earlier:
            run[at] = [_run_name(place, earlier) for place in here["keeper_place"].to_pylist()]
    columns = [
        ids,
        pa.array(keeper, pa.binary()),
        pa.array(reason, pa.string()),
        pa.array(size, mask=reason != None),  # noqa: E711 - elementwise on an object array
    ]
    if not earlier:
        return pa.RecordBatch.from_arrays(columns, schema=SIDECAR)
    return pa.RecordBatch.from_arrays([*columns, pa.array(run, pa.string())], schema=EARLIER_SIDECAR)


def _run_name(place: int | None, earlier: tuple[str, ...]) -> str | None:
    number = None if place is None else run_part_row(place)[0]
    return None if number is None else earlier[number]
