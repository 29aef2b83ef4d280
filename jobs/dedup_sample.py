"""A sample of the documents that came to near-duplicate dedup: those of least hash, always the same ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.ids import hash_int64
from dataproc.stage import with_columns
from dataproc.storage import Folder
from dataproc.tables import read_aligned
from jobs.dedup_scope import COLUMNS, Scope, salts
from jobs.progress import Watched
from stages.places import places

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """Documents drawn, by place."""

    place: Ints
    cluster: Ints
    """See `read_documents`."""
    kept: npt.NDArray[np.bool_]
    salt: Ints
    population: int
    """Documents it was drawn from."""
    dropped: int
    """Of them, those dropped as near duplicates."""


def read_documents(
    folder: Folder, part: int, scope: Scope, columns: dict[str, list[str]], earlier: bool
) -> Iterator[pa.RecordBatch]:
    """Yield the documents of a part that came to near-duplicate dedup, with the columns and place, id, cluster, salt.

    `id` and `cluster` (int64) are the first half of a doc_id: the document's own, and that of the one kept of its
    cluster. All that are dropped for documents of earlier runs have cluster 0. Only what is equal in `salt` may meet.
    """
    decided = ["duplicate_of", "dedup_reason", *(["duplicate_run"] if earlier else [])]
    datasets = {"signatures": [], "dedup": decided, **columns}
    datasets["documents"] = [*columns.get("documents", []), *(COLUMNS[scope] if scope != "global" else [])]
    wanted = {name: names for name, names in datasets.items() if names}
    row = 0
    for batch in read_aligned(folder, part, wanted):
        here = places(part, row, batch.num_rows)
        row += batch.num_rows
        came = pc.fill_null(pc.equal(batch["dedup_reason"], "dedup.minhash"), True)
        batch = with_columns(batch, {"place": here, "salt": salts(batch, scope)}).filter(came)
        cluster = id_keys(pc.coalesce(batch["duplicate_of"], batch["doc_id"]))
        if earlier:
            cluster = np.where(pc.is_valid(batch["duplicate_run"]).to_numpy(zero_copy_only=False), 0, cluster)
        yield with_columns(batch, {"id": id_keys(batch["doc_id"]), "cluster": cluster})


def id_keys(ids: pa.Array) -> Ints:
    """Return the first half of each doc_id, int64 [N]."""
    return np.frombuffer(b"".join(ids.to_pylist()), np.int64)[::2]


@dataclass(frozen=True)
class Draw:
    """The documents of least hash of a part, and how many it has."""

    folder: Folder
    scope: Scope
    size: int
    earlier: bool

    def __call__(self, part: int) -> tuple[pa.Table, int, int]:
        """Return place, cluster, kept, salt and hash of the drawn, the documents, and those dropped."""
        least, population, dropped = _DRAWN.empty_table(), 0, 0
        for batch in read_documents(self.folder, part, self.scope, {}, self.earlier):
            kept = pc.is_null(batch["duplicate_of"])
            population += batch.num_rows
            dropped += batch.num_rows - pc.sum(kept).as_py() if batch.num_rows else 0
            added = {
                "kept": kept,
                "hash": pa.array((hash_int64(batch["id"].to_numpy()) >> np.uint64(1)).view(np.int64)),
            }
            table = pa.Table.from_batches([with_columns(batch, added).select(_DRAWN.names)])
            least = _least([least, table], self.size)
        return least, population, dropped


_DRAWN = pa.schema(
    [("place", pa.int64()), ("cluster", pa.int64()), ("kept", pa.bool_()), ("salt", pa.int64()), ("hash", pa.int64())]
)


def _least(tables: Sequence[pa.Table], size: int) -> pa.Table:
    table = pa.concat_tables(tables)
    return table.take(pc.select_k_unstable(table, size, [("hash", "ascending"), ("place", "ascending")]))


def draw_sample(engine: Watched, draw: Draw, parts: Sequence[int]) -> Sample:
    """Return `draw.size` documents of all parts, or all when there are fewer."""
    least, population, dropped = _DRAWN.empty_table(), 0, 0
    for table, documents, lost in engine.map("dedup audit: draw", draw, parts):
        least, population, dropped = _least([least, table], draw.size), population + documents, dropped + lost
    drawn = least.sort_by("place")
    place, cluster, salt = (drawn[name].to_numpy() for name in ("place", "cluster", "salt"))
    return Sample(place, cluster, drawn["kept"].to_numpy(), salt, population, dropped)
