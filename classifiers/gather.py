"""From sources to labelled passages: roles by group, passages of drawn lengths, caps and balance.

Nothing here draws random numbers: which group is held out and which passages are chosen follow from hashes of (seed,
source, group, number), so a source can be added without moving the others.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from classifiers.passages import passages
from classifiers.training_config import Source, TrainingConfig
from classifiers.training_data import Document, read_documents
from dataproc.ids import hash64

DroppedByRules = Callable[[list[str], list[str]], list[bool]]
"""(texts, languages) -> whether the rules drop each; given by the caller, since classifiers don't know stages."""


@dataclass(frozen=True)
class Example:
    """One passage with its label; for probes the label is the source's own kind."""

    text: str
    label: str
    language: str
    source: str
    role: str
    order: int
    """Hash that stands for a random draw."""


def gather(config: TrainingConfig, data: Path, dropped_by_rules: DroppedByRules | None = None) -> list[Example]:
    """Return the passages of all sources, training ones balanced, in an order that mixes sources.

    Raises ConfigError or InputError for an unknown reader or a missing source.
    """
    examples = [
        example for source in config.sources for example in _source_examples(config, source, data, dropped_by_rules)
    ]
    training = [example for example in examples if example.role == "train"]
    training = _balance_languages(training, config.labels) if config.balance == "language" else training
    training = _cap_labels(training, config.max_label_share)
    return sorted([*training, *(e for e in examples if e.role != "train")], key=lambda example: example.order)


def _source_examples(
    config: TrainingConfig, source: Source, data: Path, dropped_by_rules: DroppedByRules | None
) -> Iterator[Example]:
    documents = list(_labelled(source, read_documents(source.reader, data / source.path)))
    if source.dropped_by_rules:
        if dropped_by_rules is None:
            raise ValueError("a source with dropped_by_rules needs the function that says what the rules drop")
        texts = [document.text for document, _ in documents]
        languages = [document.language for document, _ in documents]
        dropped = dropped_by_rules(texts, languages)
        documents = [document for document, drop in zip(documents, dropped, strict=True) if drop]
    roles = [_role(config, source, document) for document, _ in documents]
    chosen: dict[tuple[str, str, str], list[Example]] = defaultdict(list)
    for (document, label), role in _joined(source, documents, roles):
        key = f"{config.seed}\0{source.name}\0{document.group}\0{document.kind}"
        made = [
            Example(text, label, document.language, source.name, role, hash64(f"{key}\0{number}".encode()))
            for number, text in enumerate(passages(document.text, config.passages, key))
        ]
        limit = source.max_passages if source.join else source.max_per_group
        chosen[document.language, label, role].extend(_first(made, limit))
    for made in chosen.values():
        yield from _first(made, source.max_passages)


def _labelled(source: Source, documents: Iterable[Document]) -> Iterator[tuple[Document, str]]:
    for found in documents:
        document = replace(found, language=source.language) if source.language else found
        label = source.label or (source.labels.get(document.kind) if source.labels else document.kind or source.name)
        wanted = source.url_pattern is None or re.search(source.url_pattern, document.url)
        unwanted = source.exclude_url_pattern is not None and re.search(source.exclude_url_pattern, document.url)
        in_languages = source.languages is None or document.language in source.languages
        if label is not None and wanted and not unwanted and in_languages:
            yield document, label


def _role(config: TrainingConfig, source: Source, document: Document) -> str:
    if document.language in source.heldout_languages:
        return "heldout"
    if source.role != "split":
        return source.role
    # The source's name is not in the hash: a web site that two sources share falls on one side.
    share = (hash64(f"{config.seed}\0{document.group}".encode()) % (1 << 32)) / (1 << 32)
    return "heldout" if share < source.heldout_share else "train"


def _joined(
    source: Source, documents: list[tuple[Document, str]], roles: list[str]
) -> Iterator[tuple[tuple[Document, str], str]]:
    if not source.join:
        yield from zip(documents, roles, strict=True)
        return
    texts: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for (document, label), role in zip(documents, roles, strict=True):
        texts[document.language, document.kind, label, role].append(document.text)
    for (language, kind, label, role), parts in texts.items():
        yield (Document("\n".join(parts), f"{language}/{role}", language, kind), label), role


def _first(examples: list[Example], limit: int) -> list[Example]:
    return sorted(examples, key=lambda example: example.order)[:limit]


def _balance_languages(examples: list[Example], labels: tuple[str, ...]) -> list[Example]:
    """Keep in each language as many passages of every label as its rarest label has."""
    groups: dict[str, dict[str, list[Example]]] = defaultdict(lambda: defaultdict(list))
    for example in examples:
        groups[example.language][example.label].append(example)
    kept = []
    for by_label in groups.values():
        least = min(len(by_label[label]) for label in labels)
        for label in labels:
            kept.extend(_spread_sources(by_label[label], least))
    return kept


def _cap_labels(examples: list[Example], share: float) -> list[Example]:
    limit = int(share * len(examples))
    by_label: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        by_label[example.label].append(example)
    return [example for of_label in by_label.values() for example in _spread_sources(of_label, limit)]


def _spread_sources(examples: list[Example], limit: int) -> list[Example]:
    """Return at most `limit` examples, taken in turn from their sources: a large one must not crowd out small ones."""
    ranked = []
    seen: dict[str, int] = defaultdict(int)
    for example in sorted(examples, key=lambda example: example.order):
        ranked.append((seen[example.source], example))
        seen[example.source] += 1
    ranked.sort(key=lambda pair: (pair[0], pair[1].order))
    return [example for _, example in ranked[:limit]]
