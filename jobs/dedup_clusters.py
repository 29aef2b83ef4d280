"""Clusters of near duplicates to look at: some of each size class, with the members least like the one kept.

Read from dedup/near_groups, in which the documents of a cluster lie side by side. Of a cluster too large to be measured
as a whole, MEASURED members of least hash are; so memory does not grow with the clusters.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import add

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.ids import hash_int64
from dataproc.storage import Folder
from dataproc.tables import read_part
from jobs.dedup_sample import id_keys
from jobs.lookup import parts_done
from jobs.progress import Watched
from stages.minhash_dedup import similarity
from stages.minhash_plan import MinhashDedup
from stages.places import SketchReader

GROUPS = "dedup/near_groups"

CLASSES = (2, 3, 6, 21, 101, 1001)
"""Fewest documents of each size class."""

SHOWN = 3
"""Clusters of a class that are shown."""

WORST = 3
"""Members of a cluster that are shown beside the one kept."""

MEASURED = 256
"""Members of a cluster that are compared with the one kept, at most."""


@dataclass(frozen=True, order=True)
class Cluster:
    """A cluster: `order` is a hash, by which clusters are picked."""

    order: int
    documents: int
    keeper: int
    """Place of the document kept; negative in an earlier run."""
    members: tuple[int, ...] = field(compare=False)
    """Places of others: all, or the MEASURED of least hash."""


@dataclass(frozen=True)
class Classes:
    """Clusters counted and picked by size class."""

    clusters: tuple[int, ...] = (0,) * len(CLASSES)
    documents: tuple[int, ...] = (0,) * len(CLASSES)
    """In all clusters of a class, those kept among them."""
    picked: tuple[tuple[Cluster, ...], ...] = ((),) * len(CLASSES)

    def __add__(self, other: Classes) -> Classes:
        return Classes(
            tuple(map(add, self.clusters, other.clusters)),
            tuple(map(add, self.documents, other.documents)),
            tuple(tuple(sorted((*one, *two))[:SHOWN]) for one, two in zip(self.picked, other.picked, strict=True)),
        )


@dataclass(frozen=True)
class CountClusters:
    """The clusters of a part of near_groups."""

    folder: Folder
    earlier: bool

    def __call__(self, part: int) -> Classes:
        """Return them by class."""
        tally, open_ = _Tally(), _Open(0, 0)
        columns = ["place", "doc_id", "duplicate_of", *(["keeper_place"] if self.earlier else [])]
        for batch in read_part(self.folder, GROUPS, part, columns):
            key = id_keys(pc.coalesce(batch["duplicate_of"], batch["doc_id"]))
            place, kept = batch["place"].to_numpy(), pc.is_null(batch["duplicate_of"]).to_numpy(zero_copy_only=False)
            named = batch["keeper_place"] if self.earlier else pa.nulls(batch.num_rows, pa.int64())
            keeper = pc.coalesce(named, batch["place"]).to_numpy()
            starts = np.flatnonzero(np.diff(key, prepend=~key[:1]))
            orders = (hash_int64(key[starts]) >> np.uint64(1)).tolist()
            for order, start, stop in zip(orders, starts.tolist(), [*starts[1:].tolist(), len(key)], strict=True):
                if key[start] != open_.key:
                    tally.add(open_)
                    open_ = _Open(int(key[start]), order)
                open_.add(place[start:stop][~kept[start:stop]], stop - start, int(keeper[stop - 1]))
        tally.add(open_)
        return tally.classes()


class _Open:
    """A cluster, as far as its rows have come; the one kept comes last, one of an earlier run has no row."""

    def __init__(self, key: int, order: int) -> None:
        self.key, self.order = key, order
        self.documents = self.keeper = 0
        self.members = np.zeros(0, np.int64)

    def add(self, members: npt.NDArray[np.int64], documents: int, keeper: int) -> None:
        self.documents += documents
        self.keeper = keeper
        self.members = np.concatenate([self.members, members])
        if len(self.members) > MEASURED:
            self.members = self.members[np.argsort(hash_int64(self.members), kind="stable")[:MEASURED]]


class _Tally:
    """Clusters of a part by class."""

    def __init__(self) -> None:
        self._clusters, self._documents = [0] * len(CLASSES), [0] * len(CLASSES)
        self._picked: list[list[Cluster]] = [[] for _ in CLASSES]

    def add(self, one: _Open) -> None:
        documents = one.documents + (one.keeper < 0)
        if documents < CLASSES[0]:
            return
        number = bisect_right(CLASSES, documents) - 1
        self._clusters[number] += 1
        self._documents[number] += documents
        picked = self._picked[number]
        if len(picked) < SHOWN or one.order < picked[-1].order:
            insort(picked, Cluster(one.order, documents, one.keeper, tuple(sorted(one.members.tolist()))))
            del picked[SHOWN:]

    def classes(self) -> Classes:
        return Classes(tuple(self._clusters), tuple(self._documents), tuple(map(tuple, self._picked)))


def count_clusters(engine: Watched, folder: Folder, earlier: bool) -> Classes:
    """Return the clusters of near duplicates of a run by class, some of each picked."""
    task, parts = CountClusters(folder, earlier), parts_done(folder, GROUPS)
    return sum(engine.map("dedup audit: clusters", task, parts), start=Classes())


def least_alike(
    folder: Folder, earlier: Sequence[Folder], config: MinhashDedup, cluster: Cluster
) -> list[tuple[int, float]]:
    """Return (place, similarity with the one kept) of the measured members of a cluster, least alike first.

    It is what pairs were verified by, and an estimate by signatures where they were not.
    """
    config = config.model_copy(update={"verification": "signature"}) if config.verification == "none" else config
    at = np.array(sorted((cluster.keeper, *cluster.members)), np.int64)
    with SketchReader(folder, earlier, config.sketch) as reader:
        sketches = reader.at(at, np.ones(len(at), bool))
    of_keeper = int(np.searchsorted(at, cluster.keeper))
    others = np.flatnonzero(at != cluster.keeper)
    keeper = sketches.take(pa.array(np.full(len(others), of_keeper)))
    measured = similarity(keeper, sketches.take(pa.array(others)), config)
    return sorted(zip(at[others].tolist(), measured.tolist(), strict=True), key=lambda one: (one[1], one[0]))
