"""What dedup knows of one document: who was kept in its stead, its cluster, and the verified pairs that link them.

Read from the evidence that dedup leaves behind: the groups (who stands for whom) and the edges (which pairs met in a
band, and their Jaccard). A duplicate by URL may point to an exact duplicate, and that to a near one, so the way to
the one kept can have three hops.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from dataproc.errors import ShardError
from dataproc.shards import entry_name, read_description
from dataproc.storage import Folder
from jobs.lookup import Row, find_rows, parts_done, read_rows

GROUPS = {"dedup.url": "dedup/url_groups", "dedup.exact": "dedup/exact_groups", "dedup.minhash": "dedup/near_groups"}
"""Where each reason's decisions are kept, with the place (part << 32 | row) of every document in a cluster."""

MAX_LINKED = 1000
"""Largest near-duplicate cluster whose pairs are all read to find the way from a document to its keeper."""

MAX_HOPS = 8


@dataclass(frozen=True)
class Pair:
    """A pair that met in a band: `linked` says whether its Jaccard was enough; None is not measured, and enough."""

    a: bytes
    b: bytes
    jaccard: float | None
    linked: bool

    @property
    def unlikeness(self) -> float:
        """Return what to sort by, most alike first."""
        return 0.0 if self.jaccard is None else -self.jaccard


@dataclass
class Evidence:
    """What dedup says of one document."""

    keepers: list[tuple[bytes, int, str]] = field(default_factory=list)
    """(doc_id, place, reason) of the document kept in its stead, of the one kept in that one's, and so on; one of an
    earlier run has a negative place and ends the list."""
    members: list[tuple[bytes, int, str]] = field(default_factory=list)
    """(doc_id, place, reason) of the other documents of its cluster; the one kept comes first, with no reason."""
    pairs: list[Pair] = field(default_factory=list)
    """Every pair compared that the document is in, most alike first."""
    links: list[Pair] = field(default_factory=list)
    """Linked pairs that lead from the document (or its copy) to the keeper, each from a to b, in order."""


def read_evidence(folder: Folder, doc_id: bytes, place: int) -> Evidence:
    """Return what dedup says of the document at `place`; empty before the dedup step is done.

    Raises ShardError when the evidence does not fit the sidecar.
    """
    evidence = Evidence()
    description = read_description(folder, "dedup")
    if description is None or not folder.exists(entry_name("dedup", place >> 32)):
        return evidence
    evidence.keepers = list(_keepers(folder, doc_id, place))
    keeper, keeper_place, _ = evidence.keepers[-1] if evidence.keepers else (doc_id, place, "")
    near = _decided(folder, "dedup.minhash", "duplicate_of", [keeper])
    exact = _decided(folder, "dedup.exact", "duplicate_of", [keeper, *near])
    url = _decided(folder, "dedup.url", "duplicate_of", [keeper, *near, *exact])
    members = [(keeper, keeper_place, "")]
    for reason, places in (("dedup.minhash", near), ("dedup.exact", exact), ("dedup.url", url)):
        members += [(one, places[one], reason) for one in sorted(places)]
    evidence.members = [member for member in members if member[0] != doc_id]
    if (minhash := description["made_from"]["dedup"]["minhash"]) is not None:
        nodes = {keeper_place, place, *near.values()}
        pairs = _pairs(folder, nodes if len(nodes) <= MAX_LINKED else {place}, minhash["min_jaccard"])
        start = [doc_id, *(one for one, _, reason in evidence.keepers if reason != "dedup.minhash")][-1]
        evidence.pairs = sorted(
            (pair for pair in pairs if doc_id in (pair.a, pair.b)), key=lambda pair: pair.unlikeness
        )
        evidence.links = _way([pair for pair in pairs if pair.linked], start, keeper)
    return evidence


def _keepers(folder: Folder, doc_id: bytes, place: int) -> Iterator[tuple[bytes, int, str]]:
    """Follow duplicate_of from sidecar row to sidecar row."""
    for _ in range(MAX_HOPS):
        (row,) = read_rows(folder, "dedup", place >> 32, [place & 0xFFFFFFFF])
        if row["doc_id"] != doc_id:
            raise ShardError(
                f"dedup/ must hold doc_id {doc_id.hex()} at its place, got {row['doc_id'].hex()}. Verify it."
            )
        if row["duplicate_of"] is None:
            return
        dropped, doc_id, reason = doc_id, row["duplicate_of"], row["dedup_reason"]
        if row.get("duplicate_run") is not None:
            (found,) = _found(folder, GROUPS[reason], "doc_id", [dropped], ["keeper_place"])
            yield doc_id, found["keeper_place"], reason
            return
        place = _decided(folder, reason, "doc_id", [doc_id])[doc_id]
        yield doc_id, place, reason


def _decided(folder: Folder, reason: str, column: str, ids: Sequence[bytes]) -> dict[bytes, int]:
    """Return doc_id -> place of the documents in clusters of one kind whose `column` holds one of the ids."""
    dataset = GROUPS[reason]
    rows = _found(folder, dataset, column, ids, ["doc_id", "place"])
    return {row["doc_id"]: row["place"] for row in rows}


def _pairs(folder: Folder, nodes: Collection[int], min_jaccard: float) -> list[Pair]:
    """Return the pairs, of all rounds, that one of the places is in."""
    pairs: dict[tuple[bytes, bytes], Pair] = {}
    for dataset, measured in rounds_of(folder):
        for column in ("a_place", "place"):
            wanted = ["a", "doc_id", *(["jaccard"] if measured else [])]
            for row in _found(folder, dataset, column, list(nodes), wanted):
                jaccard = row["jaccard"] if measured else None
                pair = Pair(row["a"], row["doc_id"], jaccard, jaccard is None or jaccard >= min_jaccard)
                pairs[pair.a, pair.b] = pair
    return list(pairs.values())


def rounds_of(folder: Folder) -> Iterator[tuple[str, bool]]:
    """Yield the datasets of pairs, and whether their pairs were measured."""
    if read_description(folder, "dedup/round-0/edges") is None:
        yield "dedup/round-0/candidates", False
    for where in ("dedup", "dedup/keepers"):
        number = 0
        while read_description(folder, dataset := f"{where}/round-{number}/edges") is not None:
            yield dataset, True
            number += 1


def _found(
    folder: Folder, dataset: str, column: str, keys: Sequence[bytes] | Sequence[int], columns: Sequence[str]
) -> Iterator[Row]:
    """Yield the named columns of each row of a dataset whose `column` holds one of the keys."""
    rows: dict[int, list[int]] = {}
    for part, row in find_rows(folder, dataset, parts_done(folder, dataset), column, keys):
        rows.setdefault(part, []).append(row)
    for part, numbers in rows.items():
        yield from read_rows(folder, dataset, part, numbers, columns)


def _way(pairs: Sequence[Pair], start: bytes, end: bytes) -> list[Pair]:
    """Return the fewest pairs that lead from one document to another, none when they are the same or not linked."""
    neighbours: dict[bytes, list[Pair]] = {}
    for pair in pairs:
        neighbours.setdefault(pair.a, []).append(pair)
        neighbours.setdefault(pair.b, []).append(replace(pair, a=pair.b, b=pair.a))
    came: dict[bytes, Pair | None] = {start: None}
    queue = deque([start])
    while queue and end not in came:
        for pair in sorted(neighbours.get(queue.popleft(), ()), key=lambda pair: pair.unlikeness):
            if pair.b not in came:
                came[pair.b] = pair
                queue.append(pair.b)
    way, step = [], came.get(end)
    while step is not None:
        way.append(step)
        step = came[step.a]
    return way[::-1]
