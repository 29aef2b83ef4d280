"""The funnel of a run: what each rule of each step dropped, and what is left, read from the manifests' counters alone.

Entries are added up one at a time, so memory depends on the number of rules and buckets, not on the number of parts.
Rules of a stage act in order and the first that holds is the reason, so each row of the funnel starts with what the row
above it kept.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dataproc.config import validate
from dataproc.errors import ConfigError, InputError, ShardError
from dataproc.ids import hash_int64
from dataproc.shards import Dataset, Entry, read_description
from dataproc.stage import Stage, StageCounts
from dataproc.storage import Folder
from jobs.recipe import Recipe

STEPS = ("documents", "dedup", "buckets")
"""The steps that drop, in order: each takes what the one before it kept."""

FAILED = "failed"
"""The stage that stands for reading itself: its rules are the causes of failure."""

EXAMPLE_PARTS = 8
SHOWN_BUCKETS = 20

Plan = dict[str, dict[str, tuple[str, ...]]]
"""step -> stage -> rules, in the order in which they act."""


@dataclass(frozen=True)
class Rule:
    """What one rule did with the rows that reached it."""

    name: str
    rows_in: int
    dropped: int
    flagged: int = 0
    """Rows marked by an annotating stage; they are not dropped here."""
    parts: tuple[int, ...] = ()
    """Up to EXAMPLE_PARTS parts in which it dropped rows, chosen by hash: where to look for examples."""

    @property
    def rows_kept(self) -> int:
        """Return the rows that it left."""
        return self.rows_in - self.dropped


@dataclass(frozen=True)
class StageFlow:
    """What one stage did; `seconds` is the time of all workers together, 0 where stages are not timed."""

    name: str
    rows_in: int
    rows_kept: int
    rules: tuple[Rule, ...]
    seconds: float = 0.0

    @property
    def dropped(self) -> int:
        """Return the rows that it dropped."""
        return self.rows_in - self.rows_kept


@dataclass(frozen=True)
class StepFlow:
    """What one step did; `seconds` is the time of all workers together."""

    name: str
    parts: int | None
    parts_done: int
    rows_in: int
    rows_kept: int
    stages: tuple[StageFlow, ...]
    kept_parts: tuple[int, ...]
    """Up to EXAMPLE_PARTS parts with rows that it kept, chosen by hash."""
    seconds: float

    @property
    def dropped(self) -> int:
        """Return the rows that it dropped or failed to read."""
        return self.rows_in - self.rows_kept

    @property
    def complete(self) -> bool:
        """Say whether every part is done."""
        return self.parts_done == self.parts


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
    plan, notes = _read_plan(folder)
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


def _read_plan(folder: Folder) -> tuple[Plan, tuple[str, ...]]:
    """Return the rules of the run's recipe, or a note when this version of the software cannot read it any more."""
    try:
        recipe = read_recipe(folder)
        return _plan(recipe), ()
    except (ConfigError, InputError) as error:
        return {}, (f"Rules that dropped nothing are not listed, since the recipe cannot be read: {error}",)


def read_recipe(folder: Folder) -> Recipe:
    """Return the recipe that run.json records; raises InputError without, ConfigError for one of another version."""
    return validate(Recipe, read_record(folder)["order"]["recipe"], f"{folder.url}/run.json: recipe")


def read_record(folder: Folder) -> dict[str, Any]:
    """Return run.json; raises InputError when there is none."""
    try:
        record: dict[str, Any] = json.loads(folder.read_text("run.json"))
    except FileNotFoundError as error:
        raise InputError(
            f"{folder.url} must hold run.json, got no such file. Give the OUT of `dataproc run`."
        ) from error
    return record


def _plan(recipe: Recipe) -> Plan:
    def rules(stages: Mapping[str, Stage]) -> dict[str, tuple[str, ...]]:
        return {name: stage.contract().rules for name, stage in stages.items()}

    dedup = tuple(name for name in ("exact", "minhash") if getattr(recipe.dedup, name) is not None)
    flagged = {"policy": recipe.policy.drop_flagged} if recipe.policy.drop_flagged else {}
    return {
        "documents": rules(recipe.documents.stages),
        "dedup": {"dedup": dedup},
        "buckets": {**flagged, **rules(recipe.policy.stages)},
    }


