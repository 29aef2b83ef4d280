"""Which captures are pages: the status, type and completeness of HTTP responses.

Defaults are Common Crawl's own for its text files: status 200, HTML or XHTML. Source of the sniffing rule: WHATWG MIME
Sniffing Standard, https://mimesniff.spec.whatwg.org, section 7.1.
"""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import field_validator

from dataproc.stage import Contract, Drops, Stage, Transform

_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?(?>\s|<!--.*?-->|<\?xml\s[^>]*>)*+"  # possessive: no way back into comments
    rb"<(?:!doctype\s+html|html|head|body|title|meta|script|style|iframe|h1|div|font|table|a|b|br|p)[\s>]",
    re.IGNORECASE | re.DOTALL,
)
SNIFFED_BYTES = 1445


class HttpResponse(Stage):
    """Keep whole pages that a server gave as such; texts pass, unless they lack their end."""

    statuses: tuple[int, ...] | None = (200,)
    """HTTP status codes kept; null keeps all. Captures without one (`resource` records) are kept."""
    content_types: tuple[str, ...] | None = ("text/html", "application/xhtml+xml")
    """Media types kept; null keeps all. Captures without a type are kept when they begin like HTML."""
    drop_truncated: bool = True
    """Drop captures that lack their end, by the crawler's limit (WARC-Truncated), by a lost connection or by damage."""

    @field_validator("content_types")
    @classmethod
    def _lower(cls, types: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if types is None else tuple(name.strip().lower() for name in types)

    def contract(self) -> Contract:
        """Return what it reads and writes; see `Stage`."""
        active = {
            "statuses": self.statuses is not None,
            "content_types": self.content_types is not None,
            "drop_truncated": self.drop_truncated,
            "empty": True,
        }
        return Contract(
            reads=("html", "text", "http_status", "content_type", "truncated"),
            rules=tuple(rule for rule, on in active.items() if on),
        )

    def build(self) -> Transform:
        """Return `http_response`."""
        return partial(http_response, config=self)


def http_response(batch: pa.RecordBatch, config: HttpResponse) -> pa.RecordBatch:
    """Mark captures that are no whole pages.

    batch: N rows, needs html (large_binary), text (large_string), http_status (int32), content_type and truncated
    (string). Adds nothing but the drop columns; drop_value is the status for `statuses`, the length of the part for
    `drop_truncated`.
    `empty`: a capture without a body. Example: status 404 -> statuses, 404.
    """
    capture = pc.is_valid(batch["html"])
    num_bytes = pc.coalesce(pc.binary_length(batch["html"]), pc.binary_length(batch["text"]), pa.scalar(0, pa.int64()))
    drops = Drops(batch)
    if config.statuses is not None:
        wanted = pc.is_in(batch["http_status"], value_set=pa.array([*config.statuses], pa.int32()))
        unwanted = pc.and_(pc.is_valid(batch["http_status"]), pc.invert(wanted))
        drops.where("statuses", pc.and_(capture, unwanted), pc.fill_null(batch["http_status"], 0))
    if config.content_types is not None:
        wanted = pc.is_in(batch["content_type"], value_set=pa.array([*config.content_types], pa.string()))
        drops.where("content_types", pc.and_(capture, pc.invert(pc.or_(wanted, _sniffed(batch)))))
    if config.drop_truncated:
        drops.where("drop_truncated", pc.is_valid(batch["truncated"]), num_bytes)
    drops.where("empty", pc.and_(capture, pc.equal(num_bytes, 0)), 0)
    return drops.mark()


def _sniffed(batch: pa.RecordBatch) -> pa.Array:
    """Tell of each capture without a type whether it begins like HTML; empty ones pass, to be dropped as `empty`."""
    unknown = pc.and_(pc.is_valid(batch["html"]), pc.is_null(batch["content_type"])).to_numpy(zero_copy_only=False)
    found = np.zeros(batch.num_rows, dtype=bool)
    for row in np.flatnonzero(unknown):
        head = batch["html"][int(row)].as_buffer()[:SNIFFED_BYTES].to_pybytes()
        found[row] = not head or _HTML.match(head) is not None
    return pa.array(found)
