"""The whole path: crawl -> documents, signatures, dedup, lines, substrings, scores, buckets, tokens -> mixture."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from collections.abc import Callable, Set
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from fsspec.core import has_magic

from dataproc.engines import find_engine
from dataproc.errors import ConfigError, InputError, ResumeError, ShardError, suggest
from dataproc.inputs import Inputs, Unit, plan_units
from dataproc.shards import Dataset, description_name, library_versions, own_version, read_description
from dataproc.storage import Folder, block_checksums
from dataproc.tables import read_groups, write_parquet
from jobs.dedup import declare_dedup, run_dedup
from jobs.dedup_earlier import open_earlier
from jobs.documents import Located, declare_documents, run_documents
from jobs.events import EVENTS, EventLog, session
from jobs.funnel import FORMAT, read_recipe, read_record
from jobs.lines import declare_lines, run_lines
from jobs.lookup import DROPPED
from jobs.mixture import declare_mixture, run_mixture
from jobs.progress import ProgressDisplay
from jobs.recipe import Recipe, check_recipe
from jobs.report import write_report
from jobs.run import Run
from jobs.scores import declare_scores, run_scores
from jobs.signatures import declare_signatures, run_signatures
from jobs.substrings import declare_substrings, run_substrings
from jobs.tokens import declare_buckets, declare_tokens, run_buckets, run_tokens

READS = {
    "documents": (),
    "signatures": ("documents",),
    "dedup": ("signatures",),
    "lines": ("documents", "dedup"),
    "substrings": ("documents", "dedup", "lines"),
    "scores": ("documents",),
    "buckets": ("documents", "dedup", "lines", "substrings", "scores"),
    "tokens": ("buckets",),
    "mixture": ("tokens",),
}
"""Which datasets each step reads: `--redo` rebuilds a step and all that build on it."""

DECLARE: dict[str, Callable[[Run], Dataset | None]] = {
    "documents": declare_documents,
    "signatures": declare_signatures,
    "dedup": declare_dedup,
    "lines": declare_lines,
    "substrings": declare_substrings,
    "scores": declare_scores,
    "buckets": declare_buckets,
    "tokens": declare_tokens,
    "mixture": declare_mixture,
}
"""What each step's dataset is made from, as a check of what the folder holds; None where the recipe leaves it out."""

WRITTEN = (*READS, "dropped", EVENTS, "manifests", "mixture.json", "report", "run.json")
"""What a run writes at the top of its folder, next to units.parquet."""

SAMPLE = Path(__file__).parent / "sample" / "crawl"


@dataclass(frozen=True)
class Order:
    """What to run: everything that `run.json` records and a resume repeats."""

    crawl: str
    recipe: Recipe
    recipe_name: str
    limit_files: int | None = None
    limit_docs: int | None = None
    root: str | None = None
    """Where the paths of a list start; where Common Crawl is, for one of its ids."""

    def default_out(self) -> str:
        """Return runs/CRAWL-RECIPE, each by its last name without wildcards and suffixes.

        Example: Order("/data/cc/*.warc.gz", recipe, "mine.yaml").default_out() == "runs/cc-mine".
        """
        plain = [name for name in self.crawl.split("/") if name.strip(".") and not has_magic(name)]
        crawl = plain[-1].split(".")[0] if plain else ""
        return f"runs/{crawl or 'crawl'}-{Path(self.recipe_name).stem}"


def read_order(folder: Folder) -> Order:
    """Return the order that run.json records; raises InputError without one, ConfigError for one of another version."""
    return Order(**{**read_record(folder)["order"], "recipe": read_recipe(folder)})


def run_pipeline(
    order: Order,
    folder: Folder,
    progress: ProgressDisplay,
    *,
    engine: str = "local",
    workers: int | None = None,
    redo: str | None = None,
    reuse: str | None = None,
) -> None:
    """Run or resume all steps in `folder`.

    Raises ResumeError when the folder holds a run of something else, or what is no run, before anything in it is
    touched; ConfigError for a recipe that does not fit together, an unknown step to redo, or an engine that is unknown
    or not installed; InputError for a run to reuse, or to deduplicate against, that is none.
    """
    check_recipe(order.recipe)  # `load_recipe` has, others that make one need not
    start_engine = find_engine(engine)
    stale = set() if redo is None else _stale(redo)
    if reuse is not None and read_description(Folder(reuse), "units") is None:
        raise InputError(f"--reuse must name a run, got {reuse}, which has no manifests/units. Give the OUT of a run.")
    open_earlier(order.recipe.dedup)  # raises before anything is written
    crawl = str(SAMPLE) if order.crawl == "sample" else order.crawl
    inputs = plan_units(
        crawl, order.recipe.input, root=order.root, limit_files=order.limit_files, limit_docs=order.limit_docs
    )
    with closing(start_engine(workers)) as started:
        run = Run(folder, order.recipe, started, progress, inputs.units.num_rows)
        _write_units(run, inputs)
        declared = _declare(run, stale)
        folder.remove_leftovers()
        run.log = EventLog(folder)
        with session(
            run.log,
            crawl=order.crawl,
            recipe=order.recipe_name,
            engine=engine,
            workers=workers,
            units=run.num_parts,
            steps=[name for name in READS if any(dataset.name == name for dataset in declared)],
        ):
            if reuse is not None:
                for dataset in declared:
                    if _reuse(dataset, Folder(reuse)):
                        run.worked = True
                        progress.say(f"{dataset.name}: taken from {reuse}")
            _write_record(run, order)
            _run_steps(run, inputs)
        folder.remove_scratch()
        if not run.worked:
            progress.say(f"{folder.url} was finished: nothing was left to do.")


