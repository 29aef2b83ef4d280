"""The funnel of a run: what each rule of each step dropped, and what is left, by the manifests' counters alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dataproc.config import validate
from dataproc.errors import ConfigError, InputError, ResumeError, ShardError
from dataproc.shards import Dataset, read_description
from dataproc.stage import Stage
from dataproc.storage import Folder
from jobs.cuts import CUTTING
from jobs.recipe import Alarms, Recipe
from jobs.step_flow import FAILED, Rule, StageFlow, StepFlow, Tally
from stages.minhash_plan import MinhashDedup

STEPS = ("documents", "dedup", *CUTTING, "buckets")
"""The steps that drop, in order: each takes what the one before it kept. Those that cut are in recipes that ask."""

FORMAT = 1
"""Of a run's folder; another number where this version could not go on with, or read, what an older one wrote."""

SHOWN_BUCKETS = 20

SHOWN_ALARMS = 5

CUT_THINGS = {"lines": "frequent lines", "substrings": "repeated spans"}
"""What each step that cuts counts."""

Plan = dict[str, dict[str, tuple[str, ...]]]
"""step -> stage -> rules, in the order in which they act."""


@dataclass(frozen=True)
class Bucket:
    """What one bucket holds; `tokens` and `shards` are 0 until the tokens step is done."""

    name: str
    documents: int
    text_bytes: int
    tokens: int
    shards: int


@dataclass(frozen=True)
class Funnel:
    """The figures of a run, finished or not."""

    steps: tuple[StepFlow, ...]
    buckets: tuple[Bucket, ...]
    """Most tokens first."""
    records: Mapping[str, int]
    """Records read by type, those that are no documents among them."""
    input_bytes: int
    lost_bytes: int
    """Stored bytes of the input that could not be read."""
    text_bytes: int
    """Text of documents/."""
    notes: tuple[str, ...] = ()

    @property
    def rows_in(self) -> int:
        """Return the documents of the input."""
        return self.steps[0].rows_in

    @property
    def rows_kept(self) -> int:
        """Return the documents that the last step reached has kept."""
        return self.steps[-1].rows_kept

    @property
    def tokens(self) -> int:
        """Return the tokens of all buckets."""
        return sum(bucket.tokens for bucket in self.buckets)

    def rules(self) -> Iterator[tuple[StepFlow, StageFlow, Rule]]:
        """Yield every rule with its step and stage, in the order in which they act."""
        for step in self.steps:
            for stage in step.stages:
                for rule in stage.rules:
                    yield step, stage, rule


def read_funnel(folder: Folder) -> Funnel:
    """Return the funnel of a run from its manifests.

    Raises InputError when the folder holds no run, ShardError when at any part, stage or step the rows in are not the
    rows kept plus dropped plus failed, or a finished step did not get what the one before it kept.
    """
    if read_description(folder, STEPS[0]) is None:
        raise InputError(f"{folder.url} must hold a run, got no manifests/{STEPS[0]}. Give the OUT of `dataproc run`.")
    plan: Plan = {}
    notes: tuple[str, ...] = ()
    alarms: Alarms | None = None
    try:
        recipe = read_recipe(folder)
        plan = plan_of(recipe)
        notes = _unsettled(folder, recipe.dedup.minhash)
        alarms = recipe.dedup.alarms
    except ConfigError as error:  # a run of another version can still be counted
        notes = (f"Rules that dropped nothing are not listed, since the recipe cannot be read: {error}",)
    sums = {name: _add_up(folder, name) for name in STEPS if read_description(folder, name) is not None}
    steps = tuple(tally.flow(plan.get(name, {})) for name, tally in sums.items() if tally.parts_done)
    if not steps:
        raise InputError(
            f"{folder.url} must hold a run with a part done, got none. Wait for the first, or run `dataproc resume`."
        )
    for before, after in pairwise(steps):
        if before.complete and after.complete and before.rows_kept != after.rows_in:
            raise ShardError(
                f"{after.name}: rows in must be what {before.name} kept, got {after.rows_in} and {before.rows_kept}."
                f" Rebuild with --redo {after.name}."
            )
    if alarms is not None and "dedup" in sums:
        notes += (*_lost_sources(folder, alarms), *_large_cluster(sums["dedup"], alarms))
    figures = sums[STEPS[0]].figures
    return Funnel(
        steps=steps,
        buckets=_buckets(folder, sums.get("buckets")),
        records=dict(sums[STEPS[0]].records.most_common()),
        input_bytes=figures["bytes"],
        lost_bytes=figures["lost_bytes"],
        text_bytes=figures["text_bytes"],
        notes=notes,
    )


def read_recipe(folder: Folder) -> Recipe:
    """Return the recipe that run.json records; raises InputError without, ConfigError for one of another version."""
    return validate(Recipe, read_record(folder)["order"]["recipe"], f"{folder.url}/run.json: recipe")


