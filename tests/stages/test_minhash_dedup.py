"""Who leads a band, whatever the batches: the first row, or the leaders of earlier runs."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from stages.minhash_dedup import BANDS, CLAIMS, PairWithLeaders
from stages.places import places, run_part_row, to_earlier
from tests.stages.test_clusters import cut

SCHEMA = pa.schema([*BANDS, *CLAIMS])

Claim = tuple[int, int, int, bool]
"""key, run (-1 and less earlier, 0 this one), document, open."""


def table(claims: Sequence[Claim]) -> pa.Table:
    """The rows as an exchange sorts them: by band, key, run, doc_id, open."""
    rows = [
        {"partition": 0, "band": 0, "key": key, "doc_id": bytes([one]), "place": one, "run": run, "open": open_}
        for key, run, one, open_ in sorted(claims)
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def oracle(claims: Sequence[Claim]) -> tuple[list[tuple[int, int, int]], list[tuple[int, int]]]:
    """(key, leader, member) of each pair, and (key, document) of each own leader."""
    pairs, leaders = [], []
    for key in sorted({claim[0] for claim in claims}):
        band = sorted(claim for claim in claims if claim[0] == key)
        old = sorted({(run, one) for _, run, one, _ in band if run < 0})
        linked = {one for _, run, one, open_ in band if run == 0 and not open_}
        own = sorted({one for _, run, one, _ in band if run == 0} - linked)
        leading = [one for _, one in old]
        if not old and own:
            leading = own[:1]
            leaders.append((key, own.pop(0)))
        pairs += [(key, leader, one) for one in own for leader in leading]
    return pairs, leaders


claims = st.lists(
    st.tuples(st.integers(0, 3), st.integers(-2, -1), st.integers(0, 6), st.just(True))
    | st.tuples(st.integers(0, 3), st.just(0), st.integers(0, 6), st.booleans()),
    max_size=25,
)


@given(claims=claims, cuts=st.lists(st.integers(0, 30), max_size=4))
def test_earlier_documents_lead_and_else_the_first(claims: list[Claim], cuts: list[int]) -> None:
    found: list[tuple[int, int, int]] = []
    for batch in PairWithLeaders(leaders=True)(cut(table(claims), cuts)):
        found += [(row["key"], row["a"][0], row["doc_id"][0]) for row in batch.to_pylist()]
    pairs, leaders = oracle(claims)
    assert [one for one in found if one[1] != one[2] or one not in [(k, d, d) for k, d in leaders]] == pairs
    assert [(key, a) for key, a, b in found if (key, a) in leaders and a == b] == leaders


@given(
    keys=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), unique=True, max_size=30), cut_at=st.integers(0, 30)
)
def test_without_earlier_runs_the_first_row_leads(keys: list[tuple[int, int]], cut_at: int) -> None:
    rows = table([(key, 0, one, True) for key, one in keys]).drop_columns(CLAIMS.names)
    found = [
        (row["key"], row["a"][0], row["doc_id"][0])
        for batch in PairWithLeaders()(cut(rows, [cut_at]))
        for row in batch.to_pylist()
    ]
    first = {key: min(one for other, one in keys if other == key) for key, _ in keys}
    assert found == [(key, first[key], one) for key, one in sorted(keys) if one != first[key]]


@given(part=st.integers(0, (1 << 24) - 1), row=st.integers(0, (1 << 32) - 2), run=st.integers(0, 126))
def test_places_lead_back_and_earlier_ones_sort_first(part: int, row: int, run: int) -> None:
    own, old = places(part, row, 2), places(part, row, 2, run)
    assert [run_part_row(int(one)) for one in own] == [(None, part, row), (None, part, row + 1)]
    assert [run_part_row(int(one)) for one in old] == [(run, part, row), (run, part, row + 1)]
    assert to_earlier(own, run).tolist() == old.tolist()
    assert (old < 0).all()
    assert (old < places(0, 0, 1, run + 1)).all()
