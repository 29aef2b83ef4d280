from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.config import validate
from dataproc.errors import ConfigError
from dataproc.stage import BuiltStage, StageCounts, run_stages
from stages.c4 import C4, COLUMNS, LINE_RULES, POLICY
from tests.dataproc.kernels.test_sentences import oracle as sentences
from tests.dataproc.kernels.texts import PATHOLOGICAL
from tests.stages.rule_sets import SPACES, apply, batch, lines_of, repeating

LINE = "This line has five words."


def test_limits_of_the_variants() -> None:
    fields = ["max_chars", "end_marks", "min_line_words", "min_sentences", "max_word_chars"]
    assert [getattr(C4(), field) for field in fields] == [190_000, '.?!"', 5, 3, 1000]
    assert [getattr(C4(variant="datatrove"), field) for field in fields] == [None, ".?!\"'", 3, 5, 1000]
    assert C4(variant="datatrove", end_marks=None, min_sentences=1).end_marks is None
    assert [getattr(C4(variant="dclm"), field) for field in fields] == [190_000, '.?!"', 5, 3, 1000]
    assert [getattr(C4(variant="dolma"), field) for field in fields] == [None, '.?!"', 3, None, None]
    assert (C4(variant="dolma").citations, C4(variant="dolma").policy) == (False, ())


def oracle(text: str, config: C4) -> tuple[str | None, str]:
    """Return the drop reason and the lines left, read off the reference codes one line at a time."""
    if config.variant == "dolma":
        return dolma(text)
    left, phrases, num_sentences = [], set(), 0
    for line in lines_of(text):
        words = [word for word in re.split(f"[{re.escape(SPACES)}]+", line) if word]
        if any(len(word) > 1000 for word in words):
            continue
        line = re.sub(r"\[[0-9]*\]|\[edit\]|\[citation needed\]", "", line)
        if config.variant != "datatrove":
            words = [word for word in re.split(f"[{re.escape(SPACES)}]+", line) if word]
        ending = line.rstrip(SPACES) if config.variant == "dclm" else line
        if config.end_marks and (not ending.endswith(tuple(config.end_marks)) or ending.endswith("...")):
            continue
        if len(words) < (config.min_line_words or 0):
            continue
        lowered = line.lower()
        if "lorem ipsum" in lowered:
            phrases.add("lorem_ipsum")
        elif "javascript" in lowered:
            continue
        elif "{" in line:
            phrases.add("curly_bracket")
        elif not any(phrase in lowered for phrase in POLICY):
            num_sentences += sentences(line.strip(SPACES))
            left.append(line)
    short = "min_sentences" if num_sentences < (config.min_sentences or 0) else None
    return next((rule for rule in ("lorem_ipsum", "curly_bracket") if rule in phrases), short), "\n".join(left)


def expected(text: str, config: C4) -> dict[str, Any]:
    """Return the drop reason and the text afterwards."""
    reason, left = oracle(text, config)
    if reason is None and not left.strip():
        reason = "min_chars"
    return {"drop_reason": reason, "text": text if reason else left.strip()}


def dolma(text: str) -> tuple[str | None, str]:
    """The tagger c4_v2, and what the mixer does with its spans."""
    found = {"lorem_ipsum": "lorem ipsum", "javascript": "javascript", "curly_bracket": "{"}
    words = re.compile(f"[^{re.escape(SPACES)}]+")
    left = [line for line in lines_of(text) if line.endswith((".", "?", "!", '"')) and len(words.findall(line)) >= 3]
    return next((rule for rule, phrase in found.items() if phrase in text.lower()), None), "\n".join(left)


@pytest.mark.parametrize(
    "config",
    [
        C4(min_sentences=1, min_line_words=1),
        C4(variant="datatrove", min_sentences=1, min_line_words=2),
        C4(variant="datatrove", end_marks=None, min_sentences=2, min_line_words=1),
        C4(variant="dclm", min_sentences=1, min_line_words=1),
        C4(variant="dolma"),
    ],
    ids=["tfds", "datatrove", "fineweb", "dclm", "dolma"],
)
@given(text=repeating)
def test_equals_the_oracle(config: C4, text: str) -> None:
    row, values = apply(config, text), expected(text, config)
    assert {name: row[name] for name in values} == values


@given(repeating)
def test_every_line_is_accounted_for(text: str) -> None:
    config = C4(min_sentences=None, min_chars=None, lorem_ipsum=False, curly_bracket=False, citations=False)
    row = apply(config, text)
    removed = sum(row[f"c4_{rule}_lines"] for rule in LINE_RULES)
    assert row["drop_reason"] is None
    assert row["c4_lines"] - removed == len(lines_of(row["text"]))
    assert row["c4_chars"] - row["c4_removed_chars"] == len(row["text"])


