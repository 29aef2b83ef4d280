"""The Ray engine: what the local one promises, with a Ray of two cores that all tests here share."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataproc.engines import ENGINES, Failed, find_engine
from dataproc.engines.local import LocalEngine
from dataproc.engines.spills import Numbered
from dataproc.engines.worker import MAX_TRIES
from dataproc.errors import ConfigError, StorageError
from dataproc.exchange import Exchange, Rows
from dataproc.resources import Resources
from jobs.cli import EngineName
from tests.dataproc.engines.units import (
    WANT,
    die,
    die_once,
    die_reducing,
    die_splitting,
    double,
    fail_on_three,
    noted,
    numbers_once,
    parted,
    spec,
    store,
    unsendable,
)

if TYPE_CHECKING:
    from dataproc.engines.ray import RayEngine

needs_ray = pytest.mark.needs("ray")


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        from dataproc.engines.ray import RayEngine

        with RayEngine(workers=2) as engine:
            yield engine


@needs_ray
def test_map_runs_every_unit_once(engine: RayEngine) -> None:
    assert sorted(engine.map("double", double, range(40))) == [2 * unit for unit in range(40)]
    assert list(engine.map("double", double, [])) == []


@needs_ray
def test_failures_are_those_of_the_local_engine(engine: RayEngine) -> None:
    with LocalEngine(workers=1) as local:
        for fn in (fail_on_three, noted, unsendable):
            here = {repr(one) for one in local.map("fail", fn, range(2, 6))}
            assert {repr(one) for one in engine.map("fail", fn, range(2, 6))} == here
    (bug,) = engine.map("fail", fail_on_three, [4])
    assert "fail_on_three" in bug.trace
    (wrong,) = engine.map("fail", fail_on_three, [3])
    assert wrong.trace == "", "what the user did wrong needs no trace"


@needs_ray
def test_what_cannot_be_stored_stops_the_others(engine: RayEngine) -> None:
    outcomes = engine.map("store", store, range(1000))
    with pytest.raises(StorageError, match="a must be stored, got: No space left"):
        assert len(list(outcomes)) < 1000
    assert list(engine.map("double", double, [1])) == [2]


@needs_ray
def test_a_unit_whose_worker_is_killed_runs_again(engine: RayEngine, tmp_path: Path) -> None:
    outcomes, retried = parted(engine.map("die once", partial(die_once, str(tmp_path)), range(5)))
    assert sorted(outcomes) == [0, 1, 2, 3, 4]
    assert retried == [("die once", "2")]


def count_and_die(folder: str, unit: int) -> None:
    with open(Path(folder) / "tries", "a") as file:
        file.write("x")
    die(unit)


@needs_ray
def test_a_unit_that_kills_its_worker_every_time_fails(engine: RayEngine, tmp_path: Path) -> None:
    (failed,), retried = parted(engine.map("die", partial(count_and_die, str(tmp_path)), [9]))
    assert retried == [("die", "9")] * (MAX_TRIES - 1)
    assert failed.error == (
        f"die: the worker died {MAX_TRIES} times on 9, WorkerCrashedError."
        " Give it more memory or fewer workers, or look at the unit."
    )
    assert (tmp_path / "tries").read_text() == "x" * MAX_TRIES


@needs_ray
def test_units_do_not_pile_up_in_the_cluster(engine: RayEngine) -> None:
    taken = []

    class Units(list[int]):
        def __iter__(self) -> Iterator[int]:
            for unit in range(100):
                taken.append(unit)
                yield unit

    outcomes = engine.map("double", double, Units())
    next(outcomes)
    assert len(taken) == 4, "two per core"
    outcomes.close()  # type: ignore[attr-defined]


def about_the_task(unit: int) -> tuple[str, str, float]:
    import ray

    context: Any = ray.get_runtime_context()
    return context.get_task_name(), os.getcwd(), context.get_assigned_resources().get("CPU", 0)


@needs_ray
def test_tasks_bear_our_names_and_relative_names_mean_the_same(
    engine: RayEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (found,) = engine.map("documents", about_the_task, [0], Resources(cpus=0.5))
    assert found == ("documents", str(tmp_path), 0.5)


@needs_ray
@pytest.mark.parametrize(
    ("resources", "told"),
    [
        (Resources(gpus=1), r"GPU = 1 of 0"),
        (Resources(cpus=3), r"CPU = 3 of 2"),
        (Resources(memory_bytes=1 << 50), "m"),
    ],
)
def test_what_this_machine_will_never_have_is_told(engine: RayEngine, resources: Resources, told: str) -> None:
    with pytest.raises(ConfigError, match=rf"^encode: Resources must fit this machine, got {told}.*RAY_ADDRESS\.$"):
        list(engine.map("encode", double, [1], resources))


def wait_and_write(folder: str, unit: int) -> int:
    (Path(folder) / f"started-{unit}").touch()
    if unit:
        time.sleep(5)
        (Path(folder) / f"ended-{unit}").touch()
    return unit


@needs_ray
def test_closing_an_unfinished_map_ends_its_units(engine: RayEngine, tmp_path: Path) -> None:
    outcomes = engine.map("wait", partial(wait_and_write, str(tmp_path)), range(4))
    assert next(outcomes) == 0
    while not list(tmp_path.glob("started-[123]")):
        time.sleep(0.02)
    outcomes.close()  # type: ignore[attr-defined]
    begun = time.monotonic()
    assert list(engine.map("double", double, range(4))) is not None
    assert time.monotonic() - begun < 5, "the workers did not sleep to the end"
    assert not list(tmp_path.glob("ended-*"))


@needs_ray
def test_an_unfinished_map_of_a_closed_engine_connects_to_no_ray(
    engine: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = engine.map("double", double, range(8))
    next(outcomes)
    cancelled: list[Any] = []
    monkeypatch.setattr("ray.is_initialized", lambda: False)  # as after `close`
    monkeypatch.setattr("ray.cancel", lambda reference, force: cancelled.append(reference))
    outcomes.close()  # type: ignore[attr-defined]
    assert cancelled == []


@needs_ray
def test_exchange_groups_and_sorts(engine: RayEngine, tmp_path: Path) -> None:
    assert sorted(engine.exchange(spec(), range(3), str(tmp_path / "a"))) == WANT
    assert sorted(engine.exchange(spec(), range(3), str(tmp_path / "b"), frozenset({0, 3}))) == WANT[1:3]
    assert sorted(engine.exchange(spec(), [], str(tmp_path / "c"))) == [(part, []) for part in range(4)]


@needs_ray
def test_exchange_keeps_finished_spills(engine: RayEngine, tmp_path: Path) -> None:
    once = spec(partial(numbers_once, str(tmp_path)))
    with LocalEngine(workers=1) as local:
        list(local.exchange(once, range(1), str(tmp_path / ".")))
    assert sorted(engine.exchange(once, range(2), str(tmp_path)))[0] == (0, [0, 3, 6, 9, 10, 13, 16, 19])
    assert sorted(engine.exchange(once, range(3), str(tmp_path))) == WANT  # units 0 and 1 would raise if split again


@needs_ray
def test_a_failed_split_keeps_partitions_from_being_written(engine: RayEngine, tmp_path: Path) -> None:
    (tmp_path / "split-1").touch()
    (failed,) = engine.exchange(spec(partial(numbers_once, str(tmp_path))), range(3), str(tmp_path))
    assert isinstance(failed, Failed)
    assert "FileExistsError" in failed.error


@needs_ray
def test_a_worker_killed_in_an_exchange_leaves_no_trace(engine: RayEngine, tmp_path: Path) -> None:
    for name, dying in {
        "split": spec(partial(die_splitting, str(tmp_path / "split"))),
        "reduce": spec(reduce_fn=partial(die_reducing, str(tmp_path / "reduce"))),
    }.items():
        (tmp_path / name).mkdir()
        outcomes, retried = parted(engine.exchange(dying, range(3), str(tmp_path / name)))
        assert sorted(outcomes) == WANT
        assert retried == [(f"numbers: {name}", "2")]


def lose_spills(folder: str, times: int, rows: Rows) -> Rows:
    """Before rows are read, and so many times, remove all spills, as a lost node would."""
    tries = Path(folder) / "tries"
    so_far = tries.read_text() if tries.exists() else ""
    if len(so_far) < times:
        tries.write_text(so_far + "x")
        for path in Path(folder).glob("*.spill"):
            path.unlink()
    yield from rows


@needs_ray
def test_lost_spills_are_made_again(engine: RayEngine, tmp_path: Path) -> None:
    lost = spec(reduce_fn=partial(lose_spills, str(tmp_path), MAX_TRIES - 1))
    assert list(engine.exchange(lost, range(3), str(tmp_path), frozenset({1, 2, 3}))) == WANT[:1]
    assert (tmp_path / "tries").read_text() == "x" * (MAX_TRIES - 1)


@needs_ray
def test_spills_that_are_lost_every_time_fail_their_partition(engine: RayEngine, tmp_path: Path) -> None:
    lost = spec(reduce_fn=partial(lose_spills, str(tmp_path), 100))
    (failed,) = engine.exchange(lost, range(3), str(tmp_path), frozenset({0, 1, 3}))
    assert (tmp_path / "tries").read_text() == "x" * MAX_TRIES
    assert failed.unit == 2
    told = f"numbers: reduce: nodes that held its spills were lost {MAX_TRIES} times, last "
    assert failed.error.startswith(told)
    assert failed.error.endswith(". Look at the nodes, then resume.")


def no_such_file(path: Path, partition: int) -> Rows:
    raise FileNotFoundError(path)


@needs_ray
def test_spills_that_others_hold_are_fetched(
    engine: RayEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader is this process, which is made blind to the files; test_ray_cluster.py has two disks."""
    from dataproc.engines import ray

    spills = {number: ray._split_unit(spec(), str(tmp_path), "t", Numbered(number, number)) for number in range(3)}
    assert spills[1] == ray.Spill(1, "unit-00000001-t.spill", ray._node())
    want = [block.to_pybytes() for block in ray._blocks("x", tmp_path, spills, 1)]
    monkeypatch.setattr(ray, "read_spill", no_such_file)
    assert [block.to_pybytes() for block in ray._blocks("x", tmp_path, spills, 1)] == want
    assert len(want) == 3
    gone = {0: ray.Spill(0, spills[0].name, "ab" * 28)}
    assert ray._reduce_partition(spec(), str(tmp_path), gone, 1) == (1, "ab" * 28), "not reduced: no such node"


