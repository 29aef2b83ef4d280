"""Where pieces of documents lie in the bytes of their column: words, lines, paragraphs."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from dataproc.kernels.buffers import frozen
from dataproc.kernels.jit import kernel


class Spans(NamedTuple):
    """The S pieces of N documents; read-only."""

    data: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]  # [S] first byte of each
    ends: npt.NDArray[np.int64]  # [S] byte after the last
    offsets: npt.NDArray[np.int64]  # [N + 1]: document k has pieces offsets[k]:offsets[k + 1]


AnySpans = TypeVar("AnySpans", bound=Spans)


def keep_rows(spans: AnySpans, kept: npt.ArrayLike) -> AnySpans:
    """Return the pieces of the documents for which `kept` (bool [N]) is true, at the places where they lie.

    Example: of documents with 2, 1 and 3 pieces, [True, False, True] leaves 5, with the offsets [0, 2, 5].
    """
    mask = frozen(np.asarray(kept, bool))
    sizes = np.diff(spans.offsets)[mask]
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))
    starts, ends = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.int64)
    _keep_rows(spans.starts, spans.ends, spans.offsets, mask, starts, ends)
    return type(spans)(spans.data, frozen(starts), frozen(ends), frozen(offsets))


@kernel
def _keep_rows(
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    kept: npt.NDArray[np.bool_],
    out_starts: npt.NDArray[np.int64],
    out_ends: npt.NDArray[np.int64],
) -> None:
    end = 0
    for row in range(len(kept)):
        if kept[row]:
            first, last = offsets[row], offsets[row + 1]
            out_starts[end : end + last - first] = starts[first:last]
            out_ends[end : end + last - first] = ends[first:last]
            end += last - first
