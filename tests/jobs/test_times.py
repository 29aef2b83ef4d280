"""Where the time went: shares of a hand-made run, and of the sample's."""

from __future__ import annotations

import re
import shutil
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from dataproc.storage import Folder
from jobs.cli import app
from jobs.funnel import read_funnel
from jobs.times import BETWEEN, REST, Times, Timing, _of_step, read_times, render


def test_a_stage_has_the_part_of_its_step_that_it_has_of_the_workers_seconds() -> None:
    found = list(_of_step("documents", {"documents": 50.0}, 100, 80.0, {"fast": (100, 20.0), "slow": (60, 40.0)}))
    assert found == [
        Timing("documents", "", 100, 80.0, 50.0),
        Timing("documents", "fast", 100, 20.0, 12.5),
        Timing("documents", "slow", 60, 40.0, 25.0),
        Timing("documents", REST, 100, 20.0, 12.5),
    ]


def test_a_step_of_exchanges_has_its_datasets() -> None:
    elapsed = {"dedup": 1.0, "dedup/exact": 2.0, "dedup/round-0/edges": 3.0, "documents": 9.0}
    assert list(_of_step("dedup", elapsed, 100, 0.5, {})) == [
        Timing("dedup", "", 100, 0.0, 6.0),
        Timing("dedup", "exact", 0, 0.0, 2.0),
        Timing("dedup", "round-0/edges", 0, 0.0, 3.0),
        Timing("dedup", REST, 0, 0.0, 1.0),
    ]


def test_what_took_next_to_nothing_is_in_its_step_alone() -> None:
    few = Timing("a", "few", 1, 1.0, 0.0999)
    enough = Timing("a", "enough", 200, 50.0, 0.1)
    times = Times((Timing("a", "", 200, 60.0, 100.0), few, enough), 100.0, by_events=True)
    assert enough in times.shown()
    assert few not in times.shown()
    console = Console(file=StringIO(), width=80)
    console.print(render(times))
    assert isinstance(console.file, StringIO)
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]
    assert next(filter(None, lines)) == "where the time went elapsed docs/s of a worker share"
    assert [line for line in lines if line][2:] == [
        "a 1.7 min 3 100.0%",
        "enough 0.1 s 4 0.1%",
        "the run 1.7 min 100.0%",
    ]


def test_the_sample_run_is_accounted_for(sample_run: Path) -> None:
    folder = Folder(sample_run)
    times = read_times(folder, read_funnel(folder))
    assert times.by_events
    steps = {timing.step: timing for timing in times.timings if not timing.within}
    assert list(steps) == ["documents", "signatures", "dedup", "scores", "buckets", "tokens", BETWEEN]
    assert sum(timing.elapsed_s for timing in steps.values()) == pytest.approx(times.elapsed_s)
    for name in ("documents", "dedup", "scores"):
        within = [timing.elapsed_s for timing in times.timings if timing.step == name and timing.within]
        assert sum(within) == pytest.approx(steps[name].elapsed_s)
    assert steps["documents"].rows == 2029


def test_the_report_command_shows_them(sample_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.report.write_report", lambda folder: None)  # has tests of its own
    told = CliRunner().invoke(app, ["report", str(sample_run)], env={"COLUMNS": "100"}).stdout
    assert "where the time went" in told
    assert re.search(r"\n +extract_text +[\d.]+ s +[\d,]+ +[\d.]+%", told)


def test_a_run_without_events_has_the_seconds_of_its_workers(sample_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(sample_run, tmp_path / "run"))
    shutil.rmtree(run / "events")
    folder = Folder(run)
    times = read_times(folder, read_funnel(folder))
    assert not times.by_events
    documents = next(timing for timing in times.timings if timing.step == "documents")
    assert documents.elapsed_s == documents.worker_s
    assert sum(timing.elapsed_s for timing in times.timings if not timing.within) == pytest.approx(times.elapsed_s)
