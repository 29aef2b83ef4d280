"""The Spark engine: units are tasks of one Spark job, and blocks go through Spark's shuffle by our partition id.

What runs in a task is the same code as on one machine: Spark carries pickled units, opaque blocks and pickled answers,
and never looks at a row. Answers reach the driver through an accumulator as each task ends, so nothing is gathered.
A task that Spark repeats because its worker died looks at its attempt number; after `MAX_TRIES` deaths it says so
without running the unit, so that the job, and with it the other units, goes on.
"""

from __future__ import annotations

import gc
import os
import pickle
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar, cast

import pyarrow as pa
import pyspark
from pyspark import Broadcast, InheritableThread, TaskContext
from pyspark.sql import DataFrame, SparkSession

from dataproc.engines import Retried
from dataproc.engines.worker import MAX_TRIES, answer, attempt, died, failure, load, outcome
from dataproc.errors import ConfigError, DataprocError, StorageError
from dataproc.exchange import Exchange, Rows
from dataproc.resources import ANY, Resources

U = TypeVar("U")

PYSPARK = (4, 1)  # the first with repartitionById
JAVA = 17

ATTEMPTS = MAX_TRIES + 1
"""Attempts that Spark must allow a task: the last one only reports. It is Spark's default, but not on `local[n]`."""

BATCH_BYTES = 4 << 20
"""Blocks that Spark hands to Python at once; a larger block comes alone."""

HEAP_MIB = 512
"""What Java holds for one task of a local master: a block or two of `PIECE_BYTES`, and the sort that then spills."""

