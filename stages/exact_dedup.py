"""Exact duplicates: documents whose texts are equal once white space is folded.  Hash: xxh3_128, seed 0."""

from __future__ import annotations

import pyarrow as pa
import xxhash

from dataproc.config import Config


class ExactDedup(Config):
    """Keep one of the documents with equal text; case and punctuation count, runs of white space do not."""


def text_hashes(texts: pa.Array) -> pa.Array:
    r"""Return the 16-byte hash of each text (large_string -> binary), white space folded to single spaces and trimmed.

    Example: the hashes of "a  b\n" and "a b" are equal, those of "a b" and "A b" are not.
    """
    return pa.array(
        [xxhash.xxh3_128_digest(" ".join(text.split()).encode()) for text in texts.to_pylist()], pa.binary()
    )
