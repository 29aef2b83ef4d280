from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.union_find import components

ids = st.integers(0, 15) | st.integers(-(2**63), 2**63 - 1)


def oracle(edges: list[tuple[int, int]]) -> dict[int, int]:
    least = {node: node for edge in edges for node in edge}
    for _ in least:
        for a, b in edges:
            least[a] = least[b] = min(least[a], least[b])
    return least


def least_ids(edges: list[tuple[int, int]]) -> dict[int, int]:
    pairs = np.array(edges, np.int64).reshape(-1, 2)
    found, least = components(pairs[:, 0], pairs[:, 1])
    assert found.dtype == least.dtype == np.int64
    assert found.tolist() == sorted(set(found.tolist()))
    return dict(zip(found.tolist(), least.tolist(), strict=True))


@given(st.lists(st.tuples(ids, ids), max_size=25))
def test_equals_the_oracle(edges: list[tuple[int, int]]) -> None:
    assert least_ids(edges) == oracle(edges)


@given(edges=st.lists(st.tuples(ids, ids), max_size=20), draw=st.randoms(use_true_random=False))
def test_order_and_direction_of_edges_do_not_matter(edges: list[tuple[int, int]], draw: object) -> None:
    shuffled = [(b, a) for a, b in edges] + edges
    draw.shuffle(shuffled)  # type: ignore[attr-defined]
    assert least_ids(shuffled) == least_ids(edges)


def test_example() -> None:
    assert least_ids([(9, 4), (4, 7), (1, 3)]) == {1: 1, 3: 1, 4: 4, 7: 4, 9: 4}
    assert least_ids([]) == {}
    assert least_ids([(5, 5)]) == {5: 5}


@pytest.mark.parametrize("shape", ["path", "reversed", "star", "pairs from the end"])
def test_a_million_edges(shape: str) -> None:
    """Long paths are the worst case of a forest without compression."""
    nodes = np.arange(1_000_000)
    left, right = {
        "path": (nodes[:-1], nodes[1:]),
        "reversed": (nodes[:0:-1], nodes[-2::-1]),
        "star": (nodes[1:], np.zeros(len(nodes) - 1, np.int64)),
        "pairs from the end": (nodes[-2::-1], np.full(len(nodes) - 1, nodes[-1])),
    }[shape]
    found, least = components(left, right)
    assert len(found) == len(nodes)
    assert not least.any()


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^components must get equal numbers of left and right ids, got 1 and 2\.$"):
        components(np.array([1]), np.array([1, 2]))
