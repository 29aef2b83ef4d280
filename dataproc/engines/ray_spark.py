"""Both engines in one run: units on Ray, exchanges on Spark, which share nothing but the run's storage.

For who extracts and scores on Ray, with its GPUs, and has a Spark whose shuffle is made for what is larger than the
disks of the Ray cluster. RAY_ADDRESS and SPARK_MASTER name the two; what is not named is started on this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Any, TypeVar

from dataproc.engines.ray import RayEngine
from dataproc.engines.spark import SparkEngine
from dataproc.exchange import Exchange
from dataproc.resources import ANY, Resources

U = TypeVar("U")


class RaySparkEngine:
    """Maps with a RayEngine, exchanges with a SparkEngine; `workers` is what each of them takes it for.

    Only one of the two works at a time, so that on one machine both may have all cores. Raises what they raise.
    """

    def __init__(self, workers: int | None) -> None:
        with ExitStack() as started:
            self._spark = started.enter_context(closing(SparkEngine(workers)))  # first: it finds out soon what it lacks
            self._ray = started.enter_context(closing(RayEngine(workers)))
            self._started = started.pop_all()

    def map(self, name: str, fn: Callable[[U], Any], units: Sequence[U], resources: Resources = ANY) -> Iterator[Any]:
        """Run fn on each unit, in Ray tasks. See `Engine.map`."""
        return self._ray.map(name, fn, units, resources)

    def exchange(
        self, spec: Exchange, units: Sequence[Any], scratch: str, skip: frozenset[int] = frozenset()
    ) -> Iterator[Any]:
        """Regroup rows through Spark's shuffle. See `Engine.exchange`."""
        return self._spark.exchange(spec, units, scratch, skip)

    def close(self) -> None:
        """End both."""
        self._started.close()
