"""Measures of a classifier: confusion, precision and recall, results by source and language, keep rates.

All are computed on scores as stored (four decimals), so a threshold means the same here and in a run.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from classifiers import Classifier, to_decimal
from classifiers.cards import Heldout, Probe, SourceResult
from classifiers.gather import Example

KEEP_RATES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)


def confusion(true: Sequence[int], predicted: Sequence[int], num_labels: int) -> npt.NDArray[np.int64]:
    """Return how often each true label (row) was predicted as each label (column), int64 [L, L].

    Example: confusion([0, 0, 1], [0, 1, 1], 2) == [[1, 1], [0, 1]]
    """
    table = np.zeros((num_labels, num_labels), dtype=np.int64)
    np.add.at(table, (np.asarray(true, dtype=np.int64), np.asarray(predicted, dtype=np.int64)), 1)
    return table


def precision_recall(table: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return precision and recall of each label, float64 [L]; 0 where nothing was predicted, or nothing is true.

    Example: precision_recall(np.array([[1, 1], [0, 1]])) == ([1, 0.5], [0.5, 1])
    """
    right = np.diag(table).astype(np.float64)
    return right / np.maximum(table.sum(axis=0), 1), right / np.maximum(table.sum(axis=1), 1)


def threshold_for_keep_rate(scores: npt.ArrayLike, keep: float) -> float:
    """Return the greatest threshold at which at least the share `keep` of the scores is kept (score >= threshold).

    Ties are kept whole, so more than `keep` may be. Example: threshold_for_keep_rate([0.1, 0.2, 0.3, 0.4], 0.5) == 0.3
    """
    ordered = np.sort(to_decimal(scores))[::-1]
    # The small number takes back the error of a product such as 0.07 * 100 = 7.000000000000001.
    return float(ordered[max(math.ceil(keep * len(ordered) - 1e-9), 1) - 1])


def auc(scores: npt.ArrayLike, positive: npt.ArrayLike) -> float:
    """Return the chance that a positive scores higher than a negative, ties counted half; 0.5 when either is missing.

    Example: auc([0.1, 0.4, 0.4, 0.9], [False, False, True, True]) == 0.875
    """
    values, is_positive = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=bool)
    num_positive, num_negative = int(is_positive.sum()), int((~is_positive).sum())
    if not num_positive or not num_negative:
        return 0.5
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # mean rank of equal values, from 1
    return float((ranks[is_positive].sum() - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative))


def measure_heldout(classifier: Classifier, examples: Sequence[Example]) -> Heldout | None:
    """Return the figures on held-out passages, or None when there are none."""
    if not examples:
        return None
    labels = classifier.card.labels
    true = [labels.index(example.label) for example in examples]
    scores = to_decimal(classifier.probabilities([example.text for example in examples]))
    predicted, _ = classifier.predict([example.text for example in examples])
    # A passage without a word has no prediction; it counts as the first label.
    table = confusion(true, np.maximum(predicted, 0).tolist(), len(labels))
    precision, recall = precision_recall(table)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    right = (predicted == np.array(true)).tolist()
    return Heldout(
        confusion={
            label: dict(zip(labels, row, strict=True)) for label, row in zip(labels, table.tolist(), strict=True)
        },
        precision=_by_label(labels, precision),
        recall=_by_label(labels, recall),
        auc={label: round(auc(scores[:, k], np.array(true) == k), 4) for k, label in enumerate(labels)},
        accuracy=round(float(np.mean(right)), 4),
        macro_f1=round(float(np.mean(f1[table.sum(axis=1) > 0])), 4),
        by_source=_share_right([f"{example.source}: {example.label}" for example in examples], right),
        by_language=_share_right([f"{example.language}: {example.label}" for example in examples], right),
    )


def measure_probes(classifier: Classifier, examples: Sequence[Example]) -> dict[str, Probe]:
    """Return what the model says of each probe, by "source: kind"."""
    groups: dict[str, list[str]] = defaultdict(list)
    for example in examples:
        groups[f"{example.source}: {example.label}"].append(example.text)
    labels = classifier.card.labels
    probes = {}
    for name, texts in sorted(groups.items()):
        scores = to_decimal(classifier.probabilities(texts))
        best = np.bincount(scores.argmax(axis=1), minlength=len(labels)) / len(texts)
        probes[name] = Probe(
            examples=len(texts), labels=_by_label(labels, best), mean=_by_label(labels, scores.mean(axis=0))
        )
    return probes


def measure_keep_rates(classifier: Classifier, texts: Sequence[str]) -> dict[str, float]:
    """Return keep rate -> threshold on the score of the card's last label."""
    scores = classifier.probabilities(texts)[:, -1]
    return {str(keep): threshold_for_keep_rate(scores, keep) for keep in KEEP_RATES} if texts else {}


def format_confusion(heldout: Heldout) -> str:
    """Return the confusion table as aligned text, true labels down, predictions across, with recall and precision."""
    labels = list(heldout.confusion)
    width = max(map(len, labels)) + 2
    lines = [" " * width + "".join(label[:10].rjust(12) for label in labels) + "recall".rjust(10)]
    for label in labels:
        counts = "".join(str(count).rjust(12) for count in heldout.confusion[label].values())
        lines.append(label.ljust(width) + counts + f"{heldout.recall[label]:10.3f}")
    lines.append("precision".ljust(width) + "".join(f"{heldout.precision[label]:12.3f}" for label in labels))
    return "\n".join(lines)


def _by_label(labels: Sequence[str], values: npt.NDArray[np.float64]) -> dict[str, float]:
    return {label: round(float(value), 4) for label, value in zip(labels, values, strict=True)}


def _share_right(names: Sequence[str], right: Sequence[bool]) -> Mapping[str, SourceResult]:
    groups: dict[str, list[bool]] = defaultdict(list)
    for name, is_right in zip(names, right, strict=True):
        groups[name].append(is_right)
    return {
        name: SourceResult(examples=len(group), accuracy=round(sum(group) / len(group), 4))
        for name, group in sorted(groups.items())
    }
