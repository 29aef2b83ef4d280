"""tokens/ and a mix file -> mixture.json: how many samples each bucket gives to each training stage.

What is asked (weights, temperature, budget) meets what is there (tokens, caps on epochs). What does not fit is reported
with numbers, and resolved only as the mix says.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from dataproc.disk import move, temporary
from dataproc.errors import ConfigError, InputError
from dataproc.loader.mixture import Mixture, Source
from dataproc.shards import Dataset, read_description
from dataproc.storage import Folder
from dataproc.tokens.shards import MANIFEST, Manifest, read_manifest
from jobs.funnel import read_funnel
from jobs.mix import Mix, assign_groups, load_mix
from jobs.mixture_plan import MixturePlan
from jobs.run import Run
from jobs.tokens import MANIFESTS

if TYPE_CHECKING:
    from rich.console import RenderableType


FILE = "mixture.json"


def declare_mixture(run: Run) -> Dataset:
    """Return the dataset mixture, which is mixture.json; so a wrong mix is an error before anything starts."""
    return run.dataset("mixture", _made_from(run.recipe.mix, run.recipe.seed), ["tokens"], 1)


def run_mixture(run: Run) -> None:
    """Write mixture.json of the recipe's mix."""
    dataset = declare_mixture(run)
    if not dataset.done():
        run.worked = True
        _check_tokens(run.folder)
        write_mixture(run.folder, run.recipe.mix, run.recipe.seed)
        dataset.commit(0, {FILE: -1}, {}, 0.0)


def remix(folder: Folder, mix: str, seed: int, out: Path | None = None) -> Mixture:
    """Write another mixture of a finished run to `out`, or in the place of the run's own, and return it.

    Raises InputError when the run has no tokens or not yet all, ConfigError as write_mixture does.
    """
    _check_tokens(folder)
    if out is not None:
        return write_mixture(folder, mix, seed, out)
    tokens = read_description(folder, "tokens") or {}
    dataset = Dataset(folder, "mixture", {**_made_from(mix, seed), "reads": {"tokens": tokens["fingerprint"]}}, 1)
    mixture = build_mixture(folder, load_mix(mix), Path(mix).stem, seed)  # may refuse: then all stays as it was
    dataset.discard()  # before the file changes, so that a kill leaves no entry that speaks of another file
    folder.write_text(FILE, mixture.dump())
    dataset.start()
    dataset.commit(0, {FILE: -1}, {}, 0.0)
    return mixture


def _made_from(name: str, seed: int) -> dict[str, Any]:
    mix = load_mix(name)
    order = [*mix.groups, *mix.stages]  # a fingerprint sorts keys, but stages follow each other as written
    return {"name": Path(name).stem, "mix": mix.model_dump(mode="json"), "order": order, "seed": seed}


def _check_tokens(folder: Folder) -> None:
    """Raise InputError unless the tokens step is done and has kept something."""
    if not Dataset(folder, MANIFESTS, {}, 1).complete():
        raise InputError(f"{folder.url} must hold all of its tokens, got a run under way. Run `dataproc resume` first.")
    if not any(entry.files for entry in Dataset(folder, MANIFESTS, {}, 1).entries()):
        raise InputError(
            f"{folder.url}/tokens must hold a bucket to mix, got none: each of the {read_funnel(folder).rows_in:,}"
            f" documents was dropped. See by which rule in {folder.url}/report/index.html, and loosen it in the recipe."
        )


def write_mixture(folder: Folder, mix: str, seed: int, out: Path | None = None) -> Mixture:
    """Write mixture.json of a run from its token shards, into the run or to `out`, in one step; return it.

    mix: name of a shipped mix or path of a .yaml file. Equal shards, mix and seed give equal bytes. Raises InputError
    when the run has no tokens, ConfigError when the mix is wrong or asks for more than there is and may not change.
    """
    where = "tokens" if out is None else _tokens_from(folder, out)
    mixture = build_mixture(folder, load_mix(mix), Path(mix).stem, seed, where)
    if out is None:
        folder.write_text(FILE, mixture.dump())
    else:
        with temporary(out.parent, out) as making:
            making.write_text(mixture.dump(), encoding="utf-8", newline="\n")
            move(making, out)
    return mixture


