"""What the steps that cut have in common: `lines`, then `substrings`. Each writes a sidecar of one form.

A step reads the texts as the one before it left them, and its sidecar holds all that is cut up to it: who needs the
final text reads the last one and no other.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.cuts import CUTS, add_cuts, apply_cuts, span_cuts
from dataproc.errors import ResumeError
from dataproc.exchange import Rows
from dataproc.schema import DROPPED
from dataproc.shards import Dataset, Entry, read_description
from dataproc.stage import with_columns
from dataproc.storage import Folder
from dataproc.tables import create_part, part_name, read_aligned
from jobs.documents import check_conservation, dropped_rows
from jobs.recipe import Recipe
from jobs.run import Run
from stages.cut_limits import CutLimits, over_limits

CUTTING = ("lines", "substrings")
"""In the order in which they act."""

SIDECAR = pa.schema(
    [
        ("doc_id", pa.binary()),
        ("cuts", CUTS),  # of all steps up to this one; null for documents that an earlier step dropped
        ("num_cut", pa.int64()),  # lines or spans that this step found, null likewise
        ("cut_chars", pa.float64()),  # share of the characters it was given that they hold
        ("cut_reason", pa.string()),  # "step.rule" for the documents that it drops
    ]
)


class Found(NamedTuple):
    """What a step finds in N documents of a batch: spans of `text`, and how many things they are in each."""

    spans: Any  # kernels.cuts.Cuts
    num_cut: npt.NDArray[np.int64]


def last_cuts(recipe: Recipe, before: str | None = None) -> list[str]:
    """Return the name of the last sidecar with cuts (before a step), in a list that is empty when there is none."""
    names = CUTTING[: CUTTING.index(before)] if before else CUTTING
    return [name for name in names if getattr(recipe, name) is not None][-1:]


def is_left(batch: pa.RecordBatch) -> pa.Array:
    """Return a mask of the documents that neither dedup nor a step that cuts dropped."""
    left = pc.is_null(batch["duplicate_of"])
    if "cuts" in batch.schema.names:
        left = pc.and_(left, pc.and_(pc.is_valid(batch["cuts"]), pc.is_null(batch["cut_reason"])))
    return left


def without_cuts(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch with its column `cuts`, if it has one, applied to `text`."""
    if "cuts" not in batch.schema.names:
        return batch
    return with_columns(batch, {"text": apply_cuts(batch["text"], batch["cuts"])})


def check_absent(run: Run, step: str) -> None:
    """Raise ResumeError when the folder holds what a step wrote that the recipe does not ask for any more."""
    if read_description(run.folder, step) is not None:
        raise ResumeError(
            f"{run.folder.url}: {step} must be made as before to be resumed, got a recipe without {step}."
            f" Undo the change, choose another OUT, or rebuild with --redo {step}."
        )


def text_left(run: Run, step: str) -> tuple[int, int]:
    """Return how many documents are left before a step, and about how many bytes of text they have."""
    left = _total(run, (last_cuts(run.recipe, step) or ["dedup"])[0], "rows_kept")
    return left, _total(run, "documents", "text_bytes") * left // max(1, _total(run, "documents", "rows_kept"))


def _total(run: Run, dataset: str, counter: str) -> int:
    return sum(entry.counters[counter] for entry in Dataset(run.folder, dataset, {}, run.num_parts).entries())


@dataclass(frozen=True)
class DocumentReader:
    """Reads documents as they are before a step: `text` without earlier cuts, `is_left` false for the dropped ones."""

    folder: Folder
    step: str
    earlier: tuple[str, ...]
    """The sidecar with the cuts so far; none for the first step that cuts."""

    def read(self, part: int, columns: Sequence[str]) -> Rows:
        """Yield the documents of a part with doc_id, text, `columns`, earlier `cuts` if any, and `is_left`."""
        documents = list(dict.fromkeys(["doc_id", "text", *columns]))
        datasets = {"documents": documents, "dedup": ["duplicate_of"]}
        datasets |= {name: ["cuts", "cut_reason"] for name in self.earlier}
        for batch in read_aligned(self.folder, part, datasets, batch_rows=512):
            yield with_columns(without_cuts(batch), {"is_left": is_left(batch)})


