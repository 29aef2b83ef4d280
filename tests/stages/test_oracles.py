"""Every rule set does what its oracle says, on real texts and on long, short and monotonous ones.

The real texts are those of DATAPROC_BENCH_TEXTS (`benchmarks.texts`) where it is set, else those of the sample crawl.
The oracles are in the tests of the rule sets, which try them with made-up texts of every script.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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
    test_bad_words,
    test_boilerplate,
    test_c4,
    test_fineweb_quality,
    test_gopher_quality,
    test_gopher_repetition,
    test_madlad,
    test_nemo_quality,
    test_pii,
    test_refinedweb_lines,
    test_repeated_runs,
    test_unigram_divergence,
)
from tests.stages.rule_sets import batch, lines_of, pieces_of, words_of
from tests.stages.test_linear import zipf_words

Oracle = Callable[[str], Mapping[str, Any]]

PII = Pii(phone="|||PHONE|||", iban="|||IBAN|||", card="|||CARD|||", secret="|||SECRET|||")
CHECKS: dict[str, tuple[Stage, Oracle]] = {
    "bad_words": (BadWords(), test_bad_words.oracle),
    "boilerplate": (Boilerplate(), lambda text: test_boilerplate.expected(text, "ends")),
    "c4, tfds": (C4(max_chars=None), lambda text: test_c4.expected(text, C4())),
    "c4, datatrove": (C4(variant="datatrove"), lambda text: test_c4.expected(text, C4(variant="datatrove"))),
    "c4, dclm": (C4(variant="dclm", max_chars=None), lambda text: test_c4.expected(text, C4(variant="dclm"))),
    "c4, dolma": (C4(variant="dolma"), lambda text: test_c4.expected(text, C4(variant="dolma"))),
    "fineweb_quality, datatrove": (FinewebQuality(), test_fineweb_quality.oracle),
    "fineweb_quality, paper": (
        FinewebQuality(variant="paper"),
        lambda text: test_fineweb_quality.oracle(text, "paper"),
    ),
    "gopher_quality, paper": (GopherQuality(), test_gopher_quality.oracle),
    "gopher_quality, datatrove": (
        GopherQuality(variant="datatrove"),
        lambda text: test_gopher_quality.oracle(text, "datatrove"),
    ),
    "gopher_repetition, paper": (GopherRepetition(), test_gopher_repetition.expected),
    "gopher_repetition, datatrove": (
        GopherRepetition(variant="datatrove"),
        lambda text: test_gopher_repetition.expected(text, "datatrove"),
    ),
    "madlad": (Madlad(), test_madlad.oracle),
    "nemo_quality": (NemoQuality(), test_nemo_quality.oracle),
    "pii": (PII, lambda text: test_pii.oracle(text, PII)),
    "refinedweb_lines": (RefinedwebLines(), test_refinedweb_lines.oracle),
    "repeated_runs": (RepeatedRuns(), test_repeated_runs.oracle),
    "unigram_divergence": (UnigramDivergence(min_words=5), test_unigram_divergence.expected),
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
    stage, oracle = CHECKS[name]
    transform = stage.build()
    for first in range(0, len(texts), DOCS):
        some = texts[first : first + DOCS]
        for text, row in zip(some, transform(batch([*some])).to_pylist(), strict=True):
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
