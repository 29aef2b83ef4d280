"""documents/ and sidecars -> buckets/, dropped/tokens/, tokens/<bucket>/: decide what stays, then encode and shuffle.

buckets/ is a sidecar that names the bucket of each document that stays, and counts what each bucket holds. From these
counts every bucket gets its number of shards; a document goes to a shard, and to its place there, by a hash of (seed,
doc_id): that is the shuffle. From here on text is what the cuts of lines/ and substrings/ leave of it.
"""

from __future__ import annotations

import struct
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.exchange import Exchange, Rows
from dataproc.ids import hash64
from dataproc.schema import DROPPED
from dataproc.shards import Dataset, Entry, library_versions, stages_made_from
from dataproc.stage import BuiltStage, StageCounts, Transform, run_stages, with_columns
from dataproc.storage import Folder
from dataproc.tables import create_part, part_name, read_aligned
from dataproc.tokens.shards import SOURCE_COLUMNS, ShardReport, TokenizerInfo, write_manifest, write_shard
from jobs.cuts import is_left, last_cuts, without_cuts
from jobs.documents import build_stages, check_conservation, dropped_rows, resources
from jobs.recipe import Recipe
from jobs.run import Run
from stages.flagged import drop_flagged
from stages.tokenize_text import TokenizeText

POLICY = "policy"
"""The stage that decides about flagged documents, before the policy's own."""

SIDECAR = pa.schema([("doc_id", pa.binary()), ("bucket", pa.string()), ("bypassed", pa.string())])
"""buckets/: the bucket of each document, null for those that dedup, a step that cuts or the policy drops; and the
reason of the policy that its score outweighed, null for most."""

MANIFESTS = "tokens/manifests"
"""The dataset of the buckets' manifest.json: done when all of tokens/ is."""

ENCODED = pa.schema(
    [
        ("partition", pa.int32()),
        ("shuffle_key", pa.int64()),
        ("doc_id", pa.binary()),
        ("tokens", pa.binary()),
        ("url", pa.string()),
        ("language", pa.string()),
        ("input", pa.string()),
        ("position", pa.int64()),
    ]
)


def declare_buckets(run: Run) -> Dataset:
    """Return the dataset buckets/."""
    policy = run.recipe.policy
    made_from = {
        **stages_made_from(policy.stages),
        "version": 2,
        "drop_flagged": list(policy.drop_flagged),
        "bypass": policy.bypass and policy.bypass.model_dump(mode="json"),
    }
    reads = ["documents", "dedup", *last_cuts(run.recipe), "scores"]
    return run.dataset("buckets", made_from, reads, run.num_parts)


def run_buckets(run: Run) -> None:
    """Fill buckets/ and dropped/tokens/."""
    dataset = declare_buckets(run)
    run.fill(dataset, BucketsTask(dataset, run.recipe), resources=resources(run.recipe.policy.stages))


