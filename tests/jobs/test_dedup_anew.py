"""Dedup made anew beside a run: what it reads of the run, and what a killed one leaves."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from dataproc.storage import Folder
from jobs.dedup_anew import Beside, dropped_anew
from jobs.progress import ProgressDisplay
from stages.minhash_plan import MinhashDedup
from tests.jobs.dedup_runs import Inline

SILENT = ProgressDisplay(Console(quiet=True))


@pytest.mark.parametrize("change", [None, "plan", "keep", "documents"])
def test_what_a_killed_one_left_is_gone_on_with_by_its_like_alone(
    change: str | None, weak: Path, tmp_path: Path
) -> None:
    """Its folder is named by all that decides what is in it; another's is neither read nor removed."""
    run = tmp_path / "run"
    shutil.copytree(weak, run)
    with pytest.raises(KeyboardInterrupt):
        dropped_anew(Folder(run), Inline(lives=12), SILENT, MinhashDedup(num_bands=2), signed=False)
    (left,) = (run / ".scratch").glob("audit-*")
    if change == "keep":
        record = json.loads((run / "run.json").read_text())
        record["order"]["recipe"]["dedup"]["keep"] = "longest"
        (run / "run.json").write_text(json.dumps(record))
    if change == "documents":
        described = run / "manifests" / "documents" / "dataset.json"
        described.write_text(described.read_text().replace(json.loads(described.read_text())["fingerprint"], "0" * 32))
    second = Inline()
    plan = MinhashDedup(num_bands=2, min_jaccard=0.9) if change == "plan" else MinhashDedup(num_bands=2)
    dropped_anew(Folder(run), second, SILENT, plan, signed=False)
    assert ("signatures" in second.ran) == (change is not None)
    assert left.exists() == (change is not None)


def test_a_folder_beside_another_reads_what_it_has_of_it(tmp_path: Path) -> None:
    below = Folder(tmp_path / "below")
    below.write_text("documents/a", "below")
    below.write_text("dedup/a", "below")
    beside = pickle.loads(pickle.dumps(Beside(tmp_path / "over", below, ("documents",))))
    assert (beside.read_text("documents/a"), beside.exists("dedup/a"), beside.size("documents/a")) == (
        "below",
        False,
        5,
    )
    beside.write_text("dedup/a", "over")
    assert (beside.files("dedup"), beside.read_text("dedup/a"), below.read_text("dedup/a")) == (
        ["dedup/a"],
        "over",
        "below",
    )
    with beside.open("documents/a") as file:
        assert file.read() == b"below"
