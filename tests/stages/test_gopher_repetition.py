from __future__ import annotations

import re
from collections import Counter
from typing import Any, get_args

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.config import validate
from dataproc.errors import ConfigError
from stages.gopher_repetition import COLUMNS, GopherRepetition, Rule, column
from tests.dataproc.kernels.texts import PATHOLOGICAL
from tests.stages.rule_sets import SPACES, apply, batch, lines_of, pieces_of, published, repeating, repeats_of, words_of

# Table A1.
PAPER = [0.3, 0.2, 0.3, 0.2, 0.2, 0.18, 0.16, 0.15, 0.14, 0.13, 0.12, 0.11, 0.1]


def test_limits_are_the_papers() -> None:
    assert [getattr(GopherRepetition(), rule) for rule in get_args(Rule)] == PAPER
    assert list(GopherRepetition().contract().rules) == list(get_args(Rule))


def oracle(text: str, variant: str = "paper") -> dict[str, float]:
    """Return the columns, by the paper's rules as datatrove breaks ties and overlaps, with our words and lines.

    In the other variants with datatrove's lines, and our pieces.
    """
    emptied = "\n".join(line if line.strip(SPACES) else "" for line in text.split("\n"))
    paragraphs = [part.strip(SPACES) for part in re.split("\n\n+", emptied) if part.strip(SPACES)]
    lines = lines_of(text)
    words, gaps = words_of(text)
    if variant != "paper":
        paragraphs, lines = re.split("\n{2,}", text.strip()), re.split("\n+", text)
        words = pieces_of(text)
        gaps = [1] * len(words)
    measured = {}
    for name, elements in (("paragraph", paragraphs), ("line", lines)):
        repeats = repeats_of(elements)
        measured[f"gopher_dup_{name}s"] = len(repeats) / max(len(elements), 1)
        measured[f"gopher_dup_{name}_chars"] = len("".join(repeats)) / max(len(text), 1)
    for size in range(2, 11):
        grams = [tuple(words[k : k + size]) for k in range(len(words) - size + 1)]
        top, seen, repeated, k = 0, set[tuple[str, ...]](), 0, 0
        if grams:
            place = grams.index(Counter(grams).most_common(1)[0][0])
            top = grams.count(grams[place]) * (len("".join(grams[place])) + sum(gaps[place : place + size - 1]))
        while k < len(grams):
            if grams[k] in seen:
                repeated += len("".join(grams[k]))
                k += size
            else:
                seen.add(grams[k])
                k += 1
        if size < 5:
            measured[f"gopher_top_{size}gram"] = top / max(len(text), 1)
        else:
            measured[f"gopher_dup_{size}grams"] = repeated / max(len(text), 1)
    return measured


def expected(text: str, variant: str = "paper", language: str = "eng") -> dict[str, Any]:
    """Return the columns and the drop reason."""
    measured, limits = oracle(text, variant), dict(zip(get_args(Rule), PAPER, strict=True))
    if variant == "fineweb2":
        own = published(language)
        limits = {rule: float(own.get(rule, "nan")) for rule in limits}
    broken = [rule for rule, limit in limits.items() if measured[column(rule)] > limit]
    return {**measured, "drop_reason": broken[0] if broken else None}


@pytest.mark.parametrize(("variant", "language"), [("paper", "eng"), ("datatrove", "eng"), ("fineweb2", "jpn")])
@given(text=repeating)
def test_equals_the_oracle(variant: Any, language: str, text: str) -> None:
    row = apply(GopherRepetition(variant=variant), text, language)
    assert {name: row[name] for name in (*COLUMNS, "drop_reason")} == expected(text, variant, language)


@given(st.lists(repeating | st.none(), max_size=4))
def test_a_row_does_not_depend_on_its_batch(values: list[str | None]) -> None:
    stage = GopherRepetition().build()
    alone = [stage(batch(values)[k : k + 1]).to_pylist()[0] for k in range(len(values))]
    assert stage(batch(values)).to_pylist() == alone


def test_example_of_the_docstring() -> None:
    row = apply(GopherRepetition(), "to be\nto be")
    assert (row["gopher_dup_lines"], row["gopher_dup_line_chars"]) == (0.5, 5 / 11)
    assert row["gopher_top_2gram"] == 10 / 11


@pytest.mark.parametrize("rule", get_args(Rule))
def test_null_turns_a_rule_off(rule: str) -> None:
    off: dict[str, Any] = dict.fromkeys(get_args(Rule))
    text = "same same same same same same same same same same same\n\n" * 3
    row = apply(GopherRepetition(**{**off, rule: 0.05}), text)
    assert (row["drop_reason"], row["drop_limit"]) == (rule, 0.05)
    assert apply(GopherRepetition(**off), text)["drop_reason"] is None


@pytest.mark.parametrize("text", [None, "", "\n \n", "... --"])
def test_texts_without_words(text: str | None) -> None:
    row = apply(GopherRepetition(), text)
    assert [row[name] for name in COLUMNS] == [0.0] * len(COLUMNS)
    assert row["drop_reason"] is None


def test_languages() -> None:
    config = GopherRepetition(languages={"de": {"max_top_2gram": None}})
    for language, reason in (("eng", "max_top_2gram"), ("deu", "max_top_3gram"), (None, "max_top_2gram")):
        assert apply(config, "one two three", language)["drop_reason"] == reason
    assert GopherRepetition.model_validate_json(config.model_dump_json()) == config
    assert config.languages == {"deu": {"max_top_2gram": None}}


def test_ngrams_are_not_held_against_languages_without_spaces() -> None:
    sentence = "\u4eca\u65e5\u306f\u5929\u6c17\u304c\u3044\u3044\u304b\u3089"
    others = "".join(chr(0x4E00 + number) for number in range(70))
    text = f"{others}{sentence}\n{sentence}"
    assert apply(GopherRepetition(max_dup_lines=None), text, "kor")["drop_reason"] == "max_dup_10grams"
    assert apply(GopherRepetition(max_dup_lines=None), text, "jpn")["drop_reason"] is None
    own = GopherRepetition(max_dup_lines=None, languages={"ja": {"max_dup_10grams": 0.1}})
    assert apply(own, text, "jpn")["drop_reason"] == "max_dup_10grams"


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    words = text.split() if text[0] != "\u4e2d" else list(text)
    reason = apply(GopherRepetition(), text)["drop_reason"]
    assert reason == ("max_top_2gram" if len(words) > 1 and text[0] in "a\u4e2d" else None)


def test_string_columns_and_slices() -> None:
    narrow = batch(["skipped", "to be\nto be"])
    narrow = narrow.set_column(1, "text", narrow["text"].cast(pa.string()))[1:]
    assert GopherRepetition().build()(narrow)["gopher_dup_lines"].to_pylist() == [0.5]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"max_top_5gram": 0.1},
            'r: g.max_top_5gram is not a key of GopherRepetition. Did you mean "max_top_4gram"?',
        ),
        (
            {"max_dup_lines": 30},
            "r: g.max_dup_lines must be less than or equal to 1, got 30. Correct it in the config.",
        ),
    ],
)
def test_errors(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        validate(GopherRepetition, values, "r: g")
    assert str(error.value) == sentence
