"""Where pieces of documents lie in the bytes of their column: words, lines, paragraphs."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from dataproc.kernels.buffers import frozen


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
    mask, sizes = np.asarray(kept, bool), np.diff(spans.offsets)
    pieces: npt.NDArray[np.bool_] = np.repeat(mask, sizes)
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes[mask])))
    return type(spans)(spans.data, frozen(spans.starts[pieces]), frozen(spans.ends[pieces]), frozen(offsets))
