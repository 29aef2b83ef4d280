"""fastText models: bag of words and character n-grams, one matrix, one label distribution.

The model file is fastText's and so are the scores, to the last bit; the arithmetic is `dataproc.kernels.ngram_model`,
over the bytes of the column, six times as fast as fastText called text by text (benchmarks/language_id.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from classifiers import Indices, Scores, as_stored
from classifiers.cards import Card, verified_model
from classifiers.normalize import NORMALIZERS, fold
from dataproc.errors import ConfigError


class FastTextClassifier:
    """A fastText model and its card. Raises ConfigError when the file is not the card's or has other labels."""

    def __init__(self, card: Card, folder: Path) -> None:
        from classifiers.fasttext_file import read_model

        path = verified_model(card, folder)
        self.card = card
        self._model = read_model(path)
        if set(self._model.names) != set(card.labels):
            raise ConfigError(
                f"{card.name}: labels of {path} must be those of its card, got {sorted(self._model.names)}."
                " Correct the card."
            )
        self._places = np.array([card.labels.index(name) for name in self._model.names], np.int32)

    def predict(self, texts: pa.Array | Sequence[str | None]) -> tuple[Indices, Scores]:
        """Return the best label's index, int32 [N], and its score, float32 [N]; see `Classifier.predict`."""
        from dataproc.kernels.ngram_model import best_labels

        log, has_words = self._log_scores(texts)
        best, score = best_labels(log, self._model.labels)
        return np.where(has_words, self._places[best], np.int32(-1)), as_stored(np.where(has_words, score, 0))

    def probabilities(self, texts: pa.Array | Sequence[str | None]) -> Scores:
        """Return every label's score, float32 [N, L]; see `Classifier.probabilities`."""
        from dataproc.kernels.ngram_model import scores

        log, has_words = self._log_scores(texts)
        every = np.zeros(log.shape, np.float32)
        every[:, self._places] = scores(log)
        return as_stored(every * has_words[:, None])

    def _log_scores(self, texts: pa.Array | Sequence[str | None]) -> tuple[Scores, npt.NDArray[np.bool_]]:
        from dataproc.kernels.ngram_model import log_scores, mean_rows
        from dataproc.kernels.windows import spread_windows, whole_texts, window_texts

        column = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string())
        spans = spread_windows(column, self.card.windows.count, self.card.windows.chars)
        normalize = NORMALIZERS[self.card.normalize]
        if normalize is not fold:  # which the kernel does itself
            lines = [normalize("\n".join(windows)) for windows in window_texts(spans)]
            spans = whole_texts(pa.array(lines, pa.large_string()))
        means, num_words = mean_rows(spans, self._model.vocabulary, self._model.matrix)
        return log_scores(means, self._model.labels), num_words > 0
