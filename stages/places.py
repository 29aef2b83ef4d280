"""Places: the address of a document as one int64 that any engine carries and compares.

A document of this run is at part << 32 | row. One of the earlier run k (of those that a run is deduplicated against) is
at the same, plus k << 56, less 2^63: negative. So earlier documents sort before all of this run, in the order of their
runs, and the least place of a cluster tells whether an earlier document is in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.storage import Folder
from dataproc.tables import ColumnReader

MAX_EARLIER = 127
FIRST = -(1 << 63)
_PART_AND_ROW = (1 << 56) - 1


def places(part: int, first_row: int, rows: int, earlier: int | None = None) -> npt.NDArray[np.int64]:
    """Return the places of consecutive rows, int64 [rows], of this run or an earlier one.

    Example: places(1, 5, 2) == [1 << 32 | 5, 1 << 32 | 6]
    """
    first = (part << 32) + first_row + (0 if earlier is None else (earlier << 56) + FIRST)
    return np.arange(first, first + rows, dtype=np.int64)


def run_part_row(place: int) -> tuple[int | None, int, int]:
    """Return the number of the earlier run (None for this one), part and row of a place."""
    within = place & _PART_AND_ROW if place < 0 else place
    return (place - FIRST) >> 56 if place < 0 else None, within >> 32, within & 0xFFFFFFFF


def to_earlier(own: npt.NDArray[np.int64], run: int) -> npt.NDArray[np.int64]:
    """Return the places that a run's documents have in a run for which it is the earlier run `run`."""
    return own + ((run << 56) + FIRST)


class SketchReader:
    """Reads a column of signatures/ at ascending places; a context manager.

    Of a part only the row groups with a wanted row are read, one in memory at a time.
    """

    def __init__(self, folder: Folder, earlier: Sequence[Folder], column: str) -> None:
        self._folder, self._earlier, self._column = folder, earlier, column
        self._part: int | None = None
        self._reader: ColumnReader | None = None

    def __enter__(self) -> SketchReader:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._reader is not None:
            self._reader.close()

    def at(self, where: npt.NDArray[np.int64], wanted: npt.NDArray[np.bool_]) -> pa.Array:
        """Return the values at the wanted places, binary; null elsewhere."""
        pieces = [pa.array([], pa.binary())]
        starts = np.flatnonzero(np.diff(where >> 32, prepend=(where[:1] >> 32) - 1))
        for start, stop in zip(starts, [*starts[1:], len(where)], strict=True):
            reader = self._open(int(where[start]))
            pieces.append(reader.at(where[start:stop] & 0xFFFFFFFF, wanted[start:stop]))
        return pa.concat_arrays(pieces)

    def _open(self, place: int) -> ColumnReader:
        if self._reader is None or self._part != place >> 32:
            if self._reader is not None:
                self._reader.close()
            run, part, _ = run_part_row(place)
            folder = self._folder if run is None else self._earlier[run]
            self._part, self._reader = place >> 32, ColumnReader(folder, "signatures", part, self._column)
        return self._reader
