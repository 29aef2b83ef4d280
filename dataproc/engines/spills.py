"""Spill files: all blocks that the split of one unit gives, in one file that is read partition by partition.

The blocks come one after another, then the index, int64 [3, blocks], then two uint64: the offset of the index, and the
xxh3_64 of the index with that as seed; blocks have a checksum of their own. The index holds the partition, start and
length of each block, sorted, so that a reader searches it in place.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from dataproc.disk import move, temporary
from dataproc.errors import ShardError
from dataproc.exchange import Block

_TAIL = struct.Struct("<QQ")
_ENTRY_BYTES = 3 * 8


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

    Raises ShardError for an index that is not as it was written.
    """
    with pa.memory_map(str(path)) as file:
        partitions, starts, lengths = np.frombuffer(_index(path, file), np.int64).reshape(3, -1)
        for k in range(*np.searchsorted(partitions, [partition, partition + 1])):
            file.seek(starts[k])
            yield file.read_buffer(lengths[k])


def _index(path: Path, file: pa.MemoryMappedFile) -> pa.Buffer:
    end = file.size() - _TAIL.size
    if end >= 0:
        at, checksum = _TAIL.unpack(file.read_at(_TAIL.size, end))
        if at <= end and (end - at) % _ENTRY_BYTES == 0:
            file.seek(at)
            index = file.read_buffer(end - at)
            if xxhash.xxh3_64_intdigest(index, at) == checksum:
                return index
    raise ShardError(
        f"{path} must end as it was written, got another index. Remove it and resume the run: it is made again."
    )
