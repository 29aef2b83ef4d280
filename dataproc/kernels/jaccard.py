"""Exact Jaccard similarity of sets held as sorted unique uint64 arrays, by merging: O(|a| + |b|), nothing copied."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataproc.kernels.buffers import frozen
from dataproc.kernels.jit import kernel


def jaccard_pairs(
    a_values: npt.NDArray[np.uint64],
    a_offsets: npt.NDArray[np.int64],
    b_values: npt.NDArray[np.uint64],
    b_offsets: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """Return |a and b| / |a or b| of set k of `a` and set k of `b`, float64 [N].

    Set k of `a` is a_values[a_offsets[k]:a_offsets[k + 1]], ascending, each value once. Two empty sets have
    similarity 0: texts without words are never near duplicates. Raises ValueError when the numbers of sets differ.
    Example: {1, 2, 3} and {2, 3, 4} give 0.5.
    """
    num_a, num_b = len(a_offsets) - 1, len(b_offsets) - 1
    if num_a != num_b:
        raise ValueError(f"jaccard_pairs must get as many sets a as sets b, got {num_a} and {num_b}.")
    shared = _shared(frozen(a_values), frozen(a_offsets), frozen(b_values), frozen(b_offsets))
    union = np.diff(a_offsets) + np.diff(b_offsets) - shared
    return shared / np.maximum(union, 1)


def jaccard(a: npt.NDArray[np.uint64], b: npt.NDArray[np.uint64]) -> float:
    """Return the Jaccard similarity of two sets, each sorted and unique; 0 when both are empty."""
    return float(jaccard_pairs(a, np.array([0, len(a)]), b, np.array([0, len(b)]))[0])


@kernel
def _shared(
    a_values: npt.NDArray[np.uint64],
    a_offsets: npt.NDArray[np.int64],
    b_values: npt.NDArray[np.uint64],
    b_offsets: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    out = np.zeros(len(a_offsets) - 1, np.int64)
    for pair in range(len(out)):
        i, j = a_offsets[pair], b_offsets[pair]
        while i < a_offsets[pair + 1] and j < b_offsets[pair + 1]:
            left, right = a_values[i], b_values[j]
            out[pair] += left == right
            i += left <= right  # no branch on the data: it would be mispredicted half of the time
            j += right <= left
    return out
