"""A mix file: groups of buckets, their weights in each training stage, a token budget and what to do when short."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from dataproc.config import Config, load_yaml, validate
from dataproc.errors import ConfigError, suggest

SHIPPED = Path(__file__).parent / "mixes"

Positive = Annotated[float, Field(gt=0)]


class Group(Config):
    """Buckets that share one weight."""

    buckets: str
    """Patterns on bucket names, comma separated, taken from left to right; "!" takes away: "eng-*, !*-low"."""
    temperature: Positive | Literal["infinite"] = 1.0
    """Inside the group a bucket's share goes with tokens ** (1 / temperature): 1 by size, infinite all the same."""
    max_epochs: float = Field(4.0, gt=0)
    """How often a bucket's tokens may be read, over all stages."""


class StagePlan(Config):
    """One stage of training."""

    share: float = Field(1.0, gt=0, le=1)
    """Of the token budget; the shares of all stages add up to 1."""
    weights: dict[str, Annotated[float, Field(ge=0)]]
    """Group -> share of the stage's samples, in any unit; a group left out gives nothing."""
    seq_len: int = Field(2048, gt=0)
    batch_tokens: int = Field(65536, gt=0)
    """Tokens of a global batch, a multiple of seq_len."""


class Mix(Config):
    """The whole file; stages follow each other in the order written."""

    groups: dict[str, Group] = Field(min_length=1)
    stages: dict[str, StagePlan] = Field(min_length=1)
    budget: int | str = "1.0 epochs"
    """Tokens to train on, or "X epochs" of all tokens in the groups' buckets."""
    on_shortage: Literal["redistribute", "error", "stop"] = "error"
    """When a bucket lacks tokens: others of the group give them, then other groups; refuse; or end the stage earlier
    with its shares kept."""
    block_len: int | None = Field(None, gt=0)
    """Tokens that stay together in the shuffle; default: the least common multiple of the sequence lengths."""

    @model_validator(mode="after")
    def _consistent(self) -> Mix:
        shares = math.fsum(stage.share for stage in self.stages.values())
        if abs(shares - 1) > 1e-6:
            raise ValueError(f"the shares of all stages must add up to 1, got {shares:g}. Correct stages.*.share.")
        for name, stage in self.stages.items():
            for group in stage.weights:
                if group not in self.groups:
                    raise ValueError(f'stages.{name}.weights: no group "{group}".{suggest(group, self.groups)}')
            if not any(stage.weights.values()):
                raise ValueError(f"stages.{name}.weights must have one above 0, got none. Give a group a weight.")
            if stage.batch_tokens % stage.seq_len:
                raise ValueError(
                    f"stages.{name}.batch_tokens must be a multiple of seq_len {stage.seq_len}, got"
                    f" {stage.batch_tokens}. Use {-(-stage.batch_tokens // stage.seq_len) * stage.seq_len}."
                )
        if self.block_len is not None and self.block_len % self.common_length():
            raise ValueError(
                f"block_len must be a multiple of every seq_len, so of {self.common_length()}, got {self.block_len}."
                " Correct it or leave it out."
            )
        self.budget_tokens(0)
        return self

    def common_length(self) -> int:
        """Return the least common multiple of the sequence lengths."""
        return math.lcm(*(stage.seq_len for stage in self.stages.values()))

    def budget_tokens(self, available: int) -> int:
        """Return the budget in tokens, when the groups' buckets have `available`. Raises ValueError for other words."""
        if isinstance(self.budget, int):
            found, tokens = self.budget > 0, self.budget
        else:
            match = re.fullmatch(r"(\d+(?:\.\d+)?) epochs?", self.budget)
            epochs = float(match[1]) if match else 0.0
            found, tokens = epochs > 0, round(epochs * available)
        if not found:
            raise ValueError(
                f'budget must be tokens above 0 or "X epochs", got {self.budget!r}. Correct it in the mix.'
            )
        return tokens


def load_mix(name: str) -> Mix:
    """Return a shipped mix, or the one in a .yaml file; raises ConfigError naming file and key."""
    return validate(Mix, load_yaml(name, SHIPPED, "mix"), name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")


def select(patterns: str, names: Sequence[str]) -> list[str]:
    """Return the names that the patterns leave, in their order.

    Example: select("eng-*, !*-low", ["deu-news-mid", "eng-news-low", "eng-news-mid"]) == ["eng-news-mid"]
    """
    chosen: set[str] = set()
    for pattern, matching in _matches(patterns, names):
        chosen = chosen - matching if pattern.startswith("!") else chosen | matching
    return [name for name in names if name in chosen]


def unmatched(patterns: str, names: Sequence[str]) -> list[str]:
    """Return the patterns that match no name: of a bucket that this run lacks, or misspelt.

    Example: unmatched("eng-*, !*-lwo", ["eng-news-low"]) == ["!*-lwo"]
    """
    return [pattern for pattern, matching in _matches(patterns, names) if not matching]


def _matches(patterns: str, names: Sequence[str]) -> Iterator[tuple[str, set[str]]]:
    for pattern in (part.strip() for part in patterns.split(",")):
        yield pattern, {name for name in names if fnmatchcase(name, pattern.removeprefix("!"))}


def assign_groups(mix: Mix, names: Sequence[str], where: str) -> Mapping[str, str]:
    """Return bucket -> group; raises ConfigError when two groups select one bucket, naming both."""
    owner: dict[str, str] = {}
    for group, settings in mix.groups.items():
        for name in select(settings.buckets, names):
            if name in owner:
                raise ConfigError(
                    f"{where}: groups must not share a bucket, got {name} in {owner[name]} and {group}. Take it out of"
                    f' one of them with "!{name}".'
                )
            owner[name] = group
    return owner
