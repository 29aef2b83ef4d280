"""A keyed permutation of [0, n), computed point by point: no table and no state, whatever n is.

A Feistel network permutes [0, 4**h), the least such range that holds [0, n): it splits a number into two halves of h
bits and, round after round, swaps them and xors one with a hash of the other, which can be undone and is thus one to
one. A point that lands outside [0, n) goes through again until it lands inside ("cycle walking", under four times on
average): following a cycle of the larger permutation back into the range is a permutation of the range.
Shuffles well; it is not cryptography. Source: Black and Rogaway 2002, "Ciphers with Arbitrary Finite Domains".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ROUNDS = 8
"""Enough for pairs of neighbours to look independent down to n = 5 (tests/dataproc/loader/test_permutation.py)."""

U64 = npt.NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: steps of it never come close to each other


def mix64(x: U64) -> U64:
    """Return a hash of each 64-bit number in which every bit depends on every bit: the finaliser of splitmix64.

    Source: Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators".
    """
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def derive_key(key: npt.ArrayLike, number: npt.ArrayLike) -> U64:
    """Return another key for each (key, number), such as the epoch's key of a source."""
    return mix64(mix64(np.atleast_1d(np.asarray(key, np.uint64)) + _GOLDEN) ^ np.asarray(number, np.uint64))


def permute(index: npt.ArrayLike, size: npt.ArrayLike, key: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return where the permutation of [0, size) named by `key` sends each index.

    index, size, key: int64 [N] and uint64 [N], or one for all; 0 <= index < size < 2**62. Returns int64 [N].
    Example: sorted(permute(np.arange(5), 5, key=1).tolist()) == [0, 1, 2, 3, 4]
    """
    points, sizes, keys = np.broadcast_arrays(
        np.atleast_1d(np.asarray(index, np.int64)), np.asarray(size, np.int64), np.asarray(key, np.uint64)
    )
    half_bits = (np.frexp((sizes - 1).astype(np.float64))[1].astype(np.uint64) + np.uint64(1)) >> np.uint64(1)
    limits = sizes.astype(np.uint64)
    result = _feistel(points.astype(np.uint64), half_bits, keys)
    outside = np.flatnonzero(result >= limits)
    while outside.size:
        result[outside] = _feistel(result[outside], half_bits[outside], keys[outside])
        outside = outside[result[outside] >= limits[outside]]
    return result.astype(np.int64)


def _feistel(points: U64, half_bits: U64, keys: U64) -> U64:
    mask = (np.uint64(1) << half_bits) - np.uint64(1)
    left, right = points >> half_bits, points & mask
    for _ in range(ROUNDS):
        keys = keys + _GOLDEN
        left, right = right, left ^ (mix64(right ^ mix64(keys)) & mask)
    return (left << half_bits) | right