LOCAL_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Of a local master, whose Java hands out tasks and moves blocks: to start soon is worth more than to run fast."""

SETTINGS = {
    "spark.sql.adaptive.enabled": "false",  # tasks are ours to count
    "spark.sql.codegen.wholeStage": "false",  # a row is a whole block: not worth a compiled loop for each query
    "spark.sql.execution.arrow.maxBytesPerBatch": str(BATCH_BYTES),
    "spark.ui.showConsoleProgress": "false",  # we show our own
    "spark.log.level": "ERROR",  # a task that is tried again is told by the engine, if it matters
}
"""None of them shows in the bytes of a run."""

BLOCKS = pa.schema([("task", pa.int32()), ("unit", pa.int32()), ("block", pa.int32()), ("data", pa.binary())])
BLOCKS_SQL = "task int, unit int, block int, data binary"
"""What is shuffled. unit and block put the blocks of a partition in the order of the local engine."""

NOTHING = "nothing int"
"""What tasks that tell all that they have to say give Spark: no row of it."""

NOTE = -1
"""In the place of `unit`: `data` tells of a unit that failed or was tried again. It sorts before all blocks."""

HOW = "as its executor's log tells"

Told = tuple[str, int, int, bytes | None]
"""What a task tells: a step, the number of a unit in it, how many workers died on it before, and what `outcome` reads;
None when the last of them died too, and nothing for a split, whose blocks are all that it has to say."""


class SparkEngine:
    """Runs units as tasks of the Spark that SPARK_MASTER or spark-submit names, else of one here with `workers` cores.

    Raises ConfigError when Java is missing or too old, or when Spark may not try a task `ATTEMPTS` times.

    Example: engine = SparkEngine(workers=2); sorted(engine.map("double", double, [1, 2])) == [2, 4]; engine.close()
    """

    def __init__(self, workers: int | None) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"SparkEngine.workers must be at least 1, got {workers}. Give --workers 1 or more.")
        self._spark = _session(workers or os.cpu_count() or 1)

    def __enter__(self) -> SparkEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def map(self, name: str, fn: Callable[[U], Any], units: Sequence[U], resources: Resources = ANY) -> Iterator[Any]:
        """Run fn on each unit, one task each, in a job called `name`. See `Engine.map`.

        Cores and memory of a task are Spark's own settings; raises ConfigError for units that ask for a GPU.
        """
        if resources.gpus:
            raise ConfigError(
                f"{name}: units must ask for no GPU on Spark, got {resources.gpus}. Take --engine ray or ray+spark."
            )
        if units:
            run = partial(_run_units, name, pickle.dumps(fn), os.getcwd())
            yield from self._outcomes(name, {name: units}, lambda tell: self._tasks(partial(run, tell), units, NOTHING))

    def exchange(
        self, spec: Exchange, units: Sequence[Any], scratch: str, skip: frozenset[int] = frozenset()
    ) -> Iterator[Any]:
        """Split units into blocks, shuffle these, reduce partitions: one job of two stages. See `Engine.exchange`.

        A killed exchange splits again: spills are Spark's. `scratch` is made on each machine, for sorted runs.
        """
        todo = [partition for partition in range(spec.num_partitions) if partition not in skip]
        if not todo:
            return
        pickled, home = pickle.dumps(spec), os.getcwd()
        split = partial(_split, pickled, todo, home)
        folder = str(Path(scratch).absolute())

        @contextmanager
        def tasks(tell: Any) -> Iterator[DataFrame]:
            reduce = partial(_reduce, pickled, todo, folder, home, spec.name, tell)
            with self._tasks(split, units, BLOCKS_SQL) as blocks:
                sorted_blocks = blocks.repartitionById(len(todo), "task").sortWithinPartitions("unit", "block")
                with _no_word_of_pandas():
                    rows = sorted_blocks.mapInArrow(reduce, NOTHING)
                yield rows

        steps = {f"{spec.name}: split": units, f"{spec.name}: reduce": range(spec.num_partitions)}
        yield from self._outcomes(spec.name, steps, tasks)

    def close(self) -> None:
        """End the Spark application."""
        self._spark.stop()

    @contextmanager
    def _tasks(self, run: Callable[..., Rows], units: Sequence[Any], schema: str) -> Iterator[DataFrame]:
        """Give what `run` yields, in one task for each unit, as rows of a schema; workers hold the units meanwhile."""
        held = self._spark.sparkContext.broadcast([pickle.dumps(unit) for unit in units])
        try:
            numbers = self._spark.range(0, len(units), 1, max(1, len(units)))
            with _no_word_of_pandas():
                rows = numbers.mapInArrow(partial(run, held), schema)
            yield rows
        finally:
            with suppress(Exception):  # of a Java that is gone, which the job has told
                held.destroy()

    def _outcomes(
        self, name: str, units: Mapping[str, Sequence[Any]], job: Callable[[Any], AbstractContextManager[DataFrame]]
    ) -> Iterator[Any]:
        """Run a job in a thread and yield what its tasks tell, as they end; the job ends when the caller stops.

        `units` are those of each step of the job.
        """
        context = self._spark.sparkContext
        told: SimpleQueue[Told | _End] = SimpleQueue()
        tell: Any = context.accumulator([], cast(Any, _Telling(told)))
        group = f"dataproc-{tell.aid}"

        def run(rows: DataFrame) -> None:
            error = None
            try:
                context.setJobGroup(group, name, interruptOnCancel=True)  # the name that Spark's UI shows
                rows.write.format("noop").mode("overwrite").save()
            except Exception as caught:  # raised again where the caller waits
                error = caught
            told.put(_End(error))

        with _telling(name, job(tell)) as rows:
            thread = InheritableThread(target=run, args=(rows,), daemon=True)
            thread.start()
            try:
                while not isinstance(message := told.get(), _End):
                    step, number, deaths, answered = message
                    unit = units[step][number]
                    yield from [Retried(step, unit, HOW)] * min(deaths, MAX_TRIES - 1)
                    if answered != b"":
                        yield died(step, unit, HOW) if answered is None else outcome(unit, answered)
                if message.error is not None:
                    raise _job_failed(name, message.error) from message.error
            finally:
                while thread.is_alive():  # again and again: a group without a job yet has nothing to cancel
                    context.cancelJobGroup(group)
                    thread.join(0.2)


class _End:
    """The last message of a job."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error


class _Telling:
    """How an accumulator adds up what is told: a task keeps a list, the driver passes it on at once and keeps nothing.

    Spark hands over what a task told once, when it has ended; what its dead attempts told is lost with them.
    """

    def __init__(self, told: SimpleQueue[Any] | None = None) -> None:
        self._told = told

    def __reduce__(self) -> tuple[type[_Telling], tuple[()]]:
        return _Telling, ()  # a queue stays in its process

    def zero(self, value: list[Told]) -> list[Told]:
        return []

    def addInPlace(self, value: list[Told], more: list[Told]) -> list[Told]:
        if self._told is None:
            return value + more
        for one in more:
            self._told.put(one)
        return []


