from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataproc.config import validate
from dataproc.errors import ConfigError
from stages.bad_words import BadWords, shipped_terms
from tests.dataproc.kernels.texts import PATHOLOGICAL
from tests.stages.rule_sets import apply, batch, repeating

MARKS = "".join(char for char in map(chr, range(0x110000)) if unicodedata.category(char)[0] == "M")


@cache
def pattern() -> re.Pattern[str]:
    """Terms of the English list with nothing of a word beside them."""
    terms = "|".join(map(re.escape, sorted(shipped_terms()["eng"], key=len, reverse=True)))
    return re.compile(rf"(?<![\w{MARKS}])(?:{terms})(?![\w{MARKS}])", re.IGNORECASE)


def oracle(text: str) -> dict[str, Any]:
    number = len(pattern().findall(text))
    return {"bad_words": number, "drop_reason": "max_bad_words" if number else None}


@settings(max_examples=40)
@given(st.lists(repeating | st.sampled_from(["bollocks", "Bollocks\u0301", "_bollocks ", "BOLLOCKS."])).map("".join))
def test_equals_the_oracle(text: str) -> None:
    row, expected = apply(BadWords(), text), oracle(text)
    assert {name: row[name] for name in expected} == expected


OWN = BadWords(terms={"en": ("darn it", "heck", "d'oh", "s&m"), "th": ("\u0e01\u0e32",)})


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Darn it! I say darn it.", 2),
        ("HECK", 1),
        ("what the heck?", 1),
        ("hecklers, checks, heck_no, h\u00e9heck", 0),
        ("heck2 2heck", 0),
        ("darn  it, darn\nit", 0),  # one space, as in the list
        ("D'oh (S&M)", 2),
        ("s & m, s.m", 0),
        ("heck\u0301", 0),  # a mark belongs to the word
        ("heck.heck", 2),  # one character is enough between them
        ("heck, heck", 2),
        ("", 0),
        (None, 0),
    ],
)
def test_terms_stand_apart(text: str | None, count: int) -> None:
    row = apply(OWN, text)
    assert row["bad_words"] == count
    assert (row["drop_reason"], row["drop_value"], row["drop_limit"]) == (
        ("max_bad_words", count, 0) if count else (None, None, None)
    )


def test_anywhere_in_scripts_without_spaces() -> None:
    assert apply(OWN, "\u0e21\u0e32\u0e01\u0e32\u0e21\u0e32", "tha")["bad_words"] == 1


def test_limit() -> None:
    inside, outside = "heck heck", "heck, heck, heck"
    assert apply(BadWords(max_bad_words=2, terms=OWN.terms), inside)["drop_reason"] is None
    assert apply(BadWords(max_bad_words=2, terms=OWN.terms), outside)["drop_reason"] == "max_bad_words"
    off = apply(BadWords(max_bad_words=None, terms=OWN.terms), outside)
    assert (off["drop_reason"], off["bad_words"]) == (None, 3)


def test_languages_without_a_list_pass() -> None:
    for language in ("cat", None):
        row = apply(BadWords(), "bollocks", language)
        assert (row["drop_reason"], row["bad_words"]) == (None, None)
    assert apply(BadWords(terms={"en": ()}), "bollocks")["bad_words"] is None


def test_shipped_lists() -> None:
    terms = shipped_terms()
    assert len(terms) == 27
    assert (len(terms["eng"]), len(terms["cmn"])) == (403, 318)
    assert apply(BadWords(), "That is bollocks.")["drop_reason"] == "max_bad_words"
    assert apply(BadWords(), "Das ist bollocks.", "deu")["drop_reason"] is None


def test_terms_that_are_parts_of_ordinary_words() -> None:
    text = "\u53ef\u80fd\u6027"  # possibility
    assert apply(BadWords(), text + "2013.", "cmn")["drop_reason"] is None
    assert apply(BadWords(except_terms={}), text, "cmn")["drop_reason"] == "max_bad_words"


def test_every_term_is_found() -> None:
    for language, terms in shipped_terms().items():
        rows = batch([f"({term.upper() if term.isascii() else term})" for term in terms], language)
        counts = BadWords(except_terms={}).build()(rows)["bad_words"].to_pylist()
        assert [term for term, count in zip(terms, counts, strict=True) if not count] == []


@given(st.lists(repeating | st.none(), max_size=4))
def test_a_row_does_not_depend_on_its_batch(values: list[str | None]) -> None:
    stage = OWN.build()
    alone = [stage(batch(values)[k : k + 1]).to_pylist()[0] for k in range(len(values))]
    assert stage(batch(values)).to_pylist() == alone


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    assert apply(BadWords(), text)["bad_words"] == 0


def test_string_columns() -> None:
    narrow = batch(["a", "heck"])
    narrow = narrow.set_column(1, "text", narrow["text"].cast(pa.string()))[1:]
    assert OWN.build()(narrow)["bad_words"].to_pylist() == [1]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"max_bad_word": 1}, 'r: b.max_bad_word is not a key of BadWords. Did you mean "max_bad_words"?'),
        (
            {"terms": {"english": ["a"]}},
            'r: b.terms: language must be an ISO 639-1 or 639-3 code such as en or eng, got "english".'
            " See languages.tsv.",
        ),
    ],
)
def test_errors(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        validate(BadWords, values, "r: b")
    assert str(error.value) == sentence
