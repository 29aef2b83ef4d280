"""documents/, dedup/ -> lines/ and dropped/lines/: the cuts of frequent lines, as a sidecar, and who loses too much.

    lines/frequent      exchange 1: (line, part, count) to the line's partition; rows of frequent lines stay
    lines               exchange 2: these rows back to their parts, where the lines are found again and cut

Only hashes and counts travel, a row for each different line of a batch; neither texts nor places do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.exchange import Exchange, Rows
from dataproc.ids import file_hash
from dataproc.kernels.char_classes import TABLE
from dataproc.shards import Dataset, library_versions
from dataproc.stage import with_columns
from dataproc.storage import Folder
from dataproc.tables import read_part
from jobs.cuts import CutSink, DocumentReader, Found, check_absent, text_left
from jobs.run import PartSink, Run, num_partitions
from stages.flagged import covers
from stages.line_dedup import COUNTED, FREQUENT, FrequentLines, LineDedup, line_seeds


def declare_lines(run: Run) -> Dataset | None:
    """Return the dataset lines/, None when the recipe has no line dedup.

    Raises ResumeError when the folder holds one made from something else, or one that the recipe does not ask for.
    """
    if run.recipe.lines is None:
        check_absent(run, "lines")
        return None
    return _dataset(run, run.recipe.lines, "lines", ["documents", "dedup"], run.num_parts)


def _dataset(run: Run, config: LineDedup, name: str, reads: list[str], parts: int) -> Dataset:
    made_from = {
        "version": 2,
        "partitions": parts,
        "lines": config.model_dump(mode="json"),
        "seed": run.recipe.seed,
        "dropped_text": run.recipe.documents.dropped_text,
        "assets": {"char_classes": file_hash(TABLE)},
        "libraries": library_versions("numba"),
    }
    return run.dataset(name, made_from, reads, parts)


def run_lines(run: Run) -> None:
    """Fill lines/ and dropped/lines/, when the recipe has line dedup."""
    config, final = run.recipe.lines, declare_lines(run)
    if config is None or final is None or final.complete():
        return
    documents, text_bytes = text_left(run, "lines")
    partitions = num_partitions(text_bytes, run.recipe.dedup.partition_bytes)
    reader = DocumentReader(run.folder, "lines", ())
    counter = LineCounter(config, max(1, -(-documents // config.bucket_docs)), run.recipe.seed)
    frequent = _dataset(run, config, "lines/frequent", ["documents", "dedup"], partitions)
    run.regroup(
        frequent,
        Exchange(
            name=frequent.name,
            source=_CountedLines(reader, counter, partitions),
            schema=COUNTED,
            partition="partition",
            sort_by=("key", "part", "count"),
            num_partitions=partitions,
            reduce_fn=FrequentLines(config.max_count, config.keep),
            sink=PartSink(frequent, FREQUENT),
        ),
        range(run.num_parts),
    )
    schema = pa.schema([("partition", pa.int32()), *FREQUENT])
    run.regroup(
        final,
        Exchange(
            name=final.name,
            source=_ByPart(run.folder, frequent.name),
            schema=schema,
            partition="partition",
            sort_by=("key", "keep"),
            num_partitions=run.num_parts,
            reduce_fn=iter,
            sink=CutSink(final, run.recipe, config, reader, counter.columns, partial(FrequentFinder, counter)),
        ),
        range(partitions),
    )


@dataclass(frozen=True)
class LineCounter:
    """Finds the lines that take part: of documents that dedup kept, and that the config does not spare."""

    config: LineDedup
    num_buckets: int
    seed: int

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns of documents/ that `lines` needs."""
        return ("flags", "language") if self.config.by_language else ("flags",)

    def lines(self, batch: pa.RecordBatch) -> tuple[Any, npt.NDArray[np.bool_]]:
        """Return the lines (`line_keys.LineKeys`) of a batch and a mask of those that are counted."""
        from dataproc.kernels.line_keys import line_keys

        languages = batch["language"].to_pylist() if self.config.by_language else [None] * batch.num_rows
        seeds = line_seeds(batch["doc_id"].to_pylist(), languages, self.num_buckets, self.seed, self.config.by_language)
        lines = line_keys(batch["text"], seeds)
        takes_part = batch["is_left"].to_numpy(zero_copy_only=False) & ~self._spared(batch["flags"])
        counted = np.repeat(takes_part, np.diff(lines.offsets)) & (lines.chars >= self.config.min_chars)
        if not self.config.cut_indented:
            counted &= ~lines.indented
        return lines, counted

    def _spared(self, flags: pa.Array) -> npt.NDArray[np.bool_]:
        reasons = self.config.spare_flagged
        if not reasons:
            return np.zeros(len(flags), bool)
        rows = (row or [] for row in flags.to_pylist())
        return np.array([any(covers(reason, flag) for reason in reasons for flag in row) for row in rows], bool)


