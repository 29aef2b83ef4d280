"""Drawn documents compared with all others by brute force, as a plan sees them: the yardstick of recall.

The sets of the drawn are indexed (`dataproc.kernels.set_index`) and the others stream past it, part by part, so memory
is that of the sample, and nothing that looks like a drawn document is missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.ids import hash_int64
from dataproc.kernels.set_index import SetIndex, index_sets, similar_pairs
from dataproc.storage import Folder
from dataproc.tokens.tokenizers import Tokenizer
from jobs.dedup_sample import Ints, Sample, read_documents
from jobs.dedup_scope import Scope
from jobs.dedup_view import View
from jobs.lookup import read_rows
from jobs.progress import Watched
from stages.minhash_plan import candidate_probability

NUM_BINS = 20
"""Of the similarity, from 0 to 1."""

LEAST = 0.3
"""Pairs less alike are not counted."""

EXAMPLES = 6
"""Pairs to read that were missed, or that another plan would link."""

PAIRS_AT_ONCE = 1 << 14
"""Whose signatures are in memory together."""


@dataclass(frozen=True)
class Example:
    """A pair to read: places, similarity as a plan measures it, and whether it meets in a band."""

    order: int
    place: int
    other: int
    similarity: float
    met: bool


@dataclass(frozen=True)
class Compared:
    """What the comparison of the S drawn documents with others gave; figures add up, examples are the first few."""

    pairs: Ints
    """[S] other documents whose similarity is enough."""
    met: Ints
    """[S] those of them that meet it in a band."""
    found: Ints
    """[S] those of them that the run put into the document's cluster."""
    left: Ints
    """[S] those of them that were kept, as was the document."""
    linked: Ints
    """[S] documents that the plan links with it directly."""
    bins: Ints
    """[3, NUM_BINS] pairs by similarity: all, those that meet in a band, those in one cluster."""
    expected: Ints
    """[NUM_BINS] how many should meet in a band, in millionths: sums of integers are the same in any order."""
    missed: tuple[Example, ...] = ()
    """Pairs with enough similarity that are not in one cluster, most alike first."""
    gained: tuple[Example, ...] = ()
    """Pairs that the plan links and that are not in one cluster."""
    keepers: dict[int, int] = field(default_factory=dict)
    """cluster -> place of the document kept, for clusters of drawn documents."""

    def __add__(self, other: Compared) -> Compared:
        return Compared(
            self.pairs + other.pairs,
            self.met + other.met,
            self.found + other.found,
            self.left + other.left,
            self.linked + other.linked,
            self.bins + other.bins,
            self.expected + other.expected,
            first_examples([*self.missed, *other.missed]),
            first_examples([*self.gained, *other.gained]),
            self.keepers | other.keepers,
        )


def first_examples(examples: Sequence[Example]) -> tuple[Example, ...]:
    """Return the first few, in an order that depends on the documents alone; a pair comes once."""
    once = {tuple(sorted((one.place, one.other))): one for one in sorted(examples, key=_order, reverse=True)}
    return tuple(sorted(once.values(), key=_order)[:EXAMPLES])


def _order(example: Example) -> tuple[int, int, int]:
    return example.order, example.place, example.other


def nothing_compared(size: int) -> Compared:
    """Return the sum of no comparisons of `size` documents."""
    none = np.zeros(size, np.int64)
    return Compared(none, none, none, none, none, np.zeros((3, NUM_BINS), np.int64), np.zeros(NUM_BINS, np.int64))


