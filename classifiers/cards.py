"""Model cards: a YAML file beside each model that says what it is, which labels it gives and how well it does.

The card is the name of a model: a stage loads the card, and the card names the file and its sha256, which is checked
before the model is used. A card without its figures is still a card; `dataproc train-classifier` writes complete ones.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from classifiers.passages import Windows
from dataproc.config import Config, fingerprint, load_yaml, validate
from dataproc.errors import ConfigError

MODELS = Path(__file__).parent / "models"


class TrainingSource(Config):
    """One source of texts, as the card names it."""

    name: str
    role: Literal["train", "heldout", "probe"]
    licence: str
    examples: dict[str, int]
    """Label -> passages used (raw label for probes)."""
    languages: int
    """Number of languages among them."""


class SourceResult(Config):
    """How one held-out source does."""

    examples: int
    accuracy: float
    """Share of its passages that get their own label."""


class Heldout(Config):
    """Figures on sources, or web sites and books of a source, that the model never saw."""

    confusion: dict[str, dict[str, int]]
    """True label -> predicted label -> passages."""
    precision: dict[str, float]
    recall: dict[str, float]
    auc: dict[str, float] = {}
    """Chance that a passage of the label scores higher on it than one of another label (area under the ROC curve)."""
    accuracy: float
    macro_f1: float
    by_source: dict[str, SourceResult]
    by_language: dict[str, SourceResult]


class Probe(Config):
    """Scores on texts without a true label: kinds of pages, or one text in many languages."""

    examples: int
    labels: dict[str, float]
    """Share of the texts that get each label."""
    mean: dict[str, float]
    """Mean score of each label."""


class Card(Config):
    """A model card; see the module."""

    name: str
    description: str
    file: str
    """File name of the model, in the folder of the card."""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    labels: tuple[str, ...] = Field(min_length=2)
    licence: str
    source: str
    """Where the model comes from: an address, or the command that trains it."""
    normalize: Literal["fold", "words"]
    windows: Windows
    advice: str = ""
    """How to choose a threshold, and what not to use the model for."""
    training: tuple[TrainingSource, ...] = ()
    parameters: dict[str, Any] = {}
    """Hyper-parameters and library version of the training."""
    heldout: Heldout | None = None
    probes: dict[str, Probe] = {}
    keep_rates: dict[str, float] = {}
    """Share of the web pages of the probe that is kept -> least score of the last label that keeps it."""

    def assets(self) -> dict[str, str]:
        """Return name -> checksum of what decides the scores: the model file, and how the card has texts prepared."""
        prepared = {"labels": self.labels, "normalize": self.normalize, "windows": self.windows.model_dump()}
        return {self.file: self.sha256, f"{self.name} card": fingerprint(prepared)}


def load_card(name: str) -> Card:
    """Return a shipped card ("quality") or one from a file ("models/mine.yaml"), without touching the model.

    Raises ConfigError when it does not exist or a field is wrong. Example: load_card("lid.176").labels[0] == "af"
    """
    return _read_card(name) if name.endswith((".yaml", ".yml")) else _shipped_card(name)


def _read_card(name: str) -> Card:
    return validate(Card, load_yaml(name, MODELS, "model card"), name)


_shipped_card = cache(_read_card)  # a recipe is checked more than once, and a card takes a tenth of a second to parse


def card_folder(name: str) -> Path:
    """Return the folder of a card, where its model file lies too."""
    return Path(name).parent if name.endswith((".yaml", ".yml")) else MODELS


def verified_model(card: Card, folder: Path) -> Path:
    """Return the path of the card's model file once its sha256 is the card's; raises ConfigError otherwise."""
    path = folder / card.file
    if not path.is_file():
        raise ConfigError(
            f"{card.name}: model file {path} must exist beside its card, got none. Restore it or retrain."
        )
    found = file_sha256(path)
    if found != card.sha256:
        raise ConfigError(
            f"{card.name}: sha256 of {path} must be {card.sha256} as its card says, got {found}."
            " Restore the file, or retrain to get a new card."
        )
    return path


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
