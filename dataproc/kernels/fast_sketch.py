"""Fast similarity sketches: signatures whose places cost one pass over the set together, not one pass each.

In round i every element is thrown into a bin by a hash of its own, with a number; a bin keeps the least number of the
first round that reached it. Rounds go on while bins are empty, and from round `num_bins` on all elements go to one bin
each time, so that 2 num_bins rounds fill all. Two sketches agree in a bin with a probability equal to the Jaccard of
the sets, since the first element of their union to reach it is in both or not; the share of bins that agree varies no
more than that of as many independent hashes. A set of n elements costs O(n + t log t) for t bins in the mean, where
t hashes cost O(n t). Source: Dahlgaard, Knudsen, Thorup 2017, Fast Similarity Sketching, section 2, Algorithm 1,
https://arxiv.org/abs/1704.04370
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataproc.kernels.buffers import frozen
from dataproc.kernels.jit import kernel

_EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
_LOW_32 = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)


def fast_sketches(
    hashes: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64], num_bins: int, seed: int = 1
) -> npt.NDArray[np.uint32]:
    """Return the sketches of the sets hashes[offsets[k]:offsets[k + 1]], uint32 [N, num_bins].

    Elements must be hashes already, as all of ours are; neither their order nor repetitions count. An empty set has
    0xFFFFFFFF in every bin. Modulo 2**64, the key of round i is the number i of splitmix64 with that seed, and
    m = (element ^ key) * 0xBF58476D1CE4E5B9, h = (m ^ m >> 32) * 0x94D049BB133111EB is the hash of an element: its
    upper half, times num_bins, over 2**32 is the bin, its lower half the number.
    """
    out = np.full((len(offsets) - 1, num_bins), 0xFFFFFFFF, np.uint32)
    _sketch(frozen(hashes), frozen(offsets), np.uint64(seed), out)
    return out


@kernel
def _sketch(
    hashes: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64], seed: np.uint64, out: npt.NDArray[np.uint32]
) -> None:
    num_bins = out.shape[1]
    count = np.uint64(num_bins)
    least = np.empty(num_bins, np.uint64)  # round << 32 | number: an earlier round is less than any later one
    for row in range(out.shape[0]):
        elements = hashes[offsets[row] : offsets[row + 1]]
        if len(elements) == 0:
            continue
        least[:] = _EMPTY
        key = _key(seed, 0)
        for element in elements:  # most of the work, so without the count of bins
            hashed = _hash(element, key)
            place = (hashed >> _32) * count >> _32
            least[place] = min(least[place], hashed & _LOW_32)
        empty = 0
        for k in range(num_bins):
            empty += least[k] == _EMPTY
        turn = 1
        while empty > 0:
            key = _key(seed, turn)
            round_ = np.uint64(turn) << _32
            if turn < num_bins:
                for element in elements:
                    hashed = _hash(element, key)
                    place = (hashed >> _32) * count >> _32
                    held = least[place]
                    empty -= held == _EMPTY
                    least[place] = min(held, round_ | hashed & _LOW_32)
            elif least[turn - num_bins] == _EMPTY:
                number = _LOW_32
                for element in elements:
                    number = min(number, _hash(element, key) & _LOW_32)
                least[turn - num_bins] = round_ | number
                empty -= 1
            turn += 1
        for k in range(num_bins):
            out[row, k] = np.uint32(least[k] & _LOW_32)


@kernel
def _hash(element: np.uint64, key: np.uint64) -> np.uint64:
    """Return the hash of an element in a round.

    A finalizer without its ends: what comes in is mixed already, and the lower bits of what comes out decide nothing.
    For elements drawn evenly, bin and number are even and independent, since each step is one to one.
    """
    mixed = (element ^ key) * np.uint64(0xBF58476D1CE4E5B9)
    return (mixed ^ mixed >> _32) * np.uint64(0x94D049BB133111EB)


@kernel
def _key(seed: np.uint64, turn: int) -> np.uint64:
    """Return a number of the generator splitmix64 (Steele, Lea, Flood 2014, https://doi.org/10.1145/2660193.2660195)."""
    value = seed + np.uint64(turn + 1) * np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ value >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ value >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return value ^ value >> np.uint64(31)
