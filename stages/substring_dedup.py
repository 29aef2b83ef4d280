"""Spans of text that occur elsewhere, in the same document or in another of its partition: exact substring dedup.

Suffix arrays find any repeated stretch of bytes, wherever lines and documents begin: quotations, licences, boilerplate
inside paragraphs. They need memory for a whole partition at once, so documents go to partitions by hash, and **what is
found depends on their number**: of copies that lie in different partitions nothing is known. A stretch with c copies
in p partitions keeps about min(c, p) of them; OLMo 3 has 56 partitions. Few and large ones find more.

With `keep: one` a byte goes if it lies in a window of `min_bytes` bytes that occurs earlier: earlier in the document,
or in a document with fewer flags of annotating stages, then less doc_id. With `keep: none` every copy goes. Spans are
found before any document is dropped, here or later: the one copy of a stretch can lie in a document that goes.

Source: Lee et al. 2022, https://arxiv.org/abs/2107.06499, section 4.1: all copies, 50 tokens, as RefinedWeb has it
too (Penedo et al. 2023, appendix G.3: fewer than 20 characters left drop the document); OLMo 3 (allenai/dolma3): one
copy stays, 500 bytes, spans merged where 95% of the whole repeats. Ours: edges at words, white space at the seams.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

from dataproc.exchange import Rows
from dataproc.ids import hash64_each
from dataproc.kernels.buffers import text_buffers
from stages.cut_limits import CutLimits

TEXTS = pa.schema(
    [
        ("partition", pa.int32()),
        ("num_flags", pa.int64()),
        ("doc_id", pa.binary()),
        ("place", pa.int64()),  # part << 32 | row
        ("text", pa.string()),
    ]
)
"""A document on its way to its partition, its text without what was cut before."""

SPANS = pa.schema([("place", pa.int64()), ("start", pa.int64()), ("end", pa.int64())])
"""A span to cut of the document at `place`, in UTF-8 bytes of the text that was sent."""


class SubstringDedup(CutLimits):
    """Cut what occurs elsewhere in the partition, or drop the documents with much of it; documents/ keeps its text."""

    min_bytes: int = Field(500, ge=16)
    """Fewest bytes of a stretch that counts, in UTF-8: 50 tokens of English are about 200."""
    keep: Literal["one", "none"] = "one"
    """Whether the first copy stays, or none does."""
    action: Literal["cut", "drop"] = "cut"
    """Whether spans are cut, or only count for the limits, so that texts stay whole or go."""
    edges: Literal["words", "lines"] = "words"
    """What a cut does not part: words, or whole lines, so that no sentence is left in pieces and less is cut."""
    merge_share: float = Field(1.0, gt=0, le=1)
    """Neighbouring spans are cut together with what lies between where at least this share of the whole repeats; 1 is
    never."""
    partition_bytes: int = Field(128 << 20, gt=0)
    """Text of a partition, about, of which a worker needs ten times the memory; decides how many partitions there are,
    and so what is found."""
    max_cut_chars: float | None = Field(None, ge=0, le=1)
    """Greatest share of its characters that may repeat before a document is dropped; null drops none."""
    min_left_chars: int = Field(20, ge=1)
    """Fewest characters that must be left of a document that repeats others."""

    @model_validator(mode="after")
    def _check(self) -> SubstringDedup:
        if self.action == "drop" and self.max_cut_chars is None:
            raise ValueError("action drop must have a limit, got max_cut_chars null. Set it: RefinedWeb tried 0.2.")
        return self


def partition_ids(ids: Sequence[bytes], partitions: int, seed: int) -> npt.NDArray[np.int32]:
    """Return the partition of each document: xxh3_64(seed as int64, doc_id), unsigned, modulo their number."""
    return (hash64_each(ids, seed) % np.uint64(partitions)).astype(np.int32)


class RepeatedSpans:
    """Reducer of TEXTS, sorted by (num_flags, doc_id), to SPANS; holds a partition's texts, and nine times as much."""

    def __init__(self, config: SubstringDedup) -> None:
        self._config = config

    def __call__(self, rows: Rows) -> Rows:
        """Yield SPANS, those of a document together and in order."""
        from dataproc.kernels.cuts import neat
        from dataproc.kernels.repeats import repeats

        held, lengths, places = bytearray(), [np.zeros(1, np.int64)], [np.zeros(0, np.int64)]
        for batch in rows:
            data, offsets = text_buffers(batch["text"])
            for row in range(batch.num_rows):
                held += memoryview(data[offsets[row] : offsets[row + 1]])  # type: ignore[arg-type]
                held.append(0)
            lengths.append(np.diff(offsets) + 1)
            places.append(batch["place"].to_numpy())
        ends, place = np.cumsum(np.concatenate(lengths)), np.concatenate(places)
        joined = np.frombuffer(held, np.uint8)
        config = self._config
        found = repeats(joined, ends, config.min_bytes, keep_first=config.keep == "one", merge_share=config.merge_share)
        spans = neat(joined, ends[:-1], ends[1:] - 1, found, whole_lines=config.edges == "lines")
        owner = np.repeat(place, np.diff(spans.offsets))
        yield pa.RecordBatch.from_arrays([pa.array(owner), pa.array(spans.starts), pa.array(spans.ends)], schema=SPANS)
