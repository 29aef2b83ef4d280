"""Runs: the same few pieces of a document again and again without a break, "a b a b a b".

A run of period p is a stretch in which each piece equals the one p places before. It repeats (its pieces) // p times;
what comes once repeats once. Each period is one pass over the hashes: time is pieces x periods, and no memory.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataproc.kernels.buffers import frozen
from dataproc.kernels.jit import kernel


def longest_runs(
    hashes: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64], max_period: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return, for each document, the most repeats of a run and its period, int64 [N] each; of equals the least period.

    `hashes` [P] stand for the pieces, document k has hashes[offsets[k]:offsets[k + 1]]. A document without pieces has
    0 repeats of period 0. Example: the pieces "x a b a b a b y" have 3 repeats of period 2.
    """
    out = _longest_runs(frozen(hashes), frozen(offsets), max_period)
    return out[0], out[1]


@kernel
def _longest_runs(
    hashes: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64], max_period: int
) -> npt.NDArray[np.int64]:
    out = np.zeros((2, len(offsets) - 1), np.int64)
    for row in range(out.shape[1]):
        start, stop = offsets[row], offsets[row + 1]
        most = 0  # repeats
        for period in range(1, min(max_period, stop - start) + 1):
            longest = equal = 0  # pieces in a row that equal the one a period before
            for at in range(start + period, stop):
                equal = equal + 1 if hashes[at] == hashes[at - period] else 0
                longest = max(longest, equal)
            if longest // period + 1 > most:
                most = longest // period + 1
                out[0, row], out[1, row] = most, period
    return out
