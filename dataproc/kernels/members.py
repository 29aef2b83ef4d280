"""How many of a few given hashes occur among those of each document: stop words, for one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataproc.kernels.buffers import frozen
from dataproc.kernels.jit import kernel


def count_members(
    hashes: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    members: npt.NDArray[np.uint64],
) -> npt.NDArray[np.int64]:
    """Return how many different members are among hashes[offsets[row]:offsets[row + 1]], int64, for each of `rows`.

    Example: of the members {1, 2, 3}, the hashes [2, 9, 2, 3] hold 2.
    """
    return _count_members(frozen(hashes), frozen(offsets), frozen(rows), frozen(np.unique(members)))


@kernel
def _count_members(
    hashes: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    members: npt.NDArray[np.uint64],
) -> npt.NDArray[np.int64]:
    out = np.zeros(len(rows), np.int64)
    seen = np.full(len(members), -1)  # the last of `rows` that held each member
    for k in range(len(rows)):
        for hashed in hashes[offsets[rows[k]] : offsets[rows[k] + 1]]:
            low, high = 0, len(members)
            while low < high:
                middle = (low + high) // 2
                if members[middle] < hashed:
                    low = middle + 1
                else:
                    high = middle
            if low < len(members) and members[low] == hashed and seen[low] != k:
                seen[low] = k
                out[k] += 1
    return out
