"""Small mixtures over buckets of consecutive integers, and what their loaders yield."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import xxhash

from dataproc.loader import Batch, StreamingLoader
from dataproc.loader.mixture import Mixture, Source, TrainingStage
from dataproc.storage import Folder
from dataproc.tokens.shards import read_manifest
from tests.dataproc.tokens.synthetic import SMALL, write_lengths

BASES = {"a": 1, "b": 10_001, "c": 20_001}


def write_world(root: Path, lengths: Mapping[str, Sequence[int]], block_bytes: int = 64) -> Folder:
    """Write buckets of documents of these lengths; token t of bucket x is BASES[x] + t."""
    folder = Folder(root)
    for name, documents in lengths.items():
        write_lengths(folder, name, documents, BASES[name], num_shards=2, block_bytes=block_bytes)
    return folder


def stage(name: str, steps: int, batch_size: int, seq_len: int, samples: Sequence[int]) -> TrainingStage:
    return TrainingStage(name=name, steps=steps, batch_size=batch_size, seq_len=seq_len, samples=tuple(samples))


def write_stages(folder: Folder, stages: Iterable[TrainingStage], block_len: int = 8, seed: int = 0) -> str:
    """Write mixture.json over all buckets of the folder and return its path."""
    names = sorted({name.split("/")[1] for name in folder.files("tokens")})
    sources = []
    for name in names:
        bucket = Folder(f"{folder.url}/tokens/{name}")
        manifest = read_manifest(bucket)
        with bucket.open("manifest.json") as file:
            checksum = xxhash.xxh3_64_hexdigest(file.read())
        sources.append(Source(name=name, tokens=manifest.tokens, documents=manifest.documents, manifest_xxh3=checksum))
    mixture = Mixture(
        mix="test", seed=seed, block_len=block_len, tokenizer=SMALL, sources=tuple(sources), stages=tuple(stages)
    )
    folder.write_text("mixture.json", mixture.dump())
    return f"{folder.url}/mixture.json"


def same(one: Batch, other: Batch) -> bool:
    """Say whether two batches are equal in every array."""
    arrays = ("input_ids", "labels", "loss_mask", "position_ids", "cu_seqlens", "documents", "sources")
    return (one.step, one.stage) == (other.step, other.stage) and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays
    )


def joined(batches: Sequence[Batch]) -> Batch:
    """Return the global batch of the batches of all ranks, in order of rank."""
    ends = np.cumsum([0, *(batch.input_ids.size for batch in batches)])
    starts = [batch.cu_seqlens[:-1] + end for batch, end in zip(batches, ends, strict=False)]
    return Batch(
        step=batches[0].step,
        stage=batches[0].stage,
        cu_seqlens=np.concatenate([*starts, ends[-1:]]).astype(np.int32),
        **{
            name: np.concatenate([getattr(batch, name) for batch in batches])
            for name in ("input_ids", "labels", "loss_mask", "position_ids", "documents", "sources")
        },
    )


def read_tokens(loader: StreamingLoader, batch: Batch) -> list[tuple[int, int]]:
    """Return (source, token of its stream) for each input of a batch, padding left out, by `trace`."""
    table = loader.trace(batch.step)
    names = [source.name for source in loader.mixture.sources]
    found = []
    for row in table.to_pylist():
        start = row["start"] + row["first"]
        found += [(names.index(row["source"]), start + k) for k in range(row["last"] - row["first"])]
    return found
