"""Drop documents whose words are not those of their language: the divergence of unigrams from a reference.

The Kullback-Leibler divergence of a document's words from the reference's: 2 to 4 nats for prose, more for lists of
names, numbers and codes, for other languages and spelled-out letters. It depends on length, since few words cannot be
spread as many are; below `min_words` it is not measured. A language without a reference is not measured.

Source: Grattafiori et al. 2024 (Llama 3), https://arxiv.org/abs/2407.21783, section 3.1.1, filters documents with
excessive numbers of outlier tokens by the divergence of their token distribution from the training corpus's; no number
is given. Deviations, all ours: words in place of tokens, the smoothing, the limit.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field, field_validator

from dataproc.errors import ConfigError
from dataproc.ids import file_hash
from dataproc.kernels.char_classes import TABLE
from dataproc.shared import shared
from dataproc.stage import Contract, Drops, Stage, Transform
from stages.by_language import by_code
from stages.rules import Ratio, drop_by_language
from stages.unigrams import read_unigrams, unigram_model, unigrams_path

if TYPE_CHECKING:
    from dataproc.kernels.hash_table import HashTable

    Model = tuple[HashTable, npt.NDArray[np.float64]]


class UnigramDivergence(Stage):
    """Drop documents whose words diverge from their language's reference by more than `max_divergence`."""

    references: Annotated[dict[str, str], AfterValidator(by_code)] = Field({"eng": "eng"})
    """By language, a shipped reference or the path of a file of `dataproc build-unigrams`."""
    max_divergence: Ratio = 6.0
    """Greatest divergence, nats; null only measures. A reference's file has quantiles to choose from."""
    languages: Annotated[dict[str, Ratio], AfterValidator(by_code)] = Field({})
    """Other limits for single languages; null turns the rule off there. Example: {"de": 5.5}"""
    min_words: int = Field(50, ge=1)
    """Fewest words of a document that is measured."""
    smoothing: float = Field(1e-6, gt=0, le=0.01)
    """Added to the probability of every word; that of unknown words."""

    @field_validator("references")
    @classmethod
    def _check_references(cls, references: dict[str, str]) -> dict[str, str]:
        for language, name in references.items():
            try:
                found = read_unigrams(name).language
            except ConfigError as error:
                raise ValueError(str(error)) from error
            if found != language:
                raise ValueError(f"references must be of their language, got one of {found} for {language}. Change it.")
        return references

    def contract(self) -> Contract:
        """Return what it reads and writes; see `Stage`."""
        return Contract(
            reads=("text", "language"),
            writes={"unigram_divergence": pa.float64()},
            rules=("max_divergence",),
            measures={"max_divergence": "unigram_divergence"},
            assets={
                "char_classes": file_hash(TABLE),
                **{f"unigrams {code}": file_hash(unigrams_path(name)) for code, name in self.references.items()},
            },
            held_by_assets=("references",),
        )

    def build(self) -> Transform:
        """Read the references and return `unigram_divergence`."""
        models = {code: unigram_model(read_unigrams(name), self.smoothing) for code, name in self.references.items()}
        return partial(unigram_divergence, config=self, models=models)


def unigram_divergence(batch: pa.RecordBatch, config: UnigramDivergence, models: dict[str, Model]) -> pa.RecordBatch:
    """Add `unigram_divergence` (float64, nats, rounded to 1e-4) and mark the rows above the limit.

    batch: N rows, needs `text` (string or large_string) and `language` (string). Null where the language has no
    reference or the text too few words. Example: fifty times "the", of which the reference expects 0.06, is at 2.8134.
    """
    measured = np.full(batch.num_rows, np.nan)
    for language, model in models.items():
        rows = np.flatnonzero(pc.equal(batch["language"], language).fill_null(False).to_numpy(zero_copy_only=False))
        measured[rows] = divergence(batch["text"].take(pa.array(rows)), model, config.min_words)
    drops = Drops(batch)
    drop_by_language(
        drops, "max_divergence", measured, batch["language"], config.max_divergence, dict(config.languages)
    )
    return drops.mark({"unigram_divergence": pa.array(measured, from_pandas=True)})


def divergence(text: pa.Array, model: Model, min_words: int) -> npt.NDArray[np.float64]:
    """Return the divergence of each text, float64 [N], rounded to 1e-4; NaN for texts of fewer than `min_words`."""
    from dataproc.kernels import divergence as kernel
    from dataproc.kernels.shingles import word_hashes
    from dataproc.kernels.words import split_words

    words = shared(split_words, text)
    measured = np.round(kernel.unigram_divergence(word_hashes(words), words.offsets, *model), 4)
    return np.where(np.diff(words.offsets) < min_words, np.nan, measured)
