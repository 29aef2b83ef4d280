"""Histograms of the sample run against its tables, read whole."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataproc.storage import Folder
from jobs.funnel import read_funnel
from jobs.pages import readable
from jobs.report_histograms import NEAR_SHOWN, NUM_BINS, Histogram, draw_histograms


@pytest.fixture(scope="module")
def drawn(sample_run: Path) -> dict[str, Histogram]:
    folder = Folder(sample_run)
    return {histogram.column: histogram for histogram in draw_histograms(folder, read_funnel(folder))}


def table(run: Path, *datasets: str) -> pa.Table:
    """Return the columns of all parts of some datasets side by side."""
    tables = [pa.concat_tables(map(pq.read_table, sorted((run / name).glob("part-*")))) for name in datasets]
    columns = {name: one[name] for one in tables for name in one.column_names}
    return pa.table(columns)


def test_kept_and_dropped_are_counted(sample_run: Path, drawn: dict[str, Histogram]) -> None:
    documents = table(sample_run, "documents", "scores", "buckets").to_pylist()
    kept = [row for row in documents if row["bucket"] is not None]
    dropped = table(sample_run, "dropped/documents").to_pylist()
    words = drawn["num_words"]
    assert sum(words.kept) == len(kept)
    reasons = ("gopher_quality.min_words", "gopher_quality.max_words")
    assert sum(words.dropped) == sum(row["reason"] in reasons for row in dropped)
    assert words.median == median(row["num_words"] for row in kept)
    assert (words.log, drawn["language_score"].log) == (True, False)
    score = drawn["quality_score"]
    width = (score.greatest - score.least) / NUM_BINS
    assert score.kept[-1] == sum(row["quality_score"] >= score.greatest - width for row in kept)
    assert drawn["text_bytes"].greatest == max(len(row["text"].encode()) for row in kept)
    assert sum(drawn["text_bytes"].dropped) == 0
    # asked of English alone: null elsewhere
    assert sum(drawn["gopher_stop_words"].kept) == sum(row["language"] == "eng" for row in kept)


def test_limits_and_their_neighbours(sample_run: Path, drawn: dict[str, Histogram]) -> None:
    dropped = table(sample_run, "dropped/documents").to_pylist()
    least, most = drawn["num_words"].marks
    assert (least.rule, least.limit, most.rule, most.limit) == (
        "gopher_quality.min_words",
        50,
        "gopher_quality.max_words",
        100_000,
    )
    assert 0 < least.at < most.at < 1
    nearest = sorted(50 - row["value"] for row in dropped if row["reason"] == least.rule)[:NEAR_SHOWN]
    assert [shown.facts for shown in least.dropped] == [(f"num_words {50 - away:,.0f}",) for away in nearest]
    words = [int(shown.facts[0].split()[1].replace(",", "")) for shown in least.kept]
    assert words == sorted(words)
    assert words[0] >= 50
    assert {shown.doc_id for shown in least.dropped} <= {row["doc_id"].hex() for row in dropped}
    assert [mark.rule for mark in drawn["quality_score"].marks] == ["min_quality.min"]
    assert drawn["domain_score"].marks == []


def test_no_histograms_before_the_policy(sample_run: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for name in ("run.json", "units.parquet", "documents", "dropped"):
        (tmp_path / "run" / name).symlink_to(sample_run / name)
    (tmp_path / "run" / "manifests").mkdir()
    (tmp_path / "run" / "manifests" / "documents").symlink_to(sample_run / "manifests" / "documents")
    for name in ("documents.json", "units.json"):
        if (sample_run / "manifests" / name).exists():
            (tmp_path / "run" / "manifests" / name).symlink_to(sample_run / "manifests" / name)
    folder = Folder(tmp_path / "run")
    assert draw_histograms(folder, read_funnel(folder)) == []


def test_readable() -> None:
    assert [readable(value) for value in (0.98765, 47, 1_234_567)] == ["0.988", "47", "1.23 M"]
