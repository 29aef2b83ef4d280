"""Tokenization, MB of text a second on one core: the default backend beside tiktoken, with the same ids."""

from __future__ import annotations

import numpy as np

from benchmarks.figures import Figure, megabytes, sample_texts, seconds, write
from dataproc.tokens.tokenizers import TokenizerConfig


def main() -> None:
    texts = sample_texts()
    ours = TokenizerConfig(name="web32k", backend="gigatoken").load()
    peer = TokenizerConfig(name="web32k", backend="tiktoken").load()
    ids, offsets = ours.encode_batch(texts)
    their_ids, their_offsets = peer.encode_batch(texts)
    assert np.array_equal(ids, their_ids), "ids differ"
    assert np.array_equal(offsets, their_offsets), "lengths differ"
    fast, slow = seconds(lambda: ours.encode_batch(texts), lambda: peer.encode_batch(texts), repeats=3)
    size = megabytes(texts)
    write("tokenizers", [Figure("encode, web32k", size / fast, "MB/s", "tiktoken", size / slow, 5)])


if __name__ == "__main__":
    main()
