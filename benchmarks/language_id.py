"""Language identification, documents a second on one core, and how often it is right, beside fastText on whole texts.

Texts for speed are those of benchmarks/texts.py. Labelled texts are read from the folder in DATAPROC_BENCH_LANGUAGES:
files NAME.tsv.gz of lines `ISO 639-3, anything, text`, tabs between; accuracy is the mean over the languages that the
model knows. From a file of documents (its name begins with `wikidocs`) longer ones are made too: all of a language,
30,000 characters at a time, and pages of which the last three tenths are in the next language. Without the folder only
speed is measured.
"""

from __future__ import annotations

import gzip
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.figures import Figure, megabytes, seconds, write
from benchmarks.texts import bench_texts
from classifiers.cards import MODELS, load_card
from classifiers.languages import label_language, parse_language
from classifiers.normalize import fold
from dataproc.errors import ConfigError
from stages.language_id import LanguageId

LABELLED = "DATAPROC_BENCH_LANGUAGES"
LONG_CHARS = 30_000
MIXED_CHARS = (7_000, 3_000)
PER_LANGUAGE = 300
"""Most texts of a language and file."""

Labelled = list[tuple[str, str]]  # ISO 639-3, text


def main() -> None:
    import fasttext

    texts, _ = bench_texts()
    batches = [pa.RecordBatch.from_pydict({"text": texts[k : k + 512]}) for k in range(0, len(texts), 512)]
    stage, model = LanguageId(min_score=None).build(), fasttext.load_model(str(MODELS / load_card("lid.176").file))
    ours, theirs = seconds(
        lambda: [stage(batch) for batch in batches],
        lambda: _predict(model, texts.to_pylist()),
        repeats=3,
    )
    peer = "fasttext, whole documents"
    rate, size = len(texts) / ours, megabytes(texts)
    figures = [
        Figure("language, script and score", rate, "docs/s", goal=5000),
        Figure("language, script and score", size / ours, "MB/s", peer, size / theirs),
    ]
    for name, labelled in _parts():
        batch = pa.RecordBatch.from_pydict({"text": pa.array([text for _, text in labelled], pa.large_string())})
        found = stage(batch)["language"].to_pylist()
        whole = _predict(model, [text for _, text in labelled])
        figures.append(Figure(name, _accuracy(labelled, found), "accuracy", peer, _accuracy(labelled, whole), 1))
    write("language_id", figures)


def _predict(model: Any, texts: Sequence[str]) -> list[str]:
    """Return the language that fastText gives each text."""
    return [label_language(model.predict(fold(text))[0][0].removeprefix("__label__")) for text in texts]


def _accuracy(labelled: Labelled, found: Sequence[str]) -> float:
    """Return the mean over languages of the share of their texts that are found to be theirs."""
    right = defaultdict(list)
    for (language, _), one in zip(labelled, found, strict=True):
        right[language].append(language == one)
    return float(np.mean([np.mean(each) for each in right.values()]))


def _parts() -> Iterator[tuple[str, Labelled]]:
    """Yield the name and texts of each labelled file, and of what is made of documents."""
    folder = os.environ.get(LABELLED)
    for path in sorted(Path(folder).glob("*.tsv.gz")) if folder else ():
        by_language = _read(path)
        yield (
            path.name.removesuffix(".tsv.gz"),
            [(language, text) for language, texts in by_language.items() for text in texts[:PER_LANGUAGE]],
        )
        if path.name.startswith("wikidocs"):
            joined = {language: "\n".join(texts) for language, texts in by_language.items()}
            yield f"documents of {LONG_CHARS:,} characters", list(_long(joined))
            yield "pages of two languages, 7 to 3", list(_mixed(joined))


def _read(path: Path) -> dict[str, list[str]]:
    known = {label_language(label) for label in load_card("lid.176").labels}
    texts = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            code, _, text = line.rstrip("\n").split("\t", 2)
            try:
                language = parse_language(code)
            except ConfigError:
                continue  # some files have codes of their own for what ISO 639-3 has no code
            if language in known:
                texts[language].append(text)
    return texts


def _long(joined: dict[str, str]) -> Iterator[tuple[str, str]]:
    for language, text in joined.items():
        for start in range(0, len(text) - LONG_CHARS + 1, LONG_CHARS):
            yield language, text[start : start + LONG_CHARS]


def _mixed(joined: dict[str, str]) -> Iterator[tuple[str, str]]:
    main, rest = MIXED_CHARS
    languages = sorted(joined)
    for language, other in zip(languages, [*languages[1:], languages[0]], strict=True):
        text, behind = joined[language], joined[other]
        for k in islice(range(min(len(text) // main, len(behind) // rest)), PER_LANGUAGE):
            yield language, text[k * main : (k + 1) * main] + "\n" + behind[k * rest : (k + 1) * rest]


if __name__ == "__main__":
    main()
