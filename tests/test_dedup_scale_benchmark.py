"""What the benchmark of dedup at scale makes up, measures and says; its runs are small here, and in this process."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from benchmarks import dedup_scale, generated
from benchmarks.dedup_scale import Done, figures_of, plot_of, texts_figures
from benchmarks.figures import Figure
from benchmarks.generated import Members, cluster_sizes, signatures_of, texts_of
from benchmarks.meter import Meter, StepUsed, read_used
from benchmarks.plot import Line, exponent, log_log
from dataproc.kernels.jaccard import jaccard_pairs
from dataproc.kernels.shingles import shingle_hashes
from dataproc.storage import Folder
from jobs.events import new_event
from tests.jobs.dedup_runs import Inline


@pytest.mark.parametrize("documents", [20_000, 1_000_000, 20_000_000])
def test_sizes_of_clusters_follow_a_power_law(documents: int) -> None:
    sizes = cluster_sizes(documents)
    assert sizes[0] == documents // 20
    assert sizes[-1] == 2
    assert sizes.sum() == pytest.approx(0.4 * documents, rel=1e-3)
    ranks = np.arange(1, len(sizes) + 1)
    large = sizes >= 20  # rounding to whole documents bends the tail
    assert -1.2 < exponent(ranks[large].tolist(), sizes[large].tolist()) < -0.9


def test_a_document_is_a_function_of_its_number() -> None:
    whole = Members.of(3_000, 0, 3_000)
    piece = Members.of(3_000, 1_700, 50)
    for name in ("number", "cluster", "own", "changed"):
        assert np.array_equal(getattr(whole, name)[1_700:1_750], getattr(piece, name))
    assert np.array_equal(signatures_of(whole, 112)[1_700:1_750], signatures_of(piece, 112))
    assert texts_of(whole)[1_700:1_750].equals(texts_of(piece))
    keys, counts = np.unique(whole.cluster, return_counts=True)
    assert sorted(counts[counts > 1].tolist(), reverse=True) == cluster_sizes(3_000).tolist()
    assert len(keys) == 3_000 - cluster_sizes(3_000).sum() + len(cluster_sizes(3_000))


def test_members_lie_on_both_sides_of_the_limit() -> None:
    """Of the pairs in a cluster some 60% are above 0.8, by signature as by the shingles of the texts."""
    members = Members.of(3_000, 0, 3_000)
    keys, counts = np.unique(members.cluster, return_counts=True)
    at = np.flatnonzero(members.cluster == keys[counts.argmax()])
    rows = signatures_of(members, 112)[at]
    a, b = np.triu_indices(len(at), 1)
    by_signature = (rows[a] == rows[b]).mean(axis=1)
    product = (1 - members.changed[at])[a] * (1 - members.changed[at])[b]
    assert np.abs(by_signature - product).mean() < 0.04
    hashes, offsets = shingle_hashes(texts_of(members).take(at))
    sets = [hashes[offsets[k] : offsets[k + 1]] for k in range(len(at))]
    sides = [
        (np.concatenate([sets[k] for k in side]), np.cumsum([0, *(len(sets[k]) for k in side)])) for side in (a, b)
    ]
    by_shingles = jaccard_pairs(*sides[0], *sides[1])
    for measured in (by_signature, by_shingles):
        assert 0.5 < (measured >= 0.8).mean() < 0.75


@pytest.mark.parametrize("with_texts", [False, True])
def test_a_run_finds_the_clusters_and_tells_what_it_took(
    with_texts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generated, "PART_DOCS", 200)
    monkeypatch.setattr(generated, "BATCH_DOCS", 100)
    monkeypatch.setattr(dedup_scale, "PART_DOCS", 200)
    monkeypatch.setattr(dedup_scale, "LocalEngine", lambda workers: Inline())
    with patch("os.fsync"):
        done = dedup_scale.run_dedup_of(Folder(tmp_path / "run"), 900, with_texts, tmp_path / "steps.jsonl")
    parts = sorted((tmp_path / "run" / "dedup").glob("part-*.parquet"))
    assert len(parts) == 5
    rows = [row for part in parts for row in pq.read_table(part).to_pylist()]
    cluster = {row["doc_id"]: key for row, key in zip(rows, Members.of(900, 0, 900).cluster.tolist(), strict=True)}
    dropped = [row for row in rows if row["duplicate_of"] is not None]
    assert all(cluster[row["doc_id"]] == cluster[row["duplicate_of"]] for row in dropped)
    assert done.dropped == len(dropped)
    assert 100 < done.dropped < 360  # of those in clusters
    assert done.largest_cluster == max(row["cluster_size"] or 1 for row in rows)
    assert 0 < done.edges < done.pairs
    assert [step.step for step in done.steps][:3] == ["documents", "signatures", "dedup/round-0/candidates"]
    assert [step.step for step in done.dedup[-2:]] == ["dedup/sources", "dedup/end"]
    assert all(step.peak_bytes > 10_000_000 and step.cpu_s >= 0 for step in done.steps)
    assert sum(map(len, done.grouped().values())) == len(done.dedup)


def test_a_finished_size_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []

    def run(folder: Folder, documents: int, with_texts: bool, steps: Path) -> Done:
        folder.write_text("documents/part", "")
        runs.append((documents, with_texts))
        return made_up(documents)

    monkeypatch.setattr(dedup_scale, "run_dedup_of", run)
    first = dedup_scale._done(tmp_path, 1_000, with_texts=False)
    assert dedup_scale._done(tmp_path, 1_000, with_texts=False) == first == made_up(1_000)
    assert runs == [(1_000, False)]
    assert [path.name for path in tmp_path.iterdir()] == ["signatures-1000.json"]


def made_up(documents: int, growth: float = 1.0) -> Done:
    """A run of 3 us of wall time and 5 of CPU for each document of a million."""
    times = 1e6 * (documents / 1e6) ** growth
    steps = (
        "documents",
        "signatures",
        "dedup/round-0/candidates",
        "dedup/round-0/edges",
        "dedup/round-1/edges",
        "dedup",
    )
    used = (StepUsed(step, False, 0.75e-6 * times, 1.25e-6 * times, 10**9, int(100 * times)) for step in steps)
    return Done(
        documents=documents,
        steps=tuple(used),
        output_bytes=100 * documents,
        signature_bytes=400 * documents,
        pairs=documents,
        edges=documents // 2,
        rounds=2,
        dropped=documents // 4,
        largest_cluster=documents // 20,
    )


def test_figures_of_runs() -> None:
    def told(growth: float) -> dict[tuple[str, str], Figure]:
        figures = figures_of([made_up(size, growth) for size in (1_000_000, 20_000_000)])
        return {(figure.name, figure.unit): figure for figure in figures}

    found = told(1.0)
    assert found["20 million, CPU", "us a document"].value == pytest.approx(5)
    assert found["20 million, written to disk", "bytes a document"].value == pytest.approx(400)
    limit = found["20 million in two cores: limit", "min"]
    assert (limit.value, limit.reached) == (60, True)
    assert limit.peer_value == pytest.approx(1)
    assert found["20 million, further rounds", "us of CPU a document"].value == pytest.approx(1.25)
    assert found["20 million, pairs rejected", "%"].value == pytest.approx(50)
    assert found["12.8 billion, in proportion", "core-hours"].value == pytest.approx(12.8e9 * 5e-6 / 3600)
    assert found["exponent of CPU: limit", ""].reached
    grown = told(1.2)
    assert grown["exponent of CPU: limit", ""].peer_value == pytest.approx(1.2)
    assert not grown["exponent of CPU: limit", ""].reached
    by_exponent = grown["12.8 billion, by the exponent", "core-hours"].value
    assert by_exponent == pytest.approx(grown["12.8 billion, in proportion", "core-hours"].value * 640**0.2)


def test_figures_of_texts() -> None:
    found = {(figure.name, figure.unit): figure.value for figure in texts_figures(made_up(1_000_000))}
    assert found["1 million texts, signatures", "us of CPU a document"] == pytest.approx(1.25)
    assert found["1 million texts, shingles to a pair and Jaccard", "us of CPU"] == pytest.approx(2.5)
    assert found["1 million texts, shingles to a pair and Jaccard", "bytes"] == pytest.approx(200)


def test_a_step_that_was_cut_off_is_told() -> None:
    done = made_up(1_000_000)
    cut = Done(**{**vars(done), "steps": (*done.steps, StepUsed("dedup/sources", True, 1, 1, 1, 1))})
    (told,) = [figure for figure in figures_of([cut]) if "not measured" in figure.name]
    assert told.value == 1


def test_exponent_is_the_slope_of_the_line() -> None:
    assert exponent([1, 10, 100], [3, 30, 300]) == pytest.approx(1)
    assert exponent([1, 2, 4, 8], [5, 10, 20, 40 * math.e**3]) > 1.9


def test_the_plot_has_each_point_in_its_place() -> None:
    drawn = log_log("a <title>", "documents", [Line("time", [1, 100], [10, 1000]), Line("one", [10], [100])])
    assert "a &lt;title&gt;" in drawn
    assert "time: exponent 1.00" in drawn
    points = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="3.5"', drawn)
    (x0, y0), (x1, y1), (x2, y2) = [(float(x), float(y)) for x, y in points]
    assert (x2, y2) == pytest.approx(((x0 + x1) / 2, (y0 + y1) / 2))
    assert x0 < x1
    assert y0 > y1
    assert plot_of([made_up(1_000_000), made_up(2_000_000)]).count("<polyline") == 4


def test_the_meter_tells_of_each_step_and_of_what_lies_before_it(tmp_path: Path) -> None:
    meter = Meter(Console(quiet=True), tmp_path / "steps.jsonl")
    for done in (0, 3, 0):
        sum(range(3_000_000))
        meter.show(new_event("step_started", step="dedup", units=5, done=done))
        (tmp_path / "spill").write_bytes(os.urandom(1 << 20))
        meter.show(new_event("step_ended", step="dedup"))
    used = read_used(tmp_path / "steps.jsonl")
    assert [(step.step, step.resumed) for step in used] == [("dedup", False), ("dedup", True), ("dedup", False)]
    assert all(step.wall_s > 0 and step.cpu_s > 0 and step.peak_bytes > 10_000_000 for step in used)


def test_the_meter_counts_processes_that_have_ended_until_it_is_closed(tmp_path: Path) -> None:
    before = threading.active_count()
    with closing(Meter(Console(quiet=True), tmp_path / "steps.jsonl")) as meter:
        subprocess.run([sys.executable, "-c", "sum(range(5_000_000))"], check=True)
        meter.take("work")
        meter.take("end")
    work, end = read_used(tmp_path / "steps.jsonl")
    assert work.cpu_s >= 0.05
    assert 0 <= end.cpu_s < work.cpu_s
    for _ in range(50):
        if threading.active_count() == before:
            break
        time.sleep(0.1)
    assert threading.active_count() == before


def test_the_first_step_of_a_resumed_run_was_perhaps_begun_before(tmp_path: Path) -> None:
    meter = Meter(Console(quiet=True), tmp_path / "steps.jsonl", resumed=True)
    for step in ("dedup/components", "dedup"):
        meter.show(new_event("step_started", step=step, units=5, done=0))
        meter.show(new_event("step_ended", step=step))
    assert [step.resumed for step in read_used(tmp_path / "steps.jsonl")] == [True, False]
