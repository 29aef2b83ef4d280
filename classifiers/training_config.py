"""What a classifier is trained from: sources and their labels, lengths, balance, hyper-parameters.

The shipped configs are classifiers/training/*.yaml. A source is training, held out, a probe (scored, but without true
labels), or split by group: a share of its web sites or books is held out whole.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from classifiers.passages import PassageLengths, Windows
from dataproc.config import Config


class Source(Config):
    """One source of texts; see `classifiers.training_data` for the readers."""

    name: str
    path: str
    """File or folder below --data."""
    reader: str
    label: str | None = None
    """Label of all its texts; for a probe null keeps the source's own kinds apart."""
    labels: dict[str, str] = {}
    """Label of each kind that the source tells apart; texts of other kinds are left out."""
    language: str | None = None
    """ISO 639-3 code of all its texts, where the reader can't tell."""
    role: Literal["train", "heldout", "split", "probe"] = "train"
    licence: str
    heldout_share: float = Field(0.3, gt=0, lt=1)
    """Share of the groups of a `split` source that is held out."""
    languages: tuple[str, ...] | None = None
    """Languages taken, ISO 639-3; null takes all."""
    heldout_languages: tuple[str, ...] = ()
    """Languages of the source that are held out, ISO 639-3; the rest keeps its role."""
    url_pattern: str | None = None
    """Regular expression that must be found in the url."""
    exclude_url_pattern: str | None = None
    """Regular expression that must not be found in the url."""
    dropped_by_rules: bool = False
    """Take only texts that the config's `rules` drop."""
    join: bool = False
    """Join the texts of one language, kind and role before they are cut: for single lines, words and messages."""
    max_passages: int = Field(400, gt=0)
    """Most passages of each language and label, chosen evenly over its documents."""
    max_per_group: int = Field(20, gt=0)
    """Most passages of one group."""

    @model_validator(mode="after")
    def _check_labels(self) -> Source:
        if self.role != "probe" and (self.label is None) == (not self.labels):
            raise ValueError(
                f"{self.name} must have either label or labels, got {'both' if self.labels else 'none'}. Give one."
            )
        return self


class FastTextParameters(Config):
    """Hyper-parameters of fastText; training runs on one thread, so that the same texts give the same bytes."""

    dim: int = Field(16, gt=0)
    epochs: int = Field(10, gt=0)
    learning_rate: float = Field(0.5, gt=0)
    word_ngrams: int = Field(2, ge=1)
    min_count: int = Field(3, gt=0)
    """Rarer words are left out."""
    buckets: int = Field(100_000, gt=0)
    """Hash buckets of word n-grams."""
    quantize: bool = True
    """Product quantisation, two numbers a byte: a quarter of the size or less."""
    cutoff: int = Field(100_000, ge=0)
    """Words and buckets kept when quantised, those of largest norm; 0 keeps all."""
    seed: int = Field(0, ge=0, lt=1 << 31)


class TrainingConfig(Config):
    """Everything that decides the bytes of a model, apart from the texts."""

    name: str = Field(pattern="^[a-z0-9_.]+$")
    description: str
    labels: tuple[str, ...] = Field(min_length=2)
    """Labels in the order of the card; the last one is what `keep_rates` is about."""
    licence: str
    advice: str = ""
    normalize: Literal["fold", "words"] = "words"
    windows: Windows = Windows(count=4, chars=1000)
    passages: PassageLengths = PassageLengths()
    balance: Literal["language", "none"] = "none"
    """`language`: in each language as many passages of every label, languages that lack one are left out."""
    max_label_share: float = Field(1.0, gt=0, le=1)
    """Most of all training passages that one label may have; chosen evenly."""
    rules: dict[str, Any] = {}
    """Stages, as in a recipe, that decide `dropped_by_rules`."""
    keep_probe: str | None = None
    """Probe source on which `keep_rates` is measured."""
    seed: int = 0
    fasttext: FastTextParameters = FastTextParameters()
    sources: tuple[Source, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_sources(self) -> TrainingConfig:
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError(
                f"sources must have different names, got {sorted(n for n in set(names) if names.count(n) > 1)} twice."
            )
        for source in self.sources:
            for label in filter(None, (source.label, *source.labels.values())):
                if source.role != "probe" and label not in self.labels:
                    raise ValueError(f'{source.name}: label must be one of {", ".join(self.labels)}, got "{label}".')
        if self.keep_probe is not None and self.keep_probe not in names:
            raise ValueError(f'keep_probe must be a source, got "{self.keep_probe}".')
        return self
