"""Which source sample k of a training stage comes from, in closed form.

Given how many samples each source gives in all (its quota), the sources are spread evenly: at every k each has given
its share of the first k samples within 2, and at the end its quota exactly. A binary tree splits the sources; at each
node, of the first k samples `round(k * left / total)` go left. So sample k walks down the tree, keeping its number
within the subtree, and the leaf it ends in is its source. The tree is Huffman's: walks are short (the entropy of the
mixture), and the error stays small: an inner node has at most 2/3 of its parent, so errors of 1/2 a level add up to
less than 1/2 * (1 + 2/3 + 4/9 + ...) = 3/2, and the leaf adds 1/2.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dataproc.errors import ConfigError

MAX_SAMPLES = 1 << 40
I64 = npt.NDArray[np.int64]


class Interleave:
    """Spreads the samples of sources 0..n-1, quotas[i] of source i, over positions [0, sum(quotas)).

    O(n) memory, O(log n) time a sample or less. Raises ConfigError for a negative quota or more than 2**40 samples.
    Example: Interleave([3, 1]).locate(np.arange(4)) gives sources [0, 0, 1, 0] and their samples [0, 1, 0, 2]
    """

    def __init__(self, quotas: Sequence[int]) -> None:
        self.quotas = tuple(quotas)
        self.total = sum(self.quotas)
        if min(self.quotas, default=0) < 0 or self.total > MAX_SAMPLES:
            raise ConfigError(f"Interleave.quotas must be 0 or more and add up to at most 2**40, got {list(quotas)}.")
        # A node is a number >= 0, a leaf is ~source. Equal weights are split by order, so the tree is always the same.
        heap = [(quota, order, ~order) for order, quota in enumerate(self.quotas) if quota]
        heapq.heapify(heap)
        nodes: list[tuple[int, int, int, int]] = []  # left child, right child, samples to the left, samples in all
        while len(heap) > 1:
            right_quota, _, right = heapq.heappop(heap)
            left_quota, _, left = heapq.heappop(heap)
            quota = left_quota + right_quota
            heapq.heappush(heap, (quota, len(self.quotas) + len(nodes), len(nodes)))
            nodes.append((left, right, left_quota, quota))
        self._root = heap[0][2] if heap else 0
        self._nodes = np.array(nodes, dtype=np.int64).reshape(-1, 4)

    def locate(self, samples: I64) -> tuple[I64, I64]:
        """Return the source of each sample and which of that source's samples it is; int64 [N] each."""
        node = np.full(len(samples), self._root, dtype=np.int64)
        number = samples.astype(np.int64)
        walking = np.flatnonzero(node >= 0)
        while walking.size:
            left, right, left_quota, quota = self._nodes[node[walking]].T
            at = number[walking]
            before = _share(at, left_quota, quota)
            goes_left = _share(at + 1, left_quota, quota) > before
            number[walking] = np.where(goes_left, before, at - before)
            node[walking] = np.where(goes_left, left, right)
            walking = walking[node[walking] >= 0]
        return ~node, number

    def counts(self, samples: int) -> list[int]:
        """Return how many of the first `samples` samples come from each source."""
        counts = [0] * len(self.quotas)
        walks = [(self._root, samples)] if self.total else []
        while walks:
            node, number = walks.pop()
            if node < 0:
                counts[~node] = number
                continue
            left, right, left_quota, quota = self._nodes[node].tolist()
            to_left = (number * left_quota + quota // 2) // quota
            walks += [(left, to_left), (right, number - to_left)]
        return counts


def _share(at: I64, part: I64, whole: I64) -> I64:
    """Return (at * part + whole // 2) // whole without leaving 64 bits, for numbers up to 2**40."""
    # at = high * 2**20 + low; each product is below 2**60.
    high, rest = np.divmod((at >> 20) * part, whole)
    low: I64 = ((rest << 20) + (at & 0xFFFFF) * part + (whole >> 1)) // whole
    return (high << 20) + low