WIDE = pa.schema([("partition", pa.int32()), ("key", pa.int64()), ("text", pa.string()), ("id", pa.int64())])


def rows_of(unit: list[tuple[int, int, str, int]]) -> Rows:
    for start in range(0, len(unit), 3):
        columns = zip(*unit[start : start + 3], strict=True)
        yield pa.RecordBatch.from_arrays([pa.array(c, f.type) for c, f in zip(columns, WIDE, strict=True)], schema=WIDE)


def gather(partition: int, rows: Rows) -> tuple[int, list[dict[str, Any]]]:
    return partition, [row for batch in rows for row in batch.to_pylist()]


@needs_ray
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.integers(0, 4), st.integers(-(2**63), 2**63 - 1), st.text(max_size=9)), max_size=40),
    num_units=st.integers(1, 4),
    piece_bytes=st.sampled_from([1, 200, 1 << 20]),
)
def test_any_rows_come_out_sorted_by_partition(
    engine: RayEngine,
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, int, str]],
    num_units: int,
    piece_bytes: int,
) -> None:
    every = [(*row, number) for number, row in enumerate(rows)]
    wide = Exchange(
        name="wide",
        source=rows_of,
        schema=WIDE,
        partition="partition",
        sort_by=("key", "id"),
        num_partitions=5,
        reduce_fn=iter,
        sink=gather,
        piece_bytes=piece_bytes,
    )
    units = [every[start::num_units] for start in range(num_units)]
    want = [
        (
            part,
            [dict(zip(WIDE.names, row, strict=True)) for row in sorted(every, key=lambda r: r[1::2]) if row[0] == part],
        )
        for part in range(5)
    ]
    assert sorted(engine.exchange(wide, units, str(tmp_path_factory.mktemp("wide")))) == want


