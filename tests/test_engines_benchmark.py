"""What the benchmark of the engines makes of its runs; the runs themselves are made up here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import engines
from benchmarks.debian import Crawl
from benchmarks.driver import Used
from benchmarks.engines import Done
from benchmarks.figures import Figure

WALL_S = {"local": 100.0, "ray": 120.0, "spark": 140.0, "half-0": 90.0, "half-1": 100.0}
MB = 1_000_000


@pytest.fixture
def checksums(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Make runs up: 1,000 documents (halves 500; tiny 10, in a tenth of the time); return where to set checksums."""
    checksums: dict[str, str] = {}

    def start(crawl: Path, out: Path, engine: str, workers: int) -> Callable[[], Used]:
        wall_s = WALL_S[out.name] / (10 if crawl.name == "tiny" else 1)
        return lambda: Used(wall_s, driver_cpu_s=4.0, driver_peak_bytes=90 * MB, cpu_s=200.0)

    def done(out: Path, used: Used) -> Done:
        documents = 10 if used.wall_s < 50 else 500 if out.name.startswith("half") else 1_000
        return Done(used, documents, checksums.get(out.name, "same"), Counter(documents=150, scores=50))

    monkeypatch.setattr(engines, "_start", start)
    monkeypatch.setattr(engines, "_done", done)
    return checksums


def compare(folder: Path) -> list[Figure]:
    """Return the figures of made-up runs."""
    crawl, tiny = (Crawl(folder / name, pages, pages * 20_000, {}) for name, pages in (("crawl", 1_000), ("tiny", 10)))
    return list(engines._compare(crawl, tiny, folder))


def test_figures_of_runs(checksums: dict[str, str], tmp_path: Path) -> None:
    figures = {(figure.name, figure.unit): figure for figure in compare(tmp_path)}
    assert figures["crawl to tokens, local", "s"].value == 100
    assert figures["crawl to tokens, local", "MB/s of HTML"].value == pytest.approx(0.2)
    ray, spark = (figures[f"crawl to tokens, {name}", "docs/s"] for name in ("ray", "spark"))
    assert ray.ratio == pytest.approx(100 / 120)
    assert ray.reached
    assert spark.ratio == pytest.approx(100 / 140)
    assert not spark.reached
    assert figures["10 pages in 0 files, spark", "s"].value == 14
    assert figures["ray, less 10 pages in 0 files", "docs/s"].ratio == pytest.approx(90 / 108)
    two = figures["two local workers", "docs/s"]
    assert two.value == 10
    assert two.peer_value == pytest.approx(500 / 90 + 500 / 100)
    assert two.reached
    cpu = figures["driver's CPU, ray: limit", "% of the run"]
    assert (cpu.value, cpu.peer_value, cpu.reached) == (5, 2, True)
    assert figures["workers' time, documents", "%"].value == 75


def test_other_bytes_end_the_benchmark(checksums: dict[str, str], tmp_path: Path) -> None:
    checksums["spark"] = "other"
    with pytest.raises(SystemExit, match=r"Engines must write the same bytes, got .*'spark': 'other'"):
        compare(tmp_path)


def test_a_driver_that_grows_misses_the_goal(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = {10: 100 * MB, 10_000: 125 * MB, 20_000: 126 * MB}
    monkeypatch.setattr(engines, "start", lambda what, verb, engine, count: lambda: Used(1, 1, peaks[count], 1))
    assert [figure.reached for figure in engines._memory(10_000)] == [True] * 6
    assert [figure.reached for figure in engines._memory(20_000)] == [False] * 6


def test_the_checksum_is_of_data_alone(tmp_path: Path) -> None:
    for name in ("documents/part-00000000.parquet", "mixture.json", "run.json", "events/current.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    before = engines._checksum(tmp_path)
    (tmp_path / "run.json").write_text("at another time")
    (tmp_path / "events" / "current.jsonl").unlink()
    assert engines._checksum(tmp_path) == before
    (tmp_path / "mixture.json").write_text("other weights")
    assert engines._checksum(tmp_path) != before
