from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataproc.config import validate
from dataproc.errors import ConfigError
from dataproc.kernels.char_classes import ALONE, LETTER, NUMBER, tables
from dataproc.text import clean_text
from stages.refinedweb_lines import COUNTED, RefinedwebLines
from tests.stages.rule_sets import SPACES, repeating, tokens_of, words_of

PROSE = "The harbour was quiet that morning and the two of them walked along the quay."


def rows(*texts: str | None, **config: Any) -> list[dict[str, Any]]:
    ids = pa.array([bytes([row]) * 16 for row in range(len(texts))], pa.binary())
    batch = pa.RecordBatch.from_pydict({"doc_id": ids, "text": pa.array(texts, pa.large_string())})
    result: list[dict[str, Any]] = RefinedwebLines(**config).build()(batch).to_pylist()
    return result


def left(text: str, **config: Any) -> str:
    """Return the text that the lines leave, whatever share of it that is."""
    (row,) = rows(text, **{"max_removed_words": None, **config})
    result: str = row["text"]
    return result


COUNTER = re.compile(rf"(?i)\W*\d[,.\d]*[kmb]?\s+(?:{'|'.join(COUNTED)})\W*")


def oracle(text: str) -> dict[str, Any]:
    """Return the columns, the drop reason and the text afterwards, one line at a time."""
    lines: list[str] = []
    removed = edited = 0
    for line in re.findall("[^\n]*\n|[^\n]+", text):
        bare = line.strip(SPACES)
        kinds = [int(tables().classes[ord(char)]) for char in bare]
        capitals = sum(char.isupper() and char.lower() != char for char in bare)
        short = edit(line) if num_tokens(bare) <= 10 else line
        no_prose = bare and (capitals / len(bare) > 0.5 or kinds.count(NUMBER) == len(bare) or num_tokens(bare) < 2)
        if bare and (no_prose or COUNTER.fullmatch(line) or not short.strip()):
            removed += 1
        else:
            edited += bool(bare) and short != line
            lines.append(short if bare else line)
    after = "".join(lines).strip("\n") if removed or edited else text
    words = len(words_of(text)[0])
    gone = words - len(words_of(after)[0])
    too_many, empty = gone / max(words, 1) > 0.05, after == "" and bool(removed or edited)
    return {
        "text": after,
        "refinedweb_lines_removed": removed,
        "refinedweb_lines_edited": edited,
        "refinedweb_words_removed": gone,
        "refinedweb_removed_words": gone / max(words, 1),
        "drop_reason": "max_removed_words" if too_many else "empty" if empty else None,
    }


def num_tokens(line: str) -> int:
    """Count what white space parts; a letter of a script without spaces is one by itself."""
    letter = {ALONE: "A", LETTER: "w", NUMBER: "w"}
    written = ("".join(letter.get(int(tables().classes[ord(char)]), "") for char in token) for token in tokens_of(line))
    return sum(max(len(re.findall("A|w+", kinds)), 1) for kinds in written)


def edit(line: str) -> str:
    line = re.sub(r"(?i)\s?items in cart", "", line)
    line = re.sub(r"(?i)\s?Read more(?:\.\.\.|\u2026)\s*?(\n?)\Z", r"\1", line)
    return re.sub(r"(?i)\A\s*Sign-in\s?", "", line)


@settings(max_examples=40)
@given(
    st.lists(repeating | st.sampled_from([f"{PROSE}\n", "3 likes\n", "Read more...\n", " items in cart", "sign-in "]))
    .map("".join)
    .map(clean_text)
)
def test_equals_the_oracle(text: str) -> None:
    (row,) = rows(text)
    expected = oracle(text)
    assert {name: row[name] for name in expected} == expected


def between(line: str) -> str:
    return f"{PROSE}\n{line}\n{PROSE}"


def is_removed(line: str, **config: Any) -> bool:
    text = left(between(line), **config)
    assert text in (between(line), f"{PROSE}\n{PROSE}")
    return text != between(line)


@pytest.mark.parametrize(
    ("line", "config", "removed"),
    [
        ("ABcd ef", {}, False),  # 2 of 7
        ("ABC def", {}, False),  # 3 of 7
        ("ABCD def", {}, False),  # 4 of 8: not above a half
        ("ABCDE def", {}, True),  # 5 of 9
        ("  ABCD def  ", {}, False),  # white space around is left out
        ("ABCDE def", {"max_uppercase": None}, False),
        ("1234 5678", {}, False),  # a space is no number
        ("12345678", {"min_words": None}, True),
        ("1234567.", {"min_words": None}, False),
        ("12345678", {"min_words": None, "max_numeric": None}, False),
        ("1234567.", {"min_words": None, "max_numeric": 0.8}, True),
        ("Home", {}, True),
        ("Home page", {}, False),
        ("Home page", {"min_words": 3}, True),
        ("Home", {"min_words": None}, False),
        ("\u732b", {}, True),
        ("\u732b\u304c", {}, False),
        ("\u2014", {}, True),  # a dash is no word of itself, but stands between white space
        (" \t ", {}, False),  # blank lines are not lines
    ],
)
def test_lines_by_what_they_are_made_of(line: str, config: dict[str, Any], removed: bool) -> None:
    assert is_removed(line, **config) is removed


