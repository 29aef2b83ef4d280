"""Dedup runs of small crawls on a real engine, as a process of its own: python -m tests.jobs.dedup_driver ORDERS.

ORDERS is JSON: the engine, the runs (crawl, out, the dedup section of their recipe) and, if the process is to end in
the middle, the step in which it is killed, with all its workers, when the first of that step's parts is done.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from dataproc.engines import Engine, find_engine
from dataproc.exchange import Exchange
from dataproc.resources import ANY, Resources
from tests.jobs.dedup_runs import dedup


class Mortal:
    """An engine whose process group is killed when the first part of a step is done."""

    def __init__(self, engine: Engine, step: str | None) -> None:
        self._engine, self._step = engine, step

    def map(
        self, name: str, fn: Callable[[Any], Any], units: Sequence[Any], resources: Resources = ANY
    ) -> Iterator[Any]:
        return self._watched(name, self._engine.map(name, fn, units, resources))

    def exchange(
        self, spec: Exchange, units: Sequence[Any], scratch: str, skip: frozenset[int] = frozenset()
    ) -> Iterator[Any]:
        return self._watched(spec.name, self._engine.exchange(spec, units, scratch, skip))

    def close(self) -> None:
        self._engine.close()

    def _watched(self, name: str, outcomes: Iterator[Any]) -> Iterator[Any]:
        for outcome in outcomes:
            if name == self._step:
                os.killpg(os.getpgid(0), signal.SIGKILL)
            yield outcome


def drive(
    engine: str,
    runs: Sequence[tuple[Path, Path, Mapping[str, Any]]],
    env: Mapping[str, str],
    die_in: str | None = None,
) -> None:
    """Make the runs in a process of its own, which ends well, or by SIGKILL with `die_in`."""
    orders = json.dumps([engine, [[str(crawl), str(out), config] for crawl, out, config in runs], die_in])
    words = [sys.executable, "-m", "tests.jobs.dedup_driver", orders]
    place = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        words, env={**env, **place}, capture_output=True, text=True, check=False, start_new_session=True
    )
    assert done.returncode == (0 if die_in is None else -signal.SIGKILL), done.stdout + done.stderr


def main() -> None:
    """Do what the one argument says."""
    engine, runs, die_in = json.loads(sys.argv[1])
    with closing(find_engine(engine)(2)) as started:
        for crawl, out, config in runs:
            dedup(Path(crawl), Path(out), Mortal(started, die_in), **config)


if __name__ == "__main__":
    main()