@dataclass(frozen=True)
class Compare:
    """Compares the documents of a part with the sample, as a plan sees them."""

    folder: Folder
    scope: Scope
    earlier: bool
    view: View
    sample: Sample
    index: SetIndex
    signatures: npt.NDArray[Any]
    """[S, num_hashes]; anything for documents without words."""

    @cached_property
    def _tokenizer(self) -> Tokenizer | None:
        return self.view.tokenizer()

    def __call__(self, part: int) -> Compared:
        """Return what one part gives."""
        batches = read_documents(self.folder, part, self.scope, self.view.columns(), self.earlier)
        return reduce(Compared.__add__, map(self._batch, batches), nothing_compared(len(self.sample.place)))

    def _batch(self, batch: pa.RecordBatch) -> Compared:
        sample, config = self.sample, self.view.config
        pairs = self._pairs(batch)
        enough = pairs.similarity >= config.min_jaccard - 1e-12
        together = batch["cluster"].to_numpy()[pairs.row] == sample.cluster[pairs.drawn]
        kept = pc.is_null(batch["duplicate_of"]).to_numpy(zero_copy_only=False)
        linked = pairs.met.copy()
        if config.verification != "none":
            linked &= enough if config.verification == "jaccard" else pairs.share >= config.min_jaccard
        bins = np.minimum((pairs.similarity * NUM_BINS + 1e-9).astype(np.int64), NUM_BINS - 1)
        values, back = np.unique(pairs.similarity, return_inverse=True)
        chance = np.array(
            [round(1e6 * candidate_probability(one, config.num_bands, config.rows_per_band)) for one in values]
        )

        def by_document(which: npt.NDArray[np.bool_]) -> Ints:
            return np.bincount(pairs.drawn[which], minlength=len(sample.place)).astype(np.int64)

        def by_bin(which: npt.NDArray[np.bool_]) -> Ints:
            return np.bincount(bins[which], minlength=NUM_BINS).astype(np.int64)

        place, ids = batch["place"].to_numpy(), batch["id"].to_numpy()
        places = sample.place[pairs.drawn], place[pairs.row]
        alike = -np.round(pairs.similarity * 1e9).astype(np.int64)
        mixed = hash_int64(places[0] ^ places[1]).view(np.int64)
        leads = np.flatnonzero(np.isin(ids, sample.cluster) & kept)
        return Compared(
            pairs=by_document(enough),
            met=by_document(enough & pairs.met),
            found=by_document(enough & together),
            left=by_document(enough & kept[pairs.row] & sample.kept[pairs.drawn]),
            linked=by_document(linked),
            bins=np.stack([by_bin(np.ones(len(bins), bool)), by_bin(pairs.met), by_bin(together)]),
            expected=np.bincount(bins, weights=chance[back], minlength=NUM_BINS).astype(np.int64),
            missed=_examples(pairs, *places, enough & ~together, alike),
            gained=_examples(pairs, *places, linked & ~together, mixed),
            keepers=dict(zip(ids[leads].tolist(), place[leads].tolist(), strict=True)),
        )

    def _pairs(self, batch: pa.RecordBatch) -> _Pairs:
        view, sample = self.view, self.sample
        sets = view.sets(batch, self._tokenizer)
        least = view.to_sets(min(LEAST, view.config.min_jaccard))
        row, drawn, jaccard = similar_pairs(self.index, *sets, least)
        may_meet = batch["place"].to_numpy()[row] != sample.place[drawn]
        may_meet &= batch["salt"].to_numpy()[row] == sample.salt[drawn]
        row, drawn, jaccard = row[may_meet], drawn[may_meet], jaccard[may_meet]
        rows, back = np.unique(row, return_inverse=True)
        signatures = view.signatures(batch, sets, rows)
        met, share = np.zeros(len(row), bool), np.zeros(len(row))
        shape = (-1, view.config.num_bands, view.config.rows_per_band)
        for start in range(0, len(row), PAIRS_AT_ONCE):
            here = slice(start, start + PAIRS_AT_ONCE)
            equal = signatures[back[here]] == self.signatures[drawn[here]]
            met[here] = equal.reshape(shape).all(axis=2).any(axis=1)
            share[here] = equal.mean(axis=1)
        return _Pairs(row, drawn, view.from_sets(jaccard), met, share)


class _Pairs(NamedTuple):
    """Pairs of a row of a batch and a drawn document."""

    row: Ints
    drawn: Ints
    similarity: npt.NDArray[np.float64]
    met: npt.NDArray[np.bool_]
    share: npt.NDArray[np.float64]
    """Of equal hashes."""


def _examples(
    pairs: _Pairs, drawn: Ints, other: Ints, which: npt.NDArray[np.bool_], order: Ints
) -> tuple[Example, ...]:
    """Return the first few of the pairs in `which`; `drawn` and `other` are their places."""
    at = np.flatnonzero(which)
    at = at[np.lexsort((other[at], drawn[at], order[at]))][: 2 * EXAMPLES]  # a pair may come twice
    columns = zip(order[at], drawn[at], other[at], pairs.similarity[at], pairs.met[at], strict=True)
    return first_examples([Example(int(a), int(b), int(c), float(d), bool(e)) for a, b, c, d, e in columns])


def compare_sample(
    engine: Watched, folder: Folder, scope: Scope, earlier: bool, view: View, sample: Sample, parts: Sequence[int]
) -> Compared:
    """Return the comparison of the sample with all documents, as a plan sees them."""
    drawn = _rows_at(folder, view, sample.place)
    sets = view.sets(drawn, view.tokenizer())
    worded = np.flatnonzero(np.diff(sets[1]))
    signatures = np.zeros((drawn.num_rows, view.config.num_hashes), view.config.hash_type)
    signatures[worded] = view.signatures(drawn, sets, worded)
    compare = Compare(folder, scope, earlier, view, sample, index_sets(*sets), signatures)
    found = engine.map("dedup audit: compare", compare, parts)
    return reduce(Compared.__add__, found, nothing_compared(len(sample.place)))


def _rows_at(folder: Folder, view: View, at: Ints) -> pa.RecordBatch:
    """Return what the view reads of the documents at some places, ascending."""
    kinds = {"shingles": pa.binary(), "minhash": pa.binary(), "text": pa.large_string()}
    columns: dict[str, list[Any]] = {name: [] for names in view.columns().values() for name in names}
    for dataset, names in view.columns().items():
        for part in np.unique(at >> 32).tolist() if names else []:
            rows = (at[at >> 32 == part] & 0xFFFFFFFF).tolist()
            for row in read_rows(folder, dataset, part, rows, names):
                for name in names:
                    columns[name].append(row[name])
    return pa.RecordBatch.from_pydict({name: pa.array(values, kinds[name]) for name, values in columns.items()})
