"""crawl -> documents/, dropped/documents/: read each unit, drive its rows through the stages, account for each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dataproc.errors import InputError, ShardError
from dataproc.ids import doc_id
from dataproc.inputs import Unit, read_unit
from dataproc.raw import Failure, ReadReport
from dataproc.resources import Resources, most
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
        "input": recipe.input.model_dump(mode="json", exclude={"block_bytes"}),
        "libraries": library_versions("brotli", "zstandard"),
    }
    return run.dataset("documents", made_from, ["units"], run.num_parts)


def run_documents(run: Run, units: Sequence[Located]) -> None:
    """Fill documents/ and dropped/documents/; raises InputError when there was not one document to read."""
    dataset = declare_documents(run)
    run.fill(dataset, DocumentsTask(dataset, run.recipe), units, resources(run.recipe.documents.stages))
    failed = Counter[str]()
    for entry in dataset.entries():
        causes = {name: rows for name, rows in entry.counters["dropped"].items() if name.startswith("failed.")}
        if entry.counters["rows_in"] > sum(causes.values()):
            return
        failed.update(causes)
    told = ", ".join(f"{rows} x {name}" for name, rows in failed.most_common()) or "empty files"
    raise InputError(
        f"the input must hold a document, got none in {len(units)} units, the first of {units[0].location}: {told}."
        " Give files that are what their names say, and name their fields in input.columns."
    )


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
        failed = Counter[str]()
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
                if report.full:
                    dropped.write(_failed_rows(unit.input, report.take_failures(), failed))
            dropped.write(_failed_rows(unit.input, report.take_failures(), failed))
        reasons = sum((count.dropped for count in counts.values()), failed)
        rows_in += failed.total()
        check_conservation(kept_name, rows_in, kept.rows, dropped.rows, reasons)
        counters = {
            "rows_in": rows_in,
            "rows_kept": kept.rows,
            "dropped": dict(reasons),
            "stages": {name: count.as_dict() for name, count in counts.items()},
            "records": dict(report.records),
            "bytes": report.input_bytes,
            "lost_bytes": report.lost_bytes,
            "text_bytes": text_bytes,
        }
        files = {kept_name: kept.rows, dropped_name: dropped.rows}
        return self.dataset.commit(part, files, counters, time.perf_counter() - started)


def build_stages(stages: Mapping[str, Any]) -> list[BuiltStage]:
    """Return the stages ready to run; models load here."""
    return [BuiltStage(name, stage.build(), stage.annotate) for name, stage in stages.items()]


def resources(stages: Mapping[str, Any]) -> Resources:
    """Return what a unit needs that passes these stages."""
    return most(stage.contract().resources for stage in stages.values())


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


def _failed_rows(input_name: str, failures: Sequence[Failure], failed: Counter[str]) -> pa.RecordBatch:
    """Return a row of DROPPED for each place that could not be read, its value the bytes lost; count the reasons."""
    reasons = [f"failed.{failure.cause}" for failure in failures]
    failed.update(reasons)
    columns: dict[str, list[Any]] = {
        "doc_id": [doc_id(input_name, failure.position) for failure in failures],
        "input": [input_name] * len(failures),
        "position": [failure.position for failure in failures],
        "reason": reasons,
        "value": [float(failure.lost_bytes) for failure in failures],
    }
    nothing = [None] * len(failures)
    return pa.RecordBatch.from_pydict({name: columns.get(name, nothing) for name in DROPPED.names}, schema=DROPPED)
