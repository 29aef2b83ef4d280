"""One run of the pipeline over given texts, and what its dedup found: verified pairs, and who stands for whom."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from dataproc.ids import doc_id
from dataproc.storage import Folder
from jobs.pipeline import Order, run_pipeline
from jobs.progress import ProgressDisplay
from jobs.recipe import load_recipe

NAME = "texts.jsonl"
RECIPE = {
    "description": "Near duplicates alone.",
    "source": "benchmarks/dedup_run.py",
    "input": {"unit_bytes": 16 << 20},  # some parts, so that every exchange has something to regroup
    "documents": {"stages": {"extract_text": {}, "language_id": {"min_score": None}}},
    "policy": {"stages": {"assign_bucket": {"bucket": "{language}", "parts": {"language": {}}}}},
}


@dataclass(frozen=True)
class Found:
    """What MinHash dedup decided of N texts, by their numbers."""

    a: npt.NDArray[np.int64]  # [P], verified pairs
    b: npt.NDArray[np.int64]  # [P]
    jaccard: npt.NDArray[np.float64]  # [P], as measured
    keeper: npt.NDArray[np.int64]  # [N], of the text's cluster; itself for one that is kept
    seconds: dict[str, float]
    """Step -> seconds of its units."""


def find_duplicates(texts: Sequence[str], folder: Path, **minhash: Any) -> Found:
    """Run a recipe of MinHash dedup alone over the texts, in a new folder; raises what the run raises.

    The texts are read from JSONL; as pages would, they pass the cleaning of `dataproc.text`, which changes none of ours.
    """
    crawl = folder / "crawl"
    crawl.mkdir(parents=True)
    with open(crawl / NAME, "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps({**RECIPE, "dedup": {"minhash": minhash}}), encoding="utf-8")  # JSON is YAML
    order = Order(str(crawl), load_recipe(str(recipe)), str(recipe))
    run = Folder(str(folder / "run"))
    run_pipeline(order, run, ProgressDisplay(Console(quiet=True)), workers=1)
    return _read(folder / "run", texts)


def _read(run: Path, texts: Sequence[str]) -> Found:
    number = {doc_id(NAME, row): row for row in range(len(texts))}
    held = [text for batch in _tables(run / "documents", ["text"]) for text in batch["text"].to_pylist()]
    assert held == list(texts), "the run must deduplicate the texts as they were given"
    edges = [
        table.filter(table["first"])
        for folder in sorted((run / "dedup").glob("round-*/edges"))
        for table in _tables(folder, ["a", "doc_id", "jaccard", "first"])
    ]
    keeper = np.arange(len(texts))
    for table in _tables(run / "dedup", ["doc_id", "duplicate_of"]):
        for one, kept in zip(table["doc_id"].to_pylist(), table["duplicate_of"].to_pylist(), strict=True):
            keeper[number[one]] = number[kept or one]
    every = pa.concat_tables(edges)
    a, b = (np.array([number[one] for one in every[column].to_pylist()], np.int64) for column in ("a", "doc_id"))
    return Found(a, b, every["jaccard"].to_numpy(), keeper, {})


def _tables(folder: Path, columns: list[str]) -> Iterator[pa.Table]:
    for part in sorted(folder.glob("part-*.parquet")):
        yield pq.read_table(part, columns=columns)
