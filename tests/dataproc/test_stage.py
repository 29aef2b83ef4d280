"""The stage contract: which rule is the reason, what leaves the loop where, what is counted, what a plan refuses."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.errors import ConfigError, SchemaError
from dataproc.stage import (
    BuiltStage,
    Contract,
    Drops,
    Stage,
    StageCounts,
    Transform,
    check_plan,
    run_stages,
    with_columns,
)


def batch(*values: float) -> pa.RecordBatch:
    """Return rows with doc_id 0, 1, ... and the values in column `x`."""
    ids = [bytes([row]) for row in range(len(values))]
    return pa.RecordBatch.from_pydict({"doc_id": pa.array(ids, pa.binary()), "x": pa.array(values, pa.float64())})


def marks(marked: pa.RecordBatch) -> list[tuple[str | None, float | None, float | None]]:
    return list(zip(*(marked[name].to_pylist() for name in ("drop_reason", "drop_value", "drop_limit")), strict=True))


class TestDrops:
    def test_bounds_are_kept(self) -> None:
        drops = Drops(batch(1, 2, 3, 4))
        drops.below("min", [1, 2, 3, 4], 2)
        drops.above("max", [1, 2, 3, 4], 3)
        assert marks(drops.mark()) == [("min", 1, 2), (None, None, None), (None, None, None), ("max", 4, 3)]

    def test_first_rule_is_the_reason(self) -> None:
        drops = Drops(batch(0, 0))
        drops.where("first", [True, False])
        drops.below("second", [7, 7], 9)
        assert marks(drops.mark()) == [("first", None, None), ("second", 7, 9)]

    def test_none_is_off_and_zero_is_zero(self) -> None:
        drops = Drops(batch(-1, 1))
        drops.below("off", [-1, 1], None)
        drops.above("off", [-1, 1], None)
        drops.below("zero", [-1, 1], 0)
        assert marks(drops.mark()) == [("zero", -1, 0), (None, None, None)]

    def test_limit_per_row(self) -> None:
        drops = Drops(batch(5, 5))
        drops.below("min", [5, 5], [5, 6])
        assert marks(drops.mark()) == [(None, None, None), ("min", 5, 6)]

    def test_nan_breaks_no_bound(self) -> None:
        drops = Drops(batch(np.nan))
        drops.below("min", [np.nan], 2)
        drops.above("max", [np.nan], 2)
        assert marks(drops.mark()) == [(None, None, None)]

    def test_mark_adds_columns_and_types(self) -> None:
        marked = Drops(batch(1)).mark({"y": np.array([2], np.int32), "x": pa.array(["new"])})
        assert marked.schema == pa.schema(
            [
                ("doc_id", pa.binary()),
                ("x", pa.string()),
                ("y", pa.int32()),
                ("drop_reason", pa.string()),
                ("drop_value", pa.float64()),
                ("drop_limit", pa.float64()),
            ]
        )

    def test_no_rows(self) -> None:
        drops = Drops(batch())
        drops.below("min", [], 1)
        assert drops.mark().num_rows == 0


def test_with_columns_replaces_in_place_and_appends() -> None:
    changed = with_columns(batch(1, 2), {"z": np.array([True, False]), "doc_id": pa.array([b"a", b"b"])})
    assert changed.schema.names == ["doc_id", "x", "z"]
    assert changed.to_pydict() == {"doc_id": [b"a", b"b"], "x": [1, 2], "z": [True, False]}


class AtLeast(Stage):
    """Drops rows whose x is below `min_x`, having added `seen`."""

    min_x: float = 0

    def contract(self) -> Contract:
        return Contract(reads=("x",), writes={"seen": pa.float64()}, rules=("min_x",))

    def build(self) -> Transform:
        return partial(at_least, min_x=self.min_x)


def at_least(rows: pa.RecordBatch, min_x: float) -> pa.RecordBatch:
    drops = Drops(rows)
    drops.below("min_x", rows["x"].to_numpy(), min_x)
    return drops.mark({"seen": rows["x"]})


def built(name: str, min_x: float, annotate: bool = False) -> BuiltStage:
    return BuiltStage(name, AtLeast(min_x=min_x).build(), annotate)


class TestRunStages:
    def test_dropped_rows_leave_with_reason_and_columns(self) -> None:
        counts: dict[str, StageCounts] = {}
        kept, dropped = run_stages([built("low", 2), built("high", 3)], batch(1, 2, 3, 4), counts)
        assert kept.to_pydict() == {"doc_id": [b"\x02", b"\x03"], "x": [3, 4], "seen": [3, 4]}
        assert [(rows["doc_id"].to_pylist(), marks(rows)) for rows in dropped] == [
            ([b"\x00"], [("low.min_x", 1, 2)]),
            ([b"\x01"], [("high.min_x", 2, 3)]),
        ]
        assert (counts["low"].rows_in, counts["low"].rows_kept, counts["low"].dropped) == (4, 3, {"low.min_x": 1})
        assert (counts["high"].rows_in, counts["high"].rows_kept, counts["high"].dropped) == (3, 2, {"high.min_x": 1})

    def test_counts_add_up_over_batches(self) -> None:
        counts: dict[str, StageCounts] = {}
        for _ in range(3):
            run_stages([built("low", 2)], batch(1, 2), counts)
        assert (counts["low"].rows_in, counts["low"].rows_kept, counts["low"].dropped) == (6, 3, {"low.min_x": 3})

    def test_annotating_stages_flag_and_keep(self) -> None:
        counts: dict[str, StageCounts] = {}
        kept, dropped = run_stages([built("a", 2, annotate=True), built("b", 3, annotate=True)], batch(1, 2, 3), counts)
        assert dropped == []
        assert kept["flags"].to_pylist() == [["a.min_x", "b.min_x"], ["b.min_x"], []]
        assert kept["flags"].type == pa.list_(pa.string())
        assert kept.schema.names == ["doc_id", "x", "seen", "flags"]
        assert (counts["b"].rows_kept, counts["b"].dropped, counts["b"].flagged) == (3, {}, {"b.min_x": 2})

    def test_nothing_reaches_later_stages_when_all_is_dropped(self) -> None:
        def explode(rows: pa.RecordBatch) -> pa.RecordBatch:
            raise AssertionError(f"called with {rows.num_rows} rows")

        kept, dropped = run_stages([built("all", 9), BuiltStage("never", explode)], batch(1, 2), {})
        assert (kept.num_rows, [rows.num_rows for rows in dropped]) == (0, [2])

    def test_stage_without_marks_drops_nothing(self) -> None:
        kept, dropped = run_stages([BuiltStage("same", lambda rows: rows)], batch(1), {})
        assert (kept.to_pydict(), dropped) == (batch(1).to_pydict(), [])

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda rows: rows.slice(1), "got 3 in and 2 out"),
            (lambda rows: rows.take(pa.array([2, 1, 0])), "got 3 in and 3 out or another order of doc_id"),
        ],
    )
    def test_rows_must_stay(self, change: Any, told: str) -> None:
        with pytest.raises(
            SchemaError, match=f"^stage bad must keep the rows as they are, .*{told}.* Mark rows with Drops"
        ):
            run_stages([BuiltStage("bad", change)], batch(1, 2, 3), {})

    @given(st.lists(st.floats(-5, 5), max_size=20), st.lists(st.tuples(st.floats(-5, 5), st.booleans()), max_size=4))
    def test_every_row_is_kept_or_dropped_once(self, values: list[float], limits: list[tuple[float, bool]]) -> None:
        counts: dict[str, StageCounts] = {}
        stages = [built(f"s{number}", limit, annotate) for number, (limit, annotate) in enumerate(limits)]
        kept, dropped = run_stages(stages, batch(*values), counts)
        ids = [doc for rows in (kept, *dropped) for doc in rows["doc_id"].to_pylist()]
        assert sorted(ids) == batch(*values)["doc_id"].to_pylist()
        reasons = Counter(reason for rows in dropped for reason in rows["drop_reason"].to_pylist())
        assert reasons == sum((count.dropped for count in counts.values()), Counter())
        for count in counts.values():
            assert count.rows_in == count.rows_kept + sum(count.dropped.values())


class TestCheckPlan:
    COLUMNS = {"x": pa.float64()}

    def test_columns_of_the_chain(self) -> None:
        stages = {"first": AtLeast(), "noted": AtLeast(annotate=True)}
        assert check_plan(stages, self.COLUMNS, "r.yaml: documents") == {
            "x": pa.float64(),
            "seen": pa.float64(),
            "flags": pa.list_(pa.string()),
        }

    def test_unknown_column(self) -> None:
        with pytest.raises(ConfigError) as caught:
            check_plan({"first": AtLeast()}, {"xyz": pa.float64()}, "r.yaml: documents")
        assert str(caught.value) == (
            'r.yaml: documents.first reads column "x", which no earlier stage writes. Known: xyz.'
        )

    def test_a_column_written_later_is_unknown(self) -> None:
        class ReadsSeen(AtLeast):
            def contract(self) -> Contract:
                return Contract(reads=("seen",))

        with pytest.raises(ConfigError, match='late reads column "seen"'):
            check_plan({"late": ReadsSeen(), "first": AtLeast()}, self.COLUMNS, "r.yaml")
        assert set(check_plan({"first": AtLeast(), "late": ReadsSeen()}, self.COLUMNS, "r.yaml")) == {"x", "seen"}


def test_stage_defaults() -> None:
    assert (Stage.version(), Stage().annotate) == (1, False)
    with pytest.raises(NotImplementedError):
        Stage().contract()
    with pytest.raises(NotImplementedError):
        Stage().build()


def test_what_a_stage_raises_names_it_and_the_documents() -> None:
    def explode(rows: pa.RecordBatch) -> pa.RecordBatch:
        raise ZeroDivisionError("by zero")

    with pytest.raises(ZeroDivisionError, match="by zero") as caught:
        run_stages([BuiltStage("bad", explode)], batch(1, 2, 3), {})
    ids = [doc.hex() for doc in batch(1, 2, 3)["doc_id"].to_pylist()]
    assert caught.value.__notes__ == [f"in stage bad, documents {ids[0]} to {ids[-1]}"]
