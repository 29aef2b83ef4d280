"""Every pair of sets above a Jaccard similarity, by an inverted index: exact, the yardstick for MinHash.

For one set at a time, the sets that hold each of its values are counted. That costs what the sets share and not what
they hold, so 20,000 documents are compared with each other in seconds, and it misses nothing. What is indexed must fit
in memory (12 to 20 bytes a value); what is compared with it may come batch by batch, so that a sample can be compared
with all documents of a run.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dataproc.kernels.buffers import frozen
from dataproc.kernels.jit import kernel


class SetIndex(NamedTuple):
    """Which of N sets hold a value: sets[starts[k]:starts[k + 1]] hold values[k]; read-only."""

    values: npt.NDArray[np.uint64]  # [V], ascending
    starts: npt.NDArray[np.int64]  # [V + 1]
    sets: npt.NDArray[np.int32]  # ascending for each value
    sizes: npt.NDArray[np.int64]  # [N]


class SimilarPairs(NamedTuple):
    """Pairs of a given set and an indexed one, sorted by both."""

    given: npt.NDArray[np.int64]  # [P]
    indexed: npt.NDArray[np.int64]  # [P]
    jaccard: npt.NDArray[np.float64]  # [P]


def index_sets(values: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64]) -> SetIndex:
    """Return the index of the sets values[offsets[k]:offsets[k + 1]], in each of which a value comes once.

    Example: the sets {1, 2} and {2} give values 1 2, starts 0 1 3 and sets 0 0 1.
    """
    sizes = np.diff(offsets)
    held = values[offsets[0] : offsets[-1]]
    order = np.argsort(held, kind="stable")
    distinct, first = np.unique(held[order], return_index=True)
    starts = np.append(first, len(held)).astype(np.int64)
    owner = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)[order]
    return SetIndex(frozen(distinct), frozen(starts), frozen(owner), frozen(sizes))


def similar_pairs(
    index: SetIndex,
    values: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    min_jaccard: float,
    first: int | None = None,
) -> SimilarPairs:
    """Return each pair of a given set and an indexed one with |a and b| / |a or b| of at least `min_jaccard`.

    Pairs that share nothing are never among them, whatever `min_jaccard`. With `first`, the given sets are the indexed
    ones from that on, and a pair comes once, with indexed < given. Example: {1, 2, 3} given, {2, 3, 4} and {4} indexed
    and 0.5 give the pair (0, 0) with 0.5.
    """
    held = values[offsets[0] : offsets[-1]]
    if not len(index.values) or not len(held):
        nothing = np.zeros(0, np.int64)
        return SimilarPairs(nothing, nothing, np.zeros(0, np.float64))
    place = np.minimum(np.searchsorted(index.values, held), len(index.values) - 1)
    place[index.values[place] != held] = -1
    below = np.int64(-1 if first is None else first)
    return SimilarPairs(*_pairs(frozen(place), frozen(offsets - offsets[0]), *index[1:], min_jaccard, below))


def all_pairs(values: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64], min_jaccard: float) -> SimilarPairs:
    """Return each pair of the sets, indexed < given, with a Jaccard of at least `min_jaccard`, as `similar_pairs`.

    Example: {1, 2, 3}, {9}, {2, 3, 4} and 0.5 give the pair (2, 0) with 0.5.
    """
    return similar_pairs(index_sets(values, offsets), values, offsets, min_jaccard, first=0)


@kernel
def _pairs(
    place: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    sets: npt.NDArray[np.int32],
    sizes: npt.NDArray[np.int64],
    min_jaccard: float,
    first: np.int64,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    shared = np.zeros(len(sizes), np.int64)
    met = np.empty(len(sizes), np.int64)  # sets that share something with the given one
    room, count = 1024, 0
    given, indexed, jaccard = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.float64)
    for row in range(len(offsets) - 1):
        limit = len(sizes) if first < 0 else first + row
        num_met = 0
        for value in place[offsets[row] : offsets[row + 1]]:
            if value < 0:
                continue
            for other in sets[starts[value] : starts[value + 1]]:
                if other >= limit:
                    break
                if shared[other] == 0:
                    met[num_met] = other
                    num_met += 1
                shared[other] += 1
        if count + num_met > room:
            more = max(room, num_met)
            given = np.concatenate((given, np.empty(more, np.int64)))
            indexed = np.concatenate((indexed, np.empty(more, np.int64)))
            jaccard = np.concatenate((jaccard, np.empty(more, np.float64)))
            room += more
        met[:num_met].sort()
        size = offsets[row + 1] - offsets[row]
        for other in met[:num_met]:
            similarity = shared[other] / (size + sizes[other] - shared[other])
            shared[other] = 0
            if similarity >= min_jaccard:
                given[count], indexed[count], jaccard[count] = row, other, similarity
                count += 1
    return given[:count], indexed[:count], jaccard[:count]
