"""One run of the pipeline over given texts, and what its MinHash dedup found: pairs, and who stands for whom."""

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

    a: npt.NDArray[np.int64]  # [P], pairs that met in a band and were compared
    b: npt.NDArray[np.int64]  # [P]
    verified: npt.NDArray[np.bool_]  # [P], those that are enough alike
    keeper: npt.NDArray[np.int64]  # [N], the text kept of each one's cluster: itself, for those kept


def find_duplicates(texts: Sequence[str], folder: Path, **minhash: Any) -> Found:
    """Run a recipe of MinHash dedup alone over texts, in a new folder, with the given fields; raises what the run does.

    A module that calls this must be safe to import anew (`if __name__ == "__main__"`): workers do. The texts are read
    from JSONL; those that the cleaning of `dataproc.text` would change are refused.
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
    config = order.recipe.dedup.minhash
    assert config is not None
    return _read(folder / "run", texts, config.min_jaccard)


def _read(run: Path, texts: Sequence[str], min_jaccard: float) -> Found:
    number = {doc_id(NAME, row): row for row in range(len(texts))}
    for table in _tables(run / "documents", ["doc_id", "text"]):
        for one, text in zip(table["doc_id"].to_pylist(), table["text"].to_pylist(), strict=True):
            assert texts[number[one]] == text, "texts must be as the run cleans them"
    pairs = [
        table.filter(table["first"])
        for folder in sorted((run / "dedup").glob("round-*/edges"))
        for table in _tables(folder, ["a", "doc_id", "jaccard", "first"])
    ]
    keeper = np.arange(len(texts))
    for table in _tables(run / "dedup", ["doc_id", "duplicate_of"]):
        for one, kept in zip(table["doc_id"].to_pylist(), table["duplicate_of"].to_pylist(), strict=True):
            keeper[number[one]] = number[kept or one]
    every = pa.concat_tables(pairs)
    a, b = (np.array([number[one] for one in every[column].to_pylist()], np.int64) for column in ("a", "doc_id"))
    return Found(a, b, every["jaccard"].to_numpy() >= min_jaccard, keeper)


def _tables(folder: Path, columns: list[str]) -> Iterator[pa.Table]:
    for part in sorted(folder.glob("part-*.parquet")):
        yield pq.read_table(part, columns=columns)
