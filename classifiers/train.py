"""Train a fastText classifier and write it with its card: same config, same texts, same library -> same bytes.

fastText is deterministic on one thread with a fixed seed; the order of the training lines comes from hashes. The
floating-point kernels of another CPU architecture may give other bytes: the card says which platform and version made
the model.
"""

from __future__ import annotations

import platform
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from classifiers.cards import Card, TrainingSource, file_sha256
from classifiers.evaluate import measure_heldout, measure_keep_rates, measure_probes
from classifiers.fasttext_model import FastTextClassifier
from classifiers.gather import DroppedByRules, Example, gather
from classifiers.normalize import NORMALIZERS
from classifiers.training_config import FastTextParameters, TrainingConfig
from dataproc.errors import ConfigError


def train_classifier(
    config: TrainingConfig, data: Path, out: Path, dropped_by_rules: DroppedByRules | None = None
) -> Card:
    """Train on the config's sources below `data`; write model and card, `out/<name>.ftz` and .yaml; return the card.

    Raises ConfigError or InputError when a source can't be read, or a label has no training passage.
    """
    examples = gather(config, data, dropped_by_rules)
    training = [example for example in examples if example.role == "train"]
    missing = set(config.labels) - {example.label for example in training}
    if missing:
        raise ConfigError(
            f"{config.name}: every label must have training passages, got none of {', '.join(sorted(missing))}."
        )
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"{config.name}{'.ftz' if config.fasttext.quantize else '.bin'}"
    fit([(example.label, example.text) for example in training], config.fasttext, config.normalize, file)
    card = _measured(_card(config, file, examples), out, config, examples)
    values = card.model_dump(mode="json", exclude_defaults=True)
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)
    (out / f"{config.name}.yaml").write_text(text, encoding="utf-8")
    return card


def fit(examples: Sequence[tuple[str, str]], parameters: FastTextParameters, normalize: str, file: Path) -> None:
    """Train on (label, text) pairs in the order given and write the model to `file`."""
    import fasttext

    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "train.txt"
        with lines.open("w", encoding="utf-8") as out:
            out.writelines(f"__label__{label} {NORMALIZERS[normalize](text)}\n" for label, text in examples)
        model: Any = fasttext.train_supervised(
            input=str(lines),
            dim=parameters.dim,
            epoch=parameters.epochs,
            lr=parameters.learning_rate,
            wordNgrams=parameters.word_ngrams,
            minCount=parameters.min_count,
            bucket=parameters.buckets,
            seed=parameters.seed,
            thread=1,
            verbose=0,
        )
        if parameters.quantize:
            # Pruning without another pass of training loses accuracy; quantising without pruning needs no input.
            prune = parameters.cutoff > 0
            model.quantize(
                input=str(lines), cutoff=parameters.cutoff, retrain=prune, qnorm=True, dsub=2, thread=1, verbose=0
            )
        model.save_model(str(file))


def _card(config: TrainingConfig, file: Path, examples: Sequence[Example]) -> Card:
    licences = {source.name: source.licence for source in config.sources}
    counts: dict[tuple[str, Any], Counter[str]] = defaultdict(Counter)
    languages: dict[tuple[str, Any], set[str]] = defaultdict(set)
    for example in examples:
        counts[example.source, example.role][example.label] += 1
        languages[example.source, example.role].add(example.language)
    return Card(
        name=config.name,
        description=config.description,
        file=file.name,
        sha256=file_sha256(file),
        labels=config.labels,
        licence=config.licence,
        source=f"dataproc train-classifier {config.name}",
        normalize=config.normalize,
        windows=config.windows,
        advice=config.advice,
        training=tuple(
            TrainingSource(
                name=name,
                role=role,
                licence=licences[name],
                examples=dict(sorted(of.items())),
                languages=len(languages[name, role]),
            )
            for (name, role), of in sorted(counts.items())
        ),
        parameters={
            **config.fasttext.model_dump(),
            "threads": 1,
            "library": f"fasttext-community {version('fasttext-community')}",
            "platform": f"{platform.system()} {platform.machine()}",
        },
    )


def _measured(card: Card, folder: Path, config: TrainingConfig, examples: Sequence[Example]) -> Card:
    classifier = FastTextClassifier(card, folder)
    by_role: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        by_role[example.role].append(example)
    keep = [example.text for example in by_role["probe"] if example.source == config.keep_probe]
    return card.model_copy(
        update={
            "heldout": measure_heldout(classifier, by_role["heldout"]),
            "probes": measure_probes(classifier, by_role["probe"]),
            "keep_rates": measure_keep_rates(classifier, keep),
        }
    )
