from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.config import validate
from dataproc.errors import ConfigError
from stages.madlad import COLUMNS, Madlad, shipped_patterns
from tests.dataproc.kernels import test_sentence_spans
from tests.dataproc.kernels.texts import PATHOLOGICAL, texts
from tests.stages.rule_sets import apply, batch, words_of

PLAIN = "It was so. "
LISTED = "One Two Three Four Five Six Seven eight nine ten eleven twelve. "  # 7 of 12
written = st.lists(
    texts
    | st.sampled_from(
        [". ", PLAIN, LISTED, "Episode 5. ", "a b c d e f g h i j ", "\u3002", "|\n", "N A M E ", "the cat "]
    ),
    max_size=30,
).map("".join)


def oracle(text: str) -> dict[str, Any]:
    """Return the columns and the drop reason, one sentence at a time, by the README of the data set."""
    sentences = test_sentence_spans.oracle(text)
    listed, cursed = set(), set()
    for number, sentence in enumerate(sentences):
        words, _ = words_of(sentence)
        capitals = [word for word in words if word[0].isupper() and word[0].lower() != word[0]]
        if len(words) >= 12 and len(capitals) > len(words) / 2:
            listed.add(number)
        if any(re.search(pattern, sentence) for pattern in shipped_patterns()):
            cursed.add(number)
    number = max(len(sentences), 1)
    few, many = len(sentences) < 5, len(listed | cursed) / number > 0.2
    return {
        "madlad_sentences": len(sentences),
        "madlad_list_case": len(listed) / number,
        "madlad_cursed": len(cursed) / number,
        "madlad_questionable": len(listed | cursed) / number,
        "drop_reason": "min_sentences" if few else "max_questionable" if many else None,
    }


@given(written)
def test_equals_the_oracle(text: str) -> None:
    row, expected = apply(Madlad(), text), oracle(text)
    assert {name: row[name] for name in (*COLUMNS, "drop_reason")} == expected


@given(st.lists(written | st.none(), max_size=4))
def test_a_row_does_not_depend_on_its_batch(values: list[str | None]) -> None:
    stage = Madlad().build()
    alone = [stage(batch(values)[k : k + 1]).to_pylist()[0] for k in range(len(values))]
    assert stage(batch(values)).to_pylist() == alone


def test_patterns_are_the_published_ones() -> None:
    patterns = shipped_patterns()
    assert len(patterns) == 32
    assert (patterns[0], patterns[2], patterns[14], patterns[-1]) == (
        " \u2116",
        r"\|\s*$",
        " porn ",
        ", ..,,? ..,,? ..,,? ..,,?",
    )


@pytest.mark.parametrize(
    "sentence",
    [
        "Lorem ipsum dolor. ",
        "Download it. ",
        "See Vol.5. ",
        "He is on Facebook! ",
        "I S  A \u2116 5 and \u2116 6. ",
        "So W I D E L Y S P A C E D it is. ",
        "\u042d\u0442\u043e 5 \u043a\u0433. ",
        "the cat sat and you may see her now too. ",
    ],
)
def test_cursed(sentence: str) -> None:
    row = apply(Madlad(), sentence + PLAIN * 4)
    assert (row["madlad_sentences"], row["madlad_cursed"], row["drop_reason"]) == (5, 0.2, None)
    assert apply(Madlad(), sentence * 2 + PLAIN * 4)["drop_reason"] == "max_questionable"


def test_a_bar_at_the_end_of_the_text() -> None:
    assert apply(Madlad(), f"{PLAIN * 4}Home |\n")["madlad_cursed"] == 0.2


@pytest.mark.parametrize(
    ("sentence", "listed"),
    [
        (LISTED, 1),
        (LISTED.replace("Seven", "seven"), 0),
        (LISTED.replace(" twelve", ""), 0),
        ("1 2 3 4 5 6 7 8 9 10 11 12. ", 0),
        ("Home\nAbout Us\nNews\nShop\nTeam\nJobs\nHelp\nBlog\nMore\nLog In. ", 1),
    ],
)
def test_list_case(sentence: str, listed: int) -> None:
    assert apply(Madlad(), sentence + PLAIN * 4)["madlad_list_case"] == listed / 5


@pytest.mark.parametrize(("text", "reason"), [(PLAIN * 5, None), (PLAIN * 4, "min_sentences")])
def test_min_sentences(text: str, reason: str | None) -> None:
    assert apply(Madlad(), text)["drop_reason"] == reason


def test_null_and_empty_turn_off() -> None:
    text = f"{LISTED * 3}Episode 1. "
    assert apply(Madlad(list_case=None), text)["madlad_questionable"] == 0.25
    assert apply(Madlad(patterns=()), text)["madlad_questionable"] == 0.75
    assert apply(Madlad(patterns=("seven",)), text)["madlad_cursed"] == 0
    assert apply(Madlad(min_sentences=None, max_questionable=None), text)["drop_reason"] is None


@pytest.mark.parametrize("text", [None, "", "\n \n"])
def test_texts_without_sentences(text: str | None) -> None:
    row = apply(Madlad(min_sentences=None), text)
    assert [row[name] for name in COLUMNS] == [0] * 4
    assert row["drop_reason"] is None


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    assert apply(Madlad(), text)["drop_reason"] == "min_sentences"


def test_string_columns_and_slices() -> None:
    narrow = batch(["skipped. " * 9, PLAIN * 6])
    narrow = narrow.set_column(1, "text", narrow["text"].cast(pa.string()))[1:]
    assert Madlad().build()(narrow)["madlad_sentences"].to_pylist() == [6]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"patterns": ["("]},
            "r: m.patterns: patterns must be regular expressions of RE2, got '(': Invalid regular expression:"
            " missing ): (. Mend it.",
        ),
        (
            {"max_questionable": 2},
            "r: m.max_questionable must be less than or equal to 1, got 2. Correct it in the config.",
        ),
    ],
)
def test_errors(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        validate(Madlad, values, "r: m")
    assert str(error.value) == sentence