def read_record(folder: Folder) -> dict[str, Any]:
    """Return run.json; raises InputError when there is none, ShardError when damaged, ResumeError of another format."""
    try:
        record: dict[str, Any] = json.loads(folder.read_text("run.json"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"{folder.url} must hold run.json, got no such file. Give the OUT of `dataproc run`."
        ) from error
    except ValueError as error:  # bad UTF-8 is one too
        raise ShardError(
            f"{folder.url}/run.json must be JSON, got: {error}. `dataproc run` with the same recipe writes it anew."
        ) from error
    if record.get("format", FORMAT) != FORMAT:
        raise ResumeError(
            f"{folder.url}/run.json: format must be {FORMAT}, got {record['format']}. Use the version of dataproc-llm"
            f" that made the run, {record.get('versions', {}).get('dataproc-llm', 'unknown')}, or choose another OUT."
        )
    return record


def plan_of(recipe: Recipe) -> Plan:
    """Return the stages of a recipe that can drop documents, with their rules, in the order in which they act."""

    def rules(stages: Mapping[str, Stage]) -> dict[str, tuple[str, ...]]:
        return {name: stage.contract().rules for name, stage in stages.items()}

    dedup = tuple(name for name in ("url", "exact", "minhash") if getattr(recipe.dedup, name) is not None)
    flagged = {"policy": recipe.policy.drop_flagged} if recipe.policy.drop_flagged else {}
    return {
        "documents": rules(recipe.documents.stages),
        "dedup": {"dedup": dedup},
        **{step: {step: limits.rules} for step in CUTTING if (limits := getattr(recipe, step)) is not None},
        "buckets": {**flagged, **rules(recipe.policy.stages)},
    }


def _unsettled(folder: Folder, minhash: MinhashDedup | None) -> tuple[str, ...]:
    """Say how many documents of bands or clusters were still unlike their leader after the last round of dedup."""
    notes = []
    for where, what in (("dedup", "bands"), ("dedup/keepers", "clusters")):
        last = f"{where}/round-{minhash.max_rounds - 1}/edges" if minhash else ""
        if minhash is None or read_description(folder, last) is None:
            continue
        left = sum(entry.counters.get("rows_failed", 0) for entry in _dataset(folder, last).entries())
        told = f"{left:,} members of {what} were still unlike their leader after round {minhash.max_rounds} of dedup"
        if left:
            notes.append(f"{told}: near duplicates among them may stay. Raise dedup.minhash.max_rounds.")
    return tuple(notes)


def _lost_sources(folder: Folder, alarms: Alarms) -> Iterator[str]:
    """Say which crawls and domains lost more of their documents to dedup than the recipe lets pass."""
    worst: list[tuple[int, str, str, int]] = []
    number = 0
    for entry in _dataset(folder, "dedup/sources").entries():
        worst += [tuple(one) for one in entry.counters["worst"]]
        number += entry.counters["alarms"]
    shown = sorted(worst, reverse=True)[:SHOWN_ALARMS]
    for dropped, kind, name, documents in shown:
        source = f'{kind} "{name}"' if name else f"the {kind}"
        told = f"{share(dropped, documents)} of the {documents:,} documents of {source}"
        yield f"Dedup dropped {told}, limit {alarms.max_dropped:.1%}: look at what it kept instead."
    if number > len(shown):
        yield f"So it did with {number - len(shown):,} more crawls and domains: read dedup/sources."


def _large_cluster(dedup: Tally, alarms: Alarms) -> Iterator[str]:
    size, keeper = dedup.largest_cluster
    if size > alarms.max_cluster:
        yield (
            f"Dedup kept {keeper} for a cluster of {size:,} documents, limit {alarms.max_cluster:,}: `dataproc explain`"
            " shows some of them."
        )


def _add_up(folder: Folder, name: str) -> Tally:
    dataset = _dataset(folder, name)
    tally = Tally(name, dataset.parts)
    for entry in dataset.entries():
        tally.add(entry)
    return tally


def _dataset(folder: Folder, name: str) -> Dataset:
    description = read_description(folder, name) or {"made_from": {}, "parts": None}
    return Dataset(folder, name, description["made_from"], description["parts"])


def _buckets(folder: Folder, decided: Tally | None) -> tuple[Bucket, ...]:
    if decided is None:
        return ()
    dataset = _dataset(folder, "tokens")
    documents, tokens, shards = Counter[str](), Counter[str](), Counter[str]()
    for entry in dataset.entries():
        bucket = entry.counters["bucket"]
        documents[bucket] += entry.counters["rows_in"]
        tokens[bucket] += entry.counters["tokens"]
        shards[bucket] += 1
    if dataset.complete() and documents != decided.bucket_docs:
        wrong = sorted(
            name for name in documents | decided.bucket_docs if documents[name] != decided.bucket_docs[name]
        )[0]
        raise ShardError(
            f"tokens/{wrong}: documents must be the {decided.bucket_docs[wrong]} that buckets/ put there,"
            f" got {documents[wrong]}. Rebuild with --redo tokens."
        )
    found = [
        Bucket(name, rows, decided.bucket_text_bytes[name], tokens[name], shards[name])
        for name, rows in decided.bucket_docs.items()
    ]
    return tuple(sorted(found, key=lambda bucket: (-bucket.tokens, -bucket.documents, bucket.name)))


def render(funnel: Funnel) -> RenderableType:
    """Return the funnel for a terminal or a log, within 100 columns: rules, then what was lost, then the buckets."""
    parts: list[RenderableType] = [_rule_table(funnel), Text(_input_line(funnel))]
    parts += [
        Text(f"{step.name}: {step.parts_done} of {step.parts} parts are done.")
        for step in funnel.steps
        if not step.complete
    ]
    parts += [Text(note, style="yellow") for note in funnel.notes]
    if funnel.buckets:
        parts.append(_bucket_table(funnel))
    return Group(*parts)


def _rule_table(funnel: Funnel) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("rule", no_wrap=True)
    for name in ("dropped", "left", "of step", "of all"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row(
        "documents of the crawl", "", f"{funnel.rows_in:,}", "", share(funnel.rows_in, funnel.rows_in), style="bold"
    )
    for step in funnel.steps:
        table.add_row(Text(step.name), *_cells(step.dropped, step.rows_kept, step, funnel), style="bold cyan")
        for stage in step.stages:
            if stage.rules and stage.name != step.name:
                table.add_row(Text(f"  {stage.name}"), *_cells(stage.dropped, stage.rows_kept, step, funnel))
            for rule in stage.rules:
                marks = [f"{rule.flagged:,} flagged"] if rule.flagged else []
                marks += [f"{rule.bypassed:,} bypassed"] if rule.bypassed else []
                name = f"    {rule.name}" + (f" ({', '.join(marks)})" if marks else "")
                table.add_row(Text(name), *_cells(rule.dropped, rule.rows_kept, step, funnel), style="dim")
    return table


def _cells(dropped: int, kept: int, step: StepFlow, funnel: Funnel) -> tuple[str, ...]:
    return f"{dropped:,}", f"{kept:,}", share(dropped, step.rows_in), share(dropped, funnel.rows_in)


def _input_line(funnel: Funnel) -> str:
    lost = f"{funnel.lost_bytes:,} of them could not be read ({share(funnel.lost_bytes, funnel.input_bytes)})"
    cut = "".join(
        f"\nCut from it by {step.name}: {step.num_cut:,} {CUT_THINGS[step.name]}, {step.cut_bytes:,} bytes."
        for step in funnel.steps
        if step.num_cut
    )
    return (
        f"Input: {funnel.input_bytes:,} bytes; {lost if funnel.lost_bytes else 'all of them were read'}.\n"
        f"Text of documents/: {funnel.text_bytes:,} bytes.{cut}"
    )


def _bucket_table(funnel: Funnel) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=True)
    table.add_column("bucket", "all buckets", no_wrap=True)
    table.add_column(
        "documents", f"{sum(bucket.documents for bucket in funnel.buckets):,}", justify="right", no_wrap=True
    )
    table.add_column("tokens", f"{funnel.tokens:,}", justify="right", no_wrap=True)
    table.add_column("share", share(funnel.tokens, funnel.tokens), justify="right", no_wrap=True)
    for bucket in funnel.buckets[:SHOWN_BUCKETS]:
        table.add_row(
            Text(bucket.name), f"{bucket.documents:,}", f"{bucket.tokens:,}", share(bucket.tokens, funnel.tokens)
        )
    if rest := funnel.buckets[SHOWN_BUCKETS:]:
        tokens = sum(bucket.tokens for bucket in rest)
        documents = sum(bucket.documents for bucket in rest)
        table.add_row(
            f"{len(rest)} smaller buckets", f"{documents:,}", f"{tokens:,}", share(tokens, funnel.tokens), style="dim"
        )
    return table


def share(part: float, whole: float) -> str:
    """Return a share in percent that never rounds something to nothing, or less than all to all.

    Example: share(1, 8) == "12.5%", share(1, 10**6) == "<0.1%", share(10**6 - 1, 10**6) == ">99.9%".
    """
    if not whole:
        return "-"
    if 0 < part / whole < 0.0005:
        return "<0.1%"
    if 0.9995 <= part / whole < 1:
        return ">99.9%"
    return f"{part / whole:.1%}"


def number(value: float) -> str:
    """Return whole numbers in full and others to six digits.

    Example: number(12000.0) == "12,000", number(1 / 3) == "0.333333".
    """
    return f"{int(value):,}" if value.is_integer() else f"{value:.6g}"


def measured(dropped: Mapping[str, Any], before: str = "") -> str:
    """Return what a row of dropped/ measured, "" when nothing. Example: "12, limit 50", or "3,173 bytes lost"."""
    value, limit = dropped["value"], dropped["limit"]
    if value is None:
        return ""
    if dropped["reason"].startswith(f"{FAILED}."):
        return f"{before}{number(value)} bytes lost"
    return f"{before}{number(value)}" + ("" if limit is None else f", limit {number(limit)}")
