"""`dataproc status` from hand-made events: while a run goes on, after it was killed, resumed, failed, finished."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from dataproc.errors import InputError
from dataproc.storage import Folder
from jobs.cli import app
from jobs.events import CURRENT
from jobs.progress import ProgressDisplay, figures
from jobs.run_state import RunState, Step, duration, seconds_of, utc
from jobs.status import Watch, render, show

HERE = platform.node()
NOON = seconds_of({"time": "2026-01-01T12:00:00Z"})


def at(after: float, kind: str, /, **values: Any) -> dict[str, Any]:
    """Return an event so many seconds after noon."""
    return {"time": utc(NOON + after), "event": kind, **values}


def started(seconds: float, host: str = HERE, pid: int | None = None, **values: Any) -> dict[str, Any]:
    told = {"crawl": "CC-MAIN-2024-51", "recipe": "fineweb", "engine": "ray", "workers": None, **values}
    steps = ["documents", "dedup", "tokens"]
    return at(seconds, "run_started", **told, steps=steps, host=host, pid=pid or os.getpid())


def unit(seconds: float, step: str, number: int, rows_in: int = 100, rows_kept: int = 50) -> dict[str, Any]:
    rows = {"rows_in": rows_in, "rows_kept": rows_kept, "bytes": 10_000_000}
    return at(seconds, "unit_ended", step=step, unit=number, **rows, seconds=9.0, worker="a:1")


HALFWAY = [
    started(0),
    at(0, "step_started", step="documents", units=4, done=0),
    unit(10, "documents", 1),
    at(12, "unit_retried", step="documents", unit=0, error="exit code -9"),
    unit(20, "documents", 0),
]


def state_of(*events: dict[str, Any]) -> RunState:
    state = RunState()
    for event in events:
        state.add(event)
    return state


def shown(state: RunState, now: float) -> list[str]:
    console = Console(file=StringIO(), width=100)
    console.print(render("runs/x", state, NOON + now))
    assert isinstance(console.file, StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines() if line.strip()]


def test_a_run_on_its_way() -> None:
    state = state_of(*HALFWAY)
    assert shown(state, 40) == [
        "runs/x: CC-MAIN-2024-51, recipe fineweb, engine ray, all workers",
        f"Running since 2026-01-01T12:00:00Z (40 s), process {os.getpid()} on {HERE}; last event 20 s ago.",
        "step units docs/s MB/s kept elapsed left failed retried",
        "─" * 79,
        "documents 2 of 4 5 0.5 50.0% 40 s 40 s 1",
        "dedup waiting",
        "tokens waiting",
    ]
    told = state.as_dict(NOON + 40)
    assert (told["driver"], told["elapsed_s"], told["waiting"]) == ("running", 40.0, ["dedup", "tokens"])
    (step,) = told["steps"]
    assert (step["state"], step["docs_per_s"], step["megabytes_per_s"], step["left_s"]) == ("running", 5.0, 0.5, 40.0)


def test_datasets_within_a_step_are_shown_until_they_are_done() -> None:
    state = state_of(
        started(0),
        at(0, "step_started", step="dedup/exact", units=1, done=0),
        unit(2, "dedup/exact", 0, 0, 0),
        at(2, "step_ended", step="dedup/exact"),
        at(2, "step_started", step="dedup/members", units=2, done=0),
    )
    lines = shown(state, 5)
    assert lines[4:7] == ["documents waiting", "dedup 5.0 s", "members 0 of 2 3.0 s ?"]
    for event in (
        unit(6, "dedup/members", 0, 0, 0),
        unit(6, "dedup/members", 1, 0, 0),
        at(6, "step_ended", step="dedup/members"),
        at(6, "step_started", step="dedup", units=1, done=0),
        unit(10, "dedup", 0),
        at(10, "step_ended", step="dedup"),
    ):
        state.add(event)
    assert shown(state, 12)[4:] == ["documents waiting", "dedup 1 of 1 10 1.0 50.0% 10 s", "tokens waiting"]


def test_a_driver_that_is_gone() -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    state = state_of(started(0, pid=dead.pid), *HALFWAY[1:])
    assert state.driver(NOON + 21) == "gone"
    lines = shown(state, 320)
    assert lines[1].startswith(f"Killed: process {dead.pid} on {HERE} is gone; its last event was 5.0 min ago.")
    assert lines[-3] == "documents 2 of 4 10 1.0 50.0% 20 s stopped 1"


def test_a_driver_elsewhere_that_says_nothing() -> None:
    state = state_of(started(0, host="elsewhere", pid=1), *HALFWAY[1:])
    assert state.driver(NOON + 20 + 180) == "running"
    assert state.driver(NOON + 20 + 181) == "silent"
    assert shown(state, 620)[1].startswith("No event for 10.0 min, from process 1 on elsewhere, which tells of itself")


def test_a_run_that_failed() -> None:
    state = state_of(
        *HALFWAY,
        at(25, "unit_failed", step="documents", unit=3, error="ValueError: no"),
        at(30, "step_ended", step="documents"),
        at(30, "run_ended", exit_code=5, error="documents: 1 of 4 units failed"),
    )
    lines = shown(state, 1000)
    assert lines[1] == "Failed with exit code 5 at 2026-01-01T12:00:30Z, after 30 s: documents: 1 of 4 units failed"
    assert lines[2] == "`dataproc resume runs/x` goes on."
    assert lines[5] == "documents 2 of 4 7 0.7 50.0% 30 s failed 1 1"


def test_a_resumed_run_is_one_run() -> None:
    """A minute lies between a kill, at 20 s, and the resume, in which no time is counted."""
    state = state_of(
        *HALFWAY,
        started(80),
        at(80, "step_started", step="documents", units=4, done=2),
        unit(90, "documents", 2),
        unit(100, "documents", 3),
        at(100, "step_ended", step="documents"),
        at(100, "step_skipped", step="dedup", units=4),
        at(110, "run_ended", exit_code=0, error=None),
    )
    lines = shown(state, 500)
    assert lines[1] == "Finished at 2026-01-01T12:01:50Z, after 50 s in 2 sessions."
    assert lines[4] == "documents 4 of 4 10 1.0 50.0% 40 s 1"
    assert lines[5] == "dedup 4 of 4"
    assert (state.seconds(NOON + 500), state.driver(NOON + 500), state.waiting()) == (50.0, "finished", [])


def test_a_step_made_anew_starts_from_nothing() -> None:
    state = state_of(*HALFWAY, started(80), at(80, "step_started", step="documents", units=4, done=0))
    assert (state.steps["documents"].done, state.steps["documents"].rows_in) == (0, 0)
    assert state.steps["documents"].seconds(NOON + 85) == 5.0


def test_follow_ends_with_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(tmp_path)
    lines = "".join(json.dumps({"n": n, **event}) + "\n" for n, event in enumerate(HALFWAY, 1))
    folder.write_text(CURRENT, lines)
    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        end = {"n": 6, **at(30, "run_ended", exit_code=130, error="KeyboardInterrupt")}
        folder.write_text(CURRENT, lines + json.dumps(end) + "\n")

    # only of this module: other threads sleep too
    monkeypatch.setattr("jobs.status.time", SimpleNamespace(time=lambda: NOON + 30, sleep=sleep))
    console = Console(file=StringIO(), width=100)
    show(Watch(folder), console, follow=True)
    assert slept == [2.0]
    assert isinstance(console.file, StringIO)
    assert "Stopped by Ctrl-C at 2026-01-01T12:00:30Z" in console.file.getvalue()


def test_the_command(sample_run: Path, tmp_path: Path) -> None:
    told = json.loads(CliRunner().invoke(app, ["status", str(sample_run), "--json"]).stdout)
    assert (told["driver"], told["exit_code"], told["sessions"], told["waiting"]) == ("finished", 0, 1, [])
    documents = told["steps"][0]
    assert (documents["step"], documents["done_units"], documents["rows_in"]) == ("documents", 7, 2029)
    assert not (sample_run / ".scratch").exists()
    console = Console(file=StringIO(), width=100)
    show(Watch(Folder(sample_run)), console, follow=False)
    assert isinstance(console.file, StringIO)
    assert "Finished at" in console.file.getvalue()
    with pytest.raises(InputError, match=r"must hold the events of a run, got no .*/events\. Give the OUT of"):
        Watch(Folder(tmp_path))


def test_plain_progress_is_a_line_in_ten_seconds() -> None:
    console = Console(file=StringIO(), width=100)
    progress = ProgressDisplay(console)
    for event in [*HALFWAY, unit(21, "documents", 2), unit(30, "other", 9), at(40, "step_ended", step="documents")]:
        progress.show(event)
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().splitlines() == [
        "documents: 1 of 4 units, 10 docs/s, 1.0 MB/s, 50.0% kept, 30 s left",
        "documents: 2 of 4 units, 10 docs/s, 1.0 MB/s, 50.0% kept, 1 tried again, 20 s left",
        "documents: 3 of 4 units in 40.0 s, 8 docs/s, 0.8 MB/s, 50.0% kept, 1 tried again",
    ]


def test_progress_on_a_terminal_is_a_bar() -> None:
    console = Console(file=StringIO(), width=120, force_terminal=True)
    progress = ProgressDisplay(console)
    for event in [*HALFWAY, at(40, "step_ended", step="documents")]:
        progress.show(event)
    assert isinstance(console.file, StringIO)
    assert "2/4" in console.file.getvalue()


def test_figures() -> None:
    assert figures(Step("a", 1), NOON) == ""
    assert figures(Step("a", 1, failed=2), NOON) == "2 failed"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.04, "0.0 s"), (9.9, "9.9 s"), (42, "42 s"), (600, "10.0 min"), (7200, "2.0 h"), (2.5e5, "2.9 days")],
)
def test_duration(seconds: float, told: str) -> None:
    assert duration(seconds) == told
