"""documents/, dedup/, lines/ -> substrings/ and dropped/substrings/: the cuts of what repeats, and who loses too much.

    substrings/spans    exchange 1: texts to their partition, where a suffix array finds what repeats in it
    substrings          exchange 2: the spans back to the parts of their documents

This is the one exchange by which texts travel, and the one whose partitions decide its result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.exchange import Exchange, Rows
from dataproc.ids import file_hash
from dataproc.kernels.char_classes import TABLE
from dataproc.shards import Dataset, library_versions
from dataproc.stage import with_columns
from dataproc.storage import Folder
from dataproc.tables import read_part
from jobs.cuts import CutSink, DocumentReader, Found, check_absent, last_cuts, text_left
from jobs.run import PartSink, Run
from stages.substring_dedup import SPANS, TEXTS, RepeatedSpans, SubstringDedup, partition_ids

SLICE_BYTES = 16 << 20
"""Text of a batch that is sent, about."""


def declare_substrings(run: Run) -> Dataset | None:
    """Return the dataset substrings/, None when the recipe has no substring dedup.

    Raises ResumeError when the folder holds one made from something else, or one that the recipe does not ask for.
    """
    if run.recipe.substrings is None:
        check_absent(run, "substrings")
        return None
    return _dataset(run, run.recipe.substrings, "substrings", run.num_parts)


def _dataset(run: Run, config: SubstringDedup, name: str, parts: int) -> Dataset:
    made_from = {
        "version": 1,
        "substrings": config.model_dump(mode="json"),
        "seed": run.recipe.seed,
        "dropped_text": run.recipe.documents.dropped_text,
        "assets": {"char_classes": file_hash(TABLE)},
        "libraries": library_versions("numba", "pydivsufsort"),
    }
    return run.dataset(name, made_from, ["documents", "dedup", *last_cuts(run.recipe, "substrings")], parts)


def run_substrings(run: Run) -> None:
    """Fill substrings/ and dropped/substrings/, when the recipe has substring dedup."""
    config, final = run.recipe.substrings, declare_substrings(run)
    if config is None or final is None or final.complete():
        return
    _, text_bytes = text_left(run, "substrings")
    partitions = 1 + text_bytes // config.partition_bytes
    reader = DocumentReader(run.folder, "substrings", tuple(last_cuts(run.recipe, "substrings")))
    spans = _dataset(run, config, "substrings/spans", partitions)
    run.regroup(
        spans,
        Exchange(
            name=spans.name,
            source=_Texts(reader, partitions, run.recipe.seed),
            schema=TEXTS,
            partition="partition",
            sort_by=("num_flags", "doc_id"),
            num_partitions=partitions,
            reduce_fn=RepeatedSpans(config),
            sink=PartSink(spans, SPANS),
        ),
        range(run.num_parts),
    )
    run.regroup(
        final,
        Exchange(
            name=final.name,
            source=_ByPart(run.folder, spans.name),
            schema=pa.schema([("partition", pa.int32()), *SPANS]),
            partition="partition",
            sort_by=("place", "start"),
            num_partitions=run.num_parts,
            reduce_fn=iter,
            sink=CutSink(final, run.recipe, config, reader, (), SpanFinder, config.action == "cut"),
        ),
        range(partitions),
    )


@dataclass(frozen=True)
class _Texts:
    """The documents of a part that are left, each with its partition."""

    reader: DocumentReader
    partitions: int
    seed: int

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        row = 0
        for batch in self.reader.read(part, ["flags"]):
            place = (part << 32) + np.arange(row, row + batch.num_rows, dtype=np.int64)
            row += batch.num_rows
            num_flags = pc.fill_null(pc.list_value_length(batch["flags"]), 0).cast(pa.int64())
            added = {"place": place, "num_flags": num_flags}
            left = with_columns(batch, added).filter(pc.and_(batch["is_left"], pc.is_valid(batch["text"])))
            yield from self._sent(left)

    def _sent(self, batch: pa.RecordBatch) -> Rows:
        """Yield a batch in slices that hold so little text that the offsets of a string column can count it."""
        ends = np.cumsum(pc.binary_length(batch["text"]).to_numpy())
        cuts = np.flatnonzero(np.diff(ends // SLICE_BYTES)) + 1
        for rows in np.split(np.arange(batch.num_rows), cuts):
            some = batch.slice(int(rows[0]), len(rows)) if len(rows) else batch
            partition = partition_ids(some["doc_id"].to_pylist(), self.partitions, self.seed)
            added = {"partition": partition, "text": some["text"].cast(pa.string())}
            yield with_columns(some, added).select(TEXTS.names)


@dataclass(frozen=True)
class _ByPart:
    """The spans, spread to the parts of their documents."""

    folder: Folder
    dataset: str

    def __call__(self, partition: int) -> Rows:
        """Yield the rows of one partition."""
        for batch in read_part(self.folder, self.dataset, partition):
            yield with_columns(batch, {"partition": pc.shift_right(batch["place"], 32).cast(pa.int32())})


class SpanFinder:
    """Hands out the spans of a part, asked for its batches in order."""

    def __init__(self, part: int, rows: Rows) -> None:
        table = pa.Table.from_batches(rows, schema=pa.schema([("partition", pa.int32()), *SPANS]))
        self._place, self._start, self._end = (table[name].to_numpy() for name in SPANS.names)
        self._next = part << 32

    def __call__(self, batch: pa.RecordBatch) -> Found:
        """Return the spans of the documents of a batch, and how many these are."""
        from dataproc.kernels.cuts import Cuts

        places = np.arange(self._next, self._next + batch.num_rows + 1)
        self._next += batch.num_rows
        bounds = np.searchsorted(self._place, places)
        here = slice(bounds[0], bounds[-1])
        return Found(Cuts(self._start[here], self._end[here], bounds - bounds[0]), np.diff(bounds))
