"""The local engine: every unit once, dead workers replaced, failures told apart from deaths, spills kept."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from dataproc.engines import Failed, Retried
from dataproc.engines.local import LocalEngine, _reduce_partition, _split_unit
from dataproc.engines.spills import Numbered
from dataproc.engines.worker import MAX_TRIES
from dataproc.errors import StorageError
from dataproc.exchange import Rows
from tests.dataproc.engines.units import (
    SCHEMA,
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


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    with LocalEngine(workers=2) as engine:
        yield engine


def test_map_runs_every_unit_once(engine: LocalEngine) -> None:
    assert sorted(engine.map("double", double, range(7))) == [0, 2, 4, 6, 8, 10, 12]
    assert list(engine.map("double", double, [])) == []


def test_failures_name_themselves_and_stop_nothing(engine: LocalEngine) -> None:
    outcomes = list(engine.map("fail", fail_on_three, range(6)))
    failed = sorted((one for one in outcomes if isinstance(one, Failed)), key=lambda one: one.unit)
    assert [one.unit for one in failed] == [3, 4]
    assert failed[0].error == "part 3 must be whole, got half of it. Fetch it again."
    assert failed[1].error == "KeyError: 'a bug'"
    assert "fail_on_three" in failed[1].trace
    assert failed[0].trace == "", "what the user did wrong needs no trace"
    assert sorted(one for one in outcomes if not isinstance(one, Failed)) == [0, 1, 2, 5]


def test_what_cannot_be_stored_stops_the_others(engine: LocalEngine) -> None:
    """They would meet it too."""
    outcomes = engine.map("store", store, range(1000))
    with pytest.raises(StorageError, match="a must be stored, got: No space left"):
        assert len(list(outcomes)) < 1000
    assert list(engine.map("double", double, [1])) == [2]


def test_a_dead_worker_is_replaced_and_its_unit_run_again(engine: LocalEngine, tmp_path: Path) -> None:
    outcomes, retried = parted(engine.map("die once", partial(die_once, str(tmp_path)), range(5)))
    assert sorted(outcomes) == [0, 1, 2, 3, 4]
    assert retried == [("die once", "2")]


def test_a_unit_that_kills_its_worker_every_time_fails(engine: LocalEngine) -> None:
    *retried, failed = engine.map("die", die, [9])
    assert retried == [Retried("die", 9, "exit code -9")] * (MAX_TRIES - 1)
    assert failed.error.startswith(f"die: the worker died {MAX_TRIES} times on 9, exit code -9.")


def test_exchange_groups_and_sorts(engine: LocalEngine, tmp_path: Path) -> None:
    assert sorted(engine.exchange(spec(), range(3), str(tmp_path))) == WANT


def test_a_worker_killed_in_an_exchange_leaves_no_trace(engine: LocalEngine, tmp_path: Path) -> None:
    for name, dying in {
        "split": spec(partial(die_splitting, str(tmp_path / "split"))),
        "reduce": spec(reduce_fn=partial(die_reducing, str(tmp_path / "reduce"))),
    }.items():
        (tmp_path / name).mkdir()
        outcomes, retried = parted(engine.exchange(dying, range(3), str(tmp_path / name)))
        assert sorted(outcomes) == WANT
        assert retried == [(f"numbers: {name}", "2")]


def test_exchange_skips_partitions_that_are_done(engine: LocalEngine, tmp_path: Path) -> None:
    assert sorted(engine.exchange(spec(), range(3), str(tmp_path), frozenset({0, 3}))) == WANT[1:3]


def test_exchange_keeps_finished_spills(engine: LocalEngine, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    once = spec(partial(numbers_once, str(tmp_path)))
    assert sorted(engine.exchange(once, range(2), str(scratch)))[0] == (0, [0, 3, 6, 9, 10, 13, 16, 19])
    assert sorted(engine.exchange(once, range(3), str(scratch))) == WANT  # units 0 and 1 would raise if split again


def test_exchange_without_units_calls_every_sink(engine: LocalEngine, tmp_path: Path) -> None:
    assert sorted(engine.exchange(spec(), [], str(tmp_path))) == [(part, []) for part in range(4)]


def test_a_failed_split_keeps_partitions_from_being_written(engine: LocalEngine, tmp_path: Path) -> None:
    (tmp_path / "split-1").touch()
    outcomes = list(engine.exchange(spec(partial(numbers_once, str(tmp_path))), range(3), str(tmp_path / ".")))
    assert [type(one) for one in outcomes] == [Failed]
    assert "FileExistsError" in outcomes[0].error


def test_closing_an_unfinished_map_ends_the_workers() -> None:
    engine = LocalEngine(workers=2)
    outcomes = engine.map("double", double, range(100))
    next(outcomes)
    workers = [worker._process for worker in engine._workers]
    outcomes.close()  # type: ignore[attr-defined]
    assert [worker.is_alive() for worker in workers] == [False, False]


def test_what_cannot_be_sent_back_is_a_failure_and_not_a_death(engine: LocalEngine) -> None:
    (failed,) = engine.map("unsendable", unsendable, [1])
    assert "pickle" in failed.error
    assert not failed.error.startswith("unsendable: the worker died")


def test_notes_of_an_error_are_told(engine: LocalEngine) -> None:
    (failed,) = engine.map("noted", noted, [1])
    assert failed.error == "KeyError: 'a bug'; in stage x"


def start_and_wait(folder: str, unit: int) -> None:
    (Path(folder) / "started").write_text(str(os.getpid()))
    time.sleep(60)
    (Path(folder) / "finished").touch()


def run_forever(folder: str) -> None:
    list(LocalEngine(workers=1).map("wait", partial(start_and_wait, folder), [0]))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z")  # nobody may reap it here


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """A worker that lived on would write into a folder that another run may have taken over."""
    parent = multiprocessing.get_context("spawn").Process(target=run_forever, args=(str(tmp_path),))
    parent.start()
    started = tmp_path / "started"
    deadline = time.monotonic() + 30
    while not (started.exists() and started.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    worker = int(started.read_text())
    assert alive(worker)
    parent.kill()
    parent.join()
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(worker)
    assert not (tmp_path / "finished").exists()


def test_spills_of_many_partitions_give_each_its_blocks(tmp_path: Path) -> None:
    def source(unit: int) -> Rows:
        for piece in range(3):
            ids = pa.array([(7 * unit + 5 * value + piece) % 50 for value in range(20)], pa.int32())
            values = pa.array(range(1000 * unit + 100 * piece, 1000 * unit + 100 * piece + 20), pa.int64())
            yield pa.RecordBatch.from_arrays([ids, values], schema=SCHEMA)

    many = replace(spec(source), num_partitions=51, piece_bytes=1)
    for unit in range(2):
        _split_unit(many, str(tmp_path), Numbered(unit, unit))
    want = {
        partition: sorted(
            value
            for unit in range(2)
            for batch in source(unit)
            for owner, value in zip(batch["partition"].to_pylist(), batch["value"].to_pylist(), strict=True)
            if owner == partition
        )
        for partition in range(51)
    }
    assert dict(_reduce_partition(many, str(tmp_path), 2, partition) for partition in range(51)) == want
    assert want[50] == []


def test_workers_must_be_at_least_one() -> None:
    with pytest.raises(ValueError, match=r"LocalEngine.workers must be at least 1, got 0"):
        LocalEngine(workers=0)
