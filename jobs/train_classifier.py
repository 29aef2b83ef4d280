"""Texts -> a classifier and its card, from a training config; see `classifiers.training_config`.

This job lends the classifiers what they may not import: the stages that decide which pages are bad examples.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from rich.console import Console

from classifiers.cards import Card
from classifiers.evaluate import format_confusion
from classifiers.gather import DroppedByRules
from classifiers.train import train_classifier
from classifiers.training_config import TrainingConfig
from dataproc.config import load_yaml, validate
from dataproc.errors import ConfigError
from dataproc.stage import BuiltStage, check_plan, run_stages
from jobs.recipe import parse_stages

TRAINING = Path(__file__).parent.parent / "classifiers" / "training"
_INPUT = pa.schema([("doc_id", pa.binary()), ("text", pa.large_string()), ("language", pa.string())])


def run(config: str, data: Path, out: Path) -> Card:
    """Train, write model and card below `out`, print the held-out figures, and return the card.

    `config` is the name of a shipped training config or the path of a .yaml file; paths in it are below `data`. Raises
    ConfigError for a wrong config, InputError for a source that is not there.
    """
    values = validate(TrainingConfig, load_yaml(config, TRAINING, "training config"), config)
    card = train_classifier(values, data, out, dropped_by(values, config))
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(f"{out / card.file}: {(out / card.file).stat().st_size:,} bytes, sha256 {card.sha256}")
    if card.heldout:
        console.print(f"held out: accuracy {card.heldout.accuracy:.3f}, macro F1 {card.heldout.macro_f1:.3f}")
        console.print(format_confusion(card.heldout))
    return card


def dropped_by(config: TrainingConfig, where: str) -> DroppedByRules | None:
    """Return the function that says of texts, languages whether the config's `rules` drop them; None without rules."""
    if not config.rules:
        if any(source.dropped_by_rules for source in config.sources):
            raise ConfigError(
                f"{where}: rules must name stages, as a source asks for what they drop, got none. Add rules."
            )
        return None
    try:
        stages = parse_stages(config.rules)
    except ValueError as error:
        raise ConfigError(f"{where}: rules: {error}") from error
    check_plan(stages, dict(zip(_INPUT.names, _INPUT.types, strict=True)), f"{where}: rules")
    built = [BuiltStage(name, stage.build()) for name, stage in stages.items()]

    def dropped(texts: list[str], languages: list[str]) -> list[bool]:
        ids = [number.to_bytes(8, "big") for number in range(len(texts))]
        kept, _ = run_stages(built, pa.record_batch([ids, texts, languages], schema=_INPUT), {})
        alive = set(kept["doc_id"].to_pylist())
        return [number not in alive for number in ids]

    return dropped
