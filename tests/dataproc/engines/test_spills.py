from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from dataproc.engines.spills import read_spill, write_spill
from dataproc.errors import ShardError
from dataproc.exchange import Block

BLOCKS = [Block(2, pa.py_buffer(b"first")), Block(0, pa.py_buffer(b"second")), Block(2, pa.py_buffer(b"third"))]
DATA = 16  # bytes of the blocks


def blocks_of(path: Path, partition: int) -> list[bytes]:
    return [block.to_pybytes() for block in read_spill(path, partition)]


def test_blocks_come_back_by_partition(tmp_path: Path) -> None:
    write_spill(tmp_path / "spill", BLOCKS)
    assert [blocks_of(tmp_path / "spill", partition) for partition in range(4)] == [
        [b"second"],
        [],
        [b"first", b"third"],
        [],
    ]


def test_an_index_of_any_length(tmp_path: Path) -> None:
    for number in (339, 340, 341, 3_000):
        blocks = [Block(k % 1_000, pa.py_buffer(b"%d" % k)) for k in range(number)]
        write_spill(tmp_path / "spill", blocks)
        for partition in (0, 5, 338, 999):
            assert blocks_of(tmp_path / "spill", partition) == [b"%d" % k for k in range(partition, number, 1_000)]


def test_a_unit_may_give_nothing(tmp_path: Path) -> None:
    write_spill(tmp_path / "spill", [])
    assert blocks_of(tmp_path / "spill", 0) == []


def test_no_damage_of_the_index_goes_unseen(tmp_path: Path) -> None:
    """A block that went to another partition, or to none, would be lost without a word."""
    path = tmp_path / "spill"
    write_spill(path, BLOCKS)
    whole = path.read_bytes()
    damaged = [whole[:size] for size in range(len(whole))]
    for at in range(DATA, len(whole)):
        damaged += [whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :] for bit in (1, 128)]
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(ShardError, match=r"spill must end as it was written, got another index. Remove it and res"):
            blocks_of(path, 0)
