"""What a run's driver writes of itself: kinds and values, files that stay small, sessions after kills, and no more."""

from __future__ import annotations

import gzip
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dataproc.engines import Failed, Retried
from dataproc.errors import ShardError, StorageError
from dataproc.shards import Dataset, Entry
from dataproc.storage import Folder
from jobs import events
from jobs.events import CURRENT, EventLog, EventReader, new_event, session
from jobs.progress import ProgressDisplay
from jobs.run import Run


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "run")


@pytest.fixture
def shown() -> ProgressDisplay:
    return ProgressDisplay(Console(file=StringIO()))


def read(folder: Folder) -> list[dict[str, Any]]:
    return list(EventReader(folder).read())


def without_times(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in event.items() if name not in ("n", "time")} for event in found]


def test_a_run_tells_of_each_unit(folder: Folder, shown: ProgressDisplay) -> None:
    """From what an engine yields to what stands in the file: the one way that events are made."""

    class Engine:
        def map(self, *_: object) -> Any:
            counters = {"rows_in": 10, "rows_kept": 7, "bytes": 500}
            yield Entry(1, "", (), counters, 1.23456, "host:7")
            yield Retried("scores", 2, "exit code -9")
            yield Failed(2, "ValueError: no")

    log = EventLog(folder)
    run = Run(folder, None, Engine(), shown, 3, log=log)  # type: ignore[arg-type]
    dataset = Dataset(folder, "scores", {}, 3)
    dataset.commit(0, {}, {}, 0.0)
    with pytest.raises(ShardError, match="scores: 1 of 2 units failed"), session(log, engine="local"):
        run.fill(dataset, lambda unit: unit)
    started, *rest = without_times(read(folder))
    assert (started["event"], started["engine"], started["pid"] > 0) == ("run_started", "local", True)
    ended = rest.pop()
    assert (ended["event"], ended["exit_code"]) == ("run_ended", 5)
    assert ended["error"].startswith("scores: 1 of 2 units failed; the others are done")
    assert rest == [
        {"event": "step_started", "step": "scores", "units": 3, "done": 1},
        {
            "event": "unit_ended",
            "step": "scores",
            "unit": 1,
            "rows_in": 10,
            "rows_kept": 7,
            "bytes": 500,
            "seconds": 1.235,
            "worker": "host:7",
        },
        {"event": "unit_retried", "step": "scores", "unit": 2, "error": "exit code -9"},
        {"event": "unit_failed", "step": "scores", "unit": 2, "error": "ValueError: no"},
        {"event": "step_ended", "step": "scores"},
    ]


def test_a_step_without_work_is_told_too(folder: Folder, shown: ProgressDisplay) -> None:
    log = EventLog(folder)
    dataset = Dataset(folder, "scores", {}, 1)
    dataset.commit(0, {}, {}, 0.0)
    Run(folder, None, None, shown, 1, log=log).fill(dataset, lambda unit: unit)  # type: ignore[arg-type]
    log.close()
    assert without_times(read(folder)) == [{"event": "step_skipped", "step": "scores", "units": 1}]


def test_full_files_are_compressed_and_read_in_order(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "FILE_BYTES", 1000)
    for start in (0, 100):  # the second goes on where the first has stopped
        log = EventLog(folder)
        for unit in range(start, start + 100):
            log.add(new_event("unit_retried", step="a", unit=unit, error=""))
            if unit % 20 == 19:
                log._store()  # else every few seconds
        log.close()
    found = read(folder)
    assert [event["unit"] for event in found] == list(range(200))
    assert [event["n"] for event in found] == list(range(1, 201))
    names = folder.files("events")
    assert names == [*(f"events/{number:08d}.jsonl.gz" for number in range(10)), CURRENT]
    reader = EventReader(folder)
    list(reader.read())
    assert list(reader.read()) == []


def test_lines_that_a_kill_left_beside_their_compressed_file_count_once(folder: Folder) -> None:
    lines = "".join(json.dumps({"n": n, "event": "alive"}) + "\n" for n in range(1, 6))
    with folder.create("events/00000000.jsonl.gz") as path:
        path.write_bytes(gzip.compress(lines.encode()))
    folder.write_text(CURRENT, lines)
    assert [event["n"] for event in read(folder)] == [1, 2, 3, 4, 5]
    log = EventLog(folder)
    log.add(new_event("alive"))
    log.close()
    assert [event["n"] for event in read(folder)] == [1, 2, 3, 4, 5, 6]
    assert len(folder.read_text(CURRENT).splitlines()) == 1


def test_a_cut_line_costs_itself(folder: Folder) -> None:
    folder.write_text(CURRENT, '{"n": 1, "event": "alive"}\n{"n": 2, "ev')
    assert [event["n"] for event in read(folder)] == [1]
    log = EventLog(folder)
    log.add(new_event("alive"))
    log.close()
    assert [event["n"] for event in read(folder)] == [1, 2]


def test_a_damaged_file_is_named(folder: Folder) -> None:
    folder.write_text("events/00000000.jsonl.gz", "no gzip")
    with pytest.raises(ShardError, match=r"run/events/00000000.jsonl.gz must be compressed JSON lines, got: Not a gz"):
        read(folder)


def test_what_cannot_be_stored_does_not_end_the_run(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Folder.write_text
    failed: list[str] = []

    def full_once(self: Folder, name: str, text: str) -> None:
        if not failed:
            failed.append(name)
            raise StorageError("full")
        store(self, name, text)

    monkeypatch.setattr(Folder, "write_text", full_once)
    log = EventLog(folder)
    log.add(new_event("alive"))
    log._store()
    assert failed == [CURRENT]
    log.close()
    assert [event["event"] for event in read(folder)] == ["alive"]


def test_silence_is_told(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "STORE_S", 0.001)
    monkeypatch.setattr(events, "ALIVE_S", 0.0)
    log = EventLog(folder)
    while log._last < 3:
        pass
    log.close()
    assert {event["event"] for event in read(folder)} == {"alive"}


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [(KeyboardInterrupt(), 130, "KeyboardInterrupt"), (StorageError("full"), 7, "full"), (OSError("odd"), 1, "odd")],
)
def test_the_end_of_a_session_has_its_exit_code(folder: Folder, error: BaseException, code: int, told: str) -> None:
    with pytest.raises(type(error)), session(EventLog(folder)):
        raise error
    last = read(folder)[-1]
    assert (last["exit_code"], last["error"]) == (code, told)


def test_events_of_a_crawl_of_90_000_files_stay_below_100_mb(folder: Folder) -> None:
    """Fourteen datasets have a part per unit; parts of different sizes, times and workers compress like those here."""
    log = EventLog(folder)
    units = 6000
    for unit in range(units):
        seed = unit * 2654435761 % 2**32
        values = {"rows_in": 20_000 + seed % 9973, "rows_kept": seed % 19_997, "bytes": 10**9 + seed % 99_999_989}
        worker = f"ip-10-0-{seed % 251}-{seed % 241}:{seed % 32768}"
        log.add(new_event("unit_ended", step="dedup/round-0/x", unit=unit, **values, seconds=seed / 1e7, worker=worker))
    log.close()
    (sealed,) = (name for name in folder.files("events") if name.endswith(".gz"))
    assert folder.size(sealed) / units * 90_000 * 14 < 100e6


def test_store_urls_hold_events_too() -> None:
    folder = Folder("memory://events-test/run")
    log = EventLog(folder)
    with session(log, engine="ray"):
        pass
    assert [event["event"] for event in read(folder)] == ["run_started", "run_ended"]
