"""How far the words of a document are from what a reference expects: the Kullback-Leibler divergence of unigrams."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataproc.kernels.buffers import frozen
from dataproc.kernels.hash_table import HashTable, find
from dataproc.kernels.jit import kernel

_SPREAD = np.uint64(0xD6E8FEB86659FD93)


def unigram_divergence(
    hashes: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    table: HashTable,
    logs: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return sum(p * (log p - log q)) over the different words of each document, nats, float64 [N]; 0 without words.

    p is the share of a word among the document's hashes[offsets[k]:offsets[k + 1]]; log q is logs[table's value], and
    logs[0] for words that the table lacks. Added up in the order in which words come first. Example: a document of one
    word of which the reference expects 0.1 is at log 10.
    """
    return _divergence(frozen(hashes), frozen(offsets), table.keys, table.values, frozen(logs))


@kernel
def _divergence(
    hashes: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    keys: npt.NDArray[np.uint64],
    values: npt.NDArray[np.int32],
    logs: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    out = np.zeros(len(offsets) - 1, np.float64)
    largest = 1
    for row in range(len(out)):
        largest = max(largest, offsets[row + 1] - offsets[row])
    room = 2
    while room < 2 * largest:
        room *= 2
    seen, owners, counts = np.empty(room, np.uint64), np.full(room, -1), np.empty(room, np.int64)
    slots = np.empty(largest, np.uint64)  # of the different words, in order
    for row in range(len(out)):
        start, stop = offsets[row], offsets[row + 1]
        bits = 1
        while 1 << bits < 2 * (stop - start):
            bits += 1
        mask = np.uint64((1 << bits) - 1)
        different = 0
        for hashed in hashes[start:stop]:
            slot = hashed * _SPREAD >> np.uint64(64 - bits)
            while owners[slot] == row and seen[slot] != hashed:
                slot = slot + np.uint64(1) & mask
            if owners[slot] != row:
                seen[slot], owners[slot], counts[slot] = hashed, row, 0
                slots[different] = slot
                different += 1
            counts[slot] += 1
        for slot in slots[:different]:
            share = counts[slot] / (stop - start)
            out[row] += share * (np.log(share) - logs[find(keys, values, seen[slot])])
    return out
