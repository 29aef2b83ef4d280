"""Earlier runs, against which a run is deduplicated: what is read of them, never their text.

Of a finished run with `dedup.index: true`, three things are an index: hashes of URLs and texts in signatures/; the
leaders of each band, round by round, in dedup/round-N/leaders; and the shingles (or signatures) of these, read where a
pair is to be verified. Documents of earlier runs are never dropped here: they win over any of this run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.errors import ConfigError, InputError
from dataproc.exchange import Rows
from dataproc.shards import Dataset, read_description
from dataproc.stage import with_columns
from dataproc.storage import Folder
from dataproc.tables import read_aligned, read_part
from jobs.dedup_rows import Source, by_key, hash_groups, own_members, spread, verified, with_claim, with_partition
from jobs.dedup_scope import COLUMNS, Scope
from jobs.recipe import DedupConfig
from jobs.signatures import VERSION
from stages.minhash_plan import MinhashDedup
from stages.places import places, run_part_row, to_earlier

BEFORE_ALL = -128
"""What run numbers are added to in order to sort before anything of this run."""

COMPARED = ("unit", "shingle_size", "num_bands", "rows_per_band", "scheme", "seed")
"""Fields of MinhashDedup that two runs must share for their bands to meet."""


@dataclass(frozen=True)
class Earlier:
    """A finished run; `number` counts those that a run is deduplicated against, in the order of the recipe."""

    number: int
    name: str
    folder: Folder
    fingerprint: str
    """Of its dedup/."""
    parts: int
    leaders: tuple[int, ...]
    """Parts of dedup/round-N/leaders, for each round."""


def open_earlier(config: DedupConfig) -> tuple[Earlier, ...]:
    """Return the earlier runs of a recipe, checked.

    Raises InputError for what is no run whose dedup is done; ConfigError for a run without an index, with another
    plan or scope, or that was itself deduplicated against a run that does not come before it.
    """
    runs: list[Earlier] = []
    for number, name in enumerate(config.against):
        folder = Folder(name)
        made = read_description(folder, "dedup")
        if made is None or not (dedup := Dataset(folder, "dedup", made["made_from"], made["parts"])).complete():
            raise InputError(
                f"dedup.against must name runs whose dedup is done, got {name}. Give the OUT of a finished run."
            )
        _check(name, config, made["made_from"], {run.fingerprint for run in runs})
        runs.append(Earlier(number, name, folder, dedup.fingerprint, made["parts"], _leaders(folder)))
        if config.minhash is not None:
            _check_signatures(runs[-1], config.minhash)
    return tuple(runs)


def _check(name: str, config: DedupConfig, made_from: Mapping[str, Any], before: set[str]) -> None:
    theirs = made_from["dedup"]
    if missing := [one for one in made_from.get("against", ()) if one not in before]:
        raise ConfigError(
            f"dedup.against must list, before {name}, the {len(made_from['against'])} runs that it was deduplicated"
            f" against, got {len(missing)} of them missing. Add them, in its order."
        )
    if theirs.get("scope") != config.scope:
        raise ConfigError(
            f'dedup.against: {name} must have the scope of this run, "{config.scope}", got "{theirs.get("scope")}".'
            " Set dedup.scope."
        )
    if config.minhash is None:
        return
    if not theirs.get("index") or theirs["minhash"] is None:
        raise ConfigError(
            f"dedup.against: {name} must have a band index, got none. Set dedup.index: true in its recipe and run it"
            " with --redo dedup."
        )
    for field in COMPARED:
        ours = getattr(config.minhash, field)
        if theirs["minhash"].get(field) != ours:
            raise ConfigError(
                f"dedup.against: {name} must have the MinHash plan of this run, got {field}"
                f" {theirs['minhash'].get(field)} there and {ours} here. Set dedup.minhash.{field}."
            )


def _check_signatures(run: Earlier, minhash: MinhashDedup) -> None:
    """Refuse a run whose signatures/ lack what pairs are verified by, or were made in another way."""
    made_from = (read_description(run.folder, "signatures") or {"made_from": {}})["made_from"]
    if made_from.get("version") != VERSION:
        raise ConfigError(
            f"dedup.against: {run.name} must have signatures of version {VERSION}, got {made_from.get('version')}."
            " Run it again with --redo signatures."
        )
    made, ours = made_from.get("minhash") or {}, minhash.signed()
    if made.get("vocabulary") != ours.get("vocabulary"):
        raise ConfigError(
            f"dedup.against: {run.name} must have shingles of the same tokens, got another vocabulary."
            " Set dedup.minhash.tokenizer."
        )
    if minhash.verification == "jaccard" and not made.get("with_shingles"):
        raise ConfigError(
            f'dedup.against: {run.name} must have shingles to verify pairs by, got verification other than "jaccard"'
            " there. Set dedup.minhash.verification: signature."
        )


def _leaders(folder: Folder) -> tuple[int, ...]:
    found: list[int] = []
    while (made := read_description(folder, f"dedup/round-{len(found)}/candidates")) is not None:
        found.append(made["parts"])
    return tuple(found)


@dataclass(frozen=True)
class EarlierHashes:
    """Rows to group by a hash, of an earlier run: one stands for its group whatever this run has."""

    run: Earlier
    column: str
    before: tuple[str, ...]
    """Reasons by which its own dedup dropped documents before the hash had a say, or by it."""
    scope: Scope
    partitions: int

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        columns = {"signatures": ["doc_id", self.column], "dedup": ["dedup_reason"]}
        if self.scope != "global":
            columns["documents"] = COLUMNS[self.scope]
        row = 0
        for batch in read_aligned(self.run.folder, part, columns):
            here = places(part, row, batch.num_rows, self.run.number)
            row += batch.num_rows
            seen = pc.is_in(batch["dedup_reason"], pa.array(self.before, pa.string()))
            left = pc.and_(pc.is_valid(batch[self.column]), pc.invert(seen))
            batch = with_columns(batch, {"place": here}).filter(left)
            yield hash_groups(_stands(batch, self.run.number), self.column, self.scope, self.partitions)


def _stands(rows: pa.RecordBatch, number: int) -> pa.RecordBatch:
    """Add what makes the rows the best of any group, and count for nothing in it."""
    nothing = pa.array(np.zeros(rows.num_rows, np.int64))
    first = pa.array(np.full(rows.num_rows, BEFORE_ALL + number, np.int64))
    return with_columns(rows, {"num_flags": first, "keep_order": nothing, "weight": nothing})


@dataclass(frozen=True)
class EarlierLeaders:
    """The leaders that an earlier run had in a round."""

    run: Earlier
    round: int
    partitions: int

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        for batch in read_part(self.run.folder, f"dedup/round-{self.round}/leaders", part):
            there = with_columns(batch, {"place": to_earlier(batch["place"].to_numpy(), self.run.number)})
            yield by_key(with_claim(there, BEFORE_ALL + self.run.number), self.partitions)

    @property
    def units(self) -> range:
        """Return the numbers of its parts; none for a round that the run did not need."""
        return range(self.run.leaders[self.round] if self.round < len(self.run.leaders) else 0)


@dataclass(frozen=True)
class EarlierKeepers:
    """The earlier documents of verified pairs, each as the keeper of a cluster named by itself."""

    folder: Folder
    edges: tuple[str, ...]
    min_jaccard: float | None
    partitions: int

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        for name in self.edges:
            for batch in verified(self.folder, name, part, self.min_jaccard, ("a", "a_place")):
                batch = batch.filter(pc.less(batch["a_place"], 0))
                place = batch["a_place"]
                named = {"doc_id": batch["a"], "place": place, "root": place}
                rows = with_columns(_stands(batch, 0), {**named, "hash": pa.nulls(batch.num_rows, pa.binary())})
                yield with_partition(rows, spread(place.to_numpy(), self.partitions))


@dataclass(frozen=True)
class LinkedToEarlier:
    """(place, root) of documents with a verified pair with an earlier one, which is the root; see AttachSink."""

    folder: Folder
    edges: tuple[str, ...]
    min_jaccard: float | None

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        for name in self.edges:
            for batch in verified(self.folder, name, part, self.min_jaccard, ("place", "a_place")):
                batch = batch.filter(pc.less(batch["a_place"], 0))
                yield own_members(batch["place"].to_numpy(), batch["a_place"].to_numpy())


def run_of(place: int, earlier: tuple[Earlier, ...]) -> Earlier | None:
    """Return the earlier run that a place is in, None for this one."""
    number, _, _ = run_part_row(place)
    return None if number is None else earlier[number]


def earlier_parts(partitions: int, earlier: tuple[Earlier, ...]) -> int:
    """Return how many partitions a dataset of places has beyond the parts of this run."""
    return partitions if earlier else 0


def leaders_of(earlier: tuple[Earlier, ...], round_: int, partitions: int) -> list[tuple[Source, range]]:
    """Return the sources of a round's earlier leaders with their units."""
    sources = [EarlierLeaders(run, round_, partitions) for run in earlier]
    return [(source, source.units) for source in sources]
