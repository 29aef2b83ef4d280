"""Documents made up for dedup: clusters of power-law sizes, whose members differ from a base by a share of their own.

Nothing is held but the sizes of the clusters: a document is a function of its number. A permutation spreads clusters
over all parts. A member replaces up to `MOST_CHANGED` of the base's signature (or a tenth of that share of its words,
each of which is in five shingles), so that pairs lie on both sides of the usual 0.8, most of them above.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.ids import doc_id
from dataproc.loader.permutation import mix64, permute
from dataproc.shards import Dataset, Entry
from dataproc.tables import create_part, part_name
from jobs.signatures import SCHEMA

PART_DOCS = 10_000
"""Of a WARC's 30,000 pages a third comes to dedup."""
BATCH_DOCS = 1_000
CLUSTERED = 0.4
"""Share of the documents that are in clusters of two or more."""
LARGEST = 0.05
"""Share of the documents that are in the largest cluster: a million of 20 million."""
MOST_CHANGED = 0.25
MIN_WORDS, MORE_WORDS = 50, 400
"""Words of a text: at least so many, and so many more in the mean."""
WORD_BYTES = 6
"""About, with the space."""
VOCABULARY = 50_000
VALUE_BITS = 23
"""Of a signature's values: the least of some 500 hashes of 32 bits is that small."""

U64 = npt.NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)

DOCUMENTS = pa.schema(
    [
        ("doc_id", pa.binary()),
        ("url", pa.string()),
        ("date", pa.string()),
        ("input", pa.string()),
        ("position", pa.int64()),
        ("flags", pa.list_(pa.string())),
        ("text", pa.large_string()),  # null where signatures are generated, too
    ]
)
"""What dedup reads of documents/."""


@cache
def cluster_sizes(documents: int) -> npt.NDArray[np.int64]:
    """Return the sizes of the clusters, largest first: most * rank ** -a, down to two.

    The exponent a is the one for which CLUSTERED of the documents are in clusters, whatever their number, so that
    there is as much to do for each.
    """
    most = documents * LARGEST
    low, high = 0.9, 2.0
    for _ in range(30):
        a = (low + high) / 2
        ranks = np.arange(1, int((most / 2) ** (1 / a)) + 1)
        sizes = np.maximum(2, (most * ranks**-a).astype(np.int64))
        low, high = (a, high) if sizes.sum() > CLUSTERED * documents else (low, a)
    return sizes


@dataclass(frozen=True)
class Members:
    """Some documents: the key of the cluster and of the document itself, and the share that is changed; [N] each."""

    number: npt.NDArray[np.int64]
    cluster: U64
    own: U64
    changed: npt.NDArray[np.float64]

    @classmethod
    def of(cls, documents: int, first: int, count: int) -> Members:
        """Return `count` documents of `documents` in all, from number `first` on."""
        number = np.arange(first, min(first + count, documents))
        ends = np.cumsum(cluster_sizes(documents))
        where = permute(number, documents, key=1)
        cluster = np.searchsorted(ends, where, side="right")  # those behind all clusters are alone
        alone = where >= ends[-1]
        own = mix64(number.astype(np.uint64) + _GOLDEN)
        key = np.where(alone, own, mix64(~cluster.astype(np.uint64)))
        share = uniform(own)
        return cls(number, key, own, np.where(alone, 0, MOST_CHANGED * share * share))

    def num_words(self) -> npt.NDArray[np.int64]:
        """Return the words of each document, as many in all of a cluster."""
        return MIN_WORDS + (-MORE_WORDS * np.log1p(-uniform(self.cluster))).astype(np.int64)


def uniform(keys: U64) -> npt.NDArray[np.float64]:
    """Return a number in [0, 1) for each key."""
    return np.asarray((mix64(keys ^ _GOLDEN) >> np.uint64(11)) * 2.0**-53)


def _places(keys: U64, count: int) -> U64:
    """Return a hash for each of `count` places of each key, [N, count]."""
    return mix64(keys[:, None] + np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN)


def signatures_of(members: Members, num_hashes: int) -> npt.NDArray[np.uint32]:
    """Return signatures [N, num_hashes]; two of a cluster agree in about the product of what each has unchanged."""
    own = _places(members.own, num_hashes)
    is_changed = (own >> np.uint64(40)) < (members.changed * 2**24).astype(np.uint64)[:, None]
    values = np.where(is_changed, own, _places(members.cluster, num_hashes)) & np.uint64((1 << VALUE_BITS) - 1)
    return values.astype(np.uint32)