def _stale(step: str) -> set[str]:
    """Return a step and all that build on it; raises ConfigError for an unknown one."""
    if step not in READS:
        raise ConfigError(f'--redo must name a step, got "{step}".{suggest(step, READS)}')
    stale = {step}
    for name, reads in READS.items():
        if stale & set(reads):
            stale.add(name)
    return stale


def _declare(run: Run, stale: Set[str]) -> list[Dataset]:
    """Check every step against what the folder holds, before any runs; only then remove what is to be rebuilt."""
    declared = [declare(run) for name, declare in DECLARE.items() if name not in stale]
    for name in stale:
        discard(run.folder, name)
    declared += [declare(run) for name, declare in DECLARE.items() if name in stale]
    return [dataset for dataset in declared if dataset is not None]


def _run_steps(run: Run, inputs: Inputs) -> None:
    units = [
        Located(Unit(**row), location.as_py())
        for row, location in zip(inputs.units.to_pylist(), inputs.locations, strict=True)
    ]
    run_documents(run, units)
    run_signatures(run)
    run_dedup(run)
    run_lines(run)
    run_substrings(run)
    run_scores(run)
    run_buckets(run)
    run_tokens(run)
    write_report(run.folder)  # first: it says why, should nothing be left to mix
    run_mixture(run)


def _write_units(run: Run, inputs: Inputs) -> None:
    """Write units.parquet once; raise ResumeError when the folder is no run, one of another format or another input."""
    old = read_description(run.folder, "units")
    if old is None and (strange := [name for name in WRITTEN if run.folder.exists(name)]):
        raise ResumeError(
            f"{run.folder.url} must hold a run, or nothing that a run would write, got {', '.join(strange)} without"
            " manifests/units. Choose another OUT."
        )
    if old is not None:
        with suppress(InputError, ShardError):  # lost or damaged: it is written anew
            read_record(run.folder)
    with run.folder.making("units.parquet") as path:
        write_parquet(path, inputs.units.to_batches(), inputs.units.schema)
        with open(path, "rb") as file:
            checksums = block_checksums(file)
        if old is not None and old["made_from"]["units"] != checksums:
            changed = _what_changed(run.folder, inputs.units) if run.folder.exists("units.parquet") else "another"
            raise ResumeError(f"{run.folder.url}: the input must be as it was, got {changed}. Choose another OUT.")
        if old is None or not run.folder.exists("units.parquet"):
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
    """Remove the datasets of one step: manifests first, so that nothing without data is ever called done."""
    Dataset(folder, step, {}, None).discard()
    if step in DROPPED:
        folder.remove(DROPPED[step])
    if step == "mixture":
        folder.remove("mixture.json")


def _reuse(dataset: Dataset, other: Folder) -> bool:
    """Take a finished dataset of another run whose fingerprint is ours, data first, then the entries; say if it was."""
    description = read_description(other, dataset.name)
    if dataset.done() or description is None or description["fingerprint"] != dataset.fingerprint:
        return False
    finished = Dataset(other, dataset.name, description["made_from"], description["parts"])
    if not finished.complete():
        return False
    entries = [name for name in other.files(f"manifests/{dataset.name}") if name != description_name(dataset.name)]
    data = [file.name for entry in finished.entries() for file in entry.files]
    kept = [
        name for name in other.files(dataset.name) if name not in set(data)
    ]  # evidence below dedup/, bucket manifests
    for name in (*data, *kept, *entries):
        with other.open(name) as source, dataset.folder.create(name) as target, open(target, "wb") as sink:
            shutil.copyfileobj(source, sink)
    return True


def _write_record(run: Run, order: Order) -> None:
    """Write run.json: what was asked, with which versions, on what; for people and for resume, never compared."""
    record: dict[str, Any] = {
        "format": FORMAT,
        "order": {**vars(order), "recipe": order.recipe.model_dump(mode="json")},
        "seed": order.recipe.seed,
        "fingerprints": run.fingerprints,
        "versions": {
            "dataproc-llm": own_version(),
            "python": platform.python_version(),
            **library_versions("numpy", "numba"),
        },
        "platform": platform.platform(),
        "git_commit": _git_commit(),
    }
    run.folder.write_text("run.json", json.dumps(record, indent=1) + "\n")


def _git_commit() -> str | None:
    """Return the commit of the checkout this code runs from, None for an installed package."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():  # site-packages may lie inside a checkout of something else
        return None
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return found.stdout.strip() or None
