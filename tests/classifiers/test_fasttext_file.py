from __future__ import annotations

from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers import load
from classifiers.cards import MODELS
from classifiers.fasttext_file import read_model
from classifiers.normalize import fold
from dataproc.errors import ConfigError
from dataproc.kernels.ngram_model import best_labels, log_scores, mean_rows, scores
from dataproc.kernels.windows import whole_texts
from tests.dataproc.kernels.texts import texts as any_text

LINES = {
    "en": "the cat sat on the mat and all human beings are born free and equal in dignity and rights",
    "de": "die Katze sa\u00df auf der Matte und alle Menschen sind frei und gleich an W\u00fcrde und Rechten geboren",
    "fr": "le chat \u00e9tait assis et tous les humains naissent libres et \u00e9gaux en dignit\u00e9 et en droits",
    "ja": "\u3059\u3079\u3066\u306e\u4eba\u9593\u306f \u751f\u307e\u308c\u306a\u304c\u3089\u306b\u3057\u3066 \u81ea\u7531\u3067\u3042\u308b",  # noqa: E501
}
CASES: dict[str, dict[str, Any]] = {
    "softmax": {"wordNgrams": 2, "bucket": 1000},
    "tree": {"loss": "hs", "minn": 2, "maxn": 4, "bucket": 2000},
    "sigmoids": {"loss": "ova", "minn": 1, "maxn": 3, "wordNgrams": 3, "bucket": 500, "dim": 21},
    "negatives": {"loss": "ns", "minn": 3, "maxn": 3, "bucket": 300},
    "words": {"minCount": 2},
}


@pytest.fixture(scope="module", params=[*CASES, "quantised", "pruned"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    folder = tmp_path_factory.mktemp("model")
    lines = folder / "train.txt"
    rows = [
        f"__label__{label} {' '.join(text.split()[k:])}"
        for k in range(8)
        for label, text in list(LINES.items())[: 4 - k // 4]
    ]
    if request.param == "quantised":  # the least that fastText quantises is 256 labels
        rows += [f"__label__{number} number{number} of {number % 9}" for number in range(256)]
    lines.write_text("\n".join(rows * 9) + "\n", encoding="utf-8")
    quantised = request.param in ("quantised", "pruned")
    options = {"dim": 18, "epoch": 5, "thread": 1, "verbose": 0, **CASES["tree" if quantised else request.param]}
    model = fasttext.train_supervised(str(lines), **options)
    if quantised:
        pruned = {"cutoff": 300, "retrain": False} if request.param == "pruned" else {}
        model.quantize(str(lines), qnorm=True, qout=request.param == "quantised", dsub=4, thread=1, **pruned)
    file = folder / f"{request.param}.bin"
    model.save_model(str(file))
    return model, file


def test_scores_are_those_of_fasttext(trained: tuple[Any, Path]) -> None:
    """Of each kind of model that fastText can write: to the last bit, and so is the best label.

    Of quantised labels only nearly: fastText multiplies their norms in later than we do.
    """
    model, path = trained
    exact = path.name != "quantised.bin"
    ours = read_model(path)
    texts = [*LINES.values(), "the", "unknown xyzzy", "\U0001f600 \u0e01", *(line[:40] for line in LINES.values())]
    means, _ = mean_rows(whole_texts(pa.array(texts)), ours.vocabulary, ours.matrix)
    log = log_scores(means, ours.labels)
    every, (best, score) = scores(log), best_labels(log, ours.labels)
    for row, text in enumerate(texts):
        names, values = model.predict(text, k=-1)
        theirs = dict(zip((name.removeprefix("__label__") for name in names), values.tolist(), strict=True))
        found = dict(zip(ours.names, every[row].tolist(), strict=True))
        assert found == ({**found, **theirs} if exact else pytest.approx({**found, **theirs}, rel=1e-5))
        (label,), (value,) = model.predict(text)
        assert all(found[name] < 1.1e-5 for name in {*found} - {*theirs})  # fastText leaves those out
        assert (f"__label__{ours.names[best[row]]}", float(score[row])) == (
            label,
            value if exact else pytest.approx(value, rel=1e-5),
        )


LID = fasttext.load_model(str(MODELS / "lid.176.ftz"))
CLASSIFIER = load("lid.176")


@given(st.lists(any_text, max_size=3))
def test_language_model_scores_as_fasttext_does(texts: list[str]) -> None:
    index, score = CLASSIFIER.predict(texts)
    for row, text in enumerate(texts):
        if line := fold(text):
            (label,), (value,) = LID.predict(line)
            assert label == f"__label__{CLASSIFIER.card.labels[index[row]]}"
            assert score[row] == np.float32(min(round(value, 4), 1.0))
        else:
            assert index[row] == -1


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    for content in (b"", b"short", b"\0" * 100):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"model\.bin must be a fastText model of version 12, got another file"):
            read_model(path)
    whole = (MODELS / "quality.ftz").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigError, match=r"model\.bin must be a whole fastText model, got one cut short"):
        read_model(path)
    (tmp_path / "words.txt").write_text("one two three\n" * 9)
    fasttext.train_unsupervised(str(tmp_path / "words.txt"), minCount=1, dim=2, thread=1, bucket=10).save_model(
        str(path)
    )
    with pytest.raises(ConfigError, match=r"model\.bin must be a supervised fastText model, got word vectors"):
        read_model(path)