@cache
def _words() -> tuple[pa.Array, npt.NDArray[np.int32]]:
    """Return made-up words, and for each 16-bit number the word it stands for, by Zipf's law."""
    letters = np.frombuffer(b"etaoinshrdlucmfw", np.uint8)
    drawn = _places(np.arange(VOCABULARY, dtype=np.uint64), 12)
    lengths = (2 + drawn[:, 0] % np.uint64(7)).tolist()
    rows = letters[drawn % np.uint64(16)]
    words = pa.array([bytes(row[:length]).decode() for row, length in zip(rows, lengths, strict=True)])
    shares = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
    return words, np.searchsorted(shares / shares[-1], np.arange(1 << 16) / (1 << 16), side="right").astype(np.int32)


def texts_of(members: Members) -> pa.LargeStringArray:
    """Return texts of words by Zipf's law; a tenth of the share `changed` of the words are a member's own."""
    words, by_number = _words()
    lengths = members.num_words()
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    place = (np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths) + 1).astype(np.uint64) * _GOLDEN
    own = mix64(np.repeat(members.own, lengths) + place)
    is_changed = (own >> np.uint64(40)) < np.repeat((members.changed / 10 * 2**24).astype(np.uint64), lengths)
    drawn = np.where(is_changed, own, mix64(np.repeat(members.cluster, lengths) + place)) & np.uint64(0xFFFF)
    picked = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), words.take(pa.array(by_number[drawn])))
    return pc.binary_join(picked, " ").cast(pa.large_string())


@dataclass(frozen=True)
class DocumentsTask:
    """Makes one part of documents/, with texts or without."""

    dataset: Dataset
    documents: int
    with_texts: bool

    def __call__(self, part: int) -> Entry:
        """Make one part and return its entry."""
        started = time.perf_counter()
        name = part_name("documents", part)
        text_bytes = 0
        with create_part(self.dataset.folder, name, DOCUMENTS) as out:
            for first in range(part * PART_DOCS, min((part + 1) * PART_DOCS, self.documents), BATCH_DOCS):
                members = Members.of(self.documents, first, BATCH_DOCS)
                batch = _documents(members, part, self.with_texts)
                out.write(batch)
                lengths = pc.binary_length(batch["text"]).to_numpy() if self.with_texts else _text_bytes(members)
                text_bytes += int(lengths.sum())
        counters = {"rows_in": out.rows, "rows_kept": out.rows, "text_bytes": text_bytes}
        return self.dataset.commit(part, {name: out.rows}, counters, time.perf_counter() - started)


def _text_bytes(members: Members) -> npt.NDArray[np.int64]:
    return members.num_words() * WORD_BYTES


def _documents(members: Members, part: int, with_texts: bool) -> pa.RecordBatch:
    count = len(members.number)
    name = input_name(part)
    hosts, days = members.cluster % np.uint64(50_000), members.own % np.uint64(28)
    return pa.RecordBatch.from_arrays(
        [
            _ids(members, part),
            pa.array([f"https://www.site{host}.example/{at}" for host, at in zip(hosts, members.number, strict=True)]),
            pa.array([f"2024-12-{day + 1:02}T00:00:00Z" for day in days.tolist()]),
            pa.array([name] * count),
            pa.array(members.number),
            pa.array([[]] * count, pa.list_(pa.string())),
            texts_of(members) if with_texts else pa.nulls(count, pa.large_string()),
        ],
        schema=DOCUMENTS,
    )


def input_name(part: int) -> str:
    """Return the name of the file that a part would be of."""
    return f"crawl-data/CC-MAIN-2024-51/generated-{part:06}.warc.gz"


def _ids(members: Members, part: int) -> pa.Array:
    name = input_name(part)
    return pa.array([doc_id(name, number) for number in members.number.tolist()], pa.binary())


@dataclass(frozen=True)
class SignaturesTask:
    """Makes one part of signatures/ as `jobs.signatures` would for texts that nobody has seen."""

    dataset: Dataset
    documents: int
    num_hashes: int

    def __call__(self, part: int) -> Entry:
        """Make one part and return its entry."""
        started = time.perf_counter()
        name = part_name("signatures", part)
        with create_part(self.dataset.folder, name, SCHEMA) as out:
            for first in range(part * PART_DOCS, min((part + 1) * PART_DOCS, self.documents), BATCH_DOCS):
                members = Members.of(self.documents, first, BATCH_DOCS)
                nothing = pa.nulls(len(members.number), pa.binary())
                rows = signatures_of(members, self.num_hashes).view(np.uint8)
                minhash = pa.FixedSizeBinaryArray.from_buffers(
                    pa.binary(rows.shape[1]), len(rows), [None, pa.py_buffer(rows.tobytes())]
                ).cast(pa.binary())
                columns = [_ids(members, part), pa.array(_text_bytes(members)), nothing, nothing, minhash, nothing]
                out.write(pa.RecordBatch.from_arrays(columns, schema=SCHEMA))
        return self.dataset.commit(part, {name: out.rows}, {"rows_in": out.rows}, time.perf_counter() - started)
