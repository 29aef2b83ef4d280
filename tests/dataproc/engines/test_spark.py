"""The Spark engine does what the local one does: same outcomes, same failures, same rows; and says what it lacks."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pytest

from dataproc.engines import Failed, find_engine
from dataproc.engines.worker import MAX_TRIES
from dataproc.errors import ConfigError, DataprocError, StorageError
from dataproc.exchange import Rows
from dataproc.resources import Resources
from tests.dataproc.engines.units import (
    WANT,
    die,
    die_once,
    die_reducing,
    die_splitting,
    double,
    fail_on_three,
    noted,
    numbers,
    parted,
    spec,
    store,
    unsendable,
)

if TYPE_CHECKING:
    from dataproc.engines.spark import SparkEngine

pytestmark = pytest.mark.needs("pyspark", "java")


@pytest.fixture(scope="module")
def engine() -> Iterator[SparkEngine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_SUBMIT_ARGS", "--conf spark.ui.enabled=false pyspark-shell")
        patch.delenv("SPARK_MASTER", raising=False)
        with closing(find_engine("spark")(2)) as engine:
            yield cast("SparkEngine", engine)


def test_map_runs_every_unit_once(engine: SparkEngine) -> None:
    assert sorted(engine.map("double", double, range(7))) == [0, 2, 4, 6, 8, 10, 12]
    assert list(engine.map("double", double, [])) == []


def test_failures_name_themselves_and_stop_nothing(engine: SparkEngine) -> None:
    outcomes = list(engine.map("fail", fail_on_three, range(6)))
    failed = sorted((one for one in outcomes if isinstance(one, Failed)), key=lambda one: one.unit)
    assert [(one.unit, one.error) for one in failed] == [
        (3, "part 3 must be whole, got half of it. Fetch it again."),
        (4, "KeyError: 'a bug'"),
    ]
    assert failed[0].trace == "", "what the user did wrong needs no trace"
    assert "fail_on_three" in failed[1].trace
    assert sorted(one for one in outcomes if not isinstance(one, Failed)) == [0, 1, 2, 5]


def test_what_cannot_be_stored_stops_the_others(engine: SparkEngine) -> None:
    outcomes = engine.map("store", store, range(300))
    with pytest.raises(StorageError, match="a must be stored, got: No space left"):
        assert len(list(outcomes)) < 300
    assert list(engine.map("double", double, [1])) == [2]


def test_bugs_and_what_cannot_be_sent_back_are_told(engine: SparkEngine) -> None:
    (failed,) = engine.map("noted", noted, [1])
    assert failed.error == "KeyError: 'a bug'; in stage x"
    (failed,) = engine.map("unsendable", unsendable, [1])
    assert "pickle" in failed.error


def die_on_nine(folder: str, unit: int) -> int:
    return die(unit) if unit == 9 else die_once(folder, unit)


def test_deaths_are_tried_again_and_stop_nothing(engine: SparkEngine, tmp_path: Path) -> None:
    outcomes, retried = parted(engine.map("die", partial(die_on_nine, str(tmp_path)), range(12)))
    assert sorted(retried) == [("die", "2"), *[("die", "9")] * (MAX_TRIES - 1)]
    (failed,) = (one for one in outcomes if isinstance(one, Failed))
    assert failed.unit == 9
    assert failed.error == (
        f"die: the worker died {MAX_TRIES} times on 9, as its executor's log tells."
        " Give it more memory or fewer workers, or look at the unit."
    )
    assert sorted(one for one in outcomes if not isinstance(one, Failed)) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11]


def slow(folder: str, unit: int) -> int:
    time.sleep(0.2)
    (Path(folder) / str(unit)).touch()
    return unit


def test_outcomes_come_as_units_end_and_closing_stops_the_rest(engine: SparkEngine, tmp_path: Path) -> None:
    outcomes = engine.map("slow", partial(slow, str(tmp_path)), range(200))
    assert next(outcomes) in range(200)
    outcomes.close()  # type: ignore[attr-defined]
    ended = len(list(tmp_path.iterdir()))
    assert ended < 50
    time.sleep(1)
    assert len(list(tmp_path.iterdir())) <= ended + 2, "tasks under way may end, no other starts"


def test_exchange_groups_and_sorts(engine: SparkEngine, tmp_path: Path) -> None:
    assert sorted(engine.exchange(spec(), range(3), str(tmp_path / "scratch"))) == WANT
    assert list((tmp_path / "scratch").iterdir()) == []


def test_exchange_skips_partitions_that_are_done(engine: SparkEngine, tmp_path: Path) -> None:
    assert sorted(engine.exchange(spec(), range(3), str(tmp_path), frozenset({0, 3}))) == WANT[1:3]
    assert list(engine.exchange(spec(), range(3), str(tmp_path), frozenset(range(4)))) == []


def test_exchange_without_units_calls_every_sink(engine: SparkEngine, tmp_path: Path) -> None:
    assert sorted(engine.exchange(spec(), [], str(tmp_path))) == [(part, []) for part in range(4)]


def numbers_or_error(unit: int) -> Rows:
    yield from numbers(unit)
    if unit in (1, 2):
        raise KeyError(f"a bug in {unit}")


def touch(folder: str, partition: int, rows: Rows) -> int:
    (Path(folder) / f"reduced-{partition}").touch()
    return partition


def test_failed_splits_keep_partitions_from_being_written(engine: SparkEngine, tmp_path: Path) -> None:
    failing = replace(spec(numbers_or_error), sink=partial(touch, str(tmp_path)))
    outcomes = list(engine.exchange(failing, range(4), str(tmp_path)))
    assert [(type(one), one.unit, one.error) for one in outcomes] == [
        (Failed, 1, "KeyError: 'a bug in 1'"),
        (Failed, 2, "KeyError: 'a bug in 2'"),
    ]
    assert list(tmp_path.glob("reduced-*")) == []


def die_in_split(unit: int) -> Rows:
    yield from numbers(unit)
    if unit == 1:
        die(unit)


def die_in_partition_of_zero(rows: Rows) -> Rows:
    for batch in rows:
        if 0 in batch["value"].to_pylist():
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch


def test_deaths_in_an_exchange_leave_no_trace(engine: SparkEngine, tmp_path: Path) -> None:
    for folder in ("split", "reduce"):
        (tmp_path / folder).mkdir()
    deadly = spec(partial(die_splitting, str(tmp_path / "split")), partial(die_reducing, str(tmp_path / "reduce")))
    outcomes, retried = parted(engine.exchange(deadly, range(3), str(tmp_path)))
    assert sorted(outcomes) == WANT
    assert sorted(retried) == [("numbers: reduce", "2"), ("numbers: split", "2")]


def test_deaths_without_end_fail_their_unit_or_partition(engine: SparkEngine, tmp_path: Path) -> None:
    (failed,), retried = parted(engine.exchange(spec(die_in_split), range(3), str(tmp_path)))
    assert retried == [("numbers: split", "1")] * (MAX_TRIES - 1)
    assert failed.error.startswith(
        f"numbers: split: the worker died {MAX_TRIES} times on 1, as its executor's log tells. Give"
    )
    outcomes, _ = parted(engine.exchange(spec(numbers, die_in_partition_of_zero), range(3), str(tmp_path)))
    (failed,) = (one for one in outcomes if isinstance(one, Failed))
    assert failed.error.startswith(
        f"numbers: reduce: the worker died {MAX_TRIES} times on 0, as its executor's log tells. Give"
    )
    assert sorted(one for one in outcomes if not isinstance(one, Failed)) == WANT[1:]


TIES = pa.schema([("partition", pa.int32()), ("value", pa.int64()), ("from", pa.binary())])


def ties(unit: int) -> Rows:
    """Rows with equal keys: only the order of blocks decides, and negative and large keys are compared signed."""
    for piece in range(5):
        keys = [-(2**63), 2**63 - 1, -1, 0, 7] * 20
        values = [bytes([unit, piece]) * 50] * len(keys)
        yield pa.RecordBatch.from_arrays(
            [pa.array([k % 11 for k in range(len(keys))], pa.int32()), pa.array(keys), pa.array(values)], schema=TIES
        )


def all_rows(partition: int, rows: Rows) -> tuple[int, list[tuple[int, bytes]]]:
    return partition, [(row["value"], row["from"]) for batch in rows for row in batch.to_pylist()]


def test_many_blocks_come_in_the_order_of_the_local_engine(engine: SparkEngine, tmp_path: Path) -> None:
    many = replace(spec(ties), schema=TIES, sink=all_rows, num_partitions=12, piece_bytes=1)
    want = {}
    for partition in range(12):
        blocks = [block.data for unit in range(6) for block in many.split(unit) if block.partition == partition]
        want[partition] = many.reduce(partition, blocks, tmp_path)[1]
    assert dict(engine.exchange(many, range(6), str(tmp_path))) == want
    assert want[11] == []


@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")
def test_blocks_are_handed_over_in_bounded_batches(engine: SparkEngine) -> None:
    """Spark's default is 10,000 rows at once, whatever their size."""
    from dataproc.engines.spark_session import BATCH_BYTES

    blocks = pa.schema([("data", pa.binary())])

    def make(rows: Rows) -> Rows:
        for _ in rows:
            for _ in range(64):
                yield pa.RecordBatch.from_arrays([pa.array([bytes(BATCH_BYTES // 8)])], schema=blocks)

    def measure(rows: Rows) -> Rows:
        for batch in rows:
            yield pa.RecordBatch.from_arrays([pa.array([batch.nbytes])], names=["bytes"])

    sizes = (
        engine._spark.range(1)
        .mapInArrow(make, "data binary")
        .repartition(1)
        .mapInArrow(measure, "bytes long")
        .collect()
    )
    assert sum(size.bytes for size in sizes) > 64 * BATCH_BYTES // 8
    assert max(size.bytes for size in sizes) < 2 * BATCH_BYTES


def test_a_job_that_spark_gives_up_is_one_sentence(engine: SparkEngine) -> None:
    job = engine._spark.sql("SELECT raise_error('lost')")
    outcomes = engine._outcomes("step", {}, lambda tell: nullcontext(job))
    with pytest.raises(DataprocError, match=r"step: Spark must finish the job, got: .*lost.*`dataproc resume` goes on"):
        list(outcomes)
    from dataproc.engines.spark import _job_failed

    assert isinstance(_job_failed("step", OSError("x: No space left on device")), StorageError)


def test_a_job_that_spark_cannot_begin_is_one_sentence(engine: SparkEngine) -> None:
    class Full(nullcontext[Any]):
        def __enter__(self) -> Any:
            raise OSError("[Errno 28] No space left on device")

    with pytest.raises(StorageError, match=r"step: Spark must store its shuffle, got: No space left on device"):
        list(engine._outcomes("step", {}, lambda tell: Full()))


def frozen(unit: int) -> int:
    return gc.get_freeze_count()


def test_garbage_collection_leaves_out_what_a_step_began_with(engine: SparkEngine) -> None:
    """Each of the two workers freezes what it has at its second task, once; what comes later is looked through."""
    counts = set(engine.map("frozen", frozen, range(40)))
    assert 0 in counts
    assert 2 <= len(counts) <= 3
    assert max(counts) > 1000


def test_units_with_a_gpu_are_refused(engine: SparkEngine) -> None:
    with pytest.raises(ConfigError, match=r"score: units must ask for no GPU on Spark, got 1. Take --engine ray or"):
        list(engine.map("score", double, [1], Resources(gpus=1)))


def test_workers_must_be_at_least_one() -> None:
    with pytest.raises(ValueError, match=r"SparkEngine.workers must be at least 1, got 0"):
        find_engine("spark")(0)


@pytest.fixture
def fake_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that says it is Java 11."""
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    return java


def test_an_old_java_or_none_is_one_sentence(fake_java: Path) -> None:
    with pytest.raises(ConfigError, match=r"--engine spark must have Java 17 or newer, got 11 as .*bin/java"):
        find_engine("spark")(1)
    fake_java.unlink()
    with pytest.raises(ConfigError, match=r"Java 17 or newer, got none as .*java. Install one \(Debian: apt inst"):
        find_engine("spark")(1)


def test_an_old_pyspark_or_no_pandas_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataproc.engines import spark_session

    monkeypatch.setattr("pyspark.__version__", "4.0.1")
    with pytest.raises(ConfigError, match=r"must have pyspark 4.1 or newer, got 4.0.1. Install it: pip install 'data"):
        find_engine("spark")(1)
    monkeypatch.setattr(spark_session, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"must have pandas beside pyspark, got none. Install it: pip install 'datap"):
        find_engine("spark")(1)


def test_a_spark_that_gives_up_after_one_death_is_refused() -> None:
    """In a process of its own: one process has one Spark."""
    code = "from dataproc.engines import find_engine; find_engine('spark')(1)"
    environment = {
        **os.environ,
        "SPARK_MASTER": "local[1,2]",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYSPARK_SUBMIT_ARGS": "--conf spark.ui.enabled=false pyspark-shell",
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "spark.task.maxFailures must be at least 4, got 2 with master local[1,2]. Leave it out" in done.stderr
