"""Documents of one page: captures whose URLs are equal in canonical form.  Hash: xxh3_128, seed 0.

Source: Llama 3 keeps the most recent version of each URL (Grattafiori et al. 2024, https://arxiv.org/abs/2407.21783,
section 3.1.1). Within one crawl few URLs come twice; over all crawls of Common Crawl about 70% of the captures do.
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
import xxhash

from dataproc.config import Config
from dataproc.urls import canonical_url


class UrlDedup(Config):
    """Keep one of the documents whose URLs are equal in canonical form, see `dataproc.urls`; without a URL all stay."""

    keep: Literal["newest", "longest", "first", "best"] = "newest"
    """Which one stays: last captured, longest text, least doc_id, or greatest value in `best_by` of dedup; fewest flags
    come first, doc_id breaks ties."""


def url_hashes(urls: pa.Array) -> pa.Array:
    """Return the 16-byte hash of each canonical URL (string -> binary); null for none and for other than http(s).

    Example: the hashes of "http://www.a.org/?utm_source=x" and "https://a.org/#top" are equal.
    """
    canonical = (canonical_url(url) for url in urls.to_pylist())
    return pa.array([None if url is None else xxhash.xxh3_128_digest(url.encode()) for url in canonical], pa.binary())
