"""fastText models: bag of words and character n-grams, one matrix, one label distribution.

Runs `fasttext-community`, which installs the module `fasttext` with NumPy 2 support; other distributions overwrite that
module. Texts go in one by one, so a score can't depend on the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from classifiers import Indices, Scores, as_stored
from classifiers.cards import Card, verified_model
from classifiers.normalize import NORMALIZERS
from classifiers.passages import spread
from dataproc.errors import ConfigError

_PREFIX = "__label__"


class FastTextClassifier:
    """A fastText model and its card. Raises ConfigError when the file is not the card's or has other labels."""

    def __init__(self, card: Card, folder: Path) -> None:
        path = verified_model(card, folder)
        import fasttext

        self.card = card
        self._model: Any = fasttext.load_model(str(path))
        self._normalize = NORMALIZERS[card.normalize]
        self._index = {_PREFIX + label: index for index, label in enumerate(card.labels)}
        if set(self._model.labels) != set(self._index):
            found = sorted(label.removeprefix(_PREFIX) for label in self._model.labels)
            raise ConfigError(
                f"{card.name}: labels of {path} must be those of its card, got {found}. Correct the card."
            )

    def predict(self, texts: pa.Array | Sequence[str | None]) -> tuple[Indices, Scores]:
        """Return the best label's index, int32 [N], and its score, float32 [N]; see `Classifier.predict`."""
        index = np.full(len(texts), -1, dtype=np.int32)
        score = np.zeros(len(texts))
        for row, line in enumerate(self._lines(texts)):
            if line:
                (label,), (score[row],) = self._model.predict(line, k=1)
                index[row] = self._index[label]
        return index, as_stored(score)

    def probabilities(self, texts: pa.Array | Sequence[str | None]) -> Scores:
        """Return every label's score, float32 [N, L]; see `Classifier.probabilities`."""
        scores = np.zeros((len(texts), len(self._index)))
        for row, line in enumerate(self._lines(texts)):
            if line:
                labels, values = self._model.predict(line, k=-1)
                scores[row, [self._index[label] for label in labels]] = values
        return as_stored(scores)

    def _lines(self, texts: pa.Array | Sequence[str | None]) -> list[str]:
        values = texts.to_pylist() if isinstance(texts, (pa.Array, pa.ChunkedArray)) else texts
        return [self._normalize(spread(text or "", self.card.windows)) for text in values]