def _tokens_from(folder: Folder, out: Path) -> str:
    """Return the folder of the buckets as seen from a mixture file outside the run."""
    if not folder.is_local:
        return f"{folder.url}/tokens"
    return Path(os.path.relpath(folder.local_path("tokens"), out.resolve().parent)).as_posix()


def build_mixture(folder: Folder, mix: Mix, name: str, seed: int, tokens: str = "tokens") -> Mixture:
    """Return the mixture of a run's buckets; buckets without tokens are left out."""
    manifests = _read_manifests(folder)
    sources = tuple(_source(folder, manifest) for manifest in manifests.values())
    groups = assign_groups(mix, [source.name for source in sources], name)
    budget = mix.budget_tokens(sum(source.tokens for source in sources if source.name in groups))
    plan = MixturePlan(mix, name, sources, groups, budget)
    stages = plan.stages()
    mixture = Mixture(
        mix=name,
        seed=seed,
        block_len=plan.block_len,
        tokens=tokens,
        tokenizer=next(iter(manifests.values())).tokenizer,
        sources=sources,
        stages=tuple(stages),
    )
    return mixture.model_copy(update={"report": plan.report(mixture)})


def _read_manifests(folder: Folder) -> Mapping[str, Manifest]:
    names = sorted({file.split("/")[1] for file in folder.files("tokens") if file.endswith(f"/{MANIFEST}")})
    found = {name: read_manifest(Folder(f"{folder.url}/tokens/{name}")) for name in names}
    found = {name: manifest for name, manifest in found.items() if manifest.tokens}
    if not found:
        raise InputError(
            f"{folder.url}/tokens must hold a bucket with tokens, got none. Give the folder of a run with tokens."
        )
    first = next(iter(found))
    for name, manifest in found.items():
        if manifest.tokenizer != found[first].tokenizer:
            raise ConfigError(
                f"{folder.url}/tokens: the buckets of a mixture must have one tokenizer, got"
                f" {found[first].tokenizer.name} in {first} and {manifest.tokenizer.name} in {name}. Encode them alike."
            )
    return found


def _source(folder: Folder, manifest: Manifest) -> Source:
    with folder.open(f"tokens/{manifest.bucket}/{MANIFEST}") as file:
        checksum = xxhash.xxh3_64_hexdigest(file.read())
    return Source(name=manifest.bucket, tokens=manifest.tokens, documents=manifest.documents, manifest_xxh3=checksum)


def render(mixture: Mixture) -> RenderableType:
    """Return a mixture's report for the terminal: a table of buckets, one of shares, and what is missing."""
    from rich.console import Group as Lines
    from rich.table import Table

    report = mixture.report
    if report is None:
        return f"Mixture {mixture.mix} has no report."
    buckets = Table(title=f"Mixture {mixture.mix}: {report.planned_tokens:,} of {report.budget_tokens:,} tokens asked")
    for head in ("bucket", "group"):
        buckets.add_column(head)
    for head in ("tokens", "asked", "drawn", "epochs", "at most", "short"):
        buckets.add_column(head, justify="right")
    for row in report.buckets:
        numbers = (f"{number:,}" for number in (row.tokens, row.asked_tokens, row.drawn_tokens))
        ends = (f"{row.epochs:.2f}", f"{row.max_epochs:g}", f"{row.short_tokens:,}" if row.short_tokens else "")
        buckets.add_row(row.bucket, row.group or "-", *numbers, *ends)
    shares = Table(title="Shares of samples")
    for head in ("stage", "group"):
        shares.add_column(head)
    for head in ("steps", "batch x length", "buckets", "asked", "drawn"):
        shares.add_column(head, justify="right")
    stages = {stage.name: stage for stage in mixture.stages}
    for part in report.groups:
        stage = stages[part.stage]
        size = (f"{stage.steps:,}", f"{stage.batch_size} x {stage.seq_len}", str(part.buckets))
        shares.add_row(part.stage, part.group, *size, f"{part.asked_share:.1%}", f"{part.drawn_share:.1%}")
    missing = [f"Group {group} matches no bucket with tokens." for group in report.empty_groups]
    missing += [f"In group {pattern} matches no bucket with tokens." for pattern in report.empty_patterns]
    if report.unused_buckets:
        missing.append(f"Nothing is drawn from {', '.join(report.unused_buckets)}.")
    return Lines(buckets, shares, *missing)