@pytest.mark.parametrize("line", ["3 likes", "1.2K views", "- 12,345 Followers!", "7M\u00a0downloads", "\u0663 likes"])
def test_counters_go(line: str) -> None:
    assert is_removed(line)
    assert not is_removed(line, counted=[])


@pytest.mark.parametrize("line", ["3 cats", "likes 3", "about 3 likes", "3 likes and more", "3likes it", "3x likes"])
def test_other_lines_are_no_counters(line: str) -> None:
    assert not is_removed(line)


def test_every_word_counts() -> None:
    text = "\n".join(["A cat sat.", *(f"2 {word}" for word in COUNTED)])
    assert left(text) == "A cat sat."
    assert left("2 cats\nA cat sat.", counted=["cats"]) == "A cat sat."


@pytest.mark.parametrize(
    ("line", "edited"),
    [
        ("You have 2 items in cart now", "You have 2 now"),
        ("And so on. Read more...", "And so on."),
        ("And so on. READ MORE\u2026  ", "And so on."),
        ("Read more... and so on", "Read more... and so on"),
        ("And so on. Read more", "And so on. Read more"),
        ("And so on. Read moreabc", "And so on. Read moreabc"),  # the stops are stops, not any character
        ("Sign-in to your account", "to your account"),
        ("Please Sign-in here", "Please Sign-in here"),
        ("one two three four five six seven eight Read more...", "one two three four five six seven eight"),
        ("one two three four five six seven eight nine Read more...",) * 2,  # 11 words
    ],
)
def test_short_lines_lose_strings(line: str, edited: str) -> None:
    (row,) = rows(between(line), max_removed_words=None)
    assert row["text"] == between(edited)
    assert row["refinedweb_lines_edited"] == int(line != edited)
    assert row["refinedweb_lines_removed"] == 0


def test_a_line_left_with_nothing_is_removed() -> None:
    (row,) = rows(between(" Read more..."), max_removed_words=None)
    assert row["text"] == f"{PROSE}\n{PROSE}"
    assert (row["refinedweb_lines_removed"], row["refinedweb_lines_edited"]) == (1, 0)


def test_edits_are_configurable() -> None:
    config = {"anywhere": ["x y"], "at_start": ["Go:"], "at_end": [], "max_edit_words": 4}
    assert left("Go: to x y it\nGo: to the x y of it\nAnd Read more...", **config) == (
        "Go: to x y it\nGo: to the x y of it\nAnd Read more..."
    )
    assert left("Go: to x y\na x y b", **config) == "to\na b"


def test_max_removed_words() -> None:
    words = "word " * 19
    inside, outside = rows(f"{words}\nHome", f"{words[5:]}\nHome")
    assert (inside["drop_reason"], inside["refinedweb_removed_words"]) == (None, 0.05)
    assert (outside["drop_reason"], outside["drop_limit"]) == ("max_removed_words", 0.05)
    assert outside["drop_value"] == outside["refinedweb_removed_words"] == 1 / 19
    assert (outside["refinedweb_words_removed"], outside["text"]) == (1, words[5:])


def test_a_text_that_becomes_empty_is_dropped() -> None:
    kept, lost = rows("", "Home\n\n", max_removed_words=None)
    assert (kept["text"], kept["drop_reason"]) == ("", None)
    assert (lost["text"], lost["drop_reason"]) == ("", "empty")


def test_texts_without_such_lines_stay_byte_by_byte() -> None:
    texts = ["\n\nA cat.\n \n  Two cats. \n\n", None, "\n", "Two cats"]
    assert [row["text"] for row in rows(*texts)] == texts
    assert all(row["refinedweb_words_removed"] == 0 for row in rows(*texts))


def test_newlines_at_the_ends_of_a_changed_text_go() -> None:
    assert left("Home\n\nA cat.\n\nTwo cats.\n\nTop") == "A cat.\n\nTwo cats."


@pytest.mark.parametrize("string", ["", " a", "a ", "a\nb"])
def test_strings_must_be_part_of_a_line(string: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(RefinedwebLines, {"at_end": [string]}, "r.yaml: documents.refinedweb_lines")
    assert str(caught.value) == (
        "r.yaml: documents.refinedweb_lines.at_end: strings must be part of a line and not begin or end with space,"
        f" got {string!r}. Trim it."
    )
