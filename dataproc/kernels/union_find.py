"""Connected components of an edge list, each named by its least id: what turns duplicate pairs into clusters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataproc.kernels.buffers import frozen
from dataproc.kernels.jit import kernel


def components(
    left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return every id of the edges (left[k], right[k]), ascending, and the least id of its component: int64 [V] each.

    Ids are any int64, compared signed; edges may repeat, loop and come in any order. O(E log E) time for the sort, 8
    bytes an edge beside it. Example: edges (9, 4), (4, 7), (1, 3) give [1, 3, 4, 7, 9] and [1, 1, 4, 4, 4].
    """
    if len(left) != len(right):
        raise ValueError(f"components must get equal numbers of left and right ids, got {len(left)} and {len(right)}.")
    ids, index = np.unique(np.concatenate([left, right]), return_inverse=True)
    root = _link(frozen(index[: len(left)]), frozen(index[len(left) :]), len(ids))
    return ids, ids[root]


@kernel
def _link(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    parent = np.arange(size)  # a parent is never larger than its child, so a root is the least of its tree
    for edge in range(len(left)):
        a, b = _root(parent, left[edge]), _root(parent, right[edge])
        parent[max(a, b)] = min(a, b)
    for node in range(size):
        parent[node] = parent[parent[node]]  # the smaller parent points to its root already
    return parent


@kernel
def _root(parent: npt.NDArray[np.int64], node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]  # halves the path for the next caller
        node = parent[node]
    return node
