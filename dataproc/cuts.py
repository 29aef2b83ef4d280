"""Cuts and masks decided after documents/ is written: a sidecar column, applied when tokens or exports are written.

A cut is a span of the document's UTF-8 bytes and the text put in its place. Those of a document are in order and
don't overlap; null is the same as none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.errors import ShardError

CUTS = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("put", pa.string())]))


def apply_cuts(text: pa.Array, cuts: pa.Array) -> pa.Array:
    """Return the text column (large_string) with the spans of `cuts` (type CUTS) replaced.

    Raises ShardError for spans that are out of order, outside the text or inside a character.
    Example: "one two" with (3, 7, "") gives "one"; with (0, 3, "1") it gives "1 two".
    """
    has_some = pc.fill_null(pc.greater(pc.list_value_length(cuts), 0), False)
    rows = np.flatnonzero(has_some.to_numpy(zero_copy_only=False))
    done = [cut_text(text[row].as_py(), cuts[row].as_py()) for row in rows.tolist()]
    return pc.replace_with_mask(text, has_some, pa.array(done, text.type))


def cut_text(text: str | None, cuts: list[dict[str, Any]]) -> str:
    """Return one text with its cuts applied; see `apply_cuts`."""
    data = (text or "").encode()
    pieces, end = [], 0
    for cut in cuts:
        if not end <= cut["start"] <= cut["end"] <= len(data):
            raise ShardError(
                f"cuts must lie in order within the {len(data)} bytes of the text, got {cut['start']} to {cut['end']}"
                f" after {end}. Run `dataproc verify`, or rebuild them with --redo."
            )
        pieces += [data[end : cut["start"]], cut["put"].encode()]
        end = cut["end"]
    try:
        return b"".join([*pieces, data[end:]]).decode()
    except UnicodeDecodeError as error:
        raise ShardError(
            f"cuts must not part a character, got {error}. Run `dataproc verify`, or rebuild them with --redo."
        ) from error
