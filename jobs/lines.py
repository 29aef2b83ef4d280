"""documents/, dedup/ -> lines/ and dropped/lines/: the cuts of frequent lines, as a sidecar, and who loses too much.

    lines/frequent      exchange 1: (line, part, count) to the line's partition; rows of frequent lines stay
    lines               exchange 2: these rows back to their parts, where the lines are found again and cut

Only hashes and counts travel, a row for each different line of a batch; neither texts nor places do.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.cuts import CUTS
from dataproc.errors import ResumeError
from dataproc.exchange import Exchange, Rows
from dataproc.ids import file_hash
from dataproc.kernels.char_classes import TABLE
from dataproc.schema import DROPPED
from dataproc.shards import Dataset, Entry, library_versions, read_description
from dataproc.stage import with_columns
from dataproc.storage import Folder
from dataproc.tables import create_part, part_name, read_aligned, read_part
from jobs.documents import check_conservation, dropped_rows
from jobs.recipe import Recipe
from jobs.run import PartSink, Run
from stages.flagged import covers
from stages.line_dedup import COUNTED, FREQUENT, FrequentLines, LineDedup, line_seeds

RULE = "lines.max_cut_chars"

SIDECAR = pa.schema(
    [
        ("doc_id", pa.binary()),
        ("cuts", CUTS),  # null for documents that dedup dropped
        ("lines_cut", pa.int64()),
        ("cut_chars", pa.float64()),  # share of the characters of the text that the cuts take
        ("lines_reason", pa.string()),  # lines.max_cut_chars where that is too much
    ]
)


def declare_lines(run: Run) -> Dataset | None:
    """Return the dataset lines/, None when the recipe has no line dedup.

    Raises ResumeError when the folder holds one made from something else, or one that the recipe does not ask for.
    """
    config = run.recipe.lines
    if config is not None:
        return _dataset(run, config, "lines", ["documents", "dedup"], run.num_parts)
    if read_description(run.folder, "lines") is not None:
        raise ResumeError(
            f"{run.folder.url}: lines must be made as before to be resumed, got a recipe without lines."
            " Undo the change, choose another OUT, or rebuild with --redo lines."
        )
    return None


def _dataset(run: Run, config: LineDedup, name: str, reads: list[str], parts: int) -> Dataset:
    made_from = {
        "version": 1,
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
    documents, text = (
        sum(entry.counters[counter] for entry in Dataset(run.folder, name, {}, run.num_parts).entries())
        for name, counter in (("dedup", "rows_kept"), ("documents", "text_bytes"))
    )
    partitions = 1 + text // run.recipe.dedup.partition_bytes
    reader = LineReader(run.folder, config, max(1, -(-documents // config.bucket_docs)), run.recipe.seed)
    frequent = _dataset(run, config, "lines/frequent", ["documents", "dedup"], partitions)
    run.regroup(
        frequent,
        Exchange(
            name=frequent.name,
            source=_CountedLines(reader, partitions),
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
            sink=CutsSink(final, run.recipe, reader),
        ),
        range(partitions),
    )


@dataclass(frozen=True)
class LineReader:
    """Finds the lines that take part: of documents that dedup kept, and that the config does not spare."""

    folder: Folder
    config: LineDedup
    num_buckets: int
    seed: int

    def documents(self, part: int, columns: list[str]) -> Rows:
        """Yield the documents of a part with what `lines` needs and `columns`, and dedup's `duplicate_of`."""
        needed = ["doc_id", "text", "flags", *(["language"] if self.config.by_language else []), *columns]
        datasets = {"documents": list(dict.fromkeys(needed)), "dedup": ["duplicate_of"]}
        return read_aligned(self.folder, part, datasets, batch_rows=512)

    def lines(self, batch: pa.RecordBatch) -> tuple[Any, npt.NDArray[np.bool_]]:
        """Return the lines (`line_keys.LineKeys`) of a batch and a mask of those that are counted."""
        from dataproc.kernels.line_keys import line_keys

        languages = batch["language"].to_pylist() if self.config.by_language else [None] * batch.num_rows
        seeds = line_seeds(batch["doc_id"].to_pylist(), languages, self.num_buckets, self.seed, self.config.by_language)
        lines = line_keys(batch["text"], seeds)
        takes_part = pc.is_null(batch["duplicate_of"]).to_numpy(zero_copy_only=False) & ~self._spared(batch["flags"])
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

    reader: LineReader
    partitions: int

    def __call__(self, part: int) -> Rows:
        """Yield the rows of one part."""
        for batch in self.reader.documents(part, []):
            lines, counted = self.reader.lines(batch)
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


