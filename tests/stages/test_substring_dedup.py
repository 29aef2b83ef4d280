from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
import xxhash

from dataproc.config import validate
from dataproc.errors import ConfigError
from stages.substring_dedup import SPANS, TEXTS, RepeatedSpans, SubstringDedup, partition_ids

LICENCE = "All of this may be copied, by all, for all. "


def spans(texts: list[str], *, batch_rows: int = 2, **config: Any) -> list[tuple[int, str]]:
    """Return the place of the document and the text of each span, the documents at places 10, 11, ..."""
    table = pa.table(
        {
            "partition": [0] * len(texts),
            "num_flags": [0] * len(texts),
            "doc_id": [bytes([row]) for row in range(len(texts))],
            "place": range(10, 10 + len(texts)),
            "text": texts,
        },
        schema=TEXTS,
    )
    found = list(RepeatedSpans(SubstringDedup(**config))(iter(table.to_batches(max_chunksize=batch_rows))))
    assert [batch.schema for batch in found] == [SPANS]
    rows = found[0].to_pylist()
    return [(row["place"], texts[row["place"] - 10].encode()[row["start"] : row["end"]].decode()) for row in rows]


@pytest.mark.parametrize("batch_rows", [1, 2, 9])
def test_all_but_the_first_copy_or_every_one(batch_rows: int) -> None:
    texts = [f"One! {LICENCE}Two.", "\u00e9", "", f"Three? {LICENCE}Four.", f"{LICENCE}Five. {LICENCE}"]
    later = [(13, LICENCE), (14, LICENCE), (14, f" {LICENCE}")]
    assert spans(texts, min_bytes=40, batch_rows=batch_rows) == later
    assert spans(texts, min_bytes=40, keep="none", batch_rows=batch_rows) == [(10, LICENCE), *later]


def test_min_bytes_is_what_is_found_and_one_more_is_not() -> None:
    texts = ["a <0123456789abcdef> b", "c <0123456789abcdef> d"]
    assert spans(texts, min_bytes=20) == [(11, "<0123456789abcdef> ")]
    assert spans(texts, min_bytes=21) == []


def test_edges_and_gaps() -> None:
    texts = [f"{LICENCE}\nEnd", f"{LICENCE}\nEnding\n{LICENCE}2024\n{LICENCE}Not this."]
    assert spans(texts, min_bytes=40)[0] == (11, f"{LICENCE}\n")
    assert [place for place, _ in spans(texts, min_bytes=40)] == [11, 11, 11]
    assert spans(texts, min_bytes=40, merge_share=0.8) == [(11, texts[1].removesuffix("Not this."))]
    assert spans(texts, min_bytes=40, edges="lines") == [(11, f"{LICENCE}\n")]


def test_no_documents() -> None:
    assert spans([], min_bytes=40) == []


def test_partitions_are_by_hash_of_seed_and_doc_id() -> None:
    ids = [bytes([row]) * 16 for row in range(50)]
    want = [xxhash.xxh3_64_intdigest((7).to_bytes(8, "little") + one) % 5 for one in ids]
    assert partition_ids(ids, 5, 7).tolist() == want
    assert set(want) == set(range(5))
    assert partition_ids(ids, 5, 8).tolist() != want


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"min_bytes": 15}, "must be greater than or equal to 16, got 15"),
        ({"keep": "two"}, "'one' or 'none'"),
        ({"merge_share": 0}, "greater than 0, got 0"),
        ({"action": "drop"}, "action drop must have a limit, got max_cut_chars null. Set it: RefinedWeb tried 0.2."),
    ],
)
def test_wrong_values_are_errors(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(SubstringDedup, fields, "substrings")
    assert told in str(caught.value)
