"""mixture.json: everything the loader obeys, and nothing it has to guess.

It names the sources (buckets of token shards, by checksum), the training stages with the number of samples that each
source gives to each, and the report of what was asked and what was possible. `dataproc mix` writes it from a mix file.
"""

from __future__ import annotations

import json
import os
from typing import Literal

from pydantic import Field, model_validator

from dataproc.config import Config, fingerprint, validate
from dataproc.errors import ConfigError, InputError
from dataproc.storage import Folder
from dataproc.tokens.shards import TokenizerInfo


class Source(Config):
    """A bucket of token shards: its stream has `tokens` tokens; `manifest_xxh3` says which shards these are."""

    name: str
    tokens: int = Field(gt=0)
    documents: int = Field(gt=0)
    manifest_xxh3: str


class TrainingStage(Config):
    """`steps` global batches of `batch_size` samples of `seq_len` tokens; source i gives samples[i] of them.

    A stage that was cut short by a later change of the mixture keeps the samples it was planned with, so that its order
    does not change: then sum(samples) > steps * batch_size, and only the first steps * batch_size are drawn.
    """

    name: str
    steps: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    seq_len: int = Field(gt=0)
    samples: tuple[int, ...]


class BucketReport(Config):
    """What one bucket was asked for and gives, in tokens over all stages; `epochs` is where its cursor ends."""

    bucket: str
    group: str
    tokens: int
    """Tokens in the bucket."""
    asked_tokens: int
    """Its share of the budget by the weights alone."""
    drawn_tokens: int
    """What the loader reads, padding left out."""
    epochs: float
    max_epochs: float
    short_tokens: int
    """What was asked beyond the cap on epochs, and therefore is missing or was taken from others."""


class GroupReport(Config):
    """What one group was asked for and gives, as shares of all samples, by stage."""

    group: str
    stage: str
    buckets: int
    asked_share: float
    drawn_share: float


class Report(Config):
    """Asked and possible; for people, and for the tests that hold the loader to it."""

    on_shortage: str
    budget_tokens: int
    planned_tokens: int
    """Whole global batches: steps * batch_size * seq_len over the stages."""
    empty_groups: tuple[str, ...]
    """Groups with a weight that match no bucket with tokens."""
    empty_patterns: tuple[str, ...] = ()
    """Of the other groups, "group: pattern" where one of its patterns matches no bucket."""
    unused_buckets: tuple[str, ...]
    """Buckets that no group selects, or that nothing is drawn from."""
    groups: tuple[GroupReport, ...]
    buckets: tuple[BucketReport, ...]


class Earlier(Config):
    """A mixture that this one continues: the first `step` steps are the same in both."""

    fingerprint: str
    step: int


class Mixture(Config):
    """The whole file. Sources are sorted by name; `tokens` is the folder of the buckets as seen from the file."""

    format: Literal["dataproc-mixture"] = "dataproc-mixture"
    version: Literal[1] = 1
    mix: str
    seed: int
    block_len: int = Field(gt=0)
    """Tokens that stay together in the shuffle; a multiple of every seq_len."""
    tokens: str = "tokens"
    tokenizer: TokenizerInfo
    sources: tuple[Source, ...]
    stages: tuple[TrainingStage, ...]
    continues: tuple[Earlier, ...] = ()
    report: Report | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Mixture:
        names = [source.name for source in self.sources]
        if names != sorted(set(names)):
            raise ValueError(f"sources must be sorted by name and differ, got {names}.")
        for stage in self.stages:
            if self.block_len % stage.seq_len:
                raise ValueError(
                    f"block_len must be a multiple of every seq_len, got {self.block_len} and {stage.seq_len} in stage"
                    f" {stage.name}. Set block_len in the mix to a common multiple, or leave it out."
                )
            if len(stage.samples) != len(names) or sum(stage.samples) < stage.steps * stage.batch_size:
                raise ValueError(
                    f"stage {stage.name} must have samples of {len(names)} sources that add up to at least"
                    f" {stage.steps * stage.batch_size}, got {len(stage.samples)} that add up to {sum(stage.samples)}."
                )
        return self

    def fingerprint(self) -> str:
        """Return the 32 hex digits that stand for the order of all batches: what a saved state must agree with."""
        decides = {"seed", "block_len", "tokenizer", "sources", "stages"}
        return fingerprint(self.model_dump(mode="json", include=decides))

    def dump(self) -> str:
        """Return the file's text: sorted keys, no times, equal bytes for equal mixtures."""
        return json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"


def read_mixture(path: str | os.PathLike[str]) -> Mixture:
    """Return the mixture in a file (a path or URL).

    Raises InputError when there is no such file, ConfigError naming the key when it is not a mixture.
    """
    parent, name = split_path(path)
    try:
        return validate(Mixture, json.loads(Folder(parent).read_text(name)), os.fspath(path))
    except FileNotFoundError as error:
        raise InputError(f"{os.fspath(path)} must exist, got no such file. Write it with `dataproc mix`.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{os.fspath(path)} must be a mixture.json, got: {error}") from error


def split_path(path: str | os.PathLike[str]) -> tuple[str, str]:
    """Return folder and name of a file.

    Example: split_path("mixture.json") == (".", "mixture.json")
    """
    parent, slash, name = os.fspath(path).rpartition("/")
    return (parent or slash or "."), name
