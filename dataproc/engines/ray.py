"""The Ray engine: each unit is a Ray task, and an exchange is spill files that are fetched from the node that has them.

RAY_ADDRESS names the cluster (`ray job submit` sets it); without it, Ray is started on this machine and ended with the
engine. The driver submits names and receives reports; a unit's documents go from storage to its worker. Ray's object
store holds tasks, reports and the few blocks that are on their way between two nodes.

A node that is lost, or a worker that is killed, costs the units it was running: they run again, at most `MAX_TRIES`
times, counted here and not by Ray, which does not count what it kills for want of memory.
"""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from dataproc.engines import Failed, Retried
from dataproc.engines.spills import Numbered, read_spill, write_spill
from dataproc.engines.worker import MAX_TRIES, answer, died, outcome
from dataproc.errors import ConfigError
from dataproc.exchange import Exchange
from dataproc.resources import ANY, Resources

U = TypeVar("U")

OBJECT_STORE_BYTES = 128 << 20
"""Object store of a Ray that is started here: one machine passes blocks by file, so that it holds reports alone."""

CONNECT_S = 10.0
"""How long the port of a cluster may take to open."""

FETCHED_BLOCKS = 4
"""Blocks that one reduce task has on their way from one other node."""


class RayEngine:
    """Runs units as tasks of a Ray cluster: at most `workers` at once there, or of a Ray with that many cores here.

    Raises ConfigError when RAY_ADDRESS names no cluster that answers.

    Example: engine = RayEngine(workers=2); sorted(engine.map("double", double, [1, 2])) == [2, 4]; engine.close()
    """

    def __init__(self, workers: int | None) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"RayEngine.workers must be at least 1, got {workers}. Give --workers 1 or more.")
        self._workers = workers
        self._connected = not ray.is_initialized()
        self._started = self._connected and not os.environ.get("RAY_ADDRESS")
        if self._started:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to others unasked
            ray.init(
                "local",
                num_cpus=workers,
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        elif self._connected:
            _connect(os.environ["RAY_ADDRESS"])

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def map(self, name: str, fn: Callable[[U], Any], units: Sequence[U], resources: Resources = ANY) -> Iterator[Any]:
        """Run fn on each unit, in Ray tasks called `name`; those that wait for room are few. See `Engine.map`.

        Raises ConfigError when a Ray started here will never have the resources; a cluster may grow.
        """
        self._check(name, resources)
        task = ray.put(pickle.dumps(fn))
        run = RUN.options(
            name=name,
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            memory=resources.memory_bytes,
            max_retries=0,
        )
        waiting: Iterator[tuple[U, int]] = ((unit, 1) for unit in units)
        in_flight: dict[Any, tuple[U, int]] = {}
        try:
            while True:
                for unit, tries in islice(waiting, max(0, self._room(resources) - len(in_flight))):
                    in_flight[run.remote(task, os.getcwd(), unit)] = (unit, tries)
                if not in_flight:
                    return
                ((ended, *_), _) = ray.wait(list(in_flight), num_returns=1)
                unit, tries = in_flight.pop(ended)
                try:
                    answered = ray.get(ended)
                except RayTaskError as error:  # the worker has no code of ours, or other libraries
                    yield Failed(unit, f"{name}: {type(error.cause).__name__}: {error.cause}", str(error))
                except RayError as error:
                    if tries < MAX_TRIES:
                        waiting = chain(waiting, [(unit, tries + 1)])
                        yield Retried(name, unit, type(error).__name__)
                    else:
                        yield died(name, unit, type(error).__name__)
                else:
                    yield outcome(unit, answered)
        except BaseException:  # Ctrl-C, or the caller's own error: units in flight must not go on in the background
            for reference in in_flight if ray.is_initialized() else ():  # after `close`, Ray would connect once more
                ray.cancel(reference, force=True)
            raise

    def _room(self, resources: Resources) -> int:
        """Return how many units to have in flight: two per place, so that no worker waits for the driver.

        Those that wait for a place also are what an autoscaler adds nodes for.
        """
        if self._workers is not None and not self._started:
            return self._workers
        places = [have // need for have, need in _totals(resources).values()]
        return 2 * max(1, int(min(places, default=1)))

    def _check(self, name: str, resources: Resources) -> None:
        if not self._started:
            return
        for kind, (have, need) in _totals(resources).items():
            if have < need:
                raise ConfigError(
                    f"{name}: Resources must fit this machine, got {kind} = {need:g} of {have:g}."
                    " Ask for less, or name a cluster that has it in RAY_ADDRESS."
                )

    def exchange(
        self, spec: Exchange, units: Sequence[Any], scratch: str, skip: frozenset[int] = frozenset()
    ) -> Iterator[Any]:
        """Spill each unit's blocks to one file on the node that splits it, then reduce. See `Engine.exchange`.

        Spills that the driver sees in `scratch` are kept after a kill; those on disks of other nodes are made again, as
        they are when their node is lost before they are reduced.
        """
        todo = [partition for partition in range(spec.num_partitions) if partition not in skip]
        spills = _found(Path(scratch))
        token = uuid.uuid4().hex
        try:
            for _ in range(MAX_TRIES):
                if not todo:
                    return
                missing = [Numbered(*unit) for unit in enumerate(units) if unit[0] not in spills]
                for split in self.map(f"{spec.name}: split", partial(_split_unit, spec, scratch, token), missing):
                    if isinstance(split, Spill):
                        spills[split.number] = split
                    else:
                        yield split
                if len(spills) < len(units):
                    return
                reduce = partial(_reduce_partition, spec, scratch, spills)
                unreduced, lost = [], set()
                for reduced in self.map(f"{spec.name}: reduce", reduce, todo):
                    if isinstance(reduced, _Unreduced):
                        unreduced.append(reduced.partition)
                        lost.add(reduced.node)
                    else:
                        yield reduced
                todo = sorted(unreduced)
                spills = {number: spill for number, spill in spills.items() if spill.node not in lost}
            for partition in todo:
                told = f"{spec.name}: reduce: nodes that held its spills were lost {MAX_TRIES} times"
                yield Failed(partition, f"{told}, last {', '.join(sorted(lost))}. Look at the nodes, then resume.")
        finally:
            if ray.is_initialized():
                _remove_elsewhere(spills.values(), scratch)

    def close(self) -> None:
        """Leave the cluster, or end the Ray that was started here; running units are broken off."""
        if self._connected:
            ray.shutdown()
            self._connected = False


class Spill(NamedTuple):
    """The spill file of unit `number`: its name, and the id of the node that wrote it."""

    number: int
    name: str
    node: str


class _Unreduced(NamedTuple):
    """A partition with spills on a node that does not give them."""

    partition: int
    node: str


class _SpillsLostError(Exception):
    """Carries the id of the node that does not give its spills."""


def _connect(address: str) -> None:
    try:
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if port.isdigit():
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()  # Ray itself tries for minutes
        ray.init(address, logging_level=logging.ERROR)
    except (OSError, ValueError) as error:
        told = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(
            f"RAY_ADDRESS must name a running Ray cluster, got {address}: {told}."
            " Start it, or unset RAY_ADDRESS for a Ray of this machine."
        ) from error


def _totals(resources: Resources) -> dict[str, tuple[float, float]]:
    """Return, for each kind of resource that a unit needs, how much the cluster has now and how much it needs."""
    cluster = CLUSTER_RESOURCES()
    needs = {"CPU": resources.cpus, "GPU": resources.gpus, "memory": resources.memory_bytes or 0}
    return {kind: (cluster.get(kind, 0), need) for kind, need in needs.items() if need}


def _run(task: bytes, folder: str, unit: Any) -> bytes:
    with suppress(FileNotFoundError):  # relative names mean what they mean to the driver, where its folder exists
        os.chdir(folder)
    pa.set_cpu_count(1)
    return answer(task, unit)


def _node() -> str:
    return str(ray.get_runtime_context().get_node_id())


def _on(node: str) -> dict[str, Any]:
    return {"num_cpus": 0, "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


def _found(scratch: Path) -> dict[int, Spill]:
    """Return the spills that an exchange which was stopped left where the driver sees them."""
    names = sorted(path.name for path in scratch.glob("unit-*.spill"))
    return {number: Spill(number, name, _node()) for name in names for number in [int(name[5:13])]}


def _split_unit(spec: Exchange, scratch: str, token: str, numbered: Numbered) -> Spill:
    """Write a spill, with a token in its name: what other runs left on this node must never be taken for ours."""
    spill = Spill(numbered.number, f"unit-{numbered.number:08d}-{token}.spill", _node())
    write_spill(Path(scratch) / spill.name, spec.split(numbered.unit))
    return spill


def _reduce_partition(spec: Exchange, scratch: str, spills: Mapping[int, Spill], partition: int) -> Any:
    folder = Path(scratch)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return spec.reduce(partition, _blocks(spec.name, folder, spills, partition), folder)
    except _SpillsLostError as error:
        return _Unreduced(partition, str(error))


def _blocks(name: str, folder: Path, spills: Mapping[int, Spill], partition: int) -> Iterator[pa.Buffer]:
    """Yield a partition's blocks, in any order: from files where they are seen, the others from the node that has them.

    A folder that all nodes share, as a run on a network file system has, is read by all, whatever node is lost.
    """
    elsewhere: dict[str, list[str]] = {}
    for spill in spills.values():
        try:
            yield from read_spill(folder / spill.name, partition)
        except FileNotFoundError:
            elsewhere.setdefault(spill.node, []).append(spill.name)
    for node, names in elsewhere.items():
        try:
            for reference in FETCH.options(name=f"{name}: fetch", **_on(node)).remote(str(folder), names, partition):
                yield ray.get(reference)
        except RayError as error:
            raise _SpillsLostError(node) from error


def _fetch(folder: str, names: Sequence[str], partition: int) -> Iterator[pa.Buffer]:
    for name in names:
        yield from read_spill(Path(folder) / name, partition)


def _remove_elsewhere(spills: Any, scratch: str) -> None:
    """Remove the scratch folder of nodes whose spills the driver does not see; the caller removes what it sees."""
    for node in {spill.node for spill in spills if not (Path(scratch) / spill.name).exists()}:
        with suppress(RayError):  # a node that is gone
            ray.get(REMOVE.options(**_on(node)).remote(scratch))


def _remove(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)


# Ray's own types for these are partial.
CLUSTER_RESOURCES: Callable[[], Mapping[str, float]] = ray.cluster_resources
_remote: Callable[..., Any] = ray.remote
RUN = _remote(_run)
FETCH = _remote(num_returns="streaming", _generator_backpressure_num_objects=FETCHED_BLOCKS)(_fetch)
REMOVE = _remote(_remove)