@needs_ray
@pytest.mark.parametrize("workers", [0, -1])
def test_workers_must_be_at_least_one(workers: int) -> None:
    with pytest.raises(ValueError, match=rf"^RayEngine.workers must be at least 1, got {workers}\. Give --workers 1"):
        find_engine("ray")(workers)


@needs_ray
def test_a_cluster_that_does_not_answer_is_told() -> None:
    from dataproc.engines.ray import _connect

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(
        ConfigError, match=rf"^RAY_ADDRESS must name a running Ray cluster, got 127.0.0.1:{port}: .*refused"
    ):
        _connect(f"127.0.0.1:{port}")
    with pytest.raises(
        ConfigError, match=r"got nonsense: .*\. Start it, or unset RAY_ADDRESS for a Ray of this machine\.$"
    ):
        _connect("nonsense")


def test_every_engine_can_be_asked_for() -> None:
    assert {name.value for name in EngineName} == ENGINES.keys()
    assert find_engine("local") is LocalEngine
    with pytest.raises(ConfigError, match=r'^--engine must name an engine, got "rai"\. Did you mean "ray"\?$'):
        find_engine("rai")


def test_an_engine_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "dataproc.engines.ray", raising=False)
    with pytest.raises(ConfigError) as told:
        find_engine("ray")
    assert str(told.value) == (
        '--engine must name an engine whose libraries are installed, got "ray" without ray.'
        " Install it: pip install 'dataproc-llm[ray]'."
    )