def _units(held: Broadcast[list[bytes]], rows: Rows) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the pickle of each unit of a task."""
    for batch in rows:
        for number in batch["id"].to_pylist():
            yield number, held.value[number]


def _run_units(name: str, task: bytes, home: str, tell: Any, held: Broadcast[list[bytes]], rows: Rows) -> Rows:
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


def _split(spec: bytes, todo: Sequence[int], home: str, held: Broadcast[list[bytes]], rows: Rows) -> Rows:
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


def _reduce(spec: bytes, todo: Sequence[int], scratch: str, home: str, name: str, tell: Any, rows: Rows) -> Rows:
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


def _session(workers: int) -> SparkSession:
    """Start Spark, or join the application that spark-submit started; raises ConfigError."""
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    _check_installed(needs_java=not submitted)
    master = os.environ.get("SPARK_MASTER") or (None if submitted else f"local[{workers}]")
    settings = dict(SETTINGS)
    if master is not None and master.startswith("local"):
        if plain := re.fullmatch(r"local(?:\[([^,]+)\])?", master):  # it would try a task only once
            master = f"local[{plain[1] or 1},{ATTEMPTS}]"
        settings["spark.driver.memory"] = f"{1024 + HEAP_MIB * workers}m"  # an upper bound
        settings["spark.driver.extraJavaOptions"] = LOCAL_JAVA
        settings["spark.python.unix.domain.socket.enabled"] = "true"  # by TCP, tasks wait 40 ms for acknowledgements
        settings["spark.driver.host"] = settings["spark.driver.bindAddress"] = "127.0.0.1"
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        settings["spark.executorEnv.PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else workers are whatever `python3` is
    builder = SparkSession.builder.appName("dataproc").config(map=cast(Any, settings))
    if master is not None:
        builder = builder.master(master)
    try:
        with _no_word_of_pandas():
            session = builder.getOrCreate()
    except Exception as error:
        raise ConfigError(
            f"SPARK_MASTER must name a Spark that starts, got {master}: {_first_line(error)}. Look at its log."
        ) from error
    _check_attempts(session)
    return session


@contextmanager
def _no_word_of_pandas() -> Iterator[None]:
    """Keep back Spark's warning of new versions of pandas, which nothing here uses."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        yield


def _check_installed(*, needs_java: bool) -> None:
    """Raise ConfigError when pyspark is too old, or pandas or Java is not there."""
    install = "Install it: pip install 'dataproc-llm[spark]'."
    if find_spec("pandas") is None:  # Spark's mapInArrow asks for it, though nothing here uses it
        raise ConfigError(f"--engine spark must have pandas beside pyspark, got none. {install}")
    if tuple(map(int, pyspark.__version__.split(".")[:2])) < PYSPARK:
        wanted = ".".join(map(str, PYSPARK))
        raise ConfigError(f"--engine spark must have pyspark {wanted} or newer, got {pyspark.__version__}. {install}")
    if not needs_java:
        return
    home = os.environ.get("JAVA_HOME")
    java = f"{home}/bin/java" if home else "java"
    found = None
    if shutil.which(java):
        told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
        found = re.search(r'version "(\d+)', told)
    if found is None or int(found[1]) < JAVA:
        raise ConfigError(
            f"--engine spark must have Java {JAVA} or newer, got {found[1] if found else 'none'} as {java}."
            f" Install one (Debian: apt install openjdk-{JAVA}-jre-headless) or set JAVA_HOME."
        )


def _check_attempts(session: SparkSession) -> None:
    """Raise ConfigError, and end Spark, when a task may not be tried as often as the death of workers asks for."""
    master = session.sparkContext.master or ""
    allowed = session.sparkContext.getConf().get("spark.task.maxFailures") or ATTEMPTS
    if local := re.fullmatch(r"local(?:\[[^,]+(?:,(.+))?\])?", master):  # which does not obey that setting
        allowed = local[1] or 1
    if int(allowed) < ATTEMPTS:
        session.stop()
        raise ConfigError(
            f"spark.task.maxFailures must be at least {ATTEMPTS}, got {allowed} with master {master}."
            f" Leave it out, or say local[N,{ATTEMPTS}]."
        )


@contextmanager
def _telling(name: str, job: AbstractContextManager[DataFrame]) -> Iterator[DataFrame]:
    """Enter a job; what Spark says of one that it cannot begin is one sentence."""
    with ExitStack() as stack:
        try:
            rows = stack.enter_context(job)
        except Exception as error:
            raise _job_failed(name, error) from error
        yield rows


def _job_failed(name: str, error: Exception) -> DataprocError:
    """Return the error for a job that Spark gave up for what is no unit's fault."""
    if "No space left on device" in str(error):
        return StorageError(
            f"{name}: Spark must store its shuffle, got: No space left on device. Free space on its disk, then"
            " `dataproc resume` goes on; or set SPARK_LOCAL_DIRS to another."
        )
    return DataprocError(
        f"{name}: Spark must finish the job, got: {_first_line(error)}. Look at its log; `dataproc resume` goes on."
    )


def _first_line(error: Exception) -> str:
    """Return what Java says in one line, without its trace."""
    cause = getattr(error, "java_exception", None)
    lines = str(cause.getMessage() if cause is not None else error).splitlines()
    return next((line.strip().rstrip(".") for line in lines if line.strip()), type(error).__name__)
