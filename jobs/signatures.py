"""documents/ -> signatures/: hashes of URL and text, MinHash signature and shingle hashes of each document."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dataproc.shards import Dataset, Entry, library_versions
from dataproc.tables import create_part, part_name, read_part
from dataproc.tokens.tokenizers import Tokenizer
from jobs.run import Run
from stages.exact_dedup import text_hashes
from stages.minhash_dedup import signatures
from stages.minhash_plan import MinhashDedup
from stages.url_dedup import url_hashes

VERSION = 3
"""Raised when the same config gives other bytes."""

SCHEMA = pa.schema(
    [
        ("doc_id", pa.binary()),
        ("text_bytes", pa.int64()),
        ("url_hash", pa.binary()),  # xxh3_128 of the canonical URL; null without one
        ("text_hash", pa.binary()),  # xxh3_128 of the text, white space folded
        ("minhash", pa.binary()),  # uint32 or uint64 little-endian, bands x rows of them; null for a text without words
        ("shingles", pa.binary()),  # as `lists_to_binary` has them; null where pairs are not verified by them
    ]
)


def declare_signatures(run: Run) -> Dataset:
    """Return the dataset signatures/."""
    return run.dataset("signatures", signatures_made_from(run.recipe.dedup.minhash), ["documents"], run.num_parts)


def signatures_made_from(minhash: MinhashDedup | None) -> dict[str, Any]:
    """Return what decides the bytes of signatures/, but for the documents."""
    return {
        "version": VERSION,
        "minhash": minhash and minhash.signed(),
        "libraries": library_versions("numba", *_tokenizing(minhash)),
    }


def run_signatures(run: Run) -> None:
    """Fill signatures/; without MinHash in the recipe its last two columns are null."""
    dataset = declare_signatures(run)
    run.fill(dataset, SignaturesTask(dataset, run.recipe.dedup.minhash))


def _tokenizing(minhash: MinhashDedup | None) -> tuple[str, ...]:
    """Return the libraries that decide the tokens of shingles; none for other shingles."""
    return minhash.tokenizer.libraries() if minhash is not None and minhash.unit == "tokens" else ()


@dataclass(frozen=True)
class SignaturesTask:
    """Makes one part of signatures/."""

    dataset: Dataset
    minhash: MinhashDedup | None

    @cached_property
    def _tokenizer(self) -> Tokenizer | None:
        return self.minhash.tokenizer.load() if self.minhash is not None and self.minhash.unit == "tokens" else None

    def __call__(self, part: int) -> Entry:
        """Make one part and return its entry."""
        started = time.perf_counter()
        name = part_name("signatures", part)
        size = 0
        with create_part(self.dataset.folder, name, SCHEMA) as out:
            for batch in read_part(self.dataset.folder, "documents", part, ["doc_id", "url", "text"]):
                text = batch["text"]
                size += text.nbytes
                nothing = {column: pa.nulls(batch.num_rows, pa.binary()) for column in ("minhash", "shingles")}
                near = nothing if self.minhash is None else signatures(text, self.minhash, self._tokenizer)
                sizes = pc.binary_length(text).cast(pa.int64())
                hashes = [url_hashes(batch["url"]), text_hashes(text)]
                columns = [batch["doc_id"], sizes, *hashes, near["minhash"], near["shingles"]]
                out.write(pa.RecordBatch.from_arrays(columns, schema=SCHEMA))
        counters = {"rows_in": out.rows, "bytes": size}
        return self.dataset.commit(part, {name: out.rows}, counters, time.perf_counter() - started)
