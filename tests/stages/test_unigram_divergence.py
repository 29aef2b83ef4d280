from __future__ import annotations

import gzip
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.config import validate
from dataproc.errors import ConfigError
from stages.unigram_divergence import UnigramDivergence
from stages.unigrams import UnigramCounter, read_unigrams, unigrams_path
from tests.dataproc.kernels.test_shingles import folded
from tests.dataproc.kernels.texts import PATHOLOGICAL
from tests.stages.rule_sets import apply, batch, words_of

ENGLISH = read_unigrams("eng")
COUNTS = dict(zip(ENGLISH.words, ENGLISH.counts.tolist(), strict=True))
FROM_FIVE = UnigramDivergence(min_words=5).build()
written = st.lists(
    st.sampled_from(["the ", "Of ", "markets ", "zxq ", "\u4e2d", "7 ", "-- ", "o\u00adf "]), max_size=30
).map("".join)


def oracle(text: str) -> float | None:
    words = [folded(word) for word in words_of(text)[0]]
    if len(words) < 5:
        return None
    shares = {word: number / len(words) for word, number in Counter(words).items()}
    expected = {word: COUNTS.get(word, 0) / ENGLISH.total + 1e-6 for word in shares}
    return sum(p * math.log(p / expected[word]) for word, p in shares.items())


def expected(text: str) -> dict[str, Any]:
    """Return the column, which is rounded."""
    value = oracle(text)
    return {"unigram_divergence": None if value is None else pytest.approx(value, abs=1e-4)}


@given(written)
def test_equals_the_oracle(text: str) -> None:
    row = FROM_FIVE(batch([text])).to_pylist()[0]
    assert row["unigram_divergence"] == expected(text)["unigram_divergence"]
    assert row["drop_reason"] == ("max_divergence" if (row["unigram_divergence"] or 0) > 6 else None)


@given(st.lists(written | st.none(), max_size=4))
def test_a_row_does_not_depend_on_its_batch(values: list[str | None]) -> None:
    alone = [FROM_FIVE(batch(values)[k : k + 1]).to_pylist()[0] for k in range(len(values))]
    assert FROM_FIVE(batch(values)).to_pylist() == alone


def test_limit() -> None:
    value = apply(UnigramDivergence(), "the " * 50)["unigram_divergence"]
    assert value == pytest.approx(math.log(1 / (COUNTS["the"] / ENGLISH.total + 1e-6)), abs=1e-4)
    assert apply(UnigramDivergence(max_divergence=value), "the " * 50)["drop_reason"] is None
    row = apply(UnigramDivergence(max_divergence=value - 0.0001), "the " * 50)
    assert (row["drop_reason"], row["drop_value"]) == ("max_divergence", value)
    assert apply(UnigramDivergence(max_divergence=None), "zxq " * 50)["drop_reason"] is None


def test_what_is_not_measured() -> None:
    assert apply(UnigramDivergence(), "zxq " * 49)["unigram_divergence"] is None
    assert apply(UnigramDivergence(), "zxq " * 50)["unigram_divergence"] == 13.8155  # log of a million
    for language in ("deu", None):
        assert apply(UnigramDivergence(), "zxq " * 50, language)["unigram_divergence"] is None
    assert apply(UnigramDivergence(), None)["unigram_divergence"] is None


def test_languages(tmp_path: Path) -> None:
    other = tmp_path / "deu.tsv"
    other.write_text('# {"format": 1, "language": "deu", "documents": 1, "words": 4, "divergence": {}}\nund\t3\n')
    config = UnigramDivergence(references={"de": str(other), "en": "eng"}, languages={"de": 0.1}, min_words=1)
    assert config.references == {"deu": str(other), "eng": "eng"}
    row = apply(config, "und Und", "deu")
    assert (row["unigram_divergence"], row["drop_limit"]) == (pytest.approx(math.log(4 / 3), abs=1e-4), 0.1)
    assert set(config.contract().assets) == {"char_classes", "unigrams deu", "unigrams eng"}
    assert UnigramDivergence.model_validate_json(config.model_dump_json()) == config


def test_plain_english_passes_and_another_language_does_not() -> None:
    english = "He said that the price of oil had fallen by a third since the war began, and that the banks would " * 4
    german = "Er sagte, dass der Preis seit dem Beginn des Krieges um ein Drittel gefallen sei, und die Banken " * 4
    assert apply(UnigramDivergence(), english)["unigram_divergence"] < 4
    assert apply(UnigramDivergence(), german)["drop_reason"] == "max_divergence"


@pytest.mark.parametrize("text", PATHOLOGICAL)
def test_a_megabyte_of_one_thing(text: str) -> None:
    assert (apply(UnigramDivergence(), text)["unigram_divergence"] is None) == (
        len(text) == 1_000_000 or text[0] == "\u0301"
    )


def test_counter_does_not_depend_on_batches() -> None:
    texts = ["The cat and THE dog", "an \u0130stanbul and a Cat", "", "b b b"]
    whole, parts = UnigramCounter(), UnigramCounter()
    whole.add(pa.array(texts))
    for text in texts:
        parts.add(pa.array([text]))
    found, other = whole.unigrams("eng", 4), parts.unigrams("eng", 4)
    assert found.words == other.words == ("b", "and", "cat", "the")
    assert found.counts.tolist() == other.counts.tolist() == [3, 2, 2, 2]
    assert (found.total, found.documents) == (other.total, other.documents) == (13, 4)


def test_shipped_reference() -> None:
    assert (ENGLISH.language, ENGLISH.documents, ENGLISH.total) == ("eng", 1000, 262_240)
    assert ENGLISH.words[:3] == ("the", "a", "of")
    assert ENGLISH.divergence["0.995"] == 2.8017
    assert unigrams_path("eng").read_bytes()[4:8] == bytes(4)  # no time in the gzip header


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"the\t1\n", "JSONDecodeError('Expecting value: line 1 column 1 (char 0)')"),
        (b'# {"format": 2}\n', "ValueError('format 2')"),
        (b'# {"format": 1, "language": "eng", "documents": 1, "words": 1, "divergence": {}}\nx\n', None),
    ],
)
def test_damaged_references(tmp_path: Path, content: bytes, cause: str | None) -> None:
    path = tmp_path / "bad.tsv.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(ConfigError) as error:
        read_unigrams(str(path))
    assert str(error.value).startswith(
        f"unigrams {path} must be as `dataproc build-unigrams` writes them, got: {cause or 'Val'}"
    )
    path.write_bytes(b"no gzip")
    with pytest.raises(ConfigError, match="must be a readable file, got: Not a gzipped file"):
        read_unigrams(f"{path.parent}/./{path.name}")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"references": {"en": "english"}},
            'r: u.references: unigrams must be shipped or the path of a .tsv or .tsv.gz file, got "english".'
            ' Did you mean "eng"?',
        ),
        (
            {"references": {"de": "eng"}},
            "r: u.references: references must be of their language, got one of eng for deu. Change it.",
        ),
        ({"min_words": 0}, "r: u.min_words must be greater than or equal to 1, got 0. Correct it in the config."),
    ],
)
def test_errors(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        validate(UnigramDivergence, values, "r: u")
    assert str(error.value) == sentence


def test_words_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "two.tsv"
    path.write_text('# {"format": 1, "language": "eng", "documents": 1, "words": 4, "divergence": {}}\ntwo words\t3\n')
    with pytest.raises(ConfigError) as error:
        UnigramDivergence(references={"en": str(path)}).build()
    assert str(error.value) == "unigrams of eng must be single words, each once. Build them again."
