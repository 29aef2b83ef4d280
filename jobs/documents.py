"""crawl -> documents/, dropped/documents/: read each unit, drive its rows through the stages, account for each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.errors import ShardError
from dataproc.ids import doc_id
from dataproc.inputs import Unit, read_unit
from dataproc.raw import ReadReport
from dataproc.schema import DROPPED
from dataproc.shards import Dataset, Entry, library_versions, stages_made_from
from dataproc.stage import BuiltStage, StageCounts, run_stages, with_columns
from dataproc.tables import create_part, part_name
from jobs.recipe import Recipe
from jobs.run import Run

EXCERPT_CHARS = 400


@dataclass(frozen=True)
class Located:
    """A unit of the plan and where to open it; the location is left out of everything that is stored."""

    unit: Unit
    location: str

    @property
    def part(self) -> int:
        """Return the number of the part that the unit makes."""
        return int(self.unit.unit)


def declare_documents(run: Run) -> Dataset:
    """Return the dataset documents/."""
    recipe = run.recipe
    made_from = {
        "documents": stages_made_from(recipe.documents.stages),
        "dropped_text": recipe.documents.dropped_text,
        "input": recipe.input.model_dump(mode="json"),
        "libraries": library_versions("fastwarc"),
    }
    return run.dataset("documents", made_from, ["units"], run.num_parts)


def run_documents(run: Run, units: Sequence[Located]) -> None:
    """Fill documents/ and dropped/documents/."""
    dataset = declare_documents(run)
    run.fill(dataset, DocumentsTask(dataset, run.recipe), units)


@dataclass(frozen=True)
class DocumentsTask:
    """Makes one part of documents/ and of dropped/documents/."""

    dataset: Dataset
    recipe: Recipe

    @cached_property
    def _stages(self) -> list[BuiltStage]:
        return build_stages(self.recipe.documents.stages)

    @cached_property
    def _schema(self) -> pa.Schema:
        return pa.schema(list(self.recipe.document_columns().items()))

    def __call__(self, located: Located) -> Entry:
        """Make the part of one unit and return its entry."""
        started = time.perf_counter()
        unit, part = located.unit, located.part
        report, counts = ReadReport(), dict[str, StageCounts]()
        kept_name, dropped_name = part_name("documents", part), part_name("dropped/documents", part)
        rows_in = text_bytes = 0
        folder = self.dataset.folder
        with (
            create_part(folder, kept_name, self._schema) as kept,
            create_part(folder, dropped_name, DROPPED) as dropped,
        ):
            for batch in read_unit(unit, located.location, report, self.recipe.input):
                rows_in += batch.num_rows
                batch, lost = run_stages(self._stages, batch, counts)
                if batch.num_rows:
                    batch = with_text_and_flags(batch.drop_columns(["html"]))
                    text_bytes += pc.sum(pc.binary_length(batch["text"])).as_py()
                    kept.write(batch)
                for rows in lost:
                    dropped.write(dropped_rows(rows, self.recipe.documents.dropped_text))
            for rows in _failed_rows(unit.input, report):
                dropped.write(rows)
        failed = Counter(f"failed.{failure.cause}" for failure in report.failures)
        reasons = sum((count.dropped for count in counts.values()), failed)
        check_conservation(kept_name, rows_in + len(report.failures), kept.rows, dropped.rows, reasons)
        counters = {
            "rows_in": rows_in + len(report.failures),
            "rows_kept": kept.rows,
            "dropped": dict(reasons),
            "stages": {name: count.as_dict() for name, count in counts.items()},
            "records": dict(report.records),
            "bytes": max(unit.bytes, 0),  # -1 where a server does not say
            "lost_bytes": report.lost_bytes,
            "text_bytes": text_bytes,
        }
        files = {kept_name: kept.rows, dropped_name: dropped.rows}
        return self.dataset.commit(part, files, counters, time.perf_counter() - started)


def build_stages(stages: Mapping[str, Any]) -> list[BuiltStage]:
    """Return the stages ready to run; models load here."""
    return [BuiltStage(name, stage.build(), stage.annotate) for name, stage in stages.items()]


def with_text_and_flags(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch with a text in every row, "" where a stage only flagged that there is none, and `flags`.

    `flags` is null where no annotating stage has run.
    """
    added = {"text": pc.fill_null(batch["text"], "")}
    if "flags" not in batch.schema.names:
        added["flags"] = pa.nulls(batch.num_rows, pa.list_(pa.string()))
    return with_columns(batch, added)


def check_conservation(name: str, rows_in: int, rows_kept: int, rows_dropped: int, reasons: Mapping[str, int]) -> None:
    """Raise ShardError when in = kept + dropped does not hold: our bug, never to be passed over."""
    if rows_in != rows_kept + rows_dropped or rows_dropped != sum(reasons.values()):
        raise ShardError(
            f"{name}: rows in must be rows kept plus dropped, got {rows_in} = {rows_kept} + {rows_dropped}"
            f" ({sum(reasons.values())} by reason). Report this as a bug."
        )


def dropped_rows(batch: pa.RecordBatch, keep_text: str) -> pa.RecordBatch:
    """Return rows of DROPPED from rows with the drop columns; `keep_text` is none, excerpt or full."""
    text = pa.nulls(batch.num_rows, pa.large_string())
    if keep_text != "none" and "text" in batch.schema.names:
        text = batch["text"]
        if keep_text == "excerpt":
            text = pc.utf8_slice_codeunits(text, 0, EXCERPT_CHARS)
    columns = {
        **{name: batch[name] for name in ("doc_id", "url", "input", "position")},
        "reason": batch["drop_reason"],
        "value": batch["drop_value"],
        "limit": batch["drop_limit"],
        "text": text,
    }
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=DROPPED)


def _failed_rows(input_name: str, report: ReadReport) -> Iterator[pa.RecordBatch]:
    """Yield a row of DROPPED for each place that could not be read; its value is the bytes lost there."""
    if not report.failures:
        return
    failures = report.failures
    nothing = np.full(len(failures), None)
    columns = [
        pa.array([doc_id(input_name, failure.position) for failure in failures], pa.binary()),
        pa.array(nothing, pa.string()),
        pa.array([input_name] * len(failures), pa.string()),
        pa.array([failure.position for failure in failures], pa.int64()),
        pa.array([f"failed.{failure.cause}" for failure in failures], pa.string()),
        pa.array([float(failure.lost_bytes) for failure in failures], pa.float64()),
        pa.array(nothing, pa.float64()),
        pa.array(nothing, pa.large_string()),
    ]
    yield pa.RecordBatch.from_arrays(columns, schema=DROPPED)
