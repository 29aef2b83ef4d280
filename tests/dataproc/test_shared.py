from __future__ import annotations

from threading import Thread

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.lines import Lines, split_lines
from dataproc.kernels.spans import keep_rows
from dataproc.kernels.words import Words, split_words
from dataproc.shared import rows_kept, shared, sharing
from dataproc.stage import BuiltStage, Drops, Transform, run_stages
from tests.dataproc.kernels.test_words import split
from tests.dataproc.kernels.texts import column, rows


class Counted:
    """split_words that counts its calls."""

    calls = 0

    def __call__(self, text: pa.Array) -> Words:
        self.calls += 1
        return split_words(text)


@given(rows, st.integers(0))
def test_rows_kept_have_the_words_of_the_new_column(values: list[str | None], bits: int) -> None:
    text = column(values)
    kept = [bool(bits >> row & 1) for row in range(len(values))]
    words = keep_rows(split_words(text), kept)
    assert type(words) is Words
    assert split(words) == split(split_words(text.filter(pa.array(kept, pa.bool_()))))
    assert type(keep_rows(split_lines(text), kept)) is Lines


def test_words_are_found_once_also_when_rows_are_dropped() -> None:
    find = Counted()
    seen: list[list[list[str]]] = []

    def stage(drop: str) -> Transform:
        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            seen.append(split(shared(find, batch["text"])))
            drops = Drops(batch)
            drops.where("gone", [text == drop for text in batch["text"].to_pylist()])
            return drops.mark()

        return transform

    batch = pa.RecordBatch.from_pydict(
        {"doc_id": [b"1", b"2", b"3"], "text": column(["a b", "c", "d e f"]), "other": [1, 2, 3]}
    )
    chain = [BuiltStage("x", stage("c")), BuiltStage("y", stage("a b")), BuiltStage("z", stage(""))]
    kept, _ = run_stages(chain, batch, {})
    assert find.calls == 1
    assert seen == [[["a", "b"], ["c"], ["d", "e", "f"]], [["a", "b"], ["d", "e", "f"]], [["d", "e", "f"]]]
    assert kept["text"].to_pylist() == ["d e f"]
    run_stages(chain, batch, {})
    assert find.calls == 2  # nothing outlives its batch


def test_another_column_is_another_question() -> None:
    find = Counted()
    text = column(["a b", "c"])
    with sharing():
        assert split(shared(find, text)) == [["a", "b"], ["c"]]
        assert split(shared(find, text[1:])) == [["c"]]
        assert split(shared(find, column(["a b", "c"]))) == [["a", "b"], ["c"]]
        assert find.calls == 3
        rows_kept(text, text[:1], [True, False])  # not the column asked about last: nothing is known of it
        assert split(shared(find, text[:1])) == [["a", "b"]]
        assert find.calls == 4


def test_outside_of_a_batch_nothing_is_kept() -> None:
    find = Counted()
    text = column(["a"])
    with sharing():
        shared(find, text)
    shared(find, text)
    shared(find, text)
    assert find.calls == 3


def test_threads_share_nothing() -> None:
    find = Counted()
    text = column(["a"])
    with sharing():
        shared(find, text)
        thread = Thread(target=lambda: shared(find, text))
        thread.start()
        thread.join()
    assert find.calls == 2
