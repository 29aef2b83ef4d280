"""Arrow schemas of what readers yield and of the datasets of a run.

Every reader (WARC, Parquet, JSONL) yields `RAW` batches; stages add columns; `html` never reaches storage. `doc_id` is
16 bytes, times are RFC 3339 strings in UTC, `input` and `position` are the two halves that make the id (see
`dataproc.ids`).
"""

from __future__ import annotations

import pyarrow as pa

RAW = pa.schema(
    [
        ("doc_id", pa.binary()),
        ("url", pa.string()),  # null when the input has none
        ("date", pa.string()),  # capture time, RFC 3339 UTC; null when unknown
        ("input", pa.string()),  # path below the crawl root
        ("position", pa.int64()),  # byte offset of the record, or row number
        ("length", pa.int64()),  # bytes of the record as stored, -1 when unknown
        ("http_status", pa.int32()),  # null when the input is not an HTTP capture
        ("content_type", pa.string()),  # lower-case media type without parameters
        ("charset", pa.string()),  # of the HTTP header only
        (
            "truncated",
            pa.string(),
        ),  # WARC-Truncated's reason, "cut" when the body is shorter than declared; null when whole
        ("html", pa.large_binary()),  # body as captured, transfer and content coding undone; null for text inputs
        ("text", pa.large_string()),  # text inputs only; null for captures
    ]
)
"""One row per document of the input, whatever the format."""

DROP_COLUMNS = pa.schema(
    [
        ("drop_reason", pa.string()),  # "stage.rule"; null = kept
        ("drop_value", pa.float64()),  # what the rule measured, null when it measures nothing
        ("drop_limit", pa.float64()),  # the bound that the value broke
    ]
)
"""What a stage adds to say which rows it drops."""

DROPPED = pa.schema(
    [
        ("doc_id", pa.binary()),
        ("url", pa.string()),
        ("input", pa.string()),
        ("position", pa.int64()),
        ("reason", pa.string()),
        ("value", pa.float64()),
        ("limit", pa.float64()),
        ("text", pa.large_string()),  # an excerpt, the whole text or null, as the recipe's `dropped_text` says
    ]
)
"""dropped/<step>/part-*: every document that a step dropped, or failed to read (reason `failed.<cause>`)."""
