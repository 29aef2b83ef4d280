"""An Arrow text column as two numpy arrays, the form that all kernels take.

`data` holds the UTF-8 bytes, `offsets` the N+1 places where documents start and end in it: document k is
data[offsets[k]:offsets[k + 1]]. Nothing is copied for large_string columns: a slice keeps the whole data, so offsets
need not start at 0, and every position that a kernel returns is a position in `data`.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Array = TypeVar("Array", bound=npt.NDArray[Any])


class TextBuffers(NamedTuple):
    """The bytes of a text column and where its documents lie in them; both read-only."""

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]  # [N + 1], not decreasing


def text_buffers(column: pa.Array) -> TextBuffers:
    """Return the buffers of a string, large_string, binary or large_binary array; null rows read as empty.

    Raises TypeError for another type. Example: text_buffers(pa.array(["ab", None, "c"], pa.large_string())) gives the
    bytes b"abc" and the offsets [0, 2, 2, 3].
    """
    large = pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type)
    if not (large or pa.types.is_string(column.type) or pa.types.is_binary(column.type)):
        raise TypeError(f"text_buffers takes a string or binary array, got {column.type}.")
    width = np.int64 if large else np.int32
    _, places, values = column.buffers()
    if len(column) == 0 or places is None:
        return TextBuffers(frozen(np.zeros(0, np.uint8)), frozen(np.zeros(len(column) + 1, np.int64)))
    start = column.offset
    offsets = np.frombuffer(places, width, start + len(column) + 1)[start:].astype(np.int64, copy=False)
    if column.null_count and np.diff(offsets)[column.is_null().to_numpy(zero_copy_only=False)].any():
        return text_buffers(pc.fill_null(column, pa.scalar("", column.type)))  # bytes hide under a null
    data = np.zeros(0, np.uint8) if values is None else np.frombuffer(values, np.uint8)
    return TextBuffers(frozen(data), frozen(offsets))


def frozen(array: Array) -> Array:
    """Return a read-only, aligned, contiguous view of the array, copied only if it is none.

    Numba compiles a kernel again for each kind of array it meets; what kernels take goes through here, so there is
    one kind.
    """
    view: Array = np.require(array, requirements=["C", "A"]).view()
    view.flags.writeable = False
    return view
