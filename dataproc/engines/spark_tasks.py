"""What runs in Spark's tasks: units, and the blocks of an exchange; nothing here looks into a block."""

from __future__ import annotations

import gc
import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark import Broadcast, TaskContext

from dataproc.engines.worker import MAX_TRIES, answer, attempt, failure, load
from dataproc.errors import DataprocError
from dataproc.exchange import Rows

BLOCKS = pa.schema([("task", pa.int32()), ("unit", pa.int32()), ("block", pa.int32()), ("data", pa.binary())])
BLOCKS_SQL = "task int, unit int, block int, data binary"
"""What is shuffled. unit and block put the blocks of a partition in the order of the local engine."""

NOTHING = "nothing int"
"""What tasks that tell all that they have to say give Spark: no row of it."""

NOTE = -1
"""In the place of `unit`: `data` tells of a unit that failed or was tried again. It sorts before all blocks."""


def _units(held: Broadcast[list[bytes]], rows: Rows) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the pickle of each unit of a task."""
    for batch in rows:
        for number in batch["id"].to_pylist():
            yield number, held.value[number]


def run_units(name: str, task: bytes, home: str, tell: Any, held: Broadcast[list[bytes]], rows: Rows) -> Rows:
    """Run the unit of one task and tell its answer."""
    for number, unit in _units(held, rows):
        deaths = _enter(task, home)
        tell.add([(name, number, deaths, answer(task, pickle.loads(unit)) if deaths < MAX_TRIES else None)])
    yield from ()


def _task() -> TaskContext:
    context = TaskContext.get()
    assert context is not None, "only tasks ask"
    return context


def _enter(step: bytes, home: str) -> int:
    """Enter the folder that relative names mean; return how many workers of this task have died."""
    with suppress(OSError):  # a machine without it needs absolute names
        os.chdir(home)
    pa.set_cpu_count(1)
    _keep(step)
    return int(_task().attemptNumber())


_entered = (b"", 0)


def _keep(step: bytes) -> None:
    """Have Spark, which collects garbage after every task, look through libraries and models once a step only.

    That took longer than a small unit. What is there at the second task is left out until the next step begins.
    """
    global _entered
    tasks = _entered[1] + 1 if step == _entered[0] else 1
    _entered = (step, tasks)
    if tasks == 1:
        gc.unfreeze()
    elif tasks == 2:
        gc.freeze()


def split(spec: bytes, todo: Sequence[int], home: str, held: Broadcast[list[bytes]], rows: Rows) -> Rows:
    """Yield the blocks of one unit, each for the task of its partition.

    What there is to tell goes the same way: to every task of a failure, to the first of a unit that was tried again.
    An accumulator would have it once more whenever Spark splits a unit again to replace blocks that were lost.
    """
    tasks = {partition: task for task, partition in enumerate(todo)}
    for number, unit in _units(held, rows):
        deaths, answered = _enter(spec, home), None
        if deaths < MAX_TRIES:
            try:
                for k, block in enumerate(load(spec).split(pickle.loads(unit))):
                    if block.partition in tasks:
                        yield _block_row(tasks[block.partition], number, k, block.data)
                answered = b""
            except Exception as error:  # this is `attempt` for what yields
                answered = failure(error)
        told = pa.py_buffer(pickle.dumps(("split", number, deaths, answered)))
        if answered != b"":
            yield from (_block_row(task, NOTE, number, told) for task in tasks.values())
        elif deaths:
            yield _block_row(0, NOTE, number, told)


def _block_row(task: int, unit: int, block: int, data: pa.Buffer) -> pa.RecordBatch:
    offsets = pa.array([0, data.size], pa.int32()).buffers()[1]
    column = pa.Array.from_buffers(pa.binary(), 1, [None, offsets, data])  # without a copy
    values = [pa.array([value], pa.int32()) for value in (task, unit, block)]
    return pa.RecordBatch.from_arrays([*values, column], schema=BLOCKS)


def reduce(spec: bytes, todo: Sequence[int], scratch: str, home: str, name: str, tell: Any, rows: Rows) -> Rows:
    """Reduce the partition of this task and tell of it; where units failed, none reduces. The first tells of units."""
    yield from ()
    task = _task().partitionId()
    blocks = _blocks(task, rows)
    first, failed = next(blocks, None), False
    while first is not None and first[0] == NOTE:
        step, *told = pickle.loads(first[1])
        failed = failed or told[-1] != b""
        if task == 0:
            tell.add([(f"{name}: {step}", *told)])
        first = next(blocks, None)
    if failed:
        return

    def run() -> Any:
        Path(scratch).mkdir(parents=True, exist_ok=True)  # of this machine, which need not be the driver's
        every = chain([] if first is None else [first], blocks)
        return load(spec).reduce(todo[task], (data for _, data in every), Path(scratch))

    deaths = _enter(spec, home)
    tell.add([(f"{name}: reduce", todo[task], deaths, attempt(run) if deaths < MAX_TRIES else None)])


def _blocks(task: int, rows: Rows) -> Iterator[tuple[int, pa.Buffer]]:
    """Yield (unit, block) in order; raises DataprocError for a block of another task, which Spark must not bring."""
    for batch in rows:
        for k in range(batch.num_rows):
            if batch["task"][k].as_py() != task:
                raise DataprocError(
                    f"Spark must bring each block to its task, got one of {batch['task'][k]} in {task}."
                    " Report this as a bug."
                )
            yield batch["unit"][k].as_py(), batch["data"][k].as_buffer()
