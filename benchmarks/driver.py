"""One driver in a process of its own, which tells what it has used itself: without its workers, Ray and Java.

python -m benchmarks.driver TOLD run --crawl sample ...           any words of the command `dataproc`
python -m benchmarks.driver TOLD units map|exchange ENGINE COUNT  a verb on that many units that do nothing
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from dataproc.engines import Failed, find_engine
from dataproc.exchange import Exchange, Rows
from jobs.cli import main as dataproc

WORKERS = 2
PARTITIONS = 8
ROW = pa.schema([("partition", pa.int32()), ("unit", pa.int64())])


@dataclass(frozen=True)
class Used:
    """What a driver used, and the wall time and all processes' CPU time around it."""

    wall_s: float
    driver_cpu_s: float
    driver_peak_bytes: int
    cpu_s: float
    """Of the driver and the processes that it has waited for: on the local engine, the whole run."""


def start(*words: str | int | Path) -> Callable[[], Used]:
    """Start a driver with these words; the function returned waits for it. Raises SystemExit when it fails."""
    folder = tempfile.TemporaryDirectory()
    told = Path(folder.name) / "told.json"
    env = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "SPARK_MASTER")}
    command = [sys.executable, "-m", "benchmarks.driver", str(told), str(time.monotonic()), *map(str, words)]
    with open(told.with_suffix(".log"), "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=env)

    def wait() -> Used:
        with folder:
            if process.wait():
                raise SystemExit(f"{' '.join(command)} failed:\n{told.with_suffix('.log').read_text()[-2000:]}")
            return Used(**json.loads(told.read_text()))

    return wait


def _units(verb: str, engine: str, count: str) -> None:
    """Run a verb on units that do nothing, and count what it reports."""
    units = range(int(count))
    with closing(find_engine(engine)(WORKERS)) as started, tempfile.TemporaryDirectory() as scratch:
        reports = started.map("units", _nothing, units) if verb == "map" else started.exchange(SPEC, units, scratch)
        rows = 0
        for report in reports:
            assert not isinstance(report, Failed), report
            rows += report
    assert rows == len(units), f"{rows} rows of {len(units)} units"


def _nothing(unit: int) -> int:
    return 1


def _one_row(unit: int) -> Rows:
    yield pa.RecordBatch.from_pydict({"partition": [unit % PARTITIONS], "unit": [unit]}, schema=ROW)


def _count(partition: int, rows: Rows) -> int:
    return sum(batch.num_rows for batch in rows)


SPEC = Exchange(
    name="units",
    source=_one_row,
    schema=ROW,
    partition="partition",
    sort_by=("unit",),
    num_partitions=PARTITIONS,
    reduce_fn=iter,
    sink=_count,
)


def _peak_bytes() -> int:
    """Return the most memory this program had; getrusage tells of its parent instead, where that had more."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


def main(told: str, started: str, what: str, *words: str) -> None:
    if what == "units":
        _units(*words)
    else:
        sys.argv = ["dataproc", what, *words]
        try:
            dataproc()
        except SystemExit as end:
            if end.code:
                raise
    mine, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu_s = mine.ru_utime + mine.ru_stime
    used = Used(
        wall_s=time.monotonic() - float(started),  # a clock that processes share
        driver_cpu_s=cpu_s,
        driver_peak_bytes=_peak_bytes(),
        cpu_s=cpu_s + others.ru_utime + others.ru_stime,
    )
    Path(told).write_text(json.dumps(vars(used)))


if __name__ == "__main__":
    from benchmarks import driver  # functions of `__main__` are none of a worker's

    driver.main(*sys.argv[1:])
