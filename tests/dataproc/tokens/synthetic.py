"""Buckets of token shards with integers one can check by eye: token t of a bucket's stream is `base + t`, EOS aside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa

from dataproc.ids import doc_id
from dataproc.storage import Folder
from dataproc.tokens.shards import BLOCK_BYTES, Manifest, TokenizerInfo, write_manifest, write_shard

EOS = 0
SMALL = TokenizerInfo(name="digits", sha256="0" * 64, vocab_size=60_000, max_id=59_999, eos_id=EOS)
LARGE = TokenizerInfo(name="digits-large", sha256="1" * 64, vocab_size=1 << 20, max_id=(1 << 20) - 1, eos_id=EOS)


def rows(
    bucket: str, documents: Sequence[Sequence[int]], first: int = 0, dtype: str = "uint16", batch_rows: int = 1000
) -> Iterator[pa.RecordBatch]:
    """Yield documents as the tokenize stage gives them."""
    for at in range(0, len(documents), batch_rows):
        some = documents[at : at + batch_rows]
        numbers = range(first + at, first + at + len(some))
        yield pa.RecordBatch.from_pydict(
            {
                "doc_id": pa.array([doc_id(bucket, number) for number in numbers], pa.binary()),
                "tokens": pa.array([np.array(ids, dtype=dtype).tobytes() for ids in some], pa.large_binary()),
                "url": pa.array([f"https://{bucket}.example/{number}" for number in numbers]),
                "language": pa.array([bucket.split("-")[0]] * len(some)),
                "input": pa.array([bucket] * len(some)),
                "position": pa.array(list(numbers), pa.int64()),
            }
        )


def consecutive(lengths: Sequence[int], base: int = 1, eos: int = EOS) -> list[list[int]]:
    """Return documents whose tokens count up from `base` over the whole bucket, each one's last token replaced by EOS.

    Example: consecutive([3, 2]) == [[1, 2, 0], [4, 0]].
    """
    documents, at = [], base
    for length in lengths:
        documents.append([*range(at, at + length - 1), eos])
        at += length
    return documents


def write_bucket(
    folder: Folder,
    bucket: str,
    shards: Sequence[Sequence[Sequence[int]]],
    tokenizer: TokenizerInfo = SMALL,
    block_bytes: int = BLOCK_BYTES,
) -> Manifest:
    """Write tokens/<bucket>/ with the given documents in each shard, and its manifest."""
    reports, first = [], 0
    for index, documents in enumerate(shards):
        batches = rows(bucket, documents, first, tokenizer.dtype)
        reports.append(write_shard(folder, f"tokens/{bucket}", index, batches, tokenizer, block_bytes=block_bytes))
        first += len(documents)
    return write_manifest(folder, f"tokens/{bucket}", tokenizer, reports)


def write_lengths(
    folder: Folder,
    bucket: str,
    lengths: Sequence[int],
    base: int = 1,
    num_shards: int = 1,
    block_bytes: int = BLOCK_BYTES,
) -> Manifest:
    """Write a bucket of consecutive integers, its documents split over shards in order."""
    documents = consecutive(lengths, base)
    cuts = [len(documents) * k // num_shards for k in range(num_shards + 1)]
    shards = [documents[a:b] for a, b in pairwise(cuts)]
    return write_bucket(folder, bucket, shards, SMALL if base + sum(lengths) < 60_000 else LARGE, block_bytes)
