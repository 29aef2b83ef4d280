"""Which documents may be duplicates of each other: all, those of one language, or those of one crawl.

What has to meet is hashed together with the value of the scope: then others do not meet, and nothing else changes.
"""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from dataproc.ids import hash64

Scope = Literal["global", "language", "crawl"]

COLUMNS: dict[Scope, list[str]] = {"global": [], "language": ["language"], "crawl": ["input"]}
"""What of documents/ tells the value of a scope."""

_COMMON_CRAWL = re.compile(r"CC-[A-Z]+-\d{4}-\d{2}")


def crawl_of(name: str) -> str:
    """Return the crawl that an input is of: a Common Crawl id in its name, else its first folder.

    Example: "crawl-data/CC-MAIN-2024-51/segments/1/a.warc.gz" -> "CC-MAIN-2024-51", "may/a.jsonl" -> "may", "b" -> ""
    """
    found = _COMMON_CRAWL.search(name)
    return found[0] if found else name.partition("/")[0] if "/" in name else ""


def salts(batch: pa.RecordBatch, scope: Scope) -> npt.NDArray[np.int64]:
    """Return what the keys of each row are mixed with, int64 [N]; 0 for the scope global. Needs COLUMNS."""
    if scope == "global":
        return np.zeros(batch.num_rows, np.int64)
    return np.array([hash64(value.encode()) for value in _values(batch, scope)], np.int64)


def scoped_hashes(hashes: pa.Array, batch: pa.RecordBatch, scope: Scope) -> pa.Array:
    """Return 16-byte hashes that are equal where hash and scope are; null stays null. Needs COLUMNS of the batch."""
    if scope == "global":
        return hashes
    pairs = zip(hashes.to_pylist(), _values(batch, scope), strict=True)
    mixed = (None if value is None else xxhash.xxh3_128_digest(value + where.encode()) for value, where in pairs)
    return pa.array(mixed, pa.binary())


def _values(batch: pa.RecordBatch, scope: Scope) -> list[str]:
    if scope == "language":
        return [language or "" for language in batch["language"].to_pylist()]
    return [crawl_of(name) for name in batch["input"].to_pylist()]
