"""Spill files: all blocks that the split of one unit gives, in one file that is read partition by partition.

The blocks come one after another, then the index, int64 [3, blocks], then the offset of the index. The index holds the
partition, start and length of each block, sorted, so that a reader searches it in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from dataproc.disk import move, temporary
from dataproc.exchange import Block


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
        file.write(np.array(sorted(index), np.int64).reshape(-1, 3).T.tobytes())
        file.write(written.to_bytes(8, "little"))
        file.flush()
        move(making, path)  # a resume takes the name as proof that the spill is whole


def read_spill(path: Path, partition: int) -> Iterator[pa.Buffer]:
    """Yield the blocks of one partition, in the order in which they were written."""
    with pa.memory_map(str(path)) as file:
        end = file.size() - 8
        at = int.from_bytes(file.read_at(8, end), "little")
        file.seek(at)
        partitions, starts, lengths = np.frombuffer(file.read_buffer(end - at), np.int64).reshape(3, -1)
        for k in range(*np.searchsorted(partitions, [partition, partition + 1])):
            file.seek(starts[k])
            yield file.read_buffer(lengths[k])
