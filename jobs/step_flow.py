"""What one step of a run did to its documents: stage by stage and rule by rule, added up from its manifest entries.

Entries pass by one at a time, so memory depends on the number of rules, not on the number of parts. Rules of a stage
act in order and the first that holds is the reason, so each rule starts with what the one before it kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from dataproc.errors import ShardError
from dataproc.ids import hash64
from dataproc.shards import Entry
from dataproc.stage import StageCounts

FAILED = "failed"
"""The stage that stands for reading itself: its rules are the causes of failure."""

EXAMPLE_PARTS = 8

FIGURES = ("bytes", "lost_bytes", "text_bytes", "num_cut", "cut_bytes")
"""Counters of a part that are added up as they are."""


@dataclass(frozen=True)
class Rule:
    """What one rule did with the rows that reached it."""

    name: str
    rows_in: int
    dropped: int
    flagged: int = 0
    """Rows marked by an annotating stage; they are not dropped here."""
    bypassed: int = 0
    """Rows that it would have dropped but for their score."""
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
    num_cut: int = 0
    """Lines or spans that it cut, also from documents that it or a later step drops."""
    cut_bytes: int = 0
    """Their text."""

    @property
    def dropped(self) -> int:
        """Return the rows that it dropped or failed to read."""
        return self.rows_in - self.rows_kept

    @property
    def complete(self) -> bool:
        """Say whether every part is done."""
        return self.parts_done == self.parts


@dataclass
class Tally:
    """The sums of one step while its entries pass by."""

    name: str
    parts: int | None
    parts_done: int = 0
    rows_in: int = 0
    rows_kept: int = 0
    seconds: float = 0.0
    dropped: Counter[str] = field(default_factory=Counter)  # by reason
    stages: dict[str, StageCounts] = field(default_factory=dict)
    bypassed: Counter[str] = field(default_factory=Counter)  # by reason
    figures: Counter[str] = field(default_factory=Counter)  # FIGURES
    records: Counter[str] = field(default_factory=Counter)
    bucket_docs: Counter[str] = field(default_factory=Counter)
    bucket_text_bytes: Counter[str] = field(default_factory=Counter)
    largest_cluster: tuple[int, str] = (1, "")  # documents, and the id of the one kept
    examples: dict[str, list[tuple[int, int]]] = field(default_factory=dict)  # reason, "" for kept -> (hash, part)

    def add(self, entry: Entry) -> None:
        """Add one part; raises ShardError when its rows in are not those kept plus dropped plus failed."""
        counters = entry.counters
        where = f"manifests/{self.name}, part {entry.part}"
        check_rows(where, counters["rows_in"], counters["rows_kept"], counters["dropped"])
        self.parts_done += 1
        self.rows_in += counters["rows_in"]
        self.rows_kept += counters["rows_kept"]
        self.seconds += entry.seconds
        self.dropped.update(counters["dropped"])
        self.bypassed.update(counters.get("bypassed", {}))
        self.figures.update({name: counters.get(name, 0) for name in FIGURES})
        self.records.update(counters.get("records", {}))
        size, keeper = counters.get("largest_cluster", (1, ""))
        self.largest_cluster = max(self.largest_cluster, (size, keeper))
        self.bucket_docs.update(counters.get("bucket_docs", {}))
        self.bucket_text_bytes.update(counters.get("bucket_text_bytes", {}))
        for name, values in counters.get("stages", {}).items():
            check_rows(f"{where}, stage {name}", values["rows_in"], values["rows_kept"], values["dropped"])
            count = self.stages.setdefault(name, StageCounts())
            count.rows_in += values["rows_in"]
            count.rows_kept += values["rows_kept"]
            count.seconds += values["seconds"]
            count.flagged.update(values["flagged"])
        by_hash = hash64(entry.part.to_bytes(8, "little"))
        reasons = [reason for reason, rows in counters["dropped"].items() if rows]
        for reason in [*reasons, *([""] if counters["rows_kept"] else [])]:
            least = self.examples.setdefault(reason, [])
            least.append((by_hash, entry.part))
            least.sort()
            del least[EXAMPLE_PARTS:]

    def flow(self, plan: Mapping[str, tuple[str, ...]]) -> StepFlow:
        """Return the step, its stages and rules in the order of the plan, or else in the order in which they ran."""
        by_stage: dict[str, Counter[str]] = {}
        for reason, rows in self.dropped.items():
            stage, _, rule = reason.partition(".")
            by_stage.setdefault(stage, Counter())[rule] = rows
        seen = sorted({*by_stage, *self.stages}, key=self._order)
        failed = [FAILED] if FAILED in seen else []
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
            num_cut=self.figures["num_cut"],
            cut_bytes=self.figures["cut_bytes"],
        )

    def _order(self, stage: str) -> tuple[int, int, str]:
        """Sort stages as they ran: what one keeps is what the next one gets."""
        count = self.stages.get(stage, StageCounts(self.rows_in, self.rows_in))
        return -count.rows_in, -count.rows_kept, stage

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
            reason = f"{name}.{rule}"
            rules.append(
                Rule(rule, left, dropped[rule], flagged.get(rule, 0), self.bypassed[reason], self._parts(reason))
            )
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
