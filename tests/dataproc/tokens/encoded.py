"""Texts as a column and their ids as lists, and a vocabulary small enough to see."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa

from dataproc.tokens.tokenizers import Tokenizer

IDS = [bytes([number]) * 16 for number in range(8)]


def column(*texts: str | None) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def rows(tokenizer: Tokenizer, *texts: str) -> list[list[int]]:
    flat, offsets = tokenizer.encode_batch(column(*texts))
    assert flat.dtype == np.uint32
    assert offsets.dtype == np.int64
    assert (offsets[0], offsets[-1]) == (0, len(flat))
    return [flat[start:end].tolist() for start, end in pairwise(offsets)]


def small_ranks() -> dict[bytes, int]:
    return {bytes([byte]): byte for byte in range(256)} | {b"he": 256, b"hel": 257, b"lo": 258, b"hello": 259}