@dataclass(frozen=True)
class CutSink:
    """Writes the sidecar of a step that cuts and its dropped/ rows, of one part."""

    dataset: Dataset
    recipe: Recipe
    limits: CutLimits
    reader: DocumentReader
    columns: tuple[str, ...]
    """What `finder` needs of documents/."""
    finder: Callable[[int, Rows], Callable[[pa.RecordBatch], Found]]
    """Takes a part and the rows that the exchange brought; returns what finds the spans of its batches."""
    cutting: bool = True
    """Whether spans are cut, or only counted."""

    def __call__(self, part: int, rows: Rows) -> Entry:
        """Write one part and return its entry."""
        started = time.perf_counter()
        folder, keep_text, step = self.dataset.folder, self.recipe.documents.dropped_text, self.reader.step
        find = self.finder(part, rows)
        name, dropped_name = part_name(step, part), part_name(f"dropped/{step}", part)
        counts, reasons = Counter[str](), Counter[str]()
        with create_part(folder, name, SIDECAR) as out, create_part(folder, dropped_name, DROPPED) as dropped:
            for batch in self.reader.read(part, ["url", "input", "position", *self.columns]):
                sidecar, marks = self._judge(batch, find(batch), counts)
                out.write(sidecar)
                lost = with_columns(batch, marks).filter(pc.is_valid(marks["drop_reason"]))
                dropped.write(dropped_rows(lost, keep_text))
                reasons.update(lost["drop_reason"].to_pylist())
        kept = counts["rows_in"] - dropped.rows
        check_conservation(name, counts["rows_in"], kept, dropped.rows, reasons)
        counters = {"rows_kept": kept, "dropped": dict(reasons), **counts}
        files = {name: out.rows, dropped_name: dropped.rows}
        return self.dataset.commit(part, files, counters, time.perf_counter() - started)

    def _judge(
        self, batch: pa.RecordBatch, found: Found, counts: Counter[str]
    ) -> tuple[pa.RecordBatch, dict[str, pa.Array]]:
        """Return rows of SIDECAR and the columns of dropped/, and add to the counters."""
        from dataproc.kernels.cuts import cut_chars

        left, text, spans = batch["is_left"], batch["text"], found.spans
        chars = pc.fill_null(pc.utf8_length(text), 0).to_numpy().astype(np.int64)
        cut = cut_chars(text, spans)
        rule, value, limit = over_limits(self.limits, cut, chars)
        reason = pc.binary_join_element_wise(self.reader.step, rule, ".").cast(pa.string())
        cuts = span_cuts(spans.starts, spans.ends, spans.offsets)
        if not self.cutting:
            cuts = span_cuts(spans.starts[:0], spans.ends[:0], np.zeros_like(spans.offsets))
        if "cuts" in batch.schema.names:
            cuts = add_cuts(batch["cuts"], cuts)
        columns = [
            pc.if_else(left, column, pa.scalar(None, column.type))
            for column in (cuts, pa.array(found.num_cut), pa.array(cut / np.maximum(chars, 1)), reason)
        ]
        counts["rows_in"] += int(pc.sum(left).as_py() or 0)
        counts["bytes"] += int(pc.sum(pc.binary_length(text.filter(left))).as_py() or 0)
        if self.cutting:
            counts["num_cut"] += int(found.num_cut.sum())
            counts["cut_bytes"] += int((spans.ends - spans.starts).sum())
        marks = {"drop_reason": columns[-1], "drop_value": value, "drop_limit": limit}
        return pa.RecordBatch.from_arrays([batch["doc_id"], *columns], schema=SIDECAR), marks
