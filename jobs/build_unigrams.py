"""Texts -> the unigrams of a language, for stage `unigram_divergence`: words, counts, and quantiles of divergence.

The texts are read twice: to count, and to measure them by what was counted. Memory is bounded by `max_text_bytes`,
which bounds the different words; a sample is enough, since only frequent words matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.errors import InputError
from dataproc.inputs import InputConfig, Unit, plan_units, read_unit
from dataproc.raw import ReadReport
from dataproc.storage import Folder
from dataproc.tables import read_part
from jobs.lookup import parts_done
from stages.unigram_divergence import UnigramDivergence, divergence
from stages.unigrams import QUANTILES, UnigramCounter, Unigrams, unigram_model, write_unigrams


def build_unigrams(source: str, language: str, out: Path, max_words: int, max_text_bytes: int) -> Unigrams:
    """Count the words of a source's texts, write them to `out` and return them.

    `source` is the folder of a run, of which the documents of `language` (ISO 639-3) are taken, or any input of texts
    (JSON Lines, Parquet, WET), all taken to be of the language; the first `max_text_bytes` of them in its order.
    Raises InputError when there are none.
    """
    counter = UnigramCounter()
    for text in _texts(source, language, max_text_bytes):
        counter.add(text)
    counted = counter.unigrams(language, max_words)
    if not counted.total:
        raise InputError(f"{source} must hold texts of {language}, got none. Give another source or language.")
    stage = UnigramDivergence(references={})
    model = unigram_model(counted, stage.smoothing)
    values = np.concatenate(
        [divergence(text, model, stage.min_words) for text in _texts(source, language, max_text_bytes)]
    )
    values = values[~np.isnan(values)]
    quantiles = {} if len(values) == 0 else dict(zip(map(str, QUANTILES), np.quantile(values, QUANTILES), strict=True))
    unigrams = counted._replace(divergence={name: round(float(value), 4) for name, value in quantiles.items()})
    write_unigrams(unigrams, out)
    return unigrams


def _texts(source: str, language: str, max_text_bytes: int) -> Iterator[pa.Array]:
    """Yield columns of texts up to the limit, at least the first document."""
    left = max_text_bytes
    for text in _columns(source, language):
        text = text.drop_null()
        sizes = np.cumsum(pc.binary_length(text).to_numpy(zero_copy_only=False))
        if len(sizes) == 0:
            continue
        within = int(np.searchsorted(sizes, left, "right"))
        yield text[: max(within, 1 if left == max_text_bytes else 0)]
        left -= int(sizes[-1])
        if left <= 0:
            return


def _columns(source: str, language: str) -> Iterator[pa.Array]:
    folder = Folder(source)
    if parts := parts_done(folder, "documents"):
        for part in parts:
            for batch in read_part(folder, "documents", part, ["text", "language"]):
                yield batch["text"].filter(pc.equal(batch["language"], language))
        return
    inputs = plan_units(source, InputConfig())
    for row, location in zip(inputs.units.to_pylist(), inputs.locations.to_pylist(), strict=True):
        for batch in read_unit(Unit(**row), location, ReadReport(), InputConfig()):
            yield batch["text"]
