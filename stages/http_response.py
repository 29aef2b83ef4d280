"""Which captures are pages: status, media type, and whether the crawler got all of it."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pyarrow as pa

from dataproc.stage import Contract, Drops, Stage, Transform

_HTML = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|title|meta|div|p|table)\b", re.I | re.S)


class HttpResponse(Stage):
    """Drop captures that are not whole HTML pages; text inputs pass."""

    statuses: tuple[int, ...] | None = (200,)
    """HTTP statuses kept; null keeps all. A capture without a status is kept."""
    content_types: tuple[str, ...] | None = ("text/html", "application/xhtml+xml")
    """Media types kept; null keeps all. Where the server named none, the first bytes decide."""
    drop_truncated: bool = True
    """Drop captures that the crawler cut off (WARC-Truncated) or that end before their declared length."""

    def contract(self) -> Contract:
        """Read what the reader gives; write nothing."""
        reads = ("http_status", "content_type", "truncated", "html", "text")
        rules = [rule for rule in ("statuses", "content_types", "drop_truncated") if getattr(self, rule)]
        return Contract(reads=reads, rules=(*rules, "empty"))

    def build(self) -> Transform:
        """Return the function."""
        return partial(http_response, config=self)


def http_response(batch: pa.RecordBatch, config: HttpResponse) -> pa.RecordBatch:
    """Mark captures that break a rule.

    batch: needs http_status, content_type, truncated, html, text. drop_value of `statuses` is the status.
    Example: status 404 -> "statuses", value 404.
    """
    bodies = [body.as_buffer() if body.is_valid else None for body in batch["html"]]
    is_page = np.array([body is not None for body in bodies])
    drops = Drops(batch)
    if config.statuses is not None:
        status = batch["http_status"].to_pylist()
        bad = [one is not None and one not in config.statuses for one in status]
        drops.where("statuses", is_page & bad, [np.nan if one is None else one for one in status])
    if config.content_types is not None:
        types = zip(batch["content_type"].to_pylist(), bodies, strict=True)
        bad = [not (kind in config.content_types if kind else _looks_like_html(body)) for kind, body in types]
        drops.where("content_types", is_page & bad)
    if config.drop_truncated:
        drops.where("drop_truncated", is_page & np.array(batch["truncated"].is_valid()))
    drops.where("empty", [body is not None and body.size == 0 for body in bodies])
    return drops.mark()


def _looks_like_html(body: pa.Buffer | None) -> bool:
    return body is not None and _HTML.match(body.slice(0, min(1024, body.size)).to_pybytes()) is not None