@dataclass(frozen=True)
class _CountedLines:
    """How often each line occurs in each batch of a part."""

    reader: DocumentReader
    counter: LineCounter
    partitions: int

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        for batch in self.reader.read(part, self.counter.columns):
            lines, counted = self.counter.lines(batch)
            keys, counts = np.unique(lines.keys[counted], return_counts=True)
            columns = [
                pa.array((keys % np.uint64(self.partitions)).astype(np.int32)),
                pa.array(keys.view(np.int64)),
                pa.array(np.full(len(keys), part, np.int64)),
                pa.array(counts.astype(np.int64)),
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=COUNTED)


@dataclass(frozen=True)
class _ByPart:
    """The frequent lines, spread to the parts in which they occur."""

    folder: Folder
    dataset: str

    def __call__(self, partition: int) -> Rows:
        """Yield the rows of one partition."""
        for batch in read_part(self.folder, self.dataset, partition):
            yield with_columns(batch, {"partition": batch["part"].cast(pa.int32())})


class FrequentFinder:
    """Finds the frequent lines of a part, asked for its batches in order."""

    def __init__(self, counter: LineCounter, _part: int, rows: Rows) -> None:
        self._counter = counter
        table = pa.Table.from_batches((batch.select(["key", "keep"]) for batch in rows), schema=_KEPT)
        keys = table["key"].to_numpy().view(np.uint64)
        self._keys, owner = np.unique(keys, return_inverse=True)
        self._left = np.zeros(len(self._keys), np.int64)  # copies that still stay
        np.add.at(self._left, owner, table["keep"].to_numpy())

    def __call__(self, batch: pa.RecordBatch) -> Found:
        """Return the spans of the lines to cut, and how many lines these are."""
        from dataproc.kernels.line_keys import cut_spans

        lines, counted = self._counter.lines(batch)
        cut = self._cut(lines.keys, counted)
        num_cut = np.diff(np.concatenate([[0], np.cumsum(cut)])[lines.offsets])
        return Found(cut_spans(batch["text"], lines, cut), num_cut)

    def _cut(self, keys: npt.NDArray[np.uint64], counted: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return a mask of the lines to cut."""
        at = np.searchsorted(self._keys, keys)
        cut = counted & (at < len(self._keys))
        cut[cut] = self._keys[at[cut]] == keys[cut]
        if self._left.any():
            rows = np.flatnonzero(cut)
            order = np.argsort(at[rows], kind="stable")
            line = at[rows][order]
            opens = np.flatnonzero(np.diff(line, prepend=-1))
            rank = np.arange(len(line)) - np.repeat(opens, np.diff([*opens, len(line)]))  # the copy's number here
            cut[rows[order[rank < self._left[line]]]] = False
            self._left = np.maximum(self._left - np.bincount(line, minlength=len(self._left)), 0)
        return cut


_KEPT = pa.schema([FREQUENT.field("key"), FREQUENT.field("keep")])
