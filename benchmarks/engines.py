"""The engines side by side on 2 GB of real pages: wall time, two workers, start-up, what drivers use.

    python -m benchmarks.engines [--cache FOLDER] [--pages N] [--units N]

One run of recipe `default`, from WARC files to tokens, on each engine with two cores, one after another; all must write
the same bytes. Then two runs of one local worker each, started together, each on its half of the files: what two cores
can do when nothing is shared. A crawl of 48 pages gives what a run costs before the first page; units
that do nothing show whether a driver's memory grows with their number. `--pages` and `--units` are for trying: figures
of less than everything are shown and not stored.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.debian import Crawl, debian_crawl
from benchmarks.driver import WORKERS, Used, start
from benchmarks.figures import Figure, show, write
from dataproc.storage import Folder
from jobs.funnel import read_funnel
from jobs.pipeline import READS

OTHERS = ("ray", "spark")
ENGINES = ("local", *OTHERS)
CACHE = Path(__file__).parent / ".cache"
TINY_PAGES = 48
FEW_UNITS, MANY_UNITS = 10, 10_000

LEAST_OF_LOCAL = 0.77
"""An engine on one node needs at most 1.3 times the local engine's wall time."""
LEAST_OF_TWO = 0.9
"""Of the throughput of two independent runs."""
MOST_DRIVER_CPU = 5.0
"""Percent of the CPU time of a run; that of the local engine's, since Ray and Spark only add to it."""
MOST_GROWTH = 1.25
"""Of a driver's peak memory, from few units to many."""
DATA = (*READS, "dropped", "mixture.json", "units.parquet")


@dataclass(frozen=True)
class Done:
    """A finished run: what it used, its documents, its files' checksum, and the seconds of its workers by step."""

    used: Used
    documents: int
    checksum: str
    worker_s: Counter[str]

    @property
    def rate(self) -> float:
        """Return documents a second."""
        return self.documents / self.used.wall_s


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.engines")
    options.add_argument("--cache", type=Path, default=CACHE, help="where packages, pages and runs lie: 5 GB")
    options.add_argument("--pages", type=int, help="try with so many pages only")
    options.add_argument("--units", type=int, default=MANY_UNITS, help="how many are many")
    given = options.parse_args()
    cache = given.cache.absolute()
    tiny, crawl = debian_crawl(cache, TINY_PAGES), debian_crawl(cache, given.pages)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        figures = [
            Figure("pages", crawl.pages, "documents"),
            Figure("pages", crawl.page_bytes / 1e6, "MB"),
            *_compare(crawl, tiny, Path(folder)),
            *_memory(given.units),
        ]
    whole = given.pages is None and given.units == MANY_UNITS
    (write if whole else show)("engines", figures)


def _compare(crawl: Crawl, tiny: Crawl, scratch: Path) -> Iterator[Figure]:
    """Yield the figures of whole runs; raises SystemExit when engines write different bytes."""
    _run(tiny.folder, scratch, "local", WORKERS)  # compiles kernels
    first = {engine: _run(tiny.folder, scratch, engine, WORKERS).used.wall_s for engine in ENGINES}
    for file in crawl.files:
        file.read_bytes()  # no engine shall wait for the disk alone
    runs = {engine: _run(crawl.folder, scratch, engine, WORKERS) for engine in ENGINES}
    checksums = {engine: run.checksum for engine, run in runs.items()}
    if len(set(checksums.values())) > 1:
        raise SystemExit(f"Engines must write the same bytes, got {checksums}. Compare them with `dataproc verify`.")
    local = runs["local"]
    steady = {engine: run.documents / (run.used.wall_s - first[engine]) for engine, run in runs.items()}
    few = f"{tiny.pages} pages in {len(tiny.files)} files"
    for engine, run in runs.items():
        yield Figure(f"crawl to tokens, {engine}", run.used.wall_s, "s")
        yield Figure(f"crawl to tokens, {engine}", crawl.page_bytes / run.used.wall_s / 1e6, "MB/s of HTML")
        yield Figure(f"{few}, {engine}", first[engine], "s")
    for engine in OTHERS:
        yield Figure(f"crawl to tokens, {engine}", runs[engine].rate, "docs/s", "local", local.rate, LEAST_OF_LOCAL)
        yield Figure(f"{engine}, less {few}", steady[engine], "docs/s", "local", steady["local"])
    yield from _two_workers(crawl, scratch, local)
    for engine, run in runs.items():
        share = 100 * run.used.driver_cpu_s / local.used.cpu_s
        yield Figure(f"driver's CPU, {engine}: limit", MOST_DRIVER_CPU, "% of the run", "measured", share, 1)
        yield Figure(f"driver's memory, {engine}", run.used.driver_peak_bytes / 1e6, "MB")
    for step, seconds in sorted(local.worker_s.items()):
        yield Figure(f"workers' time, {step}", 100 * seconds / local.worker_s.total(), "%")


def _two_workers(crawl: Crawl, scratch: Path, local: Done) -> Iterator[Figure]:
    """Yield the throughput of two workers beside that of two runs of one worker on half of the files each."""
    waits = []
    for half in range(2):
        files = scratch / f"half-{half}.txt"
        files.write_text("".join(f"{file}\n" for file in crawl.files[half::2]), encoding="utf-8")
        waits.append((scratch / f"half-{half}", _start(files, scratch / f"half-{half}", "local", 1)))
    halves = [_done(out, wait()) for out, wait in waits]
    both = sum(half.rate for half in halves)
    yield Figure("two local workers", local.rate, "docs/s", "two runs of one worker", both, LEAST_OF_TWO)


def _memory(many: int) -> Iterator[Figure]:
    """Yield the driver's peak memory of few units, beside that of many, for each engine and verb."""
    for engine in ENGINES:
        for verb in ("map", "exchange"):
            few, more = (start("units", verb, engine, count)().driver_peak_bytes / 1e6 for count in (FEW_UNITS, many))
            name = f"driver's memory, {verb} on {engine}, {FEW_UNITS} units"
            yield Figure(name, few, "MB", f"{many:,} units", more, round(1 / MOST_GROWTH, 3))


def _run(crawl: Path, scratch: Path, engine: str, workers: int) -> Done:
    out = scratch / engine
    return _done(out, _start(crawl, out, engine, workers)())


def _start(crawl: Path, out: Path, engine: str, workers: int) -> Callable[[], Used]:
    words = ("--crawl", crawl, "--out", out, "--engine", engine, "--workers", str(workers))
    print(f"dataproc run {' '.join(map(str, words))}", flush=True)
    return start("run", *words)


def _done(out: Path, used: Used) -> Done:
    """Return what a run was, and remove its folder."""
    worker_s = Counter[str]()
    for file in (out / "manifests").rglob("part-*.json"):
        entry = json.loads(file.read_text(encoding="utf-8"))
        worker_s[file.relative_to(out / "manifests").parts[0]] += entry["seconds"]
    done = Done(used, read_funnel(Folder(str(out))).rows_in, _checksum(out), worker_s)
    print(f"  {used.wall_s:.1f} s", flush=True)
    shutil.rmtree(out)
    return done


def _checksum(out: Path) -> str:
    """Return one sha256 of all data that the run wrote."""
    digest = hashlib.sha256()
    for file in sorted(path for path in out.rglob("*") if path.is_file()):
        name = file.relative_to(out)
        if name.parts[0] in DATA:
            digest.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
