"""A set or map of 64-bit hashes as two numpy arrays: millions of entries, 12 bytes a slot, one look a lookup.

Open addressing with linear probing at a load of at most 5/8. The strings behind the hashes are not kept: among n
entries a lookup of anything else is wrong with probability n / 2^64 (for 5 million, 3 in 10^13).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dataproc.kernels.buffers import frozen
from dataproc.kernels.jit import kernel


class HashTable(NamedTuple):
    """Slots of a table, a power of two of them; read-only."""

    keys: npt.NDArray[np.uint64]
    values: npt.NDArray[np.int32]  # 0 = free slot


def build_table(keys: npt.NDArray[np.uint64], values: npt.NDArray[np.int32]) -> HashTable:
    """Return the table of keys [N] and values [N], none of which is 0; values of equal keys are joined by or.

    Example: build_table([7, 7, 9], [1, 2, 4]) finds 3 for 7, 4 for 9 and 0 for 8.
    """
    slots = 1 << max(4, (len(keys) * 8 // 5).bit_length())
    table = HashTable(np.zeros(slots, np.uint64), np.zeros(slots, np.int32))
    _fill(table.keys, table.values, keys, values)
    return HashTable(frozen(table.keys), frozen(table.values))


@kernel
def _fill(
    slots: npt.NDArray[np.uint64],
    slot_values: npt.NDArray[np.int32],
    keys: npt.NDArray[np.uint64],
    values: npt.NDArray[np.int32],
) -> None:
    mask = np.uint64(len(slots) - 1)
    for k in range(len(keys)):
        at = keys[k] & mask
        while slot_values[at] != 0 and slots[at] != keys[k]:
            at = at + np.uint64(1) & mask
        slots[at] = keys[k]
        slot_values[at] |= values[k]


@kernel
def find(keys: npt.NDArray[np.uint64], values: npt.NDArray[np.int32], key: np.uint64) -> Any:
    """Return the value of a key (int32), 0 when it is not there; for use inside other kernels."""
    mask = np.uint64(len(keys) - 1)
    at = key & mask
    while values[at] != 0:
        if keys[at] == key:
            return values[at]
        at = at + np.uint64(1) & mask
    return 0
