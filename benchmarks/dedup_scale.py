"""Dedup from one to 20 million documents: time, memory and bytes of each step, and how they grow.

    python -m benchmarks.dedup_scale [--work FOLDER] [--documents N ...] [--texts N]

The steps are those of a run with two local workers; documents and signatures are made up (`benchmarks/generated.py`),
with pairs verified by their signatures. A smaller crawl of made-up texts goes through the real signatures, verified by
the true Jaccard. What is done lies in the work folder, under the name of the code that did it: a run that is cut off
goes on when it is started again, and sizes may be run one by one; `--documents` or `--texts` with other numbers than
the default's are shown, not stored.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.figures import Figure, show, write
from benchmarks.generated import PART_DOCS, DocumentsTask, SignaturesTask
from benchmarks.meter import Meter, StepUsed, read_used
from benchmarks.plot import Line, exponent, log_log
from dataproc.config import validate
from dataproc.engines.local import LocalEngine
from dataproc.shards import Dataset, library_versions
from dataproc.storage import Folder
from jobs.dedup import run_dedup
from jobs.recipe import Recipe
from jobs.run import Run
from jobs.signatures import declare_signatures, run_signatures

WORK = Path(__file__).parent / ".cache" / "dedup_scale"
PLOT = Path(__file__).parent.parent / "docs" / "dedup_scale.svg"
SIZES = (1_000_000, 2_000_000, 5_000_000, 20_000_000)
TEXTS = 1_000_000
FEW = 1_000
WORKERS = 2
CODE = ("dataproc", "stages", "jobs", "benchmarks")

MOST_MINUTES = 60
MOST_GB = 8
MOST_EXPONENT = 1.1
WHOLE_WEB = 12_800_000_000
"""Documents that came to MinHash dedup in OLMo 3, of 104 crawls."""

GROUPS = {
    r"dedup/round-0/candidates": "band keys to pairs",
    r"dedup/round-0/(shingled|edges)": "sketches to pairs, verified",
    r"dedup/round-\d+/": "further rounds",
    r"dedup/components": "components",
    r"dedup/members|dedup/near_groups": "keepers",
    r"dedup$": "decisions",
    r"dedup/(sources|end)": "alarms, end",
}
"""Steps by the names that figures give them; the first that fits."""


@dataclass(frozen=True)
class Done:
    """A finished run, from band keys to decisions: what its steps used, and what they found."""

    documents: int
    steps: tuple[StepUsed, ...]
    output_bytes: int
    """Of dedup/: what stays."""
    signature_bytes: int
    """Of signatures/, compressed."""
    pairs: int
    """Compared, in all rounds."""
    edges: int
    """Of them, alike enough."""
    rounds: int
    dropped: int
    largest_cluster: int

    @property
    def dedup(self) -> list[StepUsed]:
        """Return the steps of dedup, without what makes its input."""
        return [step for step in self.steps if step.step.startswith("dedup")]

    def total(self, what: str, steps: Sequence[StepUsed] | None = None) -> float:
        """Return the sum of a field over steps, those of dedup unless told otherwise."""
        return float(sum(getattr(step, what) for step in (self.dedup if steps is None else steps)))

    @property
    def peak_bytes(self) -> int:
        """Return the most memory of all processes together."""
        return max(step.peak_bytes for step in self.dedup)

    def grouped(self) -> dict[str, list[StepUsed]]:
        """Return the steps of dedup by GROUPS."""
        groups: dict[str, list[StepUsed]] = {name: [] for name in GROUPS.values()}
        for step in self.dedup:
            groups[next(name for start, name in GROUPS.items() if re.match(start, step.step))].append(step)
        return groups


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.dedup_scale")
    options.add_argument("--work", type=Path, default=WORK, help="where runs and results lie: 30 GB for 20 million")
    options.add_argument("--documents", type=int, nargs="*", default=SIZES, help="sizes to run with signatures")
    options.add_argument("--texts", type=int, default=TEXTS, help="documents to run with texts; 0 for none")
    given = options.parse_args()
    work = given.work.absolute() / code_id()
    for other in work.parent.glob("*"):
        if other != work:
            print(f"{other} is of other code, and not used. Remove it.", flush=True)
    _compile_kernels(work)
    texts = _done(work, given.texts, with_texts=True) if given.texts else None
    runs = [_done(work, documents, with_texts=False) for documents in sorted(given.documents)]
    figures = [*figures_of(runs), *(texts_figures(texts) if texts else [])]
    if tuple(sorted(given.documents)) == SIZES and given.texts == TEXTS:
        write("dedup_scale", figures)
        PLOT.write_text(plot_of(runs), encoding="utf-8")
    else:
        show("dedup_scale", figures)


def code_id() -> str:
    """Return a name of the project's code and of the libraries it leans on: figures of others are not these."""
    project = Path(__file__).parent.parent
    files = sorted(file for folder in CODE for file in (project / folder).rglob("*.py"))
    libraries = repr(library_versions("numba", "numpy", "pyarrow")).encode()
    return hashlib.sha256(b"\0".join([libraries, *(file.read_bytes() for file in files)])).hexdigest()[:12]


