"""Reducers over sorted groups, whatever the batches: leaders, stars and keepers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from dataproc.exchange import Rows
from stages.clusters import EDGES, ChooseKeepers, large_star, lead, small_star

Pairs = list[tuple[int, int]]


def cut(table: pa.Table, cuts: list[int]) -> Rows:
    """The rows in batches cut anywhere, some of them empty."""
    bounds = [0, *sorted(min(c, table.num_rows) for c in cuts), table.num_rows]
    for start, stop in itertools.pairwise(bounds):
        yield pa.RecordBatch.from_arrays(
            [c.combine_chunks() for c in table.slice(start, stop - start).columns], schema=table.schema
        )


cuts = st.lists(st.integers(0, 30), max_size=4)


@given(keys=st.lists(st.integers(0, 4), max_size=30).map(sorted), cuts=cuts)
def test_first_row_of_a_group_leads(keys: list[int], cuts: list[int]) -> None:
    table = pa.table({"key": pa.array(keys, pa.int64()), "row": pa.array(range(len(keys)), pa.int64())})
    leaders, starts = [], []
    for _, leader, start in lead(cut(table, cuts), ["key"], ["row"]):
        leaders += leader["row"].to_pylist()
        starts += start.tolist()
    assert leaders == [keys.index(key) for key in keys]
    assert starts == [row == keys.index(key) for row, key in enumerate(keys)]


def edges(pairs: Pairs) -> pa.Table:
    pairs = sorted(pairs)
    return pa.table({"node": [a for a, _ in pairs], "other": [b for _, b in pairs]}, schema=EDGES)


def reduce(function: Callable[[Rows], Rows], pairs: Pairs, cuts: list[int]) -> set[tuple[int, int]]:
    return {(row["node"], row["other"]) for row in _rows(function(cut(edges(pairs), cuts)))}


def both(pairs: set[tuple[int, int]] | Pairs) -> Pairs:
    return [*pairs, *((b, a) for a, b in pairs)]


def test_large_star_links_greater_neighbours_to_the_least() -> None:
    assert reduce(large_star, both([(2, 1), (2, 5), (2, 9)]), [3]) == {(2, 1), (5, 1), (9, 1)}


def test_small_star_links_node_and_neighbours_to_the_least() -> None:
    assert reduce(small_star, [(9, 4), (9, 2), (9, 7)], [1]) == {(9, 2), (4, 2), (7, 2)}


@given(
    pairs=st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)).filter(lambda p: p[0] != p[1]), max_size=40),
    cuts=cuts,
)
def test_stars_end_in_components(pairs: Pairs, cuts: list[int]) -> None:
    label = {node: node for pair in pairs for node in pair}
    for _ in label:
        for a, b in pairs:
            label[a] = label[b] = min(label[a], label[b])
    current: set[tuple[int, int]] = set(pairs)
    before = None
    while current != before:
        before = current
        current = reduce(small_star, sorted(reduce(large_star, both(current), cuts)), cuts)
    assert current == {(node, root) for node, root in label.items() if node != root}


@given(
    pairs=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda p: p[0] != p[1]), max_size=30),
    cuts=cuts,
)
def test_batches_do_not_show_in_what_is_written(pairs: Pairs, cuts: list[int]) -> None:
    """Datasets of edges and of decisions are compared byte by byte between engines, which cut batches elsewhere."""
    down = [(max(pair), min(pair)) for pair in pairs]
    for function, rows in ((large_star, edges(both(pairs))), (small_star, edges(down))):
        assert list(_rows(function(cut(rows, cuts)))) == list(_rows(function(cut(rows, []))))
    table = edges(pairs)
    table = table.append_column("place", pa.array(range(len(pairs)), pa.int64()))
    table = table.append_column("weight", pa.array([1] * len(pairs), pa.int64()))
    table = table.append_column("doc_id", pa.array([bytes([row]) for row in range(len(pairs))], pa.binary()))
    keepers = ChooseKeepers("node")
    assert list(_rows(keepers(cut(table, cuts)))) == list(_rows(keepers(cut(table, []))))


@given(
    groups=st.lists(st.integers(0, 4), max_size=30).map(sorted),
    weights=st.lists(st.integers(1, 3), min_size=30, max_size=30),
    cuts=cuts,
)
def test_keepers_stand_for_their_group(groups: list[int], weights: list[int], cuts: list[int]) -> None:
    weights = weights[: len(groups)]
    ids = [bytes([row]) for row in range(len(groups))]
    table = pa.table(
        {
            "root": pa.array(groups, pa.int64()),
            "doc_id": pa.array(ids, pa.binary()),
            "place": pa.array(np.arange(len(groups)), pa.int64()),
            "weight": pa.array(weights, pa.int64()),
        }
    )
    found = sorted(
        (row["place"], row["duplicate_of"], row["cluster_size"])
        for row in _rows(ChooseKeepers("root")(cut(table, cuts)))
    )
    want: list[tuple[int, bytes | None, int | None]] = []
    for row, group in enumerate(groups):
        first, size = groups.index(group), sum(w for w, g in zip(weights, groups, strict=True) if g == group)
        if row != first:
            want.append((row, ids[first], None))
        elif size > 1:
            want.append((row, None, size))
    assert found == want


def _rows(batches: Rows) -> Iterator[dict[str, Any]]:
    for batch in batches:
        yield from batch.to_pylist()
