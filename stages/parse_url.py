"""The host of each URL, as a column that filters, reports and mixes can use."""

from __future__ import annotations

import pyarrow as pa

from dataproc.stage import Contract, Stage, Transform, with_columns
from dataproc.urls import host_of


class ParseUrl(Stage):
    """Write `host`: lower-case, without port and user; null when the URL is missing or has none.

    Example: "https://User@WWW.Example.org:8080/a" -> "www.example.org"
    """

    def contract(self) -> Contract:
        """Read url, write host."""
        return Contract(reads=("url",), writes={"host": pa.string()})

    def build(self) -> Transform:
        """Return the function."""
        return parse_url


def parse_url(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Add `host` (string) from `url`."""
    return with_columns(batch, {"host": pa.array([host_of(url) for url in batch["url"].to_pylist()], pa.string())})
