"""How a plan sees the documents of a finished run: as sets of hashes, and as signatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.ids import hash_int64
from dataproc.tokens.tokenizers import Tokenizer
from stages.minhash_dedup import Sets, binary_to_lists, shingles, signature_matrix
from stages.minhash_plan import MinhashDedup


@dataclass(frozen=True)
class View:
    """How a plan sees the documents of a run: as sets of hashes, and as signatures."""

    config: MinhashDedup
    source: Literal["shingles", "minhash", "text"]
    """What sets are made of: the shingles of signatures/, its signatures (sets of places with their hashes, by which
    the Jaccard is only estimated), or, where the signatures are not those of the plan, the text."""

    def columns(self) -> dict[str, list[str]]:
        """Return what `sets` and `signatures` read of the run."""
        if self.source == "text":
            return {"documents": ["text"]}
        return {"signatures": ["minhash", *(["shingles"] if self.source == "shingles" else [])]}

    def sets(self, batch: pa.RecordBatch, tokenizer: Tokenizer | None) -> Sets:
        """Return the set of each row; empty for a text without words."""
        if self.source == "shingles":
            return binary_to_lists(batch["shingles"])
        if self.source == "text":
            return shingles(batch["text"], self.config, tokenizer)
        made = pc.is_valid(batch["minhash"])
        matrix = signature_matrix(batch["minhash"].drop_null(), self.config).astype(np.uint64)
        place = np.arange(self.config.num_hashes, dtype=np.uint64) << np.uint64(40)
        values = hash_int64((matrix + place).view(np.int64).ravel())
        sizes = made.to_numpy(zero_copy_only=False) * self.config.num_hashes
        return values, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def signatures(self, batch: pa.RecordBatch, sets: Sets, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the signatures of some rows with words, [N, num_hashes]."""
        from dataproc.kernels.minhash import minhash_signatures

        if self.source != "text":
            return signature_matrix(batch["minhash"].take(pa.array(rows)), self.config)
        values, offsets = sets
        picked = [values[offsets[row] : offsets[row + 1]] for row in rows]
        ends = np.concatenate([[0], np.cumsum([len(one) for one in picked])]).astype(np.int64)
        config = self.config
        joined = np.concatenate([np.zeros(0, np.uint64), *picked])
        return minhash_signatures(joined, ends, config.num_hashes, config.seed, config.scheme)

    def tokenizer(self) -> Tokenizer | None:
        """Return what the text has to be cut with, where it is read and shingles are tokens."""
        return self.config.tokenizer.load() if self.source == "text" and self.config.unit == "tokens" else None

    def to_sets(self, similarity: float) -> float:
        """Return the Jaccard of two sets at that similarity: that of m equal hashes of n is m / (2 n - m)."""
        return similarity / (2 - similarity) if self.source == "minhash" else similarity

    def from_sets(self, jaccard: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Undo `to_sets`."""
        return 2 * jaccard / (1 + jaccard) if self.source == "minhash" else jaccard
