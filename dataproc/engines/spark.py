"""The Spark engine: units are tasks of one Spark job, and blocks go through Spark's shuffle by our partition id.

What runs in a task is the same code as on one machine: Spark carries pickled units, opaque blocks and pickled answers,
and never looks at a row. Answers reach the driver through an accumulator as each task ends, so nothing is gathered.
A task that Spark repeats because its worker died looks at its attempt number; after `MAX_TRIES` deaths it says so
without running the unit, so that the job, and with it the other units, goes on.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar, cast

from pyspark import InheritableThread
from pyspark.sql import DataFrame

from dataproc.engines import Retried
from dataproc.engines.spark_session import first_line, no_word_of_pandas, start_session
from dataproc.engines.spark_tasks import BLOCKS_SQL, NOTHING, reduce, run_units, split
from dataproc.engines.worker import MAX_TRIES, died, outcome
from dataproc.errors import ConfigError, DataprocError, StorageError
from dataproc.exchange import Exchange, Rows
from dataproc.resources import ANY, Resources

U = TypeVar("U")

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
        self._spark = start_session(workers or os.cpu_count() or 1)

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
            run = partial(run_units, name, pickle.dumps(fn), os.getcwd())
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
        blocks_of = partial(split, pickled, todo, home)
        folder = str(Path(scratch).absolute())

        @contextmanager
        def tasks(tell: Any) -> Iterator[DataFrame]:
            answers_of = partial(reduce, pickled, todo, folder, home, spec.name, tell)
            with self._tasks(blocks_of, units, BLOCKS_SQL) as blocks:
                sorted_blocks = blocks.repartitionById(len(todo), "task").sortWithinPartitions("unit", "block")
                with no_word_of_pandas():
                    rows = sorted_blocks.mapInArrow(answers_of, NOTHING)
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
            with no_word_of_pandas():
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
        f"{name}: Spark must finish the job, got: {first_line(error)}. Look at its log; `dataproc resume` goes on."
    )
