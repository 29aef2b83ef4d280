"""What kernels find in a text column, found once for all stages that ask for it.

Words and lines are the same for every rule, so stages take them by `shared(split_words, text)`. Inside `run_stages` the
answer is kept while the text stays the same column, known by its buffers, and goes along when rows are dropped: nothing
is found twice. It is gone at the end of the batch, or when another column is asked for. Outside it is just the call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import pyarrow as pa

if TYPE_CHECKING:
    from dataproc.kernels.spans import AnySpans


class _Memo(threading.local):
    """One per thread: the column last asked about and what was found in it; None outside of `sharing`."""

    found: dict[Callable[..., Any], Any] | None = None
    column: pa.Array | None = None  # held, so that no other column gets its addresses


_memo = _Memo()


def shared(find: Callable[[pa.Array], AnySpans], text: pa.Array) -> AnySpans:
    """Return find(text), of this batch's earlier stages if they asked for it.

    Example: shared(split_words, batch["text"])
    """
    if _memo.found is None:
        return find(text)
    if not _same(text, _memo.column):
        _memo.column, _memo.found = text, {}
    if find not in _memo.found:
        _memo.found[find] = find(text)
    found: AnySpans = _memo.found[find]
    return found


@contextmanager
def sharing() -> Iterator[None]:
    """Keep what `shared` finds until the end of the block."""
    _memo.column, _memo.found = None, {}
    try:
        yield
    finally:
        _memo.column = _memo.found = None


def rows_kept(before: pa.Array, after: pa.Array, kept: npt.ArrayLike) -> None:
    """Say that the column `after` is the rows of `before` for which `kept` (bool [N]) is true."""
    if _memo.found and _same(before, _memo.column):
        from dataproc.kernels.spans import keep_rows

        _memo.column, _memo.found = after, {find: keep_rows(spans, kept) for find, spans in _memo.found.items()}


def _same(column: pa.Array, other: pa.Array | None) -> bool:
    return other is not None and _place(column) == _place(other)


def _place(column: pa.Array) -> tuple[Any, ...]:
    addresses = [None if buffer is None else buffer.address for buffer in column.buffers()]
    return (column.type, column.offset, len(column), *addresses)
