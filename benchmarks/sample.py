"""The whole path on the sample crawl, from WARC files to mixture.json and report, with one worker and with two."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

from benchmarks.figures import Figure, write
from dataproc.storage import Folder
from jobs.funnel import read_funnel

LIMIT_S = 180


def main() -> None:
    figures = []
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "jobs.cli", "run", "--crawl", "sample", "--out", f"{folder}/run"]
            started = time.perf_counter()
            subprocess.run([*command, "--workers", str(workers)], check=True, stdout=subprocess.DEVNULL)
            taken = time.perf_counter() - started
            funnel = read_funnel(Folder(f"{folder}/run"))
        name = f"crawl to tokens, {workers} workers" if workers > 1 else "crawl to tokens, 1 worker"
        figures.append(Figure(name, funnel.rows_in / taken, "documents/s", goal=round(funnel.rows_in / LIMIT_S, 1)))
        figures.append(Figure(name, funnel.input_bytes / taken / 1e6, "MB/s of WARC, gzip"))
    write("sample", figures)


if __name__ == "__main__":
    main()