@dataclass(frozen=True)
class CutsSink:
    """Writes lines/ and dropped/lines/ of one part: finds its frequent lines again and cuts them."""

    dataset: Dataset
    recipe: Recipe
    reader: LineReader

    def __call__(self, part: int, rows: Rows) -> Entry:
        """Write one part and return its entry."""
        started = time.perf_counter()
        folder, keep_text = self.dataset.folder, self.recipe.documents.dropped_text
        frequent = _Frequent(rows)
        name, dropped_name = part_name("lines", part), part_name("dropped/lines", part)
        counts: Counter[str] = Counter()
        with create_part(folder, name, SIDECAR) as out, create_part(folder, dropped_name, DROPPED) as dropped:
            for batch in self.reader.documents(part, ["url", "input", "position"]):
                sidecar, sums = self._cut(batch, frequent)
                out.write(sidecar)
                counts.update(sums)
                limit = pa.scalar(self.reader.config.max_cut_chars, pa.float64())
                marks = {"drop_reason": sidecar["lines_reason"], "drop_value": sidecar["cut_chars"]}
                lost = with_columns(batch, {**marks, "drop_limit": pa.repeat(limit, batch.num_rows)})
                dropped.write(dropped_rows(lost.filter(pc.is_valid(sidecar["lines_reason"])), keep_text))
        reasons = {RULE: dropped.rows} if dropped.rows else {}
        kept = counts["rows_in"] - dropped.rows
        check_conservation(name, counts["rows_in"], kept, dropped.rows, reasons)
        counters = {"rows_kept": kept, "dropped": reasons, **counts}
        return self.dataset.commit(
            part, {name: out.rows, dropped_name: dropped.rows}, counters, time.perf_counter() - started
        )

    def _cut(self, batch: pa.RecordBatch, frequent: _Frequent) -> tuple[pa.RecordBatch, dict[str, int]]:
        """Return rows of SIDECAR, and what they add to the counters."""
        from dataproc.kernels.line_keys import cut_spans

        lines, counted = self.reader.lines(batch)
        cut = frequent.cut(lines.keys, counted)
        spans = cut_spans(batch["text"], lines, cut)
        share = spans.chars / np.maximum(pc.fill_null(pc.utf8_length(batch["text"]), 0).to_numpy(), 1)
        lines_cut = np.diff(np.concatenate([[0], np.cumsum(cut)])[lines.offsets])
        limit = self.reader.config.max_cut_chars
        too_much = np.zeros(batch.num_rows, bool) if limit is None else share > limit
        is_duplicate = pc.is_valid(batch["duplicate_of"])
        put = pa.array([""], pa.string()).take(pa.array(np.zeros(len(spans.starts), np.int64)))
        cuts = pa.ListArray.from_arrays(
            pa.array(spans.offsets.astype(np.int32)),
            pa.StructArray.from_arrays(
                [pa.array(spans.starts), pa.array(spans.ends), put], fields=list(CUTS.value_type)
            ),
        )
        null = [pc.if_else(is_duplicate, None, column) for column in (pa.array(lines_cut), pa.array(share))]
        columns = [
            batch["doc_id"],
            pc.if_else(is_duplicate, pa.scalar(None, CUTS), cuts.cast(CUTS)),
            *null,
            pc.if_else(pa.array(too_much), RULE, pa.scalar(None, pa.string())),
        ]
        sums = {
            "rows_in": batch.num_rows - pc.sum(is_duplicate).as_py(),
            "lines_counted": int(counted.sum()),
            "lines_cut": int(cut.sum()),
            "cut_bytes": int((spans.ends - spans.starts).sum()),
            "bytes": int(pc.sum(pc.binary_length(batch["text"].filter(pc.invert(is_duplicate)))).as_py() or 0),
        }
        return pa.RecordBatch.from_arrays(columns, schema=SIDECAR), sums


class _Frequent:
    """The frequent lines of a part; says of each line of the part, asked in order, whether it is cut."""

    def __init__(self, rows: Rows) -> None:
        table = pa.Table.from_batches((batch.select(["key", "keep"]) for batch in rows), schema=_KEPT)
        keys = table["key"].to_numpy().view(np.uint64)
        self._keys, owner = np.unique(keys, return_inverse=True)
        self._left = np.zeros(len(self._keys), np.int64)  # copies that still stay
        np.add.at(self._left, owner, table["keep"].to_numpy())

    def cut(self, keys: npt.NDArray[np.uint64], counted: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
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
