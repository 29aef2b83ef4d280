from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.members import count_listed, list_words
from dataproc.kernels.shingles import word_hashes
from dataproc.kernels.words import split_words
from tests.dataproc.kernels.texts import PATHOLOGICAL, column, texts

WORDS = [
    "the",
    "THE",
    "Kelvin",
    "\u212aelvin",
    "co\u00adop",
    "coop",
    "\u00c9t\u00e9",
    "\u00e9t\u00e9",
    "a",
    "zz@[`{",
    "1",
]
LONG = [
    "eightlet",
    "EIGHTLET",
    "ninelette",
    "Ninelette",
    "wordofmanyletters",
    "\u0441\u043b\u043e\u0432\u043e",
    "\u4e2d",
]
single = st.sampled_from([word for word in WORDS + LONG if "@" not in word])
written = st.lists(texts | st.sampled_from(WORDS + LONG), max_size=12).map(" ".join)


@given(st.lists(written | st.none(), max_size=4), st.lists(single, max_size=6), st.booleans())
def test_equals_the_oracle(values: list[str | None], listed: list[str], folded: bool) -> None:
    words = split_words(column(values))
    rows = np.arange(len(values))[::-2]
    if folded:
        members, keys = set(word_hashes(split_words(column(list(listed)))).tolist()), word_hashes(words).tolist()
    else:
        spans = zip(words.starts, words.ends, strict=True)
        members, keys = set(listed), [words.data[a:b].tobytes().decode() for a, b in spans]
    expected = [len(members & set(keys[words.offsets[row] : words.offsets[row + 1]])) for row in rows]
    assert count_listed(words, rows, list_words(listed, folded)).tolist() == expected


def test_example() -> None:
    words = split_words(column(["To be or not to be"]))
    assert count_listed(words, np.array([0]), list_words(["to", "be", "of", "Be"])).tolist() == [2]
    assert count_listed(words, np.array([0]), list_words(["to", "be", "of"], folded=False)).tolist() == [2]
    assert count_listed(words, np.array([0]), list_words(["To", "BE"], folded=False)).tolist() == [1]


@pytest.mark.parametrize("listed", [["two words"], [""], ["-"]])
def test_a_list_holds_single_words(listed: list[str]) -> None:
    with pytest.raises(ValueError, match=r"^list_words\.listed must be single words, got \["):
        list_words(listed)


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    words = split_words(pa.array([text], pa.large_string()))
    found = count_listed(words, np.array([0]), list_words(["a", "\u4e2d"]))
    assert found.tolist() == [int(text.startswith(("a ", "\u4e2d")))]
