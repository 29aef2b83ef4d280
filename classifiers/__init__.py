"""Classifiers behind one protocol: texts in, labels and scores out.

A classifier is loaded from its card (see `classifiers.cards`), which names the model file, its sha256, its labels and
how texts are prepared for it. What a text scores depends on that text alone, never on the rest of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from classifiers.cards import Card, card_folder, load_card

Indices = npt.NDArray[np.int32]
Scores = npt.NDArray[np.float32]

SCORE_DECIMALS = 4


class Classifier(Protocol):
    """What stages ask of a model, whatever library runs it."""

    card: Card

    def predict(self, texts: pa.Array | Sequence[str | None]) -> tuple[Indices, Scores]:
        """Return the index in `card.labels` of each text's best label, int32 [N], and its score, float32 [N].

        A text without a single word (null, empty, only white space) has index -1 and score 0.
        """
        ...

    def probabilities(self, texts: pa.Array | Sequence[str | None]) -> Scores:
        """Return the score of every label, float32 [N, L] in the order of `card.labels`; zeros without a word."""
        ...


def load(name: str) -> Classifier:
    """Return the classifier of a shipped card ("lid.176", "quality", "domain") or of a card file ("models/mine.yaml").

    Raises ConfigError when there is no such card, or when the model file is missing or is not the one of the card.
    Example: load("lid.176").predict(["Bonjour tout le monde"])[0] is the index of "fr".
    """
    card = load_card(name)
    from classifiers.fasttext_model import FastTextClassifier

    return FastTextClassifier(card, card_folder(name))


def as_stored(scores: npt.ArrayLike) -> Scores:
    """Return scores as datasets hold them: clipped to [0, 1], rounded to 1e-4, float32.

    fastText sums in float32 and returns up to 1.00001. Example: as_stored([1.00001, 0.65004]) == float32([1, 0.65]).
    """
    return np.clip(np.round(np.asarray(scores, dtype=np.float64), SCORE_DECIMALS), 0.0, 1.0).astype(np.float32)


def to_decimal(scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return stored scores as the float64 nearest to their four decimals, which is what a limit in a recipe means.

    float32(0.65) is 0.64999998: compared as it is, a document at the limit would fall below it.
    Example: to_decimal(np.float32([0.65]))[0] == 0.65
    """
    rounded: npt.NDArray[np.float64] = np.asarray(
        np.round(np.asarray(scores, dtype=np.float64), SCORE_DECIMALS), np.float64
    )
    return rounded
