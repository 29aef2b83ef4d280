from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from classifiers import as_stored, load, to_decimal
from classifiers.cards import MODELS, file_sha256, load_card
from classifiers.languages import label_language, parse_language
from classifiers.normalize import fold, words
from classifiers.passages import PassageLengths, passages
from classifiers.scripts import main_scripts
from dataproc.errors import ConfigError
from dataproc.kernels.windows import whole_texts

SHIPPED = ("lid.176", "quality", "domain")
PROSE = "Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do. " * 3
ODD = ["", " \n ", "a\nb\n\nc", "nul\0nul", "__label__en </s> x", "x" * 1_000_000, "word " * 200_000, None]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_model_is_the_one_of_its_card(name: str) -> None:
    card = load_card(name)
    assert file_sha256(MODELS / card.file) == card.sha256
    assert (MODELS / card.file).stat().st_size <= 3_000_000


@pytest.mark.parametrize("name", ["quality", "domain"])
def test_cards_have_figures_that_add_up(name: str) -> None:
    card = load_card(name)
    assert card.heldout is not None
    table = np.array([list(row.values()) for row in card.heldout.confusion.values()])
    assert list(card.heldout.confusion) == list(card.labels)
    assert card.heldout.accuracy == pytest.approx(np.trace(table) / table.sum(), abs=1e-4)
    assert list(card.heldout.auc) == list(card.labels)
    assert min(card.heldout.auc.values()) > 0.75
    assert all(source.licence for source in card.training)
    trained = {source.name for source in card.training if source.role == "train"}
    assert not {"PostgreSQL manual", "Python manual", "Debian installation guide", "Project Gutenberg"} & trained


@pytest.mark.parametrize("name", SHIPPED)
def test_scores_of_a_text_do_not_depend_on_the_batch(name: str) -> None:
    classifier = load(name)
    together = classifier.probabilities(pa.array([PROSE, *ODD]))
    assert together.shape == (9, len(classifier.card.labels))
    for row, text in zip(together, [PROSE, *ODD], strict=True):
        assert (classifier.probabilities([text])[0] == row).all()
    index, score = classifier.predict([PROSE, *ODD])
    assert index[[1, 2, 8]].tolist() == [-1, -1, -1]
    assert score[[1, 2, 8]].tolist() == [0, 0, 0]
    assert ((score >= 0) & (score <= 1)).all()


def test_obvious_texts() -> None:
    domain = load("domain")
    texts = [
        PROSE,
        "Returns the number of elements in the container. Parameters: first, last - the range of elements. " * 4,
        "Add to cart. Free shipping on all orders over $50. Our products are made of quality leather. Buy now! " * 4,
    ]
    index, _ = domain.predict(texts)
    assert [domain.card.labels[k] for k in index] == ["fiction", "documentation", "commerce"]
    quality = load("quality")
    high, low = quality.probabilities([PROSE, "lol u there? txt me now 4 free ringtone win cash call 0900 " * 5])[:, 1]
    assert high > 0.8 > 0.2 > low


def test_changed_model_is_refused(tmp_path: Path) -> None:
    shutil.copy(MODELS / "lid.176.yaml", tmp_path)
    card = str(tmp_path / "lid.176.yaml")
    with pytest.raises(ConfigError, match=r"model file .* must exist beside its card, got none"):
        load(card)
    (tmp_path / "lid.176.ftz").write_bytes(b"other")
    with pytest.raises(ConfigError, match=r"sha256 of .* must be 8f3472.* as its card says, got d9298a"):
        load(card)


def test_unknown_card() -> None:
    with pytest.raises(ConfigError, match='model card "qualty" does not exist'):
        load("qualty")


def test_stored_scores() -> None:
    stored = as_stored([1.00001, -0.1, 0.65004])
    assert stored.dtype == np.float32
    assert to_decimal(stored).tolist() == [1.0, 0.0, 0.65]


def test_normalizers() -> None:
    assert fold("Bonjour\n\n le  </s> monde __label__x") == "Bonjour le monde"
    assert words("In 1984, (see p.5)") == "in 0000 , ( see p . 0 )"


def test_passages() -> None:
    text = "some words here " * 500
    made = list(passages(text, PassageLengths(), "key"))
    assert " ".join(text.split()).startswith(" ".join(made))
    assert made == list(passages(text, PassageLengths(), "key"))
    assert all(195 <= len(passage) <= 2040 for passage in made)


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Hello", "Latn"),
        ("\u043f\u0440\u0438", "Cyrl"),
        ("\u6f22\u5b57", "Hani"),
        ("\u6f22\u306e", "Jpan"),
        ("4!", "Zyyy"),
        ("\u0430b", "Cyrl"),  # of equals the first
        ("\u306e" + "\u6f22" * 19, "Jpan"),  # one kana in twenty
        ("\u306e" + "\u6f22" * 20, "Hani"),
        ("\u306e\u30ce" + "ab", "Jpan"),
        ("\u306e" * 2 + "\u6f22" * 39 + "a", "Hani"),
    ],
)
def test_scripts(text: str, script: str) -> None:
    assert main_scripts(whole_texts(pa.array([text, None]))) == [script, "Zyyy"]


def test_language_codes() -> None:
    assert [label_language(x) for x in ("zh", "als", "als_Latn")] == ["cmn", "gsw", "als"]
    assert [parse_language(x) for x in ("en", "zho", "eng")] == ["eng", "cmn", "eng"]
    with pytest.raises(ConfigError, match='language must be an ISO 639-1 or 639-3 code such as en or eng, got "e1"'):
        parse_language("e1")
    with pytest.raises(ConfigError, match=r'language label must be in languages.tsv or like eng_Latn, got "xx"'):
        label_language("xx")
