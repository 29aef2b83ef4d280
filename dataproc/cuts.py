"""Cuts and masks decided after documents/ is written: a sidecar column, applied when tokens or exports are written.

A cut is a span of the document's UTF-8 bytes and the text put in its place. Those of a document are in order and
don't overlap; null is the same as none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
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


def span_cuts(starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], offsets: npt.NDArray[np.int64]) -> pa.Array:
    """Return cuts that put nothing in the place of spans; document k has spans offsets[k]:offsets[k + 1].

    Example: span_cuts([3], [7], [0, 0, 1]) has no cut of the first document and (3, 7, "") of the second.
    """
    put = pa.array([""], pa.string()).take(pa.array(np.zeros(len(starts), np.int64)))
    spans = pa.StructArray.from_arrays([pa.array(starts), pa.array(ends), put], fields=list(CUTS.value_type))
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), spans).cast(CUTS)


def add_cuts(cuts: pa.Array, more: pa.Array) -> pa.Array:
    """Return the cuts of texts together with `more`, cuts of what they leave, all as cuts of the texts themselves.

    What an earlier cut put in its place stays, and `more` puts nothing: a cut that spans earlier ones becomes several,
    around them. Null in `cuts` stays null. Example: of "abcdef" (2, 3) leaves "abdef"; (1, 4) of that is (1, 2) and
    (3, 5) of "abcdef".
    """
    rows = [
        earlier if earlier is None or not later else _added(earlier, later)
        for earlier, later in zip(cuts.to_pylist(), more.to_pylist(), strict=True)
    ]
    return pa.array(rows, CUTS)


def _added(cuts: list[dict[str, Any]], more: list[dict[str, Any]]) -> list[dict[str, Any]]:
    result = []
    waiting = iter(more)
    later = next(waiting, None)
    start = place = 0  # where the stretch begins that lies before the next cut: in the text, and in what is left of it
    for cut in [*cuts, None]:
        stop = 1 << 62 if cut is None else cut["start"]
        while later is not None and later["start"] - place < stop - start:
            first, last = max(start, later["start"] - place + start), min(stop, later["end"] - place + start)
            if first < last:
                result.append({"start": first, "end": last, "put": ""})
            if later["end"] - place > stop - start:
                break  # it goes on behind the cut
            later = next(waiting, None)
        if cut is not None:
            result.append(cut)
            start, place = cut["end"], place + stop - start + len(cut["put"].encode())
    return result