def recipe_of(with_texts: bool) -> Recipe:
    """Return the recipe: plan `fineweb`, newest copy kept, pairs verified by signatures or by shingles of texts."""
    verification = "jaccard" if with_texts else "signature"
    return validate(
        Recipe,
        {
            "description": "documents made up for dedup",
            "source": "benchmarks/generated.py",
            "documents": {"stages": {}, "dropped_text": "excerpt" if with_texts else "none"},
            "dedup": {"minhash": {"plan": "fineweb", "verification": verification}},
            "policy": {"stages": {}},
        },
        "dedup_scale",
    )


def _compile_kernels(work: Path) -> None:
    """Run a crawl of almost nothing, so that no figure has the time to compile."""
    for with_texts in (True, False):
        _done(work, FEW, with_texts=with_texts)


def _done(work: Path, documents: int, *, with_texts: bool) -> Done:
    """Return a run's result, run or resumed if need be; its folder is removed when it is done."""
    name = f"{'texts' if with_texts else 'signatures'}-{documents}"
    result = work / f"{name}.json"
    if not result.exists():
        work.mkdir(parents=True, exist_ok=True)
        if not (work / name).exists():
            (work / f"{name}.steps.jsonl").unlink(missing_ok=True)
        done = run_dedup_of(Folder(work / name), documents, with_texts, work / f"{name}.steps.jsonl")
        result.write_text(json.dumps(asdict(done), indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(work / name)
    values = json.loads(result.read_text(encoding="utf-8"))
    return Done(**{**values, "steps": tuple(StepUsed(**step) for step in values["steps"])})


def run_dedup_of(folder: Folder, documents: int, with_texts: bool, steps: Path) -> Done:
    """Make up documents, deduplicate them, and return what it took."""
    parts = -(-documents // PART_DOCS)
    with (
        closing(Meter(Console(), steps, resumed=folder.exists(""))) as meter,
        closing(LocalEngine(WORKERS)) as engine,
    ):
        run = Run(folder, recipe_of(with_texts), engine, meter, parts)
        made = run.dataset("documents", {"documents": documents, "with_texts": with_texts}, [], parts)
        run.fill(made, DocumentsTask(made, documents, with_texts))
        if with_texts:
            run_signatures(run)
        else:
            minhash = run.recipe.dedup.minhash
            assert minhash is not None
            signatures = declare_signatures(run)
            run.fill(signatures, SignaturesTask(signatures, documents, minhash.num_hashes))
        run_dedup(run)
        meter.take("dedup/end")
    return _result(folder, documents, read_used(steps))


def _result(folder: Folder, documents: int, steps: list[StepUsed]) -> Done:
    counted = Counter[str]()
    rounds = 0
    while edges := list(Dataset(folder, f"dedup/round-{rounds}/edges", {}, None).entries()):
        rounds += 1
        for entry in edges:
            counted.update({key: entry.counters.get(key, 0) for key in ("pairs", "edges")})
    decided = list(Dataset(folder, "dedup", {}, None).entries())
    return Done(
        documents=documents,
        steps=tuple(steps),
        output_bytes=sum(folder.size(name) for name in folder.files("dedup")),
        signature_bytes=sum(folder.size(name) for name in folder.files("signatures")),
        pairs=counted["pairs"],
        edges=counted["edges"],
        rounds=rounds,
        dropped=sum(sum(entry.counters["dropped"].values()) for entry in decided),
        largest_cluster=max(entry.counters["largest_cluster"][0] for entry in decided),
    )


def figures_of(runs: Sequence[Done]) -> Iterator[Figure]:
    """Yield the figures of runs with signatures, smallest first."""
    for run in runs:
        name, documents = millions(run.documents), run.documents
        yield Figure(f"{name}, wall time", run.total("wall_s") / 60, "min")
        yield Figure(f"{name}, CPU", run.total("cpu_s") / documents * 1e6, "us a document")
        yield Figure(f"{name}, written to disk", run.total("written_bytes") / documents, "bytes a document")
        yield Figure(f"{name}, memory of all processes", run.peak_bytes / 1e9, "GB")
        if any(step.resumed for step in run.dedup):
            yield Figure(f"{name}, steps of which a part was not measured", sum(step.resumed for step in run.dedup), "")
    if not runs:
        return
    largest = runs[-1]
    name, documents = millions(largest.documents), largest.documents
    minutes, memory = largest.total("wall_s") / 60, largest.peak_bytes / 1e9
    yield Figure(f"{name} in two cores: limit", MOST_MINUTES, "min", "measured", minutes, 1)
    yield Figure(f"{name}, memory: limit", MOST_GB, "GB", "measured", memory, 1)
    for group, steps in largest.grouped().items():
        yield Figure(f"{name}, {group}", largest.total("cpu_s", steps) / documents * 1e6, "us of CPU a document")
        yield Figure(f"{name}, {group}", largest.total("written_bytes", steps) / documents, "bytes a document")
    yield Figure(f"{name}, pairs compared", largest.pairs / 1e6, "million")
    yield Figure(f"{name}, pairs rejected", 100 * (1 - largest.edges / largest.pairs), "%")
    yield Figure(f"{name}, rounds of leading", largest.rounds, "")
    yield Figure(f"{name}, dropped", 100 * largest.dropped / documents, "%")
    yield Figure(f"{name}, largest cluster", largest.largest_cluster, "documents")
    yield Figure(f"{name}, dedup/ as stored", largest.output_bytes / documents, "bytes a document")
    if len(runs) > 1:
        yield from _growth(runs)


def _growth(runs: Sequence[Done]) -> Iterator[Figure]:
    """Yield the exponents, and what they say of a web that nobody has run here."""
    sizes = [run.documents for run in runs]
    for what, field in {"wall time": "wall_s", "CPU": "cpu_s", "bytes written": "written_bytes"}.items():
        found = exponent(sizes, [run.total(field) for run in runs])
        yield Figure(f"exponent of {what}: limit", MOST_EXPONENT, "", "measured", found, 1)
    largest = runs[-1]
    times = WHOLE_WEB / largest.documents
    grown = times ** exponent(sizes, [run.total("cpu_s") for run in runs])
    core_hours = largest.total("cpu_s") / 3600
    yield Figure("12.8 billion, in proportion", core_hours * times, "core-hours")
    yield Figure("12.8 billion, by the exponent", core_hours * grown, "core-hours")
    yield Figure("12.8 billion, written to disk", largest.total("written_bytes") * times / 1e12, "TB")
    yield Figure("12.8 billion, largest step", max(_bytes_of(largest)) * times / 1e12, "TB")
    yield Figure("12.8 billion, dedup/ as stored", largest.output_bytes * times / 1e12, "TB")


def _bytes_of(run: Done) -> list[int]:
    return [step.written_bytes for step in run.dedup]


def texts_figures(run: Done) -> Iterator[Figure]:
    """Yield the figures of the run with texts."""
    name, documents = f"{millions(run.documents)} texts", run.documents
    made = [step for step in run.steps if step.step == "signatures"]
    verified = [step for step in run.dedup if re.search(r"round-\d+/(shingled|edges)", step.step)]
    yield Figure(f"{name}, signatures", run.total("cpu_s", made) / documents * 1e6, "us of CPU a document")
    yield Figure(f"{name}, signatures/ as stored", run.signature_bytes / documents, "bytes a document")
    yield Figure(f"{name}, dedup", run.total("cpu_s") / documents * 1e6, "us of CPU a document")
    yield Figure(f"{name}, dedup written to disk", run.total("written_bytes") / documents, "bytes a document")
    yield Figure(f"{name}, memory of all processes", run.peak_bytes / 1e9, "GB")
    yield Figure(f"{name}, pairs compared", run.pairs / 1e6, "million")
    yield Figure(f"{name}, pairs rejected", 100 * (1 - run.edges / run.pairs), "%")
    yield Figure(f"{name}, shingles to a pair and Jaccard", run.total("cpu_s", verified) / run.pairs * 1e6, "us of CPU")
    yield Figure(f"{name}, shingles to a pair and Jaccard", run.total("written_bytes", verified) / run.pairs, "bytes")
    yield Figure(f"{name}, dropped", 100 * run.dropped / documents, "%")


def plot_of(runs: Sequence[Done]) -> str:
    """Return the plot: wall time, CPU time and bytes written by documents."""
    sizes = [run.documents for run in runs]
    lines = [
        Line("CPU, core-minutes", sizes, [run.total("cpu_s") / 60 for run in runs]),
        Line("wall time, minutes", sizes, [run.total("wall_s") / 60 for run in runs]),
        Line("written to disk, GB", sizes, [run.total("written_bytes") / 1e9 for run in runs]),
        Line("memory, GB", sizes, [run.peak_bytes / 1e9 for run in runs]),
    ]
    return log_log("Near-duplicate dedup on two cores, from band keys to decisions", "documents", lines)


def millions(documents: int) -> str:
    """Return a number of documents in words.

    Example: millions(20_000_000) == "20 million"
    """
    return f"{documents / 1e6:g} million"


if __name__ == "__main__":
    from benchmarks import dedup_scale  # functions of `__main__` are none of a worker's

    dedup_scale.main()
