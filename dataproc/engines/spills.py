"""Spill files: all blocks that the split of one unit gives, in one file that is read partition by partition.

The blocks come one after another, then the index, int64 [3, blocks], then two uint64: the offset of the index, and the
xxh3_64 of the index with that as seed; blocks have a checksum of their own. The index holds the partition, start and
length of each block, sorted, so that a reader searches it in place.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from dataproc.disk import move, temporary
from dataproc.errors import ShardError
from dataproc.exchange import Block

_TAIL = struct.Struct("<QQ")
_ENTRY_BYTES = 3 * 8
_INDEX_BYTES = 8 << 10  # of the end of a file, read at once: an index of 340 blocks


class Numbered(NamedTuple):
    """A unit of an exchange and its place among all, which its spill is named after; shown as the unit alone."""

    number: int
    unit: Any

    def __str__(self) -> str:
        return str(self.unit)


def write_spill(path: Path, blocks: Iterable[Block]) -> None:
    """Write the blocks of one unit; the file is whole when it has its name. Raises StorageError."""
    index = []
    with temporary(path.parent, path) as making, open(making, "wb") as file:
        for block in blocks:
            index.append((block.partition, file.tell(), block.data.size))
            file.write(block.data)
        written = file.tell()
        packed = np.array(sorted(index), np.int64).reshape(-1, 3).T.tobytes()
        file.write(packed + _TAIL.pack(written, xxhash.xxh3_64_intdigest(packed, written)))
        file.flush()
        move(making, path)  # a resume takes the name as proof that the spill is whole


def read_spill(path: Path, partition: int) -> Iterator[pa.Buffer]:
    """Yield the blocks of one partition, in the order in which they were written.

    Just these bytes are read: of an exchange larger than memory, a map would bring whole pages around each block from
    disk. Raises ShardError for an index that is not as it was written.
    """
    file = os.open(path, os.O_RDONLY)
    try:
        partitions, starts, lengths = _index(path, file)
        for k in range(*np.searchsorted(partitions, [partition, partition + 1])):
            yield pa.py_buffer(os.pread(file, lengths[k], starts[k]))
    finally:
        os.close(file)


def _index(path: Path, file: int) -> npt.NDArray[np.int64]:
    size = os.fstat(file).st_size
    first = max(0, size - _INDEX_BYTES)
    end = os.pread(file, size - first, first)
    if len(end) >= _TAIL.size:
        at, checksum = _TAIL.unpack_from(end, len(end) - _TAIL.size)
        length = size - _TAIL.size - at
        if length >= 0 and length % _ENTRY_BYTES == 0:
            index = end[at - first : -_TAIL.size] if at >= first else os.pread(file, length, at)
            if xxhash.xxh3_64_intdigest(index, at) == checksum:
                return np.frombuffer(index, np.int64).reshape(3, -1)
    raise ShardError(
        f"{path} must end as it was written, got another index. Remove it and resume the run: it is made again."
    )
