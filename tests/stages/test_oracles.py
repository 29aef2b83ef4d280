"""Every rule set does what its oracle says, on real texts and on long, short and monotonous ones.

The real texts are those of DATAPROC_BENCH_TEXTS (`benchmarks.texts`) where it is set, else those of the sample crawl.
The oracles are in the tests of the rule sets, which try them with made-up texts of every script.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.dataset as ds
import pytest

from benchmarks.texts import FOLDERS, bench_texts
from dataproc.stage import Stage
from stages.bad_words import BadWords
from stages.boilerplate import Boilerplate
from stages.c4 import C4
from stages.fineweb_quality import FinewebQuality
from stages.gopher_quality import GopherQuality
from stages.gopher_repetition import GopherRepetition
from stages.madlad import Madlad
from stages.nemo_quality import NemoQuality
from stages.pii import Pii
from stages.refinedweb_lines import RefinedwebLines
from stages.repeated_runs import RepeatedRuns
from stages.unigram_divergence import UnigramDivergence
from tests.dataproc.kernels import test_pieces, test_words
from tests.dataproc.kernels.texts import PATHOLOGICAL
from tests.stages import (
    pii_oracle,
    test_bad_words,
    test_boilerplate,
    test_c4,
    test_fineweb_quality,
    test_gopher_quality,
    test_gopher_repetition,
    test_madlad,
    test_nemo_quality,
    test_refinedweb_lines,
    test_repeated_runs,
    test_unigram_divergence,
)
from tests.stages.rule_sets import batch, lines_of, pieces_of, words_of
from tests.stages.test_linear import zipf_words

Oracle = Callable[[str], Mapping[str, Any]]

PII = Pii(phone="|||PHONE|||", iban="|||IBAN|||", card="|||CARD|||", secret="|||SECRET|||")


class Check(NamedTuple):
    """A rule set, what it has to say of a text, and the language the text is taken to be in."""

    stage: Stage
    oracle: Oracle
    language: str = "eng"


def c4(config: C4) -> Check:
    return Check(config, lambda text: test_c4.expected(text, config))


CHECKS = {
    "bad_words": Check(BadWords(), test_bad_words.oracle),
    "boilerplate": Check(Boilerplate(), lambda text: test_boilerplate.expected(text, "ends")),
    "c4, tfds": c4(C4(max_chars=None)),
    "c4, datatrove": c4(C4(variant="datatrove")),
    "c4, dclm": c4(C4(variant="dclm", max_chars=None)),
    "c4, dolma": c4(C4(variant="dolma")),
    "fineweb_quality, datatrove": Check(FinewebQuality(), test_fineweb_quality.oracle),
    "fineweb_quality, paper": Check(
        FinewebQuality(variant="paper"), partial(test_fineweb_quality.oracle, variant="paper")
    ),
    "fineweb_quality, fineweb2": Check(
        FinewebQuality(variant="fineweb2"),
        partial(test_fineweb_quality.oracle, variant="fineweb2", language="fra"),
        "fra",
    ),
    "gopher_quality, paper": Check(GopherQuality(), test_gopher_quality.oracle),
    "gopher_quality, datatrove": Check(
        GopherQuality(variant="datatrove"), partial(test_gopher_quality.oracle, variant="datatrove")
    ),
    "gopher_quality, fineweb2": Check(
        GopherQuality(variant="fineweb2"),
        partial(test_gopher_quality.oracle, variant="fineweb2", language="deu"),
        "deu",
    ),
    "gopher_repetition, paper": Check(GopherRepetition(), test_gopher_repetition.expected),
    "gopher_repetition, datatrove": Check(
        GopherRepetition(variant="datatrove"), partial(test_gopher_repetition.expected, variant="datatrove")
    ),
    "gopher_repetition, fineweb2": Check(
        GopherRepetition(variant="fineweb2"),
        partial(test_gopher_repetition.expected, variant="fineweb2", language="rus"),
        "rus",
    ),
    "madlad": Check(Madlad(), test_madlad.oracle),
    "nemo_quality": Check(NemoQuality(), test_nemo_quality.oracle),
    "pii": Check(PII, lambda text: pii_oracle.oracle(text, PII)),
    "refinedweb_lines": Check(RefinedwebLines(), test_refinedweb_lines.oracle),
    "repeated_runs": Check(RepeatedRuns(), test_repeated_runs.oracle),
    "unigram_divergence": Check(UnigramDivergence(min_words=5), test_unigram_divergence.expected),
}
DOCS = 100
SAMPLED = 4
"""Of the sample crawl one text in so many: oracles are slow."""

each_rule_set = pytest.mark.parametrize("name", CHECKS)


@pytest.fixture(scope="module")
def texts(request: pytest.FixtureRequest) -> list[str]:
    if os.environ.get(FOLDERS):
        texts = bench_texts()[0]
    else:
        run: Path = request.getfixturevalue("sample_run")
        texts = ds.dataset(run / "documents", format="parquet").to_table(columns=["text"])["text"]
    found: list[str] = texts.to_pylist()
    return found if os.environ.get(FOLDERS) else found[::SAMPLED]


def assert_as_the_oracle(name: str, texts: list[str]) -> None:
    stage, oracle, language = CHECKS[name]
    transform = stage.build()
    for first in range(0, len(texts), DOCS):
        some = texts[first : first + DOCS]
        for text, row in zip(some, transform(batch([*some], language)).to_pylist(), strict=True):
            found = {**row, "lines": lines_of(row["text"])}
            expected = oracle(text)
            assert {key: found[key] for key in expected} == expected, text[:200]


@pytest.mark.slow
@each_rule_set
def test_real_texts(name: str, texts: list[str]) -> None:
    assert_as_the_oracle(name, texts)


@pytest.mark.slow
def test_words_and_pieces_of_real_texts(texts: list[str]) -> None:
    for text in texts:
        assert words_of(text)[0] == test_words.words_of(text)
        found = [test_pieces.without_invisible(piece) for piece in pieces_of(text)]
        assert found == test_pieces.pieces_of(text)


@each_rule_set
def test_short_texts(name: str) -> None:
    assert_as_the_oracle(name, ["", "a", " ", "\n", ".", "\u4e2d", "word word", "word\nword\n", "\u0301"])


@pytest.mark.slow
@each_rule_set
@pytest.mark.parametrize("kind", ["one thing", "one word", "words"])
def test_long_texts(name: str, kind: str) -> None:
    if kind == "one thing":
        texts = [text[:100_000] for text in PATHOLOGICAL]
    else:
        texts = ["word " * 2_000_000] if kind == "one word" else [zipf_words(1_000_000)]
    assert_as_the_oracle(name, texts)
