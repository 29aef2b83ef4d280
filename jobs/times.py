"""Where the time of a run went: the share of each step, and of each stage within one.

Steps are timed by the run's events, from the start of each to its end. A stage has the part of its step that it has of
the seconds its workers spent, which the manifests hold. Exchanges show the datasets that they fill; their splitting is
in them. Without events (a run of an older version) the seconds of workers stand for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from dataproc.shards import Dataset
from dataproc.storage import Folder
from jobs.events import EventReader
from jobs.funnel import Funnel, share
from jobs.lookup import parts_done
from jobs.run_state import RunState, duration
from jobs.step_flow import StepFlow

STEPS = ("documents", "signatures", "dedup", "lines", "substrings", "scores", "buckets", "tokens", "mixture")

REST = "reading, writing, rest"
BETWEEN = "planning, report, rest"


@dataclass(frozen=True)
class Timing:
    """What a step took, or a stage or dataset `within` it ("" for the step as a whole).

    `rows` are the documents that it saw and `worker_s` the seconds of all workers together, both 0 where they are not
    counted; `elapsed_s` is time of the run.
    """

    step: str
    within: str
    rows: int
    worker_s: float
    elapsed_s: float


@dataclass(frozen=True)
class Times:
    """The timings of a run, steps in order, each before what is within it."""

    timings: tuple[Timing, ...]
    elapsed_s: float
    by_events: bool
    """False where the seconds of workers had to stand for those of the run."""

    def shown(self) -> list[Timing]:
        """Return all but what took less than a thousandth of the run within a step, where it is in the sum."""
        return [one for one in self.timings if not one.within or one.elapsed_s >= self.elapsed_s / 1000]


def read_times(folder: Folder, funnel: Funnel) -> Times:
    """Return where the time of a run, finished or not, went."""
    state = RunState()
    for event in EventReader(folder).read():
        state.add(event)
    state.steps = {name: step for name, step in state.steps.items() if step.ended or step.started is not None}
    elapsed = {name: step.seconds(state.last) for name, step in state.steps.items()}
    by_step = {flow.name: (flow.rows_in, flow.seconds, _stages(flow)) for flow in funnel.steps}
    for name in ("signatures", "scores", "tokens"):
        by_step[name] = _sidecar_times(folder, name)
    if not state.session:
        elapsed = {name: seconds for name, (_, seconds, _) in by_step.items() if seconds}
    timings = [timing for name in STEPS for timing in _of_step(name, elapsed, *by_step.get(name, (0, 0.0, {})))]
    steps_s = sum(elapsed.values())
    total = max(state.seconds(state.last) if state.session else steps_s, steps_s)
    if state.session and total > steps_s:
        timings.append(Timing(BETWEEN, "", 0, 0.0, total - steps_s))
    return Times(tuple(timings), total, bool(state.session))


def _of_step(
    name: str, elapsed: Mapping[str, float], rows: int, worker_s: float, stages: Mapping[str, tuple[int, float]]
) -> Iterator[Timing]:
    within = {other: seconds for other, seconds in elapsed.items() if other.startswith(f"{name}/")}
    own = elapsed.get(name, 0.0)
    if not own and not within:
        return
    yield Timing(name, "", rows, 0.0 if within else worker_s, own + sum(within.values()))
    for stage, (seen, seconds) in stages.items():
        yield Timing(name, stage, seen, seconds, own * seconds / worker_s)
    yield from (Timing(name, other.partition("/")[2], 0, 0.0, seconds) for other, seconds in within.items())
    if within:
        yield Timing(name, REST, 0, 0.0, own)
    elif stages:
        rest = max(0.0, worker_s - sum(seconds for _, seconds in stages.values()))
        yield Timing(name, REST, rows, rest, own * rest / worker_s)


def _stages(flow: StepFlow) -> dict[str, tuple[int, float]]:
    return {stage.name: (stage.rows_in, stage.seconds) for stage in flow.stages if stage.seconds}


def _sidecar_times(folder: Folder, name: str) -> tuple[int, float, dict[str, tuple[int, float]]]:
    """Return the documents and seconds of a step that drops nothing, and the same for each of its stages."""
    rows, seconds = 0, 0.0
    stages: dict[str, tuple[int, float]] = {}
    for entry in Dataset(folder, name, {}, None).entries() if parts_done(folder, name) else ():
        rows += entry.counters["rows_in"]
        seconds += entry.seconds
        for stage, values in entry.counters.get("stages", {}).items():
            before = stages.get(stage, (0, 0.0))
            stages[stage] = (before[0] + values["rows_in"], before[1] + values["seconds"])
    return rows, seconds, stages


def render(times: Times) -> Table:
    """Return the times for a terminal, within 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("where the time went" if times.by_events else "where the workers' time went", no_wrap=True)
    for name in ("elapsed", "docs/s of a worker", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    for timing in times.shown():
        pace = f"{timing.rows / timing.worker_s:,.0f}" if timing.rows and timing.worker_s else ""
        cells = (duration(timing.elapsed_s), pace, share(timing.elapsed_s, times.elapsed_s))
        if timing.within:
            table.add_row(Text(f"  {timing.within}"), *cells, style="dim")
        else:
            table.add_row(Text(timing.step), *cells, style="bold cyan")
    table.add_row("the run", duration(times.elapsed_s), "", share(times.elapsed_s, times.elapsed_s), style="bold")
    return table
