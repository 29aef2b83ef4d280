"""Lines that come back: counted in buckets of documents, and cut where they are frequent.

Menus, cookie notices and licence lines survive document deduplication, since each page has other text around them.
Counting in buckets of bounded size keeps what is merely common in the language: Llama 3 found strong gains with lines
seen more than 6 times in 30 million documents, where removing all copies but one in the whole crawl made FineWeb worse.

Source: Grattafiori et al. 2024, https://arxiv.org/abs/2407.21783, section 3.1.1; normalisation of
`dataproc.kernels.line_keys`. Not published there, so ours: that all copies go, and the share of a document that may.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash
from pydantic import Field

from dataproc.exchange import Rows
from dataproc.ids import hash64_each
from stages.clusters import group_starts
from stages.cut_limits import CutLimits

COUNTED = pa.schema([("partition", pa.int32()), ("key", pa.int64()), ("part", pa.int64()), ("count", pa.int64())])
"""How often a line occurs in a batch of a part; `key` is its hash, under the seed of bucket and language."""

FREQUENT = pa.schema([("key", pa.int64()), ("part", pa.int64()), ("keep", pa.int64())])
"""A line that is cut in a part, but for its first `keep` copies there (the sum of its rows)."""


class LineDedup(CutLimits):
    """Cut the lines that occur often among the documents of a bucket; documents/ keeps its text."""

    max_count: int = Field(6, ge=1)
    """Most copies of a line in a bucket; a line with more is cut."""
    bucket_docs: int = Field(30_000_000, ge=1)
    """Documents of a bucket, about; with N documents left there are ceil(N / this), chosen by hash of doc_id."""
    keep: int = Field(0, ge=0)
    """Copies of such a line that stay, the first in the order of the crawl; 0 cuts all."""
    by_language: bool = False
    """Count lines of each language apart."""
    min_chars: int = Field(1, ge=1)
    """Least characters of a line, normalised, to be counted and cut: 1 leaves out lines without letters and digits."""
    cut_indented: bool = True
    """Count and cut lines that begin with a tab or four spaces; false spares blocks of code."""
    spare_flagged: tuple[str, ...] = ()
    """Reasons ("stage.rule", or "stage.*") of annotating stages whose documents are neither counted nor cut."""


def line_seeds(
    ids: Sequence[bytes], languages: Sequence[str | None], num_buckets: int, seed: int, by_language: bool
) -> npt.NDArray[np.uint64]:
    """Return the seed of the line hashes of each document, uint64: equal in one bucket (and language), else not.

    The bucket is xxh3_64(seed as int64, doc_id), unsigned, modulo `num_buckets`; the seed is xxh3_64 of the bucket as
    int64 and, if languages are apart, of the language's name. Example: with one bucket all documents have one seed.
    """
    buckets = (hash64_each(ids, seed) % np.uint64(num_buckets)).tolist()
    groups = [
        struct.pack("<q", bucket) + (language or "").encode() * by_language
        for bucket, language in zip(buckets, languages, strict=True)
    ]
    known = {group: xxhash.xxh3_64_intdigest(group) for group in set(groups)}
    return np.array([known[group] for group in groups], dtype=np.uint64)


class FrequentLines:
    """Reducer of COUNTED, sorted by (key, part, count), to FREQUENT: the rows of lines with more than `max_count`.

    A line's rows are at most one for each batch of the run's documents; those of one line are held at a time.
    Example: counts 4 in part 0 and 3 in part 1, max_count 6, keep 5 -> keep 4 in part 0, 1 in part 1.
    """

    def __init__(self, max_count: int, keep: int) -> None:
        self._max_count = max_count
        self._keep = keep

    def __call__(self, rows: Rows) -> Rows:
        """Yield FREQUENT."""
        for batch in _whole_groups(rows):
            starts = group_starts(batch, ["key"])
            first = np.flatnonzero(starts)
            group = np.cumsum(starts) - 1
            count = batch["count"].to_numpy()
            frequent = (np.add.reduceat(count, first) > self._max_count)[group]
            total = np.cumsum(count)
            before = total - count - (total - count)[first][group]  # copies of the line in earlier rows
            keep = np.clip(self._keep - before, 0, count)
            columns = [batch["key"], batch["part"], pa.array(keep)]
            yield pa.RecordBatch.from_arrays(columns, schema=FREQUENT).filter(pa.array(frequent))


def _whole_groups(rows: Rows) -> Iterator[pa.RecordBatch]:
    """Yield the rows in batches at whose ends keys end."""
    held: list[pa.RecordBatch] = []
    for batch in rows:
        if not batch.num_rows:
            continue
        last = int(np.searchsorted(batch["key"].to_numpy(), batch["key"][-1].as_py()))  # where the last key starts
        if last == 0 and held and held[-1]["key"][-1] != batch["key"][0]:
            yield pa.concat_batches(held)
            held = []
        if last > 0:
            yield pa.concat_batches([*held, batch.slice(0, last)])
            held = []
        held.append(batch.slice(last))
    if held:
        yield pa.concat_batches(held)
