"""Near duplicates: what dedup finds of what it should find, clusters beside the peers', signatures a second.

Recall and precision are measured through a run of the pipeline with the default plan, against every pair of the texts
(`dataproc.kernels.set_index`), on the bench texts and on template pages. Clusters are compared with those of
datatrove, datasketch and rensa on the pack that DATAPROC_BENCH_NEARDUP names: help pages in two variants of Catalan and
of Portuguese, whose true clusters are the links of Jaccard 0.8 or more over their own words, no code of ours; and
news with planted near duplicates. Signatures are CPU seconds of one core, ours and the peers' on the same texts.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from benchmarks.dedup_run import Found, find_duplicates
from benchmarks.dedup_scores import Labels, clusters, precision, recall, scores
from benchmarks.figures import Figure, write
from benchmarks.rules import PEERS, cpu_seconds
from benchmarks.template_pages import template_pages
from benchmarks.texts import bench_texts
from dataproc.errors import ConfigError
from dataproc.kernels.minhash import Scheme, minhash_signatures
from dataproc.kernels.set_index import all_pairs
from dataproc.kernels.shingles import shingle_hashes
from stages.minhash_plan import MinhashDedup, candidate_probability

PACK = "DATAPROC_BENCH_NEARDUP"
PLAN = MinhashDedup()
TEMPLATES, PAGES = 4, 3000
SPEED_BYTES = 8_000_000
"""Texts whose signatures are timed: datatrove takes some 20 seconds for them."""

ALIKE = 0.9
LEAST_RECALL = 0.99


def main() -> None:
    python = PEERS / "bin" / "python"
    if not python.exists():
        raise ConfigError(f"{python} must hold the peers, got none. Run `make peers`.")
    packs, true = read_packs(os.environ.get(PACK))
    texts, told = bench_texts()
    print(f"{told}: {len(texts):,} documents.")
    figures = [*found_of("bench texts", texts.to_pylist())]
    figures += found_of("template pages", list(template_pages(TEMPLATES, PAGES)))
    speed = every_nth(texts, SPEED_BYTES)
    theirs = run_peers(python, {name: pa.array(pack, pa.large_string()) for name, pack in packs.items()}, speed)
    for name, pack in packs.items():
        labels = {peer: np.array(found) for peer, found in theirs["labels"][name].items()}
        figures += beside(name, true[name], duplicates(pack).keeper, labels, theirs["versions"])
    figures += signatures(speed, theirs["seconds"], theirs["versions"])
    write("dedup", figures)


def found_of(name: str, texts: Sequence[str]) -> Iterator[Figure]:
    """Yield recall and precision of a run over the texts."""
    found = duplicates(texts)
    true = all_pairs(*shingle_hashes(pa.array(texts, pa.large_string()), PLAN.shingle_size), PLAN.min_jaccard)
    share = recall(true, found, ALIKE)
    which = f"{name}, {share.pairs:,} pairs of Jaccard {ALIKE} or more"
    yield Figure(f"{which}: in one cluster", share.together, "of 1", goal=LEAST_RECALL)
    yield Figure(f"{which}: compared", share.compared, "of 1")
    share = recall(true, found, PLAN.min_jaccard)
    which = f"{name}, {share.pairs:,} pairs of Jaccard {PLAN.min_jaccard} or more"
    alone = [candidate_probability(one, PLAN.num_bands, PLAN.rows_per_band) for one in true.jaccard.tolist()]
    theory = sum(alone) / len(alone)
    yield Figure(f"{which}: in one cluster", share.together, "of 1", "theory, each pair alone", theory)
    which = f"{name}, {found.verified.sum():,} verified pairs"
    yield Figure(
        f"{which}: Jaccard {PLAN.min_jaccard} or more", precision(texts, found, PLAN.min_jaccard), "of 1", goal=1
    )


def duplicates(texts: Sequence[str]) -> Found:
    with tempfile.TemporaryDirectory() as folder:
        return find_duplicates(texts, Path(folder))


def read_packs(named: str | None) -> tuple[dict[str, list[str]], dict[str, Labels]]:
    """Return the texts of the pack and their true clusters, by name; nothing without the pack."""
    if named is None:
        print(f"No clusters are compared: name the folder of the near-duplicate pack in {PACK}.")
        return {}, {}
    folder = Path(named)
    helps = [
        json.loads(line)[variant]
        for name in ("ca_ca-valencia", "pt_pt-br")
        for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        for variant in ("a", "b")
    ]
    lines = (folder / "articles_1000.train").read_text(encoding="utf-8").splitlines()
    articles = dict(line.split(" ", 1) for line in lines)
    number = {name: place for place, name in enumerate(articles)}
    planted = (line.split() for line in (folder / "articles_1000.truth").read_text(encoding="utf-8").splitlines())
    linked = all_pairs(*plain_hashes(helps), PLAN.min_jaccard)
    return {"help pages": helps, "news": list(articles.values())}, {
        "help pages": clusters(len(helps), zip(linked.given.tolist(), linked.indexed.tolist(), strict=True)),
        "news": clusters(len(articles), ((number[a], number[b]) for a, b in planted)),
    }


def plain_hashes(texts: Sequence[str]) -> tuple[Any, Any]:
    """Return hashes and offsets of the 5-word shingles of each text, words by Python's `re`: no code of ours."""
    sets = []
    for text in texts:
        words = re.findall(r"\w+", text.lower())
        grams = (" ".join(words[place : place + 5]) for place in range(max(len(words) - 4, 1)))
        sets.append(sorted({xxhash.xxh64_intdigest(gram.encode()) for gram in grams} if words else ()))
    return np.array([value for one in sets for value in one], np.uint64), np.cumsum([0, *map(len, sets)])


