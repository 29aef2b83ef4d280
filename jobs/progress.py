"""Live progress of long steps: units, documents/s, MB/s, kept share, time left; plain lines without a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_EVERY_S = 10.0


@dataclass
class Step:
    """What a running step has done so far."""

    name: str
    units: int
    done: int = 0
    rows_in: int = 0
    rows_kept: int = 0
    bytes: int = 0
    retried: int = 0
    started: float = field(default_factory=time.monotonic)

    def line(self) -> str:
        """Return the figures in one line."""
        seconds = max(time.monotonic() - self.started, 1e-9)
        parts = (
            [f"{self.rows_in / seconds:,.0f} docs/s", f"{self.bytes / seconds / 1e6:,.1f} MB/s"] if self.rows_in else []
        )
        if self.rows_in and self.rows_kept != self.rows_in:
            parts.append(f"{self.rows_kept / self.rows_in:.1%} kept")
        if self.retried:
            parts.append(f"{self.retried:,} tried again")
        return ", ".join(parts)

    def left(self) -> str:
        """Return the time left by the pace so far."""
        if not self.done:
            return "?"
        seconds = (time.monotonic() - self.started) / self.done * (self.units - self.done)
        return (
            f"{seconds / 3600:.1f} h"
            if seconds > 5400
            else f"{seconds / 60:.1f} min"
            if seconds > 90
            else f"{seconds:.0f} s"
        )


class ProgressDisplay:
    """Shows one step at a time on a console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def step(self, name: str, units: int) -> Iterator[tuple[Callable[[int, int, int], None], Callable[[], None]]]:
        """Give advance(rows_in, rows_kept, bytes) for each unit that ends, and retried() for each that is run again."""
        step = Step(name, units)
        show = self._bar(step) if self.console.is_terminal else self._lines(step)
        with show as refresh:

            def advance(rows_in: int, rows_kept: int, size: int) -> None:
                step.done += 1
                step.rows_in += rows_in
                step.rows_kept += rows_kept
                step.bytes += size
                refresh()

            def retried() -> None:
                step.retried += 1
                refresh()

            yield advance, retried

    @contextmanager
    def _bar(self, step: Step) -> Iterator[Callable[[], None]]:
        columns = (
            TextColumn("{task.description:<22}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[line]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task(step.name, total=step.units, line="")
            yield lambda: progress.update(task, completed=step.done, line=step.line())

    @contextmanager
    def _lines(self, step: Step) -> Iterator[Callable[[], None]]:
        shown = time.monotonic()

        def refresh() -> None:
            nonlocal shown
            if time.monotonic() - shown >= PLAIN_EVERY_S and step.done < step.units:
                shown = time.monotonic()
                self.say(f"{step.name}: {step.done:,} of {step.units:,} units, {step.line()}, {step.left()} left")

        yield refresh
        seconds = time.monotonic() - step.started
        self.say(
            f"{step.name}: {step.done:,} of {step.units:,} units in {seconds:.1f} s"
            + (f", {step.line()}" if step.line() else "")
        )

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.console.print(text, highlight=False, soft_wrap=True)
