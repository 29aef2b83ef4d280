from __future__ import annotations

import numpy as np
import pyarrow as pa

from dataproc.stage import Drops
from stages.rules import drop_by_language, filled, num_chars, share


def test_share() -> None:
    assert share(np.array([1, 0, 2]), np.array([4, 0, 1])).tolist() == [0.25, 0.0, 2.0]


def test_counts_of_either_string_type() -> None:
    for kind in (pa.string(), pa.large_string()):
        text = pa.array(["\u00e9aaa", None, ""], kind)
        assert num_chars(text).tolist() == [4, 0, 0]
        assert num_chars(text).dtype == np.int64


def test_a_rule_is_the_bound_that_its_name_says() -> None:
    languages = pa.array(["eng", "eng", "deu", None])
    batch = pa.RecordBatch.from_pydict({"doc_id": [b"0", b"1", b"2", b"3"]})
    values = np.array([1.0, 2.0, 2.0, np.nan])
    for rule, expected in (("max_x", [None, "max_x", None, None]), ("min_x", ["min_x", None, None, None])):
        drops = Drops(batch)
        drop_by_language(drops, rule, values, languages, 1.5, {"deu": None})
        assert drops.mark()["drop_reason"].to_pylist() == expected


def test_variants_fill_what_is_left_out() -> None:
    variants = {"a": {"x": 0}, "b": {"x": 2, "y": 3}}
    assert filled({"variant": "b", "x": 1}, variants, "a") == {"variant": "b", "x": 1, "y": 3}
    assert filled({"x": None}, variants, "a") == {"x": None}
    assert filled({}, variants, "a") == {"x": 0}
    assert filled({"variant": ["?"]}, variants, "a") == {"variant": ["?"]}
    assert filled("not a mapping", variants, "a") == "not a mapping"
