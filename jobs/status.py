"""`dataproc status RUN`: how far a run is, by its events alone, whether its driver is at work, gone, or done."""

from __future__ import annotations

import json
import time

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dataproc.errors import InputError
from dataproc.storage import Folder
from jobs.events import EventReader
from jobs.funnel import share
from jobs.run_state import RunState, Step, duration, seconds_of, utc

FOLLOW_S = 2.0

STYLES = {"running": "bold cyan", "failed": "red", "stopped": "yellow"}


class Watch:
    """A run that is looked at again and again.

    Raises InputError when the folder holds no events of a run.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.state = RunState()
        self._reader = EventReader(folder)
        self.update()
        if not self.state.session:
            raise InputError(
                f"{folder.url} must hold the events of a run, got no {folder.url}/events. Give the OUT of a"
                " `dataproc run` that has started."
            )

    def update(self) -> None:
        """Take in the events that came since."""
        for event in self._reader.read():
            self.state.add(event)

    def running(self) -> bool:
        """Say whether the driver is at work."""
        return self.state.driver(time.time()) == "running"

    def to_json(self) -> str:
        """Return all of it as JSON."""
        return json.dumps({"run": self.folder.url, **self.state.as_dict(time.time())}, indent=1)


def show(watch: Watch, console: Console, *, follow: bool) -> None:
    """Print the state of a run; with `follow` until it ends, or Ctrl-C."""
    if not follow:
        console.print(render(watch.folder.url, watch.state, time.time()))
        return
    try:
        with Live(render(watch.folder.url, watch.state, time.time()), console=console, auto_refresh=False) as live:
            while watch.running():
                time.sleep(FOLLOW_S)
                watch.update()
                live.update(render(watch.folder.url, watch.state, time.time()), refresh=True)
    except KeyboardInterrupt:  # of the one who looks; the run goes on
        return


def render(run: str, state: RunState, now: float) -> RenderableType:
    """Return the state of a run for a terminal, within 100 columns."""
    driver = state.driver(now)
    until = now if driver == "running" else state.last
    session = state.session
    workers = f"{session['workers']:,} workers" if session["workers"] else "all workers"
    head = f"{session['crawl']}, recipe {session['recipe']}, engine {session['engine']}, {workers}"
    lines = [Text(f"{run}: {head}", style="bold"), _driver_line(run, state, driver, now, until)]
    return Group(*lines, _table(state, driver, until))


def _driver_line(run: str, state: RunState, driver: str, now: float, until: float) -> Text:
    session, took = state.session, duration(state.seconds(until))
    sessions = f" in {state.sessions} sessions" if state.sessions > 1 else ""
    resume = f" `dataproc resume {run}` goes on."
    where = f"process {session['pid']} on {session['host']}"
    quiet = duration(now - state.last)
    if driver == "finished":
        return Text(f"Finished at {utc(state.last)}, after {took}{sessions}.", style="green")
    if driver == "running":
        since = utc(seconds_of(session))
        return Text(f"Running since {since} ({took}{sessions}), {where}; last event {quiet} ago.", style="cyan")
    if driver == "stopped":
        return Text(f"Stopped by Ctrl-C at {utc(state.last)}, after {took}{sessions}.{resume}", style="yellow")
    if driver == "gone":
        return Text(f"Killed: {where} is gone; its last event was {quiet} ago.{resume}", style="red")
    if driver == "silent":
        told = (
            f"No event for {quiet}, from {where}, which tells of itself every minute: it was killed, or cannot store."
        )
        return Text(f"{told} If it is gone,{resume}", style="red")
    end = state.end or {"exit_code": None, "error": None}
    told = f"Failed with exit code {end['exit_code']} at {utc(state.last)}, after {took}{sessions}: {end['error']}"
    return Text(f"{told}\n{resume.strip()}" if end["exit_code"] != 2 else told, style="red")


def _table(state: RunState, driver: str, now: float) -> Table:
    """Return a row per step; datasets within one (dedup/exact) have rows of their own until they are done."""
    troubled = any(step.failed or step.retried for step in state.steps.values())
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("step", no_wrap=True)
    for name in ("units", "docs/s", "MB/s", "kept", "elapsed", "left", *(["failed", "retried"] if troubled else [])):
        table.add_column(name, justify="right", no_wrap=True)
    waiting = state.waiting()
    for name in dict.fromkeys([*state.session["steps"], *(step.split("/")[0] for step in state.steps)]):
        within = [step for other, step in state.steps.items() if other.startswith(f"{name}/")]
        if (own := state.steps.get(name)) is not None:
            took = own.seconds(now) + sum(step.seconds(now) for step in within)
            _add(table, name, own, state.state_of(own, driver), now, took)
        elif within:
            took = sum(step.seconds(now) for step in within)
            table.add_row(name, "", "", "", "", duration(took), style=STYLES.get(driver))
        elif name in waiting:
            table.add_row(name, "waiting", style="dim")
        for step in within:
            if (told := state.state_of(step, driver)) != "done" or step.failed or step.retried:
                _add(table, f"  {step.name.partition('/')[2]}", step, told, now, step.seconds(now))
    return table


def _add(table: Table, name: str, step: Step, told: str, now: float, took: float) -> None:
    left = step.left_s(now) if told == "running" else None
    cells = (
        f"{step.done:,} of {step.units:,}",
        f"{step.rows_in / took:,.0f}" if step.rows_in else "",
        f"{step.bytes / took / 1e6:,.1f}" if step.bytes else "",
        share(step.rows_kept, step.rows_in) if step.rows_in else "",
        duration(took) if step.ended or step.started is not None else "",
        "" if told == "done" else duration(left) if left is not None else "?" if told == "running" else told,
        f"{step.failed:,}" if step.failed else "",
        f"{step.retried:,}" if step.retried else "",
    )
    table.add_row(Text(name), *cells[: len(table.columns) - 1], style=STYLES.get(told))
