"""What the events of a run say of it, added up one by one: its steps, their pace, and whether its driver is there."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from dataproc.disk import alive
from jobs.events import ALIVE_S, Event

SILENT_S = 3 * ALIVE_S
"""Without an event for so long, the driver is taken for gone."""


@dataclass
class Step:
    """What one step has done, in all sessions of the run."""

    name: str
    units: int
    done: int = 0
    ended: int = 0
    """Units whose end was seen: what `seconds` were spent on."""
    rows_in: int = 0
    rows_kept: int = 0
    bytes: int = 0
    failed: int = 0
    retried: int = 0
    spent_s: float = 0.0
    """Elapsed in earlier sessions."""
    started: float | None = None
    """When this session started it, in seconds since 1970; None when it is not running."""

    def seconds(self, now: float) -> float:
        """Return how long it has taken so far."""
        return max(self.spent_s + (0.0 if self.started is None else now - self.started), 1e-9)

    def docs_per_s(self, now: float) -> float:
        """Return its pace in documents."""
        return self.rows_in / self.seconds(now)

    def megabytes_per_s(self, now: float) -> float:
        """Return its pace in bytes."""
        return self.bytes / self.seconds(now) / 1e6

    def left_s(self, now: float) -> float | None:
        """Return the time left by the pace so far, None when there is none yet."""
        if self.done >= self.units:
            return 0.0
        return self.seconds(now) / self.ended * (self.units - self.done) if self.ended else None

    def add(self, event: Event) -> None:
        """Take in an event of this step, but for its start and end."""
        match event["event"]:
            case "unit_ended":
                self.done += 1
                self.ended += 1
                self.rows_in += event["rows_in"]
                self.rows_kept += event["rows_kept"]
                self.bytes += event["bytes"]
            case "unit_failed":
                self.failed += 1
            case "unit_retried":
                self.retried += 1


@dataclass
class RunState:
    """A run as its events tell it."""

    session: Event = field(default_factory=dict)
    """The last run_started."""
    sessions: int = 0
    steps: dict[str, Step] = field(default_factory=dict)
    end: Event | None = None
    """The run_ended of the last session."""
    last: float = 0.0
    """When the last event was, in seconds since 1970."""
    spent_s: float = 0.0
    """Elapsed in earlier sessions."""

    def add(self, event: Event) -> None:
        """Take in the next event."""
        before, self.last = self.last, seconds_of(event)
        match event["event"]:
            case "run_started":
                for step in self.steps.values():
                    _stop(step, before)  # where the one before it was killed
                if self.session and self.end is None:
                    self.spent_s += before - seconds_of(self.session)
                self.session, self.end = event, None
                self.sessions += 1
            case "run_ended":
                self.end = event
                self.spent_s += self.last - seconds_of(self.session)
                for step in self.steps.values():
                    _stop(step, self.last)
            case "step_started":
                if event["step"] not in self.steps or not event["done"]:  # first, or rebuilt
                    self.steps[event["step"]] = Step(event["step"], event["units"])
                step = self.steps[event["step"]]
                step.units, step.done, step.failed = event["units"], event["done"], 0
                step.started = self.last
            case "step_ended":
                _stop(self.steps[event["step"]], self.last)
            case "step_skipped":
                step = self.steps.setdefault(event["step"], Step(event["step"], event["units"]))
                step.done = step.units = event["units"]
            case "unit_ended" | "unit_failed" | "unit_retried":
                self.steps[event["step"]].add(event)

    def seconds(self, now: float) -> float:
        """Return how long all sessions have taken."""
        return self.spent_s + (0.0 if self.end is not None else now - seconds_of(self.session))

    def driver(self, now: float) -> str:
        """Return how the driver is: running, finished, failed, stopped (Ctrl-C), gone (its process), or silent.

        `gone` is only known on the driver's own machine; from elsewhere it is silent when no event came for SILENT_S.
        """
        if self.end is not None:
            return {0: "finished", 130: "stopped"}.get(self.end["exit_code"], "failed")
        if self.session["host"] == platform.node() and not alive(self.session["pid"]):
            return "gone"
        return "silent" if now - self.last > SILENT_S else "running"

    def as_dict(self, now: float) -> dict[str, Any]:
        """Return all of it as JSON-able values; rates and times left are those of `now`."""
        driver = self.driver(now)
        until = now if driver == "running" else self.last
        return {
            "driver": driver,
            "exit_code": None if self.end is None else self.end["exit_code"],
            "error": None if self.end is None else self.end["error"],
            "sessions": self.sessions,
            "elapsed_s": round(self.seconds(until), 3),
            "last_event": utc(self.last),
            "session": {name: value for name, value in self.session.items() if name not in ("n", "event", "steps")},
            "steps": [
                {
                    "step": step.name,
                    "state": self.state_of(step, driver),
                    "units": step.units,
                    "done_units": step.done,
                    "failed_units": step.failed,
                    "retried_units": step.retried,
                    "rows_in": step.rows_in,
                    "rows_kept": step.rows_kept,
                    "bytes": step.bytes,
                    "elapsed_s": round(step.seconds(until), 3),
                    "docs_per_s": round(step.docs_per_s(until), 3),
                    "megabytes_per_s": round(step.megabytes_per_s(until), 3),
                    "left_s": step.left_s(until),
                }
                for step in self.steps.values()
            ],
            "waiting": self.waiting(),
        }

    def state_of(self, step: Step, driver: str) -> str:
        """Return done, running, failed or stopped."""
        if step.done >= step.units:
            return "done"
        if step.started is not None and driver == "running":
            return "running"
        return "failed" if step.failed else "stopped"

    def waiting(self) -> list[str]:
        """Return the steps that no event has told of yet, though the run will come to them."""
        done = self.end is not None and self.end["exit_code"] == 0
        return [] if done else [name for name in self.session["steps"] if name not in self.steps]


def _stop(step: Step, now: float) -> None:
    step.spent_s, step.started = step.seconds(now) if step.started is not None else step.spent_s, None


def seconds_of(event: Event) -> float:
    """Return the time of an event in seconds since 1970."""
    return datetime.fromisoformat(event["time"]).timestamp()


def utc(seconds: float) -> str:
    """Return a time as the events have it.

    Example: utc(0.0) == "1970-01-01T00:00:00Z".
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def duration(seconds: float) -> str:
    """Return a time span as people say it.

    Example: duration(0.24) == "0.2 s", duration(42) == "42 s", duration(600) == "10.0 min".
    """
    if seconds > 2 * 86_400:
        return f"{seconds / 86_400:.1f} days"
    if seconds > 5400:
        return f"{seconds / 3600:.1f} h"
    if seconds > 90:
        return f"{seconds / 60:.1f} min"
    return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
