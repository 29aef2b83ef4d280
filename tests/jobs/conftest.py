"""Runs that tests of several files look at, made once; tests must not change them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.jobs.dedup_audits import WEAK, run_of, texts
from tests.jobs.dedup_runs import crawl_of


@pytest.fixture(scope="session")
def audit_crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crawl of three files, and runs of it."""
    folder = tmp_path_factory.mktemp("audit")
    crawl_of(texts(), 3, folder / "crawl")
    return folder


@pytest.fixture(scope="session")
def weak(audit_crawl: Path) -> Path:
    """A run whose plan misses most pairs."""
    return run_of(audit_crawl, "weak", minhash=WEAK)