def every_nth(texts: pa.Array, size: int) -> pa.Array:
    """Return about so many bytes of the texts, spread over all of them."""
    return texts.take(pa.array(range(0, len(texts), max(1, texts.nbytes // size))))


def run_peers(python: Path, packs: dict[str, pa.Array], speed: pa.Array) -> dict[str, Any]:
    """Return what peer_dedup.py says."""
    with tempfile.TemporaryDirectory() as folder:
        given = {"packs": {name: texts.to_pylist() for name, texts in packs.items()}, "speed": speed.to_pylist()}
        Path(folder, "in.json").write_text(json.dumps(given), encoding="utf-8")
        for name, texts in {**packs, "speed": speed}.items():
            values, offsets = shingle_hashes(texts, PLAN.shingle_size)
            np.savez(Path(folder, f"{name}.npz"), values=values, offsets=offsets)
        # -P: beside the script lies a module `tokenizers` of ours.
        subprocess.run([python, "-P", Path(__file__).with_name("peer_dedup.py"), folder], check=True)
        found: dict[str, Any] = json.loads(Path(folder, "out.json").read_text(encoding="utf-8"))
    return found


def beside(
    name: str, true: Labels, ours: Labels, theirs: dict[str, Labels], versions: dict[str, str]
) -> Iterator[Figure]:
    """Yield scores of our clusters beside each peer's; F1 and ARI are to be the best."""
    mine = scores(true, ours)
    for peer, found in theirs.items():
        for metric, value, its in zip(("precision", "recall", "F1", "ARI"), mine, scores(true, found), strict=True):
            goal = 1 if metric in ("F1", "ARI") else None
            yield Figure(f"{name}: {metric}", value, "of 1", f"{peer} {versions[peer]}", its, goal)


def signatures(texts: pa.Array, theirs: dict[str, float], versions: dict[str, str]) -> Iterator[Figure]:
    """Yield documents a second: from the text on, and from shingles that are ready.

    From these, each goal is against what computes the same: datasketch's signatures are those of `affine32`, rensa's
    are sketches as those of `fast`.
    """
    affine32, fast = signature_seconds(texts, "affine32"), signature_seconds(texts, "fast")
    count, size = len(texts), sum(map(len, texts.cast(pa.large_binary()).to_pylist())) / 1e6
    text, shingles = "text to signatures", "signatures of ready shingles"
    for name, seconds, its, goal in (
        (text, affine32["text"], "datatrove, text", 100),
        (text, affine32["text"], "rensa, text", 1),
        (shingles, affine32["shingles"], "datasketch, shingles", 10),
        (shingles, affine32["shingles"], "rensa, shingles", None),
        (f"{text}, scheme fast", fast["text"], "rensa, text", 1),
        (f"{shingles}, scheme fast", fast["shingles"], "datasketch, shingles", 10),
        (f"{shingles}, scheme fast", fast["shingles"], "rensa, shingles", 1),
    ):
        peer = its.split(",")[0]
        yield Figure(name, count / seconds, "docs/s", f"{peer} {versions[peer]}", count / theirs[its], goal)
    yield Figure(text, size / affine32["text"], "MB/s")
    yield Figure(f"{text}, scheme fast", size / fast["text"], "MB/s")


def signature_seconds(texts: pa.Array, scheme: Scheme) -> dict[str, float]:
    """Return CPU seconds of the signatures of the default plan, from `text` and from `shingles`."""
    ready = shingle_hashes(texts, PLAN.shingle_size)
    return {
        "text": cpu_seconds(
            lambda: minhash_signatures(*shingle_hashes(texts, PLAN.shingle_size), PLAN.num_hashes, scheme=scheme)
        ),
        "shingles": cpu_seconds(lambda: minhash_signatures(*ready, PLAN.num_hashes, scheme=scheme)),
    }


if __name__ == "__main__":
    main()
