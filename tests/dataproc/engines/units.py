"""Units of work and exchanges that every engine is tested with; at the top of a module, so that workers find them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from dataproc.engines import Retried
from dataproc.errors import ShardError, StorageError
from dataproc.exchange import Exchange, Rows

SCHEMA = pa.schema([("partition", pa.int32()), ("value", pa.int64())])


def parted(outcomes: Iterable[Any]) -> tuple[list[Any], list[tuple[str, str]]]:
    """Return what the units gave, and the units, with their step, that were run again."""
    every = list(outcomes)
    retried = [one for one in every if isinstance(one, Retried)]
    return [one for one in every if one not in retried], [(one.step, str(one.unit)) for one in retried]


def double(unit: int) -> int:
    return 2 * unit


def fail_on_three(unit: int) -> int:
    if unit == 3:
        raise ShardError("part 3 must be whole, got half of it. Fetch it again.")
    if unit == 4:
        raise KeyError("a bug")
    return unit


def store(unit: int) -> int:
    if unit == 1:
        raise StorageError("a must be stored, got: No space left on device.")
    return unit


def die_once(folder: str, unit: int) -> int:
    """Kill the own process at the first try of unit 2."""
    marker = Path(folder) / f"tried-{unit}"
    if unit == 2 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return unit


def die(unit: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return unit


def numbers(unit: int) -> Rows:
    values = pa.array(range(unit * 10, unit * 10 + 10), pa.int64())
    yield pa.RecordBatch.from_arrays([pa.array([value % 3 for value in range(10)], pa.int32()), values], schema=SCHEMA)


def numbers_once(folder: str, unit: int) -> Rows:
    """Fail on a unit that was split before."""
    (Path(folder) / f"split-{unit}").touch(exist_ok=False)
    yield from numbers(unit)


def collect(partition: int, rows: Rows) -> tuple[int, list[int]]:
    return partition, [value for batch in rows for value in batch["value"].to_pylist()]


def spec(source: object = numbers, reduce_fn: object = iter) -> Exchange:
    return Exchange(
        name="numbers",
        source=source,  # type: ignore[arg-type]
        schema=SCHEMA,
        partition="partition",
        sort_by=("value",),
        num_partitions=4,
        reduce_fn=reduce_fn,  # type: ignore[arg-type]
        sink=collect,
    )


WANT = [
    (part, [unit * 10 + value for unit in range(3) for value in range(10) if value % 3 == part]) for part in range(4)
]


def unsendable(unit: int) -> object:
    return lambda: unit


def noted(unit: int) -> None:
    error = KeyError("a bug")
    error.add_note("in stage x")
    raise error


def die_splitting(folder: str, unit: int) -> Rows:
    die_once(folder, unit)
    yield from numbers(unit)


def die_reducing(folder: str, rows: Rows) -> Rows:
    """Kill the own process at the first try of the partition that has the value 2."""
    for batch in rows:
        if 2 in batch["value"].to_pylist():
            die_once(folder, 2)
        yield batch
