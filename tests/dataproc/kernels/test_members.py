from __future__ import annotations

from itertools import chain

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.members import count_members

hashes = st.integers(0, 9) | st.integers(2**63, 2**64 - 1)


@given(documents=st.lists(st.lists(hashes, max_size=12), max_size=5), members=st.sets(hashes, max_size=6))
def test_equals_the_oracle(documents: list[list[int]], members: set[int]) -> None:
    flat = np.array(list(chain(*documents)), np.uint64)
    offsets = np.cumsum([0, *map(len, documents)])
    rows = np.arange(len(documents))[::-2]
    found = count_members(flat, offsets, rows, np.array(list(members), np.uint64))
    assert found.tolist() == [len(members & set(documents[row])) for row in rows]


def test_example() -> None:
    flat, offsets = np.array([2, 9, 2, 3], np.uint64), np.array([0, 4])
    assert count_members(flat, offsets, np.array([0]), np.array([3, 1, 2, 1], np.uint64)).tolist() == [2]
