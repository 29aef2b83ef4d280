"""The stage contract and the one loop that drives a chain of stages over a batch.

A stage is a frozen config plus a pure function RecordBatch -> RecordBatch. It never removes, adds or reorders rows: it
adds typed columns, or marks rows through `Drops`. The loop splits kept from dropped after each stage, so later stages
don't work on dropped rows, and checks that no row is lost.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.config import Config
from dataproc.errors import ConfigError, SchemaError, suggest
from dataproc.resources import ANY, Resources
from dataproc.schema import DROP_COLUMNS
from dataproc.shared import rows_kept, sharing

Transform = Callable[[pa.RecordBatch], pa.RecordBatch]


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What a configured stage needs and gives; the plan is checked with it before anything starts."""

    reads: tuple[str, ...] = ()
    writes: Mapping[str, pa.DataType] = field(default_factory=dict)
    rules: tuple[str, ...] = ()  # names of the rules it can drop by; a rule is named after its config field
    measures: Mapping[str, str] = field(default_factory=dict)  # rule -> the column that it compares with its limit
    assets: Mapping[str, str] = field(default_factory=dict)  # name -> checksum of models and lists it uses
    held_by_assets: tuple[str, ...] = ()  # config fields that only say where assets lie: not part of a fingerprint
    libraries: tuple[str, ...] = ()  # distributions whose version can change the bytes it writes
    resources: Resources = ANY  # of a unit while it passes this stage, everything included


class Stage(Config):
    """Base of every stage config; subclasses give `contract` and `build`."""

    annotate: bool = False
    """Only add the reasons to the column `flags` instead of dropping; the policy step decides."""

    @classmethod
    def version(cls) -> int:
        """Return the number to raise whenever the same config gives other bytes than before."""
        return 1

    def contract(self) -> Contract:
        """Return the columns read and written, the rules, and what else decides the bytes."""
        raise NotImplementedError

    def build(self) -> Transform:
        """Return the pure function; called once per worker process: models and tables load here."""
        raise NotImplementedError


class Drops:
    """Collects which rows of a batch break which rule; the first rule that a row breaks is its reason.

    Example: drops = Drops(batch); drops.below("min_words", num_words, 50); return drops.mark({"num_words": num_words})
    """

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch
        self._rule = np.zeros(batch.num_rows, dtype=np.int32)  # 0 = kept, k = self._names[k - 1]
        self._names: list[str] = []
        self._value = np.full(batch.num_rows, np.nan)
        self._limit = np.full(batch.num_rows, np.nan)

    def below(self, rule: str, values: npt.ArrayLike, limit: npt.ArrayLike | None) -> None:
        """Drop rows whose value is less than the limit (a number, or one per row); a limit of None is off."""
        if limit is not None:
            values = np.asarray(values, dtype=np.float64)
            self.where(rule, values < np.asarray(limit, dtype=np.float64), values, limit)

    def above(self, rule: str, values: npt.ArrayLike, limit: npt.ArrayLike | None) -> None:
        """Drop rows whose value is greater than the limit; a limit of None is off."""
        if limit is not None:
            values = np.asarray(values, dtype=np.float64)
            self.where(rule, values > np.asarray(limit, dtype=np.float64), values, limit)

    def where(
        self, rule: str, mask: npt.ArrayLike, values: npt.ArrayLike = np.nan, limit: npt.ArrayLike = np.nan
    ) -> None:
        """Drop the rows where the mask is true and no earlier rule holds; NaN stands for "measures nothing"."""
        hit = np.asarray(mask, dtype=bool) & (self._rule == 0)
        self._names.append(rule)
        self._rule[hit] = len(self._names)
        self._value[hit] = np.broadcast_to(np.asarray(values, dtype=np.float64), hit.shape)[hit]
        self._limit[hit] = np.broadcast_to(np.asarray(limit, dtype=np.float64), hit.shape)[hit]

    def mark(self, columns: Mapping[str, pa.Array | npt.NDArray[np.generic]] | None = None) -> pa.RecordBatch:
        """Return the batch with `columns` and the three drop columns added."""
        names = pa.array([None, *self._names], pa.string())
        return with_columns(
            self._batch,
            {
                **(columns or {}),
                "drop_reason": names.take(pa.array(self._rule)),
                "drop_value": pa.array(self._value, from_pandas=True),
                "drop_limit": pa.array(self._limit, from_pandas=True),
            },
        )


def with_columns(batch: pa.RecordBatch, columns: Mapping[str, pa.Array | npt.NDArray[np.generic]]) -> pa.RecordBatch:
    """Return the batch with each named column replaced or appended, in the order given."""
    arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
    arrays.update(
        {name: column if isinstance(column, pa.Array) else pa.array(column) for name, column in columns.items()}
    )
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))


