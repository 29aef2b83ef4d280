"""The events of a run, written by its driver as JSON lines: what `dataproc status` reads, from anywhere.

    events/00000000.jsonl.gz    a mebibyte of lines, compressed; the next ones follow
    events/current.jsonl        the lines since then

Object stores cannot append, so lines are gathered in memory and the current file is written anew every few seconds; a
full one is compressed under a number of its own. A kill costs the last seconds of events and nothing of the run, which
goes by its manifests. Every event has a number `n`, its time in UTC and its kind:

    run_started     crawl, recipe, engine, workers, version, host, pid, steps
    step_started    step, units, done (before)
    unit_ended      step, unit, rows_in, rows_kept, bytes, seconds, worker
    unit_retried    step, unit, error (its worker died)
    unit_failed     step, unit, error
    step_ended      step
    step_skipped    step, units (all of them were done)
    alive           nothing happened for a minute
    run_ended       exit_code, error

A resumed run goes on with another run_started. Events are a log: in no checksum, fingerprint or comparison.
"""

from __future__ import annotations

import gzip
import json
import os
import platform
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from dataproc.errors import DataprocError, ShardError, StorageError
from dataproc.shards import own_version
from dataproc.storage import Folder

EVENTS = "events"
CURRENT = f"{EVENTS}/current.jsonl"

STORE_S = 2.0
"""How often the current file is written, when something happened."""

ALIVE_S = 60.0
"""After this long without an event there is one that says so: its absence means that the driver is gone."""

FILE_BYTES = 1 << 20
"""Lines in a file before it is compressed: some 5,000 units, 100 KB."""

ERROR_CHARS = 2000

Event = dict[str, Any]


def new_event(kind: str, **values: Any) -> Event:
    """Return an event of now.

    Example: new_event("step_ended", step="dedup") == {"time": "2026-11-23T15:44:49.952Z", "event": "step_ended", ...}
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"time": now, "event": kind, **values}


class EventLog:
    """Stores events below a run's folder, in a thread of its own: who adds one never waits for the store."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        reader = EventReader(folder, since=-1)
        self._lines = [_line(event) for event in list(reader.read()) if event["n"] > reader.last_sealed]
        self._last, self._files = reader.last, reader.files
        self._dirty = False
        self._added = time.monotonic()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep_storing, daemon=True)
        self._thread.start()

    def add(self, event: Event) -> None:
        """Add an event; it is stored within seconds."""
        with self._lock:
            self._last += 1
            self._lines.append(_line({"n": self._last, **event}))
            self._dirty = True
            self._added = time.monotonic()

    def close(self) -> None:
        """Store what is left."""
        self._closing.set()
        self._thread.join()

    def _keep_storing(self) -> None:
        while not self._closing.wait(STORE_S):
            if time.monotonic() - self._added >= ALIVE_S:
                self.add(new_event("alive"))
            self._store()
        self._store()

    def _store(self) -> None:
        with self._lock:
            lines, dirty, self._dirty = list(self._lines), self._dirty, False
        if not dirty:
            return
        text = "".join(lines)
        try:
            if len(text) >= FILE_BYTES:
                with self._folder.create(f"{EVENTS}/{self._files:08d}.jsonl.gz") as path:
                    path.write_bytes(gzip.compress(text.encode(), mtime=0))
                self._files += 1
                with self._lock:
                    del self._lines[: len(lines)]
                text = ""  # readers skip what they have by its number, should a kill leave the old lines here
            self._folder.write_text(CURRENT, text)
        except StorageError:  # a log must not end the run: what cannot be stored now is tried again
            self._dirty = True


@contextmanager
def session(log: EventLog, **started: Any) -> Iterator[None]:
    """Tell of the start of a driver with what is given, and of its end with the exit code that its error has."""
    log.add(new_event("run_started", **started, version=own_version(), host=platform.node(), pid=os.getpid()))
    error: BaseException | None = None
    try:
        yield
    except BaseException as caught:
        error = caught
        raise
    finally:
        told = None if error is None else (str(error) or type(error).__name__)[:ERROR_CHARS]
        log.add(new_event("run_ended", exit_code=_exit_code(error), error=told))
        log.close()


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    if isinstance(error, KeyboardInterrupt):
        return 130
    return error.exit_code if isinstance(error, DataprocError) else 1


class EventReader:
    """Reads the events of a run, of one that is being written too: each `read` yields those that are new.

    A line that is cut, as a store without whole files may leave it, is passed over.
    """

    def __init__(self, folder: Folder, since: int = 0) -> None:
        """Read from compressed file `since` on; -1 is the last one."""
        self._folder = folder
        self.files = since if since >= 0 else max(0, len(self._sealed()) + since)
        """Compressed files read, or passed over."""
        self.last = self.last_sealed = 0
        """Numbers of the last event, and of the last one in a compressed file."""

    def read(self) -> Iterator[Event]:
        """Yield the events that were stored since the last time, in order."""
        for name in self._sealed()[self.files :]:
            with self._folder.open(name) as file:
                stored = file.read()
            try:
                text = gzip.decompress(stored).decode()
            except (OSError, EOFError, ValueError, zlib.error) as error:
                raise ShardError(
                    f"{self._folder.url}/{name} must be compressed JSON lines, got: {error}. Remove it: a run goes on"
                    " without its events."
                ) from error
            yield from self._new(text)
            self.files += 1
            self.last_sealed = self.last
        with suppress(FileNotFoundError):
            yield from self._new(self._folder.read_text(CURRENT))

    def _sealed(self) -> list[str]:
        return [name for name in self._folder.files(EVENTS) if name.endswith(".jsonl.gz")]

    def _new(self, text: str) -> Iterator[Event]:
        for line in text.splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if event["n"] > self.last:
                self.last = event["n"]
                yield event


def _line(event: Event) -> str:
    return json.dumps(event, separators=(",", ":")) + "\n"