@dataclass(frozen=True)
class BucketsTask:
    """Makes one part of buckets/ and of dropped/tokens/."""

    dataset: Dataset
    recipe: Recipe

    @cached_property
    def _stages(self) -> list[BuiltStage]:
        policy = self.recipe.policy
        flagged = partial(drop_flagged, reasons=policy.drop_flagged, bypass=policy.bypass)
        return [*([BuiltStage(POLICY, flagged)] if policy.drop_flagged else []), *build_stages(policy.stages)]

    def __call__(self, part: int) -> Entry:
        """Make one part and return its entry."""
        started = time.perf_counter()
        name, dropped_name = part_name("buckets", part), part_name("dropped/tokens", part)
        counts: dict[str, StageCounts] = {}
        docs, text_bytes, bypassed = Counter[str](), Counter[str](), Counter[str]()
        rows_in = 0
        folder, keep_text = self.dataset.folder, self.recipe.documents.dropped_text
        with create_part(folder, name, SIDECAR) as out, create_part(folder, dropped_name, DROPPED) as dropped:
            for batch in read_aligned(folder, part, self._columns):
                left = without_cuts(batch.filter(is_left(batch)))
                rows_in += left.num_rows
                kept, lost = run_stages(self._stages, left, counts)
                for rows in lost:
                    dropped.write(dropped_rows(rows, keep_text))
                sidecar = _sidecar(batch["doc_id"], kept, [kept, *lost])
                out.write(sidecar)
                bypassed.update(sidecar["bypassed"].drop_null().to_pylist())
                if kept.num_rows:
                    docs.update(kept["bucket"].to_pylist())
                    for bucket, size in zip(
                        kept["bucket"].to_pylist(), pc.binary_length(kept["text"]).to_pylist(), strict=True
                    ):
                        text_bytes[bucket] += size
        reasons = sum((count.dropped for count in counts.values()), Counter[str]())
        check_conservation(name, rows_in, docs.total(), dropped.rows, reasons)
        counters = {
            "rows_in": rows_in,
            "rows_kept": docs.total(),
            "dropped": dict(reasons),
            "stages": {stage: count.as_dict() for stage, count in counts.items()},
            "bypassed": {f"{POLICY}.{reason}": rows for reason, rows in bypassed.items()},
            "bucket_docs": dict(docs),
            "bucket_text_bytes": dict(text_bytes),
        }
        files = {name: out.rows, dropped_name: dropped.rows}
        return self.dataset.commit(part, files, counters, time.perf_counter() - started)

    @cached_property
    def _columns(self) -> dict[str, list[str]]:
        """Return what is read of each dataset: what the policy stages need, and what dropped/ shows."""
        policy = self.recipe.policy
        reads = {column for stage in policy.stages.values() for column in stage.contract().reads}
        reads |= {*policy.bypass.reads} if policy.bypass else set()
        documents, scores = self.recipe.document_columns(), self.recipe.score_columns()
        shown = {"doc_id", "url", "input", "position", "text", "flags"}
        return {
            "documents": [name for name in documents if name in reads | shown],
            "dedup": ["duplicate_of", "cluster_size"],
            **{name: ["cuts", "cut_reason"] for name in last_cuts(self.recipe)},
            "scores": [name for name in scores if name in reads],
        }