@dataclass
class _Tally:
    """The sums of one step while its entries pass by."""

    name: str
    parts: int | None
    parts_done: int = 0
    rows_in: int = 0
    rows_kept: int = 0
    seconds: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)  # by reason
    stages: dict[str, StageCounts] = field(default_factory=dict)
    figures: Counter[str] = field(default_factory=Counter)  # bytes of several kinds
    records: Counter[str] = field(default_factory=Counter)
    bucket_docs: Counter[str] = field(default_factory=Counter)
    bucket_text_bytes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[tuple[int, int]]] = field(default_factory=dict)  # reason, "" for kept -> (hash, part)

    def add(self, entry: Entry) -> None:
        counters = entry.counters
        where = f"manifests/{self.name}, part {entry.part}"
        check_rows(where, counters["rows_in"], counters["rows_kept"], counters["dropped"])
        self.parts_done += 1
        self.rows_in += counters["rows_in"]
        self.rows_kept += counters["rows_kept"]
        self.seconds += entry.seconds
        self.dropped.update(counters["dropped"])
        self.figures.update({name: counters.get(name, 0) for name in ("bytes", "lost_bytes", "text_bytes")})
        self.records.update(counters.get("records", {}))
        self.bucket_docs.update(counters.get("bucket_docs", {}))
        self.bucket_text_bytes.update(counters.get("bucket_text_bytes", {}))
        for name, values in counters.get("stages", {}).items():
            check_rows(f"{where}, stage {name}", values["rows_in"], values["rows_kept"], values["dropped"])
            count = self.stages.setdefault(name, StageCounts())
            count.rows_in += values["rows_in"]
            count.rows_kept += values["rows_kept"]
            count.seconds += values["seconds"]
            count.flagged.update(values["flagged"])
        reasons = [reason for reason, rows in counters["dropped"].items() if rows]
        for reason in [*reasons, *([""] if counters["rows_kept"] else [])]:
            least = self.examples.setdefault(reason, [])
            least.append((int(hash_int64(np.array([entry.part]))[0]), entry.part))
            least.sort()
            del least[EXAMPLE_PARTS:]

    def flow(self, plan: Mapping[str, tuple[str, ...]]) -> StepFlow:
        """Return the step, its stages and rules in the order of the plan; unplanned ones follow, most rows first."""
        by_stage: dict[str, Counter[str]] = {}
        for reason, rows in self.dropped.items():
            stage, _, rule = reason.partition(".")
            by_stage.setdefault(stage, Counter())[rule] = rows
        seen = sorted({*by_stage, *self.stages}, key=lambda name: (name != FAILED, -self._rows_into(name), name))
        failed = [name for name in seen if name == FAILED]
        left, flows = self.rows_in, []
        for name in dict.fromkeys([*failed, *plan, *seen]):
            flow = self._stage(name, left, by_stage.get(name, Counter()), plan.get(name, ()))
            left = flow.rows_kept
            flows.append(flow)
        if left != self.rows_kept:
            raise ShardError(
                f"{self.name}: the last stage must keep {self.rows_kept} rows, got {left}. Report this as a bug."
            )
        return StepFlow(
            name=self.name,
            parts=self.parts,
            parts_done=self.parts_done,
            rows_in=self.rows_in,
            rows_kept=self.rows_kept,
            stages=tuple(flows),
            kept_parts=self._parts(""),
            seconds=self.seconds,
        )

    def _rows_into(self, stage: str) -> int:
        return self.stages[stage].rows_in if stage in self.stages else self.rows_in

    def _stage(self, name: str, left: int, dropped: Counter[str], planned: tuple[str, ...]) -> StageFlow:
        count = self.stages.get(name)
        if count is not None and (left, left - dropped.total()) != (count.rows_in, count.rows_kept):
            raise ShardError(
                f"{self.name}, stage {name}: rows in and kept must be {left} and {left - dropped.total()},"
                f" got {count.rows_in} and {count.rows_kept}. Report this as a bug."
            )
        flagged = {reason.partition(".")[2]: rows for reason, rows in count.flagged.items()} if count else {}
        rules, rows_in = [], left
        for rule in dict.fromkeys([*planned, *sorted({*dropped, *flagged}, key=lambda one: (-dropped[one], one))]):
            rules.append(Rule(rule, left, dropped[rule], flagged.get(rule, 0), self._parts(f"{name}.{rule}")))
            left -= dropped[rule]
        return StageFlow(name, rows_in, left, tuple(rules), count.seconds if count else 0.0)

    def _parts(self, reason: str) -> tuple[int, ...]:
        return tuple(sorted(part for _, part in self.examples.get(reason, [])))


def check_rows(where: str, rows_in: int, rows_kept: int, dropped: Mapping[str, int]) -> None:
    """Raise ShardError when in = kept + dropped (failed among them) does not hold."""
    if rows_in != rows_kept + sum(dropped.values()):
        raise ShardError(
            f"{where}: rows in must be rows kept plus dropped plus failed, got {rows_in} = {rows_kept} +"
            f" {sum(dropped.values())}. Rebuild the step with --redo, and report this if it stays."
        )


def _add_up(folder: Folder, name: str) -> _Tally:
    dataset = _dataset(folder, name)
    tally = _Tally(name, dataset.parts)
    for entry in dataset.entries():
        tally.add(entry)
    return tally


def _dataset(folder: Folder, name: str) -> Dataset:
    description = read_description(folder, name) or {"made_from": {}, "parts": None}
    return Dataset(folder, name, description["made_from"], description["parts"])


def _buckets(folder: Folder, decided: _Tally | None) -> tuple[Bucket, ...]:
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
            if not stage.rules:
                continue
            table.add_row(Text(f"  {stage.name}"), *_cells(stage.dropped, stage.rows_kept, step, funnel))
            for rule in stage.rules:
                name = f"    {rule.name}" + (f" ({rule.flagged:,} flagged)" if rule.flagged else "")
                table.add_row(Text(name), *_cells(rule.dropped, rule.rows_kept, step, funnel), style="dim")
    return table


def _cells(dropped: int, kept: int, step: StepFlow, funnel: Funnel) -> tuple[str, ...]:
    return f"{dropped:,}", f"{kept:,}", share(dropped, step.rows_in), share(dropped, funnel.rows_in)


def _input_line(funnel: Funnel) -> str:
    lost = (
        "all of them read"
        if not funnel.lost_bytes
        else f"{funnel.lost_bytes:,} could not be read ({share(funnel.lost_bytes, funnel.input_bytes)})"
    )
    return f"Input bytes: {funnel.input_bytes:,}, {lost}. Text of documents/: {funnel.text_bytes:,} bytes."


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


def share(part: int, whole: int) -> str:
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
