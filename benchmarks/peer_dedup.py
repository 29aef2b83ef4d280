"""Runs in the virtualenv of the peers: near duplicates and signatures by datatrove, datasketch and rensa.

Usage: python peer_dedup.py FOLDER. The folder holds in.json, `packs` (name -> texts) and `speed` (texts), and for each
pack, and for `speed`, NAME.npz: our shingle hashes of the texts as `values` and `offsets`. Written is out.json: the
cluster of each text by each peer; CPU seconds of signatures; versions.

datatrove runs the stages of its MinHash pipeline with its defaults, on its own words. datasketch and rensa have no
shingles of their own: both get ours, and the threshold. datasketch's LSH chooses its bands for it and is taken at its
word, as in its documentation; of rensa's pairs those are kept whose estimated Jaccard is enough, as in rensa's own
deduplicator.
"""

from __future__ import annotations

import json
import os
import re
import struct
import sys
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ |= {"RAYON_NUM_THREADS": "1", "TQDM_DISABLE": "1"}

import datasketch
import numpy as np
import rensa
from datatrove.data import Document
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature
from datatrove.utils.logging import logger

NUM_HASHES = 112
BANDS = 14
THRESHOLD = 0.8

Labels = list[int]


def main(folder: str) -> None:
    logger.remove()
    with open(Path(folder, "in.json"), encoding="utf-8") as file:
        given = json.load(file)
    labels = {}
    for name, texts in given["packs"].items():
        sets = [set_.tolist() for set_ in read_sets(Path(folder, f"{name}.npz"))]
        labels[name] = {
            "datatrove": datatrove_clusters(texts),
            "datasketch": datasketch_clusters(sets),
            "rensa": rensa_clusters(sets),
        }
    found = {
        "labels": labels,
        "seconds": signature_seconds(given["speed"], Path(folder, "speed.npz")),
        "versions": {name: version(name) for name in ("datatrove", "datasketch", "rensa")},
    }
    with open(Path(folder, "out.json"), "w", encoding="utf-8") as file:
        json.dump(found, file)


def read_sets(path: Path) -> list[Any]:
    held = np.load(path)
    values = held["values"]  # once: each look reads the file anew
    return [values[start:stop] for start, stop in pairwise(held["offsets"].tolist())]


def datatrove_clusters(texts: list[str]) -> Labels:
    """Return a label per text: stages 1 to 3; the fourth only leaves out what they decided."""
    documents = [Document(text=text, id=str(number)) for number, text in enumerate(texts)]
    with TemporaryDirectory() as folder:
        MinhashDedupSignature(f"{folder}/signatures").run(documents)
        for band in range(BANDS):
            MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/pairs").run(rank=band, world_size=BANDS)
        MinhashDedupCluster(f"{folder}/pairs", f"{folder}/removed", save_cluster_id=True).run()
        pairs = struct.iter_unpack("<2I", Path(folder, "removed", "000000.clusters").read_bytes())
        labels = list(range(-len(texts), 0))
        for document, cluster in pairs:
            labels[document] = cluster
    return labels


def datasketch_clusters(sets: list[list[int]]) -> Labels:
    minhashes = datasketch_signatures(sets)
    lsh = datasketch.MinHashLSH(THRESHOLD, NUM_HASHES)
    for number, minhash in enumerate(minhashes):
        if sets[number]:
            lsh.insert(number, minhash)
    found = (lsh.query(minhash) if sets[number] else [] for number, minhash in enumerate(minhashes))
    return linked(len(sets), ((number, other) for number, others in enumerate(found) for other in others))


def datasketch_signatures(sets: list[list[int]]) -> list[Any]:
    made = []
    for values in sets:
        minhash = datasketch.MinHash(NUM_HASHES, hashfunc=lambda value: value & 0xFFFFFFFF, scheme="affine32")
        minhash.update_batch(values)
        made.append(minhash)
    return made


def rensa_clusters(sets: list[list[int]]) -> Labels:
    minhashes = rensa.RMinHash.from_token_sets(
        [[value.to_bytes(8, "little") for value in one] for one in sets], NUM_HASHES, 1
    )
    lsh = rensa.RMinHashLSH(THRESHOLD, NUM_HASHES, BANDS)
    lsh.insert_many(minhashes)
    pairs = (
        (number, other)
        for number, others in enumerate(lsh.query_all(minhashes))
        for other in others
        if sets[number] and sets[other] and minhashes[number].jaccard(minhashes[other]) >= THRESHOLD
    )
    return linked(len(sets), pairs)


def linked(count: int, pairs: Iterable[tuple[int, int]]) -> Labels:
    """Return for each of `count` texts the least one that pairs link it with."""
    root = list(range(count))

    def find(one: int) -> int:
        while root[one] != one:
            root[one] = one = root[root[one]]
        return one

    for a, b in pairs:
        a, b = find(a), find(b)
        root[max(a, b)] = min(a, b)
    return [find(one) for one in range(count)]


def signature_seconds(texts: list[str], path: Path) -> dict[str, float]:
    """Return CPU seconds, the least of some calls; of one for the slow ones."""
    held, sets = np.load(path), [set_.tolist() for set_ in read_sets(path)]
    stage = MinhashDedupSignature(".")
    stage.get_shingles("Tokenizers load. " * 50)
    values, offsets = held["values"], held["offsets"].astype(np.uint64)
    matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes
    return {
        "datatrove, text": cpu_seconds(lambda: [datatrove_signature(stage, text) for text in texts], 1),
        "datasketch, shingles": cpu_seconds(lambda: datasketch_signatures(sets), 2),
        "rensa, shingles": cpu_seconds(lambda: matrix(values, offsets, NUM_HASHES, 1), 7),
        "rensa, text": cpu_seconds(
            lambda: rensa.RMinHash.digest_matrix_from_token_sets(map(string_shingles, texts), NUM_HASHES, 1), 2
        ),
    }


def datatrove_signature(stage: MinhashDedupSignature, text: str) -> object:
    shingles = stage.get_shingles(text)
    return stage.get_signature(shingles) if len(shingles) else None  # as its `run` has it


def string_shingles(text: str) -> list[str]:
    """Return 5-word shingles as a user of rensa makes them."""
    words = re.findall(r"\w+", text.lower())
    return [" ".join(words[place : place + 5]) for place in range(max(len(words) - 4, 1))]


def cpu_seconds(function: Callable[[], object], calls: int) -> float:
    taken = []
    for _ in range(calls):
        started = time.process_time()
        function()
        taken.append(time.process_time() - started)
    return min(taken)


if __name__ == "__main__":
    main(*sys.argv[1:])
