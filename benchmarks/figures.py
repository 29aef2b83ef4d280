"""What a benchmark says: figures beside a peer's of the same run, one JSON line each, and a table.

A ratio above 1 means that ours is better; `goal` is the least ratio, or the least value where there is no peer.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
SAMPLE_RUN = Path("runs") / "bench-sample"


@dataclass(frozen=True)
class Figure:
    """One measured value; rates, so that more is better."""

    name: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    goal: float | None = None

    @property
    def ratio(self) -> float | None:
        """Return value / peer_value, None without a peer."""
        return None if self.peer_value is None else self.value / self.peer_value

    @property
    def reached(self) -> bool:
        """Say whether the goal is reached; without one it is."""
        return self.goal is None or (self.value if self.ratio is None else self.ratio) >= self.goal


def write(benchmark: str, figures: Sequence[Figure]) -> None:
    """Write results/<benchmark>.jsonl and print the table."""
    RESULTS.mkdir(exist_ok=True)
    lines = [
        json.dumps({**asdict(figure), "ratio": figure.ratio}, separators=(", ", ": "))
        for figure in map(_short, figures)
    ]
    (RESULTS / f"{benchmark}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    show(benchmark, figures)


def show(benchmark: str, figures: Sequence[Figure]) -> None:
    """Print the table; a figure that misses its goal is red."""
    table = Table(title=benchmark, title_justify="left")
    for column in ("figure", "ours", "unit", "peer", "theirs", "ratio", "goal"):
        table.add_column(column, justify="left" if column in ("figure", "unit", "peer") else "right")
    for figure in figures:
        ratio, goal = ("" if value is None else f"{value:,.3g}" for value in (figure.ratio, figure.goal))
        theirs = "" if figure.peer_value is None else f"{figure.peer_value:,.4g}"
        missed = None if figure.reached else "red"
        table.add_row(
            figure.name, f"{figure.value:,.4g}", figure.unit, figure.peer or "", theirs, ratio, goal, style=missed
        )
    Console().print(table)


def _short(figure: Figure) -> Figure:
    peer = figure.peer_value
    return Figure(
        figure.name,
        float(f"{figure.value:.4g}"),
        figure.unit,
        figure.peer,
        None if peer is None else float(f"{peer:.4g}"),
        figure.goal,
    )


def seconds(*functions: Callable[[], object], repeats: int = 5) -> list[float]:
    """Return the median seconds of each function; they take turns, so that a noisy machine is noisy for all."""
    for function in functions:
        function()  # compile, fill caches
    taken: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats):
        for function, times in zip(functions, taken, strict=True):
            started = time.perf_counter()
            function()
            times.append(time.perf_counter() - started)
    return [statistics.median(times) for times in taken]


def sample_texts() -> pa.LargeStringArray:
    """Return the texts of documents/ of the sample crawl, made by a run of recipe `default` the first time."""
    if not (SAMPLE_RUN / "mixture.json").exists():
        command = [sys.executable, "-m", "jobs.cli", "run", "--crawl", "sample", "--out", str(SAMPLE_RUN)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    tables = [pq.read_table(part, columns=["text"]) for part in sorted((SAMPLE_RUN / "documents").glob("part-*"))]
    return pa.concat_tables(tables)["text"].combine_chunks()


def megabytes(texts: pa.LargeStringArray) -> float:
    """Return the UTF-8 bytes of the texts in units of 10^6."""
    return sum(len(text.as_buffer()) for text in texts) / 1e6