@dataclass(frozen=True)
class BuiltStage:
    """A stage under its recipe name, ready to run."""

    name: str
    transform: Transform
    annotate: bool = False


@dataclass
class StageCounts:
    """What one stage did to the rows it saw; `seconds` is never part of compared bytes."""

    rows_in: int = 0
    rows_kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)  # "stage.rule" -> rows
    flagged: Counter[str] = field(default_factory=Counter)  # the same, of annotating stages
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as JSON-able values."""
        return {**vars(self), "dropped": dict(self.dropped), "flagged": dict(self.flagged)}


def run_stages(
    stages: Sequence[BuiltStage], batch: pa.RecordBatch, counts: dict[str, StageCounts]
) -> tuple[pa.RecordBatch, list[pa.RecordBatch]]:
    """Drive the chain over one batch: return the rows kept and, stage by stage, the rows dropped.

    Dropped batches keep their columns plus drop_reason ("stage.rule"), drop_value and drop_limit. `counts` is added to.
    Raises SchemaError when a stage changes the rows themselves; what a stage raises gets a note that names it.
    """
    dropped = []
    with sharing():
        for stage in stages:
            batch, lost = _run_stage(stage, batch, counts.setdefault(stage.name, StageCounts()))
            if lost is not None:
                dropped.append(lost)
    return batch, dropped


def _run_stage(
    stage: BuiltStage, batch: pa.RecordBatch, count: StageCounts
) -> tuple[pa.RecordBatch, pa.RecordBatch | None]:
    """Return the rows kept and those dropped, None for none; `count` is added to."""
    count.rows_in += batch.num_rows
    started = time.perf_counter()
    try:
        result = stage.transform(batch) if batch.num_rows else batch
    except Exception as error:
        first, last = (batch["doc_id"][row].as_py().hex() for row in (0, batch.num_rows - 1))
        error.add_note(f"in stage {stage.name}, documents {first} to {last}")
        raise
    count.seconds += time.perf_counter() - started
    if result.num_rows != batch.num_rows or not result["doc_id"].equals(batch["doc_id"]):
        raise SchemaError(
            f"stage {stage.name} must keep the rows as they are, got {batch.num_rows} in and {result.num_rows} out"
            " or another order of doc_id. Mark rows with Drops instead of removing them."
        )
    kept, lost = _split(stage, result, count)
    count.rows_kept += kept.num_rows
    return kept, lost


def _split(
    stage: BuiltStage, batch: pa.RecordBatch, count: StageCounts
) -> tuple[pa.RecordBatch, pa.RecordBatch | None]:
    """Part the rows that the stage marked from the others, or turn the marks into flags when it only annotates."""
    if "drop_reason" not in batch.schema.names:
        return batch, None
    marked = pc.is_valid(batch["drop_reason"])
    reason = pc.binary_join_element_wise(stage.name, batch["drop_reason"], ".")
    kept = batch.drop_columns(DROP_COLUMNS.names)
    rows = Counter(pc.drop_null(reason).to_pylist())
    if stage.annotate:
        count.flagged.update(rows)
        return _add_flags(kept, reason), None
    count.dropped.update(rows)
    if not rows:
        return kept, None
    left = kept.filter(pc.invert(marked))
    if "text" in kept.schema.names:
        rows_kept(kept["text"], left["text"], ~marked.to_numpy(zero_copy_only=False))
    return left, with_columns(batch, {"drop_reason": reason}).filter(marked)


def _add_flags(batch: pa.RecordBatch, reason: pa.Array) -> pa.RecordBatch:
    flags = batch["flags"].to_pylist() if "flags" in batch.schema.names else [[]] * batch.num_rows
    added = [old if new is None else [*old, new] for old, new in zip(flags, reason.to_pylist(), strict=True)]
    return with_columns(batch, {"flags": pa.array(added, pa.list_(pa.string()))})


def check_plan(stages: Mapping[str, Stage], columns: Mapping[str, pa.DataType], where: str) -> dict[str, pa.DataType]:
    """Return the columns after the chain; raise ConfigError when a stage reads a column that nobody writes before it.

    Example: a threshold on "qualty" raises 'default.yaml: documents.good reads column "qualty", which no earlier stage
    writes. Did you mean "quality"?'
    """
    known = dict(columns)
    for name, stage in stages.items():
        contract = stage.contract()
        for column in contract.reads:
            if column not in known:
                raise ConfigError(
                    f'{where}.{name} reads column "{column}", which no earlier stage writes.{suggest(column, known)}'
                )
        known.update(contract.writes)
        if stage.annotate:
            known["flags"] = pa.list_(pa.string())
    return known
