"""The whole path: crawl -> documents -> signatures -> dedup, scores -> buckets -> tokens -> mixture -> report."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa

from dataproc.engines.local import LocalEngine
from dataproc.errors import ConfigError, ResumeError, suggest
from dataproc.inputs import Inputs, Unit, plan_units
from dataproc.shards import Dataset, description_name, library_versions, read_description
from dataproc.storage import Folder, block_checksums
from dataproc.tables import read_groups, write_parquet
from jobs.dedup import declare_dedup, run_dedup
from jobs.documents import Located, declare_documents, run_documents
from jobs.mixture import declare_mixture, run_mixture
from jobs.progress import ProgressDisplay
from jobs.recipe import Recipe
from jobs.report import write_report
from jobs.run import Run
from jobs.scores import declare_scores, run_scores
from jobs.signatures import declare_signatures, run_signatures
from jobs.tokens import declare_buckets, declare_tokens, run_buckets, run_tokens

READS = {
    "documents": (),
    "signatures": ("documents",),
    "dedup": ("signatures",),
    "scores": ("documents",),
    "buckets": ("documents", "dedup", "scores"),
    "tokens": ("buckets",),
    "mixture": ("tokens",),
}
"""Which datasets each step reads: `--redo` rebuilds a step and all that build on it."""

DROPS = {"documents": "dropped/documents", "dedup": "dropped/dedup", "buckets": "dropped/tokens"}
"""Where steps that drop put what they dropped."""

SAMPLE = Path(__file__).parent / "sample" / "crawl"


@dataclass(frozen=True)
class Order:
    """What to run: everything that `run.json` records and a resume repeats."""

    crawl: str
    recipe: Recipe
    recipe_name: str
    limit_files: int | None = None

    def default_out(self) -> str:
        """Return runs/CRAWL-RECIPE."""
        crawl, recipe = (Path(name.rstrip("/*")).name.split(".")[0] for name in (self.crawl, self.recipe_name))
        return f"runs/{crawl or 'crawl'}-{recipe}"


def read_order(folder: Folder) -> Order:
    """Return the order that a run's run.json records; raises ResumeError when there is none."""
    try:
        record = json.loads(folder.read_text("run.json"))
    except FileNotFoundError as error:
        raise ResumeError(
            f"{folder.url} must hold run.json, got no such file. Start a run with `dataproc run`."
        ) from error
    order = record["order"]
    return Order(order["crawl"], Recipe.model_validate(order["recipe"]), order["recipe_name"], order["limit_files"])


def run_pipeline(
    order: Order,
    folder: Folder,
    progress: ProgressDisplay,
    *,
    workers: int | None = None,
    redo: str | None = None,
    reuse: str | None = None,
) -> None:
    """Run or resume all steps in `folder`.

    Raises ResumeError when the folder holds a run of something else, before any work is done.
    """
    crawl = str(SAMPLE) if order.crawl == "sample" else order.crawl
    inputs = plan_units(crawl, unit_bytes=order.recipe.input.unit_bytes, limit_files=order.limit_files)
    with closing(LocalEngine(workers or os.cpu_count() or 1)) as engine:
        run = Run(folder, order.recipe, engine, progress, inputs.units.num_rows)
        if redo is not None:
            discard(folder, redo)
        _write_units(run, inputs)
        declared = _declare(run)
        if reuse is not None:
            for dataset in declared:
                _reuse(dataset, Folder(reuse))
        _write_record(run, order)
        _run_steps(run, inputs)


def _declare(run: Run) -> list[Dataset]:
    """Check every step against what the folder holds, before any runs."""
    declare = (
        declare_documents,
        declare_signatures,
        declare_dedup,
        declare_scores,
        declare_buckets,
        declare_tokens,
        declare_mixture,
    )
    return [one(run) for one in declare]


def _run_steps(run: Run, inputs: Inputs) -> None:
    units = [
        Located(Unit(**row), location.as_py())
        for row, location in zip(inputs.units.to_pylist(), inputs.locations, strict=True)
    ]
    run_documents(run, units)
    run_signatures(run)
    run_dedup(run)
    run_scores(run)
    run_buckets(run)
    run_tokens(run)
    write_report(run.folder)  # first: it says why, should nothing be left to mix
    run_mixture(run)
    run.folder.remove_scratch()


