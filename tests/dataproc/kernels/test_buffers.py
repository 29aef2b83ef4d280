from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.buffers import frozen, text_buffers
from tests.dataproc.kernels.texts import rows

TYPES = [pa.string(), pa.large_string(), pa.binary(), pa.large_binary()]


def documents(column: pa.Array) -> list[bytes]:
    data, offsets = text_buffers(column)
    return [data[start:stop].tobytes() for start, stop in pairwise(offsets)]


@pytest.mark.parametrize("kind", TYPES, ids=str)
@given(values=rows, cut=st.integers(0, 3))
def test_gives_the_bytes_of_each_row(kind: pa.DataType, values: list[str | None], cut: int) -> None:
    column = pa.array(values, pa.large_string()).cast(kind)[cut:]
    assert documents(column) == [(value or "").encode() for value in values[cut:]]


def test_copies_nothing_of_a_large_string_slice() -> None:
    column = pa.array(["abc", "de", None, "f"], pa.large_string())
    data, offsets = text_buffers(column[1:])
    assert data.ctypes.data == column.buffers()[2].address
    assert offsets.tolist() == [3, 5, 5, 6]
    assert offsets.ctypes.data == column.buffers()[1].address + 8


def test_bytes_under_a_null_are_not_read() -> None:
    buffers = [pa.py_buffer(b"\x05"), pa.py_buffer(np.array([0, 1, 3, 4])), pa.py_buffer(b"abcd")]
    column = pa.Array.from_buffers(pa.large_string(), 3, buffers)
    assert column.to_pylist() == ["a", None, "d"]
    assert documents(column) == [b"a", b"", b"d"]


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_columns_of_nothing(kind: pa.DataType) -> None:
    assert documents(pa.array([], kind)) == []
    assert documents(pa.nulls(3, kind)) == [b"", b"", b""]
    assert documents(pa.array(["", ""], kind)) == [b"", b""]


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match=r"^text_buffers takes a string or binary array, got int64\.$"):
        text_buffers(pa.array([1]))


def test_frozen_views_when_it_can_and_copies_when_it_must() -> None:
    whole = np.arange(8)
    assert np.shares_memory(frozen(whole), whole)
    assert whole.flags.writeable
    assert not frozen(whole).flags.writeable
    assert frozen(whole[::2]).flags.c_contiguous
    unaligned = np.frombuffer(b"\0" + whole.tobytes(), np.uint8)[1:].view(np.int64)
    assert frozen(unaligned).flags.aligned
    assert frozen(unaligned).tolist() == whole.tolist()
