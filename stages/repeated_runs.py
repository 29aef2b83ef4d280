"""Drop documents in which a few words or signs come again and again without a break: "0 0 0 0", "buy now buy now".

Such runs are easy to learn and hard on training: OLMo 2 traced spikes of the loss to them. So this rule is meant to
hold whatever a score says; it is no measure of quality. Pieces are those of `dataproc.kernels.pieces` (words, and runs
of one sign, so that a ruler of 80 hyphens is one piece), compared byte by byte. A run is a stretch of 1 to
`max_period` pieces that repeats.

Source: Walsh et al. 2024, https://arxiv.org/abs/2501.00656, section 3.1: 32 repeats or more of 1 to 13 tokens; Dolma
1.6 drops documents with 100 (allenai/dolma, configs/dolma-v1_6). Deviation: both count tokens of a tokenizer; a long
string without spaces, encoded data for one, is many tokens that may repeat there and one piece here.
"""

from __future__ import annotations

from functools import partial

import pyarrow as pa
from pydantic import Field

from dataproc.ids import file_hash
from dataproc.kernels.char_classes import TABLE
from dataproc.stage import Contract, Drops, Stage, Transform
from stages.rules import Count


class RepeatedRuns(Stage):
    """Drop documents with a run of more than `max_repeats` repeats; null only measures."""

    max_repeats: Count = 31
    """Most repeats of a run."""
    max_period: int = Field(13, ge=1, le=64)
    """Most pieces of what repeats."""

    def contract(self) -> Contract:
        """Return what it reads and writes; see `Stage`."""
        return Contract(
            reads=("text",),
            writes={"run_repeats": pa.int64(), "run_period": pa.int64()},
            rules=("max_repeats",),
            measures={"max_repeats": "run_repeats"},
            assets={"char_classes": file_hash(TABLE)},
        )

    def build(self) -> Transform:
        """Return `repeated_runs`."""
        return partial(repeated_runs, config=self)


def repeated_runs(batch: pa.RecordBatch, config: RepeatedRuns) -> pa.RecordBatch:
    """Add run_repeats and run_period (int64), the longest run and how many pieces repeat in it, and mark rows above.

    batch: N rows, needs `text` (string or large_string). A text without pieces has 0 and 0, one in which
    nothing repeats 1 and 1. Example: "a - a - a - b" has 3 repeats of period 2.
    """
    from dataproc.kernels.hashing import hash_slices
    from dataproc.kernels.pieces import split_pieces
    from dataproc.kernels.runs import longest_runs

    pieces = split_pieces(batch["text"])
    hashes = hash_slices(pieces.data, pieces.starts, pieces.ends)
    repeats, periods = longest_runs(hashes, pieces.offsets, config.max_period)
    drops = Drops(batch)
    drops.above("max_repeats", repeats, config.max_repeats)
    return drops.mark({"run_repeats": repeats, "run_period": periods})
