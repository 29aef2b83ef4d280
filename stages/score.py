"""Any classifier as columns: the probability of one label, or the best label with its score.

Annotates and never drops: `threshold` and `assign_bucket` decide, so limits change without scoring again.
"""

from __future__ import annotations

from functools import partial

import pyarrow as pa
from pydantic import model_validator

from classifiers import Classifier, load
from classifiers.cards import load_card
from dataproc.errors import ConfigError, suggest
from dataproc.stage import Contract, Stage, Transform, with_columns


class Score(Stage):
    """Write what a model says of each document.

    Give `label` and `column` for the probability of one label, or `label_column` and `score_column` for the best label.
    Example: {model: quality, label: high, column: quality_score}, or
    {model: domain, label_column: domain, score_column: domain_score}.
    """

    model: str
    """Model card: "quality", "domain", or the path of a card file."""
    label: str | None = None
    """Label whose probability is written."""
    column: str | None = None
    """Its column, float32 in [0, 1], rounded to four decimals."""
    label_column: str | None = None
    """Column of the best label, string; null for a text without a word."""
    score_column: str | None = None
    """Column of the best label's probability, float32."""

    @model_validator(mode="after")
    def _check(self) -> Score:
        pairs = (self.label is None) == (self.column is None) and (self.label_column is None) == (
            self.score_column is None
        )
        if not pairs or (self.column is None) == (self.label_column is None):
            given = [
                name for name in ("label", "column", "label_column", "score_column") if getattr(self, name) is not None
            ]
            raise ValueError(
                f"columns must be label and column, or label_column and score_column, got {given}. Give one pair."
            )
        if self.label_column is not None and self.label_column == self.score_column:
            raise ValueError(
                f'score_column must differ from label_column, got "{self.score_column}" twice. Rename one.'
            )
        try:
            labels = load_card(self.model).labels
        except ConfigError as error:
            raise ValueError(str(error)) from error
        if self.label is not None and self.label not in labels:
            raise ValueError(
                f'label must be one of the labels of {self.model}, got "{self.label}".{suggest(self.label, labels)}'
            )
        return self

    def contract(self) -> Contract:
        """Return what it reads and writes; see `Stage`."""
        card = load_card(self.model)
        writes = {} if self.column is None else {self.column: pa.float32()}
        if self.label_column is not None and self.score_column is not None:
            writes = {self.label_column: pa.string(), self.score_column: pa.float32()}
        return Contract(reads=("text",), writes=writes, assets=card.assets())

    def build(self) -> Transform:
        """Load the model and return `score`."""
        return partial(score, classifier=load(self.model), config=self)


def score(batch: pa.RecordBatch, classifier: Classifier, config: Score) -> pa.RecordBatch:
    """Add the columns of `Score`; needs `text`. A text without a word scores 0 and has no best label.

    Example: "Alice was beginning to get very tired of sitting by her sister" -> domain = "fiction".
    """
    labels = classifier.card.labels
    if config.label is not None and config.column is not None:
        probability = classifier.probabilities(batch["text"])[:, labels.index(config.label)]
        return with_columns(batch, {config.column: pa.array(probability)})
    assert config.label_column is not None
    assert config.score_column is not None
    index, best = classifier.predict(batch["text"])
    label = pa.array(labels).take(pa.array(index, mask=index < 0))
    return with_columns(batch, {config.label_column: label, config.score_column: pa.array(best)})
