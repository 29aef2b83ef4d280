"""Runs to audit, and what brute force in plain Python says of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.minhash_dedup import binary_to_lists
from tests.jobs.dedup_runs import Inline, article, dedup, near, recipe_of

WEAK = {"num_bands": 2, "rows_per_band": 14}
"""Of pairs with a Jaccard of 0.95 three of four meet, of those of 0.9 two of five."""


def texts() -> list[str]:
    """Return 20 articles, 40 pairs of Jaccard 0.95, 5 clusters of 5 whose pairs have 0.9, and 3 exact copies."""
    made = [article(seed) for seed in range(20)]
    made += [text for pair in range(40) for text in (article(100 + pair), near(article(100 + pair), pair))]
    made += [near(article(200 + cluster), copy) for cluster in range(5) for copy in range(5)]
    return [*made, article(0), article(0), article(1)]


@dataclass
class Truth:
    """What is known of a run by its files, in plain Python."""

    sets: dict[bytes, set[int]]
    hashes: dict[bytes, list[int]]
    cluster: dict[bytes, bytes]
    kept: set[bytes]

    def pairs(self, least: float) -> list[tuple[bytes, bytes]]:
        return [(a, b) for a, b in combinations(sorted(self.sets), 2) if self.jaccard(a, b) >= least]

    def jaccard(self, a: bytes, b: bytes) -> float:
        return len(self.sets[a] & self.sets[b]) / len(self.sets[a] | self.sets[b])

    def meets(self, a: bytes, b: bytes, bands: int, rows: int) -> bool:
        one, two = self.hashes[a], self.hashes[b]
        return any(one[k * rows : (k + 1) * rows] == two[k * rows : (k + 1) * rows] for k in range(bands))


def shingles_of(stored: bytes) -> set[int]:
    return set(binary_to_lists(pa.array([stored], pa.binary()))[0].tolist())


def truth_of(run: Path) -> Truth:
    signatures = {row["doc_id"]: row for row in pq.read_table(run / "signatures").to_pylist()}
    rows = [row for path in (run / "dedup").glob("part-*") for row in pq.read_table(path).to_pylist()]
    came = [row for row in rows if row["dedup_reason"] in (None, "dedup.minhash")]
    return Truth(
        {row["doc_id"]: shingles_of(signatures[row["doc_id"]]["shingles"]) for row in came},
        {row["doc_id"]: np.frombuffer(signatures[row["doc_id"]]["minhash"], "<u4").tolist() for row in came},
        {row["doc_id"]: row["duplicate_of"] or row["doc_id"] for row in came},
        {row["doc_id"] for row in came if row["duplicate_of"] is None},
    )


def run_of(crawl: Path, name: str, **config: Any) -> Path:
    out = crawl / name
    if not out.exists():
        dedup(crawl / "crawl", out, Inline(), **config)
        recipe = recipe_of(**config).model_dump(mode="json")
        (out / "run.json").write_text(json.dumps({"format": 1, "order": {"recipe": recipe}}))
    return out