def _write_units(run: Run, inputs: Inputs) -> None:
    """Write units.parquet once; raise ResumeError when the folder was planned from another input."""
    path = run.folder.scratch("making") / "units.parquet"
    write_parquet(path, inputs.units.to_batches(), inputs.units.schema)
    with open(path, "rb") as file:
        checksums = block_checksums(file)
    old = read_description(run.folder, "units")
    if old is not None and old["made_from"]["units"] != checksums:
        changed = _what_changed(run.folder, inputs.units)
        raise ResumeError(f"{run.folder.url}: the input must be as it was, got {changed}. Choose another OUT.")
    if old is None:
        with run.folder.create("units.parquet") as target:
            shutil.copy(path, target)
    dataset = run.dataset("units", {"units": checksums}, [], 1)
    if not dataset.done():
        dataset.commit(0, {"units.parquet": inputs.units.num_rows}, {}, 0.0)


def _what_changed(folder: Folder, units: pa.Table) -> str:
    with folder.open("units.parquet") as file:
        rows = pa.Table.from_batches(read_groups(file), units.schema).to_pylist()
    old = {(row["input"], row["start"]): row for row in rows}
    new = {(row["input"], row["start"]): row for row in units.to_pylist()}
    gone, come = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
    changed = sorted(key for key in old.keys() & new.keys() if old[key]["bytes"] != new[key]["bytes"])
    first = (gone or come or changed or [("other unit limits", 0)])[0][0]
    return f"{len(come)} new, {len(gone)} missing and {len(changed)} changed files (first: {first})"


def discard(folder: Folder, step: str) -> None:
    """Remove a step's datasets and all that build on them. Raises ConfigError for an unknown step."""
    if step not in READS:
        raise ConfigError(f'--redo must name a step, got "{step}".{suggest(step, READS)}')
    stale = {step}
    for name, reads in READS.items():
        if stale & set(reads):
            stale.add(name)
    for name in sorted(stale):
        if name == "mixture":
            folder.remove("mixture.json")
        Dataset(folder, name, {}, None).discard()
        if name in DROPS:
            folder.remove(DROPS[name])


def _reuse(dataset: Dataset, other: Folder) -> None:
    """Take a finished dataset of another run whose fingerprint is ours; data first, then the entries."""
    description = read_description(other, dataset.name)
    if dataset.done() or description is None or description["fingerprint"] != dataset.fingerprint:
        return
    finished = Dataset(other, dataset.name, description["made_from"], description["parts"])
    if not finished.complete():
        return
    entries = [name for name in other.files(f"manifests/{dataset.name}") if name != description_name(dataset.name)]
    data = [file.name for entry in finished.entries() for file in entry.files]
    kept = [
        name for name in other.files(dataset.name) if name not in set(data)
    ]  # evidence below dedup/, bucket manifests
    for name in (*data, *kept, *entries):
        with other.open(name) as source, dataset.folder.create(name) as target, open(target, "wb") as sink:
            shutil.copyfileobj(source, sink)


def _write_record(run: Run, order: Order) -> None:
    """Write run.json: what was asked, with which versions, on what; for people and for resume, never compared."""
    record: dict[str, Any] = {
        "order": {
            "crawl": order.crawl,
            "recipe_name": order.recipe_name,
            "recipe": order.recipe.model_dump(mode="json"),
            "limit_files": order.limit_files,
        },
        "seed": order.recipe.seed,
        "fingerprints": run.fingerprints,
        "versions": {
            "dataproc-llm": version("dataproc-llm"),
            "python": platform.python_version(),
            **library_versions("numpy", "numba"),
        },
        "platform": platform.platform(),
        "git_commit": _git_commit(),
    }
    run.folder.write_text("run.json", json.dumps(record, indent=1) + "\n")


def _git_commit() -> str | None:
    """Return the commit of the checkout this code runs from, None for an installed package."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return found.stdout.strip() or None