@given(st.lists(repeating | st.none(), max_size=4))
def test_a_row_does_not_depend_on_its_batch(values: list[str | None]) -> None:
    stage = C4(min_sentences=1, min_line_words=1).build()
    alone = [stage(batch(values)[k : k + 1]).to_pylist()[0] for k in range(len(values))]
    assert stage(batch(values)).to_pylist() == alone


def test_example_of_the_docstring() -> None:
    row = apply(C4(min_sentences=1), "Home\nThis is all there is.[1]")
    assert (row["text"], row["c4_no_end_mark_lines"], row["c4_citations"]) == ("This is all there is.", 1, 1)


@pytest.mark.parametrize(
    ("text", "reason"), [(None, "min_sentences"), ("", "min_sentences"), ("\n \n", "min_sentences")]
)
def test_texts_without_lines(text: str | None, reason: str) -> None:
    row = apply(C4(), text)
    assert (row["text"], row["drop_reason"], row["c4_lines"]) == (text, reason, 0)


def test_all_off_keeps_the_lines() -> None:
    off: dict[str, Any] = dict.fromkeys(["max_chars", "max_word_chars", "end_marks", "min_line_words", "min_sentences"])
    config = C4(
        **off, lorem_ipsum=False, javascript=False, curly_bracket=False, policy=(), citations=False, min_chars=None
    )
    assert (
        apply(config, "lorem ipsum {\n\njavascript [1]\nuse cookies")["text"]
        == "lorem ipsum {\njavascript [1]\nuse cookies"
    )
    assert apply(config, "")["drop_reason"] is None


def test_dropped_and_flagged_documents_keep_their_text() -> None:
    texts: list[str | None] = ["Menu\nToo short.", f"Menu\n{LINE}\n{LINE}\n{LINE}"]
    counts: dict[str, StageCounts] = {}
    kept, [dropped] = run_stages([BuiltStage("c4", C4().build())], batch(texts), counts)
    assert kept["text"].to_pylist() == [f"{LINE}\n{LINE}\n{LINE}"]
    assert (dropped["text"].to_pylist(), dropped["drop_reason"].to_pylist()) == ([texts[0]], ["c4.min_sentences"])
    flagged, _ = run_stages([BuiltStage("c4", C4().build(), annotate=True)], batch(texts), counts)
    assert flagged["text"].to_pylist() == [texts[0], f"{LINE}\n{LINE}\n{LINE}"]
    assert flagged["flags"].to_pylist() == [["c4.min_sentences"], []]


def test_languages() -> None:
    config = C4(languages=("en", "de"))
    assert config.languages == ("deu", "eng")
    assert config.contract().reads == ("text", "language")
    assert C4().contract().reads == ("text",)
    for language, reason in (("eng", "min_sentences"), ("deu", "min_sentences"), ("fra", None), (None, None)):
        row = apply(config, "Menu", language)
        assert (row["text"], row["drop_reason"]) == ("Menu", reason)
        assert all((row[name] is None) == (reason is None) for name in COLUMNS)


def test_rules_that_are_off_are_not_named() -> None:
    assert "max_chars" not in C4(variant="datatrove").contract().rules
    left = C4(max_chars=None, lorem_ipsum=False, curly_bracket=False, min_sentences=0).contract().rules
    assert left == ("min_sentences", "min_chars")


def test_javascript_is_a_rule_of_dolma_alone() -> None:
    assert "javascript" not in C4().contract().rules
    assert C4(variant="dolma").contract().rules == ("lorem_ipsum", "javascript", "curly_bracket", "min_chars")
    assert "javascript" not in C4(variant="dolma", javascript=False).contract().rules


def test_config_round_trip() -> None:
    for config in (C4(variant="datatrove", end_marks=None, languages=("en",)), C4(policy=("cookies",))):
        assert C4.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    row = apply(C4(), text)
    assert (row["text"], row["drop_reason"]) == (text, "max_chars")
    assert apply(C4(max_chars=None), text)["drop_reason"] == "min_sentences"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"variant": "c4"},
            "r: c.variant must be 'tfds', 'datatrove', 'dclm' or 'dolma', got 'c4'. Correct it in the config.",
        ),
        ({"min_words_line": 3}, 'r: c.min_words_line is not a key of C4. Did you mean "min_line_words"?'),
        (
            {"languages": ["english"]},
            'r: c.languages: language must be an ISO 639-1 or 639-3 code such as en or eng, got "english".'
            " See languages.tsv.",
        ),
        (
            {"policy": [""]},
            "r: c.policy.0 must be String should have at least 1 character, got ''. Correct it in the config.",
        ),
    ],
)
def test_errors(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        validate(C4, values, "r: c")
    assert str(error.value) == sentence
