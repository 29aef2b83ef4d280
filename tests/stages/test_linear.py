"""Rule sets take time in proportion to the text: for one plain document of 64 MB, and for those made to be slow."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from dataproc.stage import Stage, Transform
from stages.bad_words import BadWords
from stages.boilerplate import Boilerplate
from stages.c4 import C4
from stages.fineweb_quality import FinewebQuality
from stages.gopher_quality import GopherQuality
from stages.gopher_repetition import GopherRepetition
from stages.language_id import LanguageId
from stages.madlad import Madlad
from stages.nemo_quality import NemoQuality
from stages.pii import Pii
from stages.refinedweb_lines import RefinedwebLines
from stages.repeated_runs import RepeatedRuns
from stages.unigram_divergence import UnigramDivergence
from tests.stages.rule_sets import batch

SIZES = (1 << 20, 16 << 20)
PLAIN_SIZES = (4 << 20, 64 << 20)
PLAIN = {"words", "one word", "one letter", "one line"}
MAX_RATIO = 64.0  # of CPU time for 16 times the text, which larger tables exceed; what is quadratic takes 256 times
LEAST = 0.002  # seconds: below, the clock says little
TRIES = 3  # memory that is touched first costs more than the work on it
STAGES: list[Stage] = [
    *(GopherRepetition(variant=variant) for variant in ("paper", "datatrove", "fineweb2")),
    *(GopherQuality(variant=variant) for variant in ("paper", "datatrove", "fineweb2")),
    *(  # no limit that would spare it the work
        C4(variant=variant, max_chars=None, end_marks=None, min_line_words=None)
        for variant in ("tfds", "datatrove", "dclm", "dolma")
    ),
    *(FinewebQuality(variant=variant) for variant in ("datatrove", "paper", "fineweb2")),
    RefinedwebLines(),
    BadWords(),
    Boilerplate(),
    Boilerplate(unit="paragraph", cut="all"),
    Madlad(),
    NemoQuality(),
    RepeatedRuns(max_period=64),
    UnigramDivergence(),
    LanguageId(),
    Pii(phone=("|||PHONE|||",), iban=("|||IBAN|||",), card=("|||CARD|||",), secret=("|||SECRET|||",)),
    Pii(variant="datatrove"),
]


@cache
def zipf_words(size: int) -> str:
    """Return words whose frequencies are those of English, in lines of ten."""
    vocabulary = [np.base_repr(rank, 36).lower() for rank in range(50_000)]
    words = [vocabulary[rank] for rank in (np.random.default_rng(0).zipf(1.3, size // 3) % 50_000).tolist()]
    return ".\n".join(" ".join(words[k : k + 10]) for k in range(0, len(words), 10))[:size]


KINDS: dict[str, Callable[[int], str]] = {
    "words": zipf_words,
    "one word": lambda size: "word " * (size // 5),
    "one letter": lambda size: "a" * size,
    "letters with marks": lambda size: "a\u0301" * (size // 3),
    "one line": lambda size: "The same line again.\n" * (size // 21),
    "blank lines": lambda size: "\n" * size,
    "lines of a space": lambda size: " \n" * (size // 2),
    "brackets": lambda size: "[1" * (size // 2),
    "marks": lambda size: "a" + "\u0301." * (size // 3),
    "ideographs": lambda size: "\u4e2d\u6587" * (size // 6),
    "joiners": lambda size: "a" + "\u200d" * (size // 3),
    "dots": lambda size: "." * size,
    "half a phrase": lambda size: "lorem ipsulorem ipsu" * (size // 20),
    "capitals": lambda size: "MENU HOME\n3 likes\n" * (size // 18),
    "half an address": lambda size: "a.b@" * (size // 4),
    "numbers": lambda size: "4111 1111 1111 1112 +49 30 1.2.3.4.5 DE89 " * (size // 43),
    "half a key": lambda size: "-----BEGIN PRIVATE KEY-----\nsk-T3BlbkFJ eyJhbGciOi.eyJ" * (size // 56),
}


def cpu_seconds(transform: Transform, text: str) -> float:
    rows = batch([text])
    started = time.process_time()
    transform(rows)
    return time.process_time() - started


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_time_is_linear(kind: str) -> None:
    small, large = (KINDS[kind](size) for size in (PLAIN_SIZES if kind in PLAIN else SIZES))
    for stage in STAGES:
        transform = stage.build()
        transform(batch(["Compile."]))
        most = MAX_RATIO * max(min(cpu_seconds(transform, small) for _ in range(TRIES)), LEAST)
        assert any(cpu_seconds(transform, large) < most for _ in range(TRIES)), stage
