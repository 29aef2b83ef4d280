"""One batch: windows of tokens turned into inputs, labels and document boundaries.

A sample is a window of L + 1 tokens read with stride L: inputs are the first L, labels the last L, so the one token
that two windows share is an input in one and a label in the other, and none is lost. A row begins a segment, and so
does each document inside it. Labels that open another document (or padding) are masked: no model should learn to guess
the first word of a page from the end of an unrelated one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of one rank in one step: B rows of L tokens, S segments.

    input_ids, labels: uint32 [B, L]. loss_mask: bool [B, L], False where the label opens another document or is
    padding. position_ids: int32 [B, L], from 0 in each segment. cu_seqlens: int32 [S + 1], where segments begin in the
    flattened rows, and B * L at the end (what variable-length attention takes). documents: int64 [S], each segment's
    document, numbered within its source, -1 for padding. sources: int32 [B], index into the mixture's sources.
    """

    step: int
    stage: str
    input_ids: npt.NDArray[np.uint32]
    labels: npt.NDArray[np.uint32]
    loss_mask: npt.NDArray[np.bool_]
    position_ids: npt.NDArray[np.int32]
    cu_seqlens: npt.NDArray[np.int32]
    documents: npt.NDArray[np.int64]
    sources: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Window:
    """What is known of a row before it is packed: its document, where others begin in it, and its real tokens.

    `begins` are positions in the window, 0 < p < num_tokens; `num_tokens` counts the label of the last input, when
    there is one: up to L + 1.
    """

    document: int
    begins: npt.NDArray[np.int64]
    num_tokens: int


def pack(
    step: int, stage: str, tokens: npt.NDArray[np.uint32], windows: list[Window], sources: npt.NDArray[np.int64]
) -> Batch:
    """Return the batch of these windows: tokens uint32 [B, L + 1], padded after each window's `num_tokens`.

    Example, L = 4, documents [7 8 EOS] [9 EOS]: inputs 7 8 E 9, labels 8 E 9 E, loss mask 1 1 0 1, positions 0 1 2 0.
    """
    num_rows, length = tokens.shape[0], tokens.shape[1] - 1
    opens = np.zeros((num_rows, length + 1), dtype=bool)
    opens[:, 0] = True
    documents = []
    for row, window in enumerate(windows):
        opens[row, window.begins] = True
        # A document that begins with the last label has no input in this row.
        inside = np.count_nonzero(window.begins < length)
        documents.append(np.arange(window.document, window.document + inside + 1))
        if window.num_tokens < length:
            opens[row, window.num_tokens] = True
            documents.append(np.array([-1]))
    real = np.array([window.num_tokens for window in windows])[:, None] > np.arange(1, length + 1)
    begins = np.flatnonzero(opens[:, :length])
    bounds = np.append(begins, num_rows * length)
    positions = np.arange(num_rows * length) - np.repeat(begins, np.diff(bounds))
    return Batch(
        step=step,
        stage=stage,
        input_ids=np.ascontiguousarray(tokens[:, :length]),
        labels=np.ascontiguousarray(tokens[:, 1:]),
        loss_mask=real & ~opens[:, 1:],
        position_ids=positions.reshape(num_rows, length).astype(np.int32),
        cu_seqlens=bounds.astype(np.int32),
        documents=np.concatenate(documents) if documents else np.empty(0, dtype=np.int64),
        sources=sources.astype(np.int32),
    )
