"""How good a dedup is: pairs it should find, pairs it says it found, clusters beside the true ones.

A share of no pairs is an error, never 1: a benchmark that measured nothing must not look perfect.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.dedup_run import Found
from dataproc.errors import InputError
from dataproc.kernels.char_classes import FORMAT, tables
from dataproc.kernels.set_index import SimilarPairs
from dataproc.kernels.union_find import components

Labels = npt.NDArray[np.int64]
"""A number per text, equal for the texts of a cluster."""


class Recall(NamedTuple):
    """How many of some pairs were found, in [0, 1]."""

    pairs: int
    together: float
    """In one cluster."""
    compared: float
    """As a verified pair. Members are compared with a leader and not with each other, so that this is less."""


def recall(true: SimilarPairs, found: Found, min_jaccard: float) -> Recall:
    """Return how many of the true pairs with at least that Jaccard a dedup found; raises InputError without any.

    Example: of 0-1, 0-2, 1-2 a leader 0 is compared with two, and all three are together.
    """
    alike = true.jaccard >= min_jaccard
    a, b = true.given[alike], true.indexed[alike]
    if not len(a):
        raise InputError(
            f"The texts must have pairs of Jaccard {min_jaccard} or more to measure recall by, got none."
            " Give more texts."
        )
    known = found.verified
    together = found.keeper[a] == found.keeper[b]
    compared = np.isin(_pair_keys(a, b), _pair_keys(found.a[known], found.b[known]))
    return Recall(len(a), float(together.mean()), float(compared.mean()))


def _pair_keys(a: Labels, b: Labels) -> Labels:
    return np.minimum(a, b) << 32 | np.maximum(a, b)


def precision(texts: Sequence[str], found: Found, min_jaccard: float) -> float:
    """Return the share of verified pairs whose Jaccard, of `plain_shingles`, is at least `min_jaccard`.

    Raises InputError when no pair is verified. Example: of pairs with 0.9 and 0.5, 1 / 2 are at least 0.8.
    """
    pairs = list(zip(found.a[found.verified].tolist(), found.b[found.verified].tolist(), strict=True))
    if not pairs:
        raise InputError(
            "The dedup must verify pairs to measure precision by, got none. Give texts with near duplicates."
        )
    sets = {number: plain_shingles(texts[number]) for pair in pairs for number in pair}
    return sum(jaccard(sets[a], sets[b]) >= min_jaccard for a, b in pairs) / len(pairs)


def jaccard(a: set[tuple[str, ...]], b: set[tuple[str, ...]]) -> float:
    return len(a & b) / len(a | b) if a | b else 0.0


def plain_shingles(text: str, size: int = 5) -> set[tuple[str, ...]]:
    """Return what `dataproc.kernels.shingles` hashes: tuples of folded words, in Python, with its table of characters.

    Example: "To be, to be." with size 2 has ("to", "be") and ("be", "to").
    """
    classes, fold = tables()
    kinds = "".join(".LANMFZPS"[classes[ord(char)]] for char in text)
    words = []
    for found in re.finditer("A(?:[MF]*M)?|[LN](?:[LNMF]*[LNM])?", kinds):
        codes = [ord(char) for char in text[found.start() : found.end()]]
        folded = (fold[code] if code < len(fold) else code for code in codes if classes[code] != FORMAT)
        words.append("".join(map(chr, folded)))
    return {tuple(words[place : place + size]) for place in range(max(len(words) - size, 0) + 1)} if words else set()


class Scores(NamedTuple):
    """Of pairs in one cluster, and of the clusters themselves; 1 is best."""

    precision: float
    recall: float
    f1: float
    ari: float
    """Adjusted Rand index, 0 for clusters by chance. Source: Hubert and Arabie 1985, Comparing partitions."""


def scores(true: Labels, found: Labels) -> Scores:
    """Compare clusters with the true ones; raises InputError when no two texts are in one of these.

    The precision of no pair found is 0. Example: true 0 0 0 1 and found 5 5 6 6 share one pair of three true and two
    found ones.
    """
    both = _num_pairs(np.unique(np.stack([true, found]), axis=1, return_counts=True)[1])
    of_true, of_found = (_num_pairs(np.unique(labels, return_counts=True)[1]) for labels in (true, found))
    if not of_true:
        raise InputError("A true cluster must have two texts at least, got none that has. Give texts with duplicates.")
    chance = of_true * of_found / _num_pairs(np.array([len(true)]))
    mean = (of_true + of_found) / 2
    return Scores(
        both / of_found if of_found else 0.0,
        both / of_true,
        both / mean,
        (both - chance) / (mean - chance) if mean != chance else 1.0,
    )


def _num_pairs(sizes: Labels) -> int:
    return int((sizes * (sizes - 1) // 2).sum())


def clusters(count: int, pairs: Iterable[tuple[int, int]]) -> Labels:
    """Return the labels of `count` texts that pairs link, each cluster named by its least text."""
    a, b = np.array([(one, one) for one in range(count)] + list(pairs), np.int64).reshape(-1, 2).T
    _, root = components(a, b)
    return np.asarray(root)
