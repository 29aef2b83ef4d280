"""Small crawls through the steps up to dedup, in this process."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from dataproc.config import validate
from dataproc.engines import Engine
from dataproc.exchange import Exchange
from dataproc.ids import doc_id
from dataproc.inputs import InputConfig, Unit, plan_units
from dataproc.storage import Folder
from jobs.dedup import run_dedup
from jobs.documents import Located, run_documents
from jobs.progress import ProgressDisplay
from jobs.recipe import Recipe
from jobs.run import Run
from jobs.signatures import run_signatures


@dataclass
class Inline:
    """An engine without processes: errors go through, units may come in any order, and it can die."""

    seed: int | None = None
    """Of the order of units; None keeps it."""
    lives: int | None = None
    """Units run before it dies of KeyboardInterrupt; None is never."""
    ran: list[str] = field(default_factory=list)
    """The name of the step of each unit run."""

    def map(self, name: str, fn: Callable[[Any], Any], units: Sequence[Any], resources: Any = None) -> Iterator[Any]:
        for unit in self._ordered(units):
            yield self._run(name, fn, unit)

    def exchange(
        self, spec: Exchange, units: Sequence[Any], scratch: str, skip: frozenset[int] = frozenset()
    ) -> Iterator[Any]:
        blocks: dict[int, list[tuple[int, pa.Buffer]]] = {}
        for number, unit in self._ordered(list(enumerate(units))):
            for partition, data in self._run(spec.name, lambda one: list(spec.split(one)), unit):
                blocks.setdefault(partition, []).append((number, data))
        for partition in self._ordered([one for one in range(spec.num_partitions) if one not in skip]):
            data = [block for _, block in sorted(blocks.get(partition, []), key=lambda one: one[0])]
            yield self._run(spec.name, partial(spec.reduce, blocks=data, scratch=Path(scratch)), partition)

    def close(self) -> None:
        pass

    def _ordered(self, units: Sequence[Any]) -> list[Any]:
        return list(units) if self.seed is None else random.Random(self.seed).sample(units, len(units))

    def _run(self, name: str, fn: Callable[[Any], Any], unit: Any) -> Any:
        if self.lives is not None and len(self.ran) >= self.lives:
            raise KeyboardInterrupt
        self.ran.append(name)
        return fn(unit)


FLAGS = {"annotate": True, "domains": ["flagged.example"], "urls": [], "hard_words": ["flagged"], "subwords": []}


@dataclass(frozen=True)
class Document:
    name: str
    row: int
    text: str
    date: str
    url: str | None = None

    @property
    def id(self) -> bytes:
        return doc_id(self.name, self.row)


def crawl_of(texts: list[str], files: int, folder: Path, urls: Sequence[str | None] | None = None) -> list[Document]:
    """Write the texts as JSONL files, row by row in turn; each is a day newer than the one before."""
    documents = []
    lines: list[list[str]] = [[] for _ in range(files)]
    for index, text in enumerate(texts):
        date = f"2024-01-{index % 28 + 1:02}T00:00:{index // 28:02}Z"
        file = lines[index % files]
        url = urls[index] if urls else None
        documents.append(Document(f"{index % files}.jsonl", len(file), text, date, url))
        file.append(json.dumps({"text": text, "date": date, "url": url}))
    folder.mkdir(parents=True)
    for number, file in enumerate(lines):
        (folder / f"{number}.jsonl").write_text("\n".join(file) + "\n")
    return documents


def recipe_of(**dedup: Any) -> Recipe:
    """Return a recipe for texts, with exact and MinHash dedup unless told otherwise."""
    return validate(
        Recipe,
        {
            "description": "test",
            "source": "test",
            "documents": {"stages": {"extract_text": {}, "url_filter": FLAGS}},
            "dedup": {"exact": {}, "minhash": {}, **dedup},
            "policy": {"stages": {}},
        },
        "test",
    )


def dedup(crawl: Path, out: Path, engine: Engine, **dedup: Any) -> dict[bytes, dict[str, Any]]:
    """Run the steps up to dedup and return its sidecar by doc_id; in this process, no file waits for the disk."""
    with patch("os.fsync"):
        return _dedup(crawl, out, engine, recipe_of(**dedup))


def _dedup(crawl: Path, out: Path, engine: Engine, recipe: Recipe) -> dict[bytes, dict[str, Any]]:
    inputs = plan_units(str(crawl), InputConfig(unit_bytes=1 << 30))
    run = Run(Folder(out), recipe, engine, ProgressDisplay(Console(quiet=True)), inputs.units.num_rows)
    run.fingerprints["units"] = "test"
    run_documents(
        run,
        [Located(Unit(**row), at.as_py()) for row, at in zip(inputs.units.to_pylist(), inputs.locations, strict=True)],
    )
    run_signatures(run)
    run_dedup(run)
    rows = [row for path in sorted((out / "dedup").glob("part-*.parquet")) for row in pq.read_table(path).to_pylist()]
    return {row.pop("doc_id"): row for row in rows}


def article(seed: int, words: int = 200) -> str:
    draw = random.Random(seed)
    return " ".join(f"w{draw.randrange(5000)}" for _ in range(words))


def near(text: str, seed: int) -> str:
    """Change one word of the text: 5 of about 196 shingles, Jaccard about 0.95."""
    words = text.split()
    words[random.Random(seed).randrange(20, 180)] = f"changed{seed}"
    return " ".join(words)
