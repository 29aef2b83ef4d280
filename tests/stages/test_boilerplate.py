from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.config import validate
from dataproc.errors import ConfigError
from stages.boilerplate import COLUMNS, PHRASES, Boilerplate
from tests.dataproc.kernels.texts import PATHOLOGICAL
from tests.stages.rule_sets import SPACES, apply, batch, lines_of, repeating

PLAIN = "One two three."
COOKIE = "This site USES Cookies."


def oracle(text: str, cut: str) -> tuple[str | None, list[str], list[bool]]:
    """Return the drop reason, the lines left, and which lines hold a phrase."""
    lines = lines_of(text)
    hits = [any(phrase in line.lower() for phrase in PHRASES) for line in lines]
    filler = any("lorem ipsum" in line.lower() for line in lines)
    left = [(line, hit) for line, hit in zip(lines, hits, strict=True) if cut != "all" or not hit]
    if cut == "ends":
        while left and left[0][1]:
            left.pop(0)
        while left and left[-1][1]:
            left.pop()
    share = sum(hits) / max(len(lines), 1)
    reason = "filler" if filler else "max_share" if share > 0.4 else None
    return reason, [line for line, _ in left], hits


def expected(text: str, cut: str) -> dict[str, Any]:
    """Return the columns, the drop reason and the lines of the text afterwards."""
    reason, left, hits = oracle(text, cut)
    return {
        "boilerplate_lines": sum(hits),
        "boilerplate_share": sum(hits) / max(len(hits), 1),
        "boilerplate_cut": len(hits) - len(left),
        "drop_reason": reason,
        "lines": lines_of(text) if reason else left,
    }


@pytest.mark.parametrize("cut", ["ends", "all", "none"])
@given(text=st.lists(repeating | st.sampled_from([COOKIE, "\n", " \n", f"\n{PLAIN}"]), max_size=6).map("\n".join))
def test_equals_the_oracle(cut: str, text: str) -> None:
    row = apply(Boilerplate.model_validate({"cut": cut}), text)
    values = expected(text, cut)
    assert {name: {**row, "lines": lines_of(row["text"])}[name] for name in values} == values
    reason, left, hits = oracle(text, cut)
    if reason or len(left) == len(hits):
        assert row["text"] == text


@given(st.lists(repeating | st.none(), max_size=4))
def test_a_row_does_not_depend_on_its_batch(values: list[str | None]) -> None:
    stage = Boilerplate(phrases=("a",), max_share=None).build()
    alone = [stage(batch(values)[k : k + 1]).to_pylist()[0] for k in range(len(values))]
    assert stage(batch(values)).to_pylist() == alone


def test_example_of_the_docstring() -> None:
    row = apply(Boilerplate(max_share=0.5), "We use cookies.\nOne.\n\nTwo.\nPrivacy policy")
    assert row["text"] == "One.\n\nTwo."
    assert [row[name] for name in COLUMNS] == [2, 0.5, 2]


@pytest.mark.parametrize(("others", "reason"), [(3, None), (2, "max_share")])
def test_max_share(others: int, reason: str | None) -> None:
    text = "\n".join([COOKIE, *[PLAIN] * others, COOKIE])
    row = apply(Boilerplate(), text)
    assert (row["drop_reason"], row["boilerplate_share"]) == (reason, 2 / (others + 2))
    assert row["text"] == (text if reason else "\n".join([PLAIN] * others))


def test_lines_in_the_middle_stay() -> None:
    text = f"{PLAIN}\n{COOKIE}\n  {PLAIN}"
    assert apply(Boilerplate(), text)["text"] == text
    assert apply(Boilerplate(cut="all"), text)["text"] == f"{PLAIN}\n  {PLAIN}"


def test_paragraphs() -> None:
    text = f"{COOKIE}\n{PLAIN}\n\n{PLAIN}\n\n{PLAIN}"
    row = apply(Boilerplate(unit="paragraph"), text)
    assert (row["text"], row["boilerplate_share"]) == (f"{PLAIN}\n\n{PLAIN}", 1 / 3)


def test_nothing_left() -> None:
    assert apply(Boilerplate(max_share=None), COOKIE)["drop_reason"] == "empty"
    assert apply(Boilerplate(max_share=None, cut="none"), COOKIE)["drop_reason"] is None
    for text in (None, "", " \n"):
        row = apply(Boilerplate(), text)
        assert (row["text"], row["drop_reason"], row["boilerplate_share"]) == (text, None, 0)


def test_filler() -> None:
    text = f"{PLAIN}\nLorem Ipsum dolor\n{PLAIN}"
    assert apply(Boilerplate(), text)["drop_reason"] == "filler"
    assert apply(Boilerplate(filler=()), text)["drop_reason"] is None


def test_rules_that_are_off_are_not_named() -> None:
    assert Boilerplate().contract().rules == ("filler", "max_share", "empty")
    assert Boilerplate(filler=(), max_share=None, cut="none").contract().rules == ()


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    assert apply(Boilerplate(), text)["text"] == text
    assert apply(Boilerplate(max_share=None), f"{COOKIE}\n{text}")["text"] == (
        text.strip(SPACES) or f"{COOKIE}\n{text}"
    )


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"cut": "end"}, "r: b.cut must be 'ends', 'all' or 'none', got 'end'. Correct it in the config."),
        ({"phrase": []}, 'r: b.phrase is not a key of Boilerplate. Did you mean "phrases"?'),
    ],
)
def test_errors(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        validate(Boilerplate, values, "r: b")
    assert str(error.value) == sentence
