"""Live progress of long steps: units, documents/s, MB/s, kept share, time left; plain lines without a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dataproc.engines import Engine, Failed, Retried
from dataproc.errors import ShardError
from jobs.events import Event, new_event
from jobs.run_state import Step, duration, seconds_of

PLAIN_EVERY_S = 10.0

COLUMNS = (
    TextColumn("{task.description:<22}"),
    BarColumn(),
    MofNCompleteColumn(),
    TextColumn("{task.fields[line]}"),
    TimeRemainingColumn(),
)


class ProgressDisplay:
    """Shows the events of one step at a time on a console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._step: Step | None = None
        self._bar: tuple[Progress, TaskID] | None = None
        self._shown = 0.0

    def show(self, event: Event) -> None:
        """Take in an event of a step: its start, its units, its end; others are passed over."""
        now = seconds_of(event)
        if event["event"] == "step_started":
            self._start(Step(event["step"], event["units"] - event["done"], started=now))
        elif self._step is None or event.get("step") != self._step.name:
            return
        elif event["event"] == "step_ended":
            self._end(self._step, now)
        else:
            self._step.add(event)
            self._refresh(self._step, now)

    def _start(self, step: Step) -> None:
        self._step, self._shown = step, step.started or 0.0
        if self.console.is_terminal:
            progress = Progress(*COLUMNS, console=self.console)
            self._bar = (progress, progress.add_task(step.name, total=step.units, line=""))
            progress.start()

    def _refresh(self, step: Step, now: float) -> None:
        if self._bar is not None:
            progress, task = self._bar
            progress.update(task, completed=step.done, line=figures(step, now))
        elif now - self._shown >= PLAIN_EVERY_S and step.done < step.units:
            self._shown = now
            left = step.left_s(now)
            parts = [_units(step), figures(step, now), "? left" if left is None else f"{duration(left)} left"]
            self.say(f"{step.name}: {', '.join(part for part in parts if part)}")

    def _end(self, step: Step, now: float) -> None:
        self._step = None
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None
            return
        told = figures(step, now)
        self.say(f"{step.name}: {_units(step)} in {step.seconds(now):.1f} s" + (f", {told}" if told else ""))

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.console.print(text, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Watched:
    """An engine whose work is no step of a run, and shown like one; nothing of it is stored."""

    engine: Engine
    progress: ProgressDisplay

    def map(self, name: str, task: Callable[[Any], Any], units: Sequence[Any]) -> Iterator[Any]:
        """Yield what the task returns for each unit, as they end; raises ShardError for one that fails."""
        self._show("step_started", step=name, units=len(units), done=0)
        try:
            for outcome in self.engine.map(name, task, units):
                if isinstance(outcome, Failed):
                    raise ShardError(
                        f"{name}: {outcome.unit} must be readable, got: {outcome.error}\n{outcome.trace}".strip()
                    )
                if isinstance(outcome, Retried):
                    self._show("unit_retried", step=name)
                else:
                    self._show("unit_ended", step=name, rows_in=0, rows_kept=0, bytes=0)
                    yield outcome
        finally:
            self._show("step_ended", step=name)

    def _show(self, kind: str, **values: Any) -> None:
        self.progress.show(new_event(kind, **values))


def _units(step: Step) -> str:
    return f"{step.done:,} of {step.units:,} units"


def figures(step: Step, now: float) -> str:
    """Return the pace and the share kept in one line, and what went wrong; "" when there is nothing to tell."""
    parts = []
    if step.rows_in:
        parts = [f"{step.docs_per_s(now):,.0f} docs/s", f"{step.megabytes_per_s(now):,.1f} MB/s"]
    if step.rows_kept != step.rows_in:
        parts.append(f"{step.rows_kept / step.rows_in:.1%} kept")
    if step.failed:
        parts.append(f"{step.failed:,} failed")
    if step.retried:
        parts.append(f"{step.retried:,} tried again")
    return ", ".join(parts)
