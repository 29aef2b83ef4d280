"""What every test gets: the hypothesis profile, and tests whose extra or program is missing left out, aloud."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.disks import can_mount

IN_CI = os.environ.get("CI") == "true"
_left_out: dict[str, int] = {}

# The same examples everywhere, so that a failure here is a failure there; DATAPROC_MAX_EXAMPLES=10000 searches further.
settings.register_profile(
    "dataproc", derandomize=True, deadline=None, max_examples=int(os.environ.get("DATAPROC_MAX_EXAMPLES", "100"))
)
settings.load_profile("dataproc")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect each test marked `needs(name)` whose module, program or right to mount is not on this machine."""
    missing = [item for item in items if _first_missing(item) is not None]
    for item in missing:
        name = _first_missing(item) or ""
        _left_out[name] = _left_out.get(name, 0) + 1
    if missing:
        config.hook.pytest_deselected(items=missing)
        items[:] = [item for item in items if item not in missing]


def _first_missing(item: pytest.Item) -> str | None:
    names = [name for mark in item.iter_markers("needs") for name in mark.args]
    return next((name for name in names if not _there(name)), None)


def _there(name: str) -> bool:
    if name == "mount":
        return can_mount()
    return shutil.which(name) is not None or importlib.util.find_spec(name) is not None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line which tests were not run for want of something."""
    if _left_out:
        told = ", ".join(f"{count} for want of {name}" for name, count in sorted(_left_out.items()))
        terminalreporter.write_line(f"Not run: {told}. `make test` installs the extras.", yellow=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With CI=true everything has to run: a test left out or skipped fails the session."""
    if hasattr(session.config, "workeroutput"):  # one of several test processes: the first of them judges
        session.config.workeroutput["left_out"] = _left_out
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not IN_CI or reporter is None or session.exitstatus != pytest.ExitCode.OK:
        return
    left_out, skipped = sum(_left_out.values()), len(reporter.stats.get("skipped", ()))
    if left_out or skipped:
        reporter.write_line(f"\nCI=true: {left_out} tests left out and {skipped} skipped; none may be.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a test process left out; all of them collect, and so leave out, the same tests."""
    _left_out.update(getattr(node, "workeroutput", {}).get("left_out", {}))


@pytest.fixture(scope="session")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of recipe `default` on the sample crawl with two workers, made once; tests must not change it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # which all test processes share
    out = folder / "sample"
    with open(folder / "sample.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (out / "mixture.json").exists():
            command = [
                sys.executable,
                "-m",
                "jobs.cli",
                "run",
                "--crawl",
                "sample",
                "--out",
                str(out),
                "--workers",
                "2",
            ]
            subprocess.run(command, check=True, capture_output=True, text=True)
    return out