def _sidecar(ids: pa.Array, kept: pa.RecordBatch, judged: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Return SIDECAR rows for all ids: the bucket where the document was kept, and what it was spared, else nulls."""
    columns = [_placed(ids, [kept], "bucket"), _placed(ids, judged, "bypassed")]
    return pa.RecordBatch.from_arrays([ids, *columns], schema=SIDECAR)


def _placed(ids: pa.Array, batches: Sequence[pa.RecordBatch], column: str) -> pa.Array:
    """Return a string column in the order of the ids, null for those that no batch has."""
    having = [batch for batch in batches if batch.num_rows and column in batch.schema.names]
    if not having:
        return pa.nulls(len(ids), pa.string())
    found = pa.concat_batches([batch.select(["doc_id", column]) for batch in having])
    return found[column].take(pc.index_in(ids, found["doc_id"]))


@dataclass(frozen=True)
class Layout:
    """How many shards each bucket has; partitions are numbered through all buckets, in order of name."""

    shards: Mapping[str, int]

    @classmethod
    def of(cls, text_bytes: Mapping[str, int], shard_text_bytes: int) -> Layout:
        """Return the layout for what the buckets hold.

        Example: Layout.of({"a": 5, "b": 9}, 4).shards == {"a": 2, "b": 3}.
        """
        return cls({bucket: max(1, -(-size // shard_text_bytes)) for bucket, size in sorted(text_bytes.items())})

    @cached_property
    def first(self) -> dict[str, int]:
        """Return the first partition of each bucket."""
        starts = np.cumsum([0, *self.shards.values()])
        return dict(zip(self.shards, starts.tolist(), strict=False))

    @property
    def partitions(self) -> int:
        """Return the number of partitions."""
        return sum(self.shards.values())

    def partition(self, bucket: str, shuffle_key: int) -> int:
        """Return the partition of a document: its bucket's shards divide the range of signed 64-bit keys evenly."""
        return self.first[bucket] + ((shuffle_key + (1 << 63)) * self.shards[bucket] >> 64)

    def locate(self, partition: int) -> tuple[str, int]:
        """Return the bucket and the shard index of a partition."""
        bucket = max((name for name in self.shards if self.first[name] <= partition), key=lambda name: self.first[name])
        return bucket, partition - self.first[bucket]


def declare_tokens(run: Run, shards: int | None = None) -> Dataset:
    """Return the dataset tokens/; its number of parts is known when buckets/ is done.

    Its fingerprint has the tokenizer by checksum, not by path, and not what only says how the work is done and checked.
    """
    stage = run.recipe.tokens.stage()
    contract = stage.contract()
    made_from = {
        "tokenizer": stage.info().model_dump(mode="json"),
        "assets": dict(contract.assets),
        "stage_version": stage.version(),
        "libraries": library_versions(*contract.libraries),
        "seed": run.recipe.seed,
        "shard_text_bytes": run.recipe.tokens.shard_text_bytes,
    }
    return run.dataset("tokens", made_from, ["documents", *last_cuts(run.recipe), "buckets"], parts=shards)


def run_tokens(run: Run) -> None:
    """Fill tokens/<bucket>/."""
    counted = Counter[str]()
    for entry in Dataset(run.folder, "buckets", {}, run.num_parts).entries():
        counted.update(entry.counters["bucket_text_bytes"])
    layout = Layout.of(counted, run.recipe.tokens.shard_text_bytes)
    dataset = declare_tokens(run, layout.partitions)
    if not dataset.done():
        run.folder.remove("tokens")  # what a killed --redo left: buckets that are none any more must not be mixed
    stage = run.recipe.tokens.stage()
    info = stage.info()
    run.regroup(
        dataset,
        Exchange(
            name="tokens",
            source=_Encoded(run.folder, last_cuts(run.recipe), stage, run.recipe.seed, layout),
            schema=ENCODED,
            partition="partition",
            sort_by=("shuffle_key", "doc_id"),
            num_partitions=layout.partitions,
            reduce_fn=iter,
            sink=_ShardSink(dataset, layout, info),
        ),
        range(run.num_parts),
    )
    reports: dict[str, list[ShardReport]] = {}
    for entry in dataset.entries():
        bucket, _ = layout.locate(entry.part)
        reports.setdefault(bucket, []).append(ShardReport(**entry.counters["shard"]))
    for bucket, shards in reports.items():
        write_manifest(run.folder, f"tokens/{bucket}", info, shards)
    manifests = Dataset(run.folder, MANIFESTS, {"reads": dataset.fingerprint}, 1)
    manifests.start()
    manifests.commit(0, {f"tokens/{bucket}/manifest.json": -1 for bucket in reports}, {}, 0.0)


def shuffle_key(seed: int, doc_id: bytes) -> int:
    """Compute a document's place in its bucket: signed xxh3_64 of the seed (int64, little-endian) and doc_id."""
    return hash64(struct.pack("<q", seed) + doc_id)


@dataclass(frozen=True)
class _Encoded:
    """The encoded documents of one part, each with its partition and shuffle key."""

    folder: Folder
    cuts: list[str]
    stage: TokenizeText
    seed: int
    layout: Layout

    @cached_property
    def _tokenize(self) -> Transform:
        transform: Transform = self.stage.build()
        return transform

    def __call__(self, part: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows of one part that stay, encoded."""
        columns = {"documents": ["doc_id", "text", *SOURCE_COLUMNS.names], "buckets": ["bucket"]}
        columns |= {name: ["cuts"] for name in self.cuts}
        for batch in read_aligned(self.folder, part, columns, batch_rows=512):
            batch = batch.filter(pc.is_valid(batch["bucket"]))
            if not batch.num_rows:
                continue
            batch = without_cuts(batch)
            keys = [shuffle_key(self.seed, doc_id) for doc_id in batch["doc_id"].to_pylist()]
            pairs = zip(batch["bucket"].to_pylist(), keys, strict=True)
            partitions = [self.layout.partition(bucket, key) for bucket, key in pairs]
            added = {"partition": pa.array(partitions, pa.int32()), "shuffle_key": pa.array(keys, pa.int64())}
            encoded = with_columns(self._tokenize(batch), added)
            tokens = encoded["tokens"].cast(pa.binary())
            yield with_columns(encoded, {"tokens": tokens}).select(ENCODED.names)


@dataclass(frozen=True)
class _ShardSink:
    """Writes one partition as one shard of its bucket."""

    dataset: Dataset
    layout: Layout
    info: TokenizerInfo

    def __call__(self, partition: int, rows: Rows) -> Entry:
        """Write one shard and return its entry."""
        started = time.perf_counter()
        bucket, index = self.layout.locate(partition)
        report = write_shard(self.dataset.folder, f"tokens/{bucket}", index, rows, self.info)
        files: dict[str, Any] = {f"tokens/{bucket}/{name}": -1 for name in report.files}
        files[f"tokens/{bucket}/shard-{index:05d}.docs.parquet"] = report.documents
        counters = {
            "rows_in": report.documents,
            "bytes": report.files[f"shard-{index:05d}.bin"].bytes,
            "bucket": bucket,
            "tokens": report.tokens,
            "shard": report.model_dump(mode="json"),
        }
        return self.dataset.commit(partition, files, counters, time.perf_counter() - started)
