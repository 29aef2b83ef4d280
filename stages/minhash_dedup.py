"""Near duplicates: MinHash over shingles, banded, each candidate pair verified by its true Jaccard.

Inside a band the least doc_id leads and every other member is compared with it; members that fail go to the band's next
round, led by the least of the rest. So a band costs a linear number of pairs, however large, and none is skipped.
Documents of earlier runs lead before all of this run: in round k a band is led by its k-th leader of each earlier run,
and by its own least only when there is none.
Sources: Broder 1997; 14 x 8 bands over 5-word shingles: Penedo et al. 2024 (FineWeb), section 3.4. Signatures are
datasketch 2's on the kernel's shingle hashes, or fast similarity sketches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.exchange import Rows
from dataproc.stage import with_columns
from dataproc.storage import Folder
from dataproc.tokens.tokenizers import Tokenizer
from stages.clusters import group_starts, lead
from stages.minhash_plan import MinhashDedup
from stages.places import SketchReader

Sets = tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]
"""(values, offsets): set k is values[offsets[k]:offsets[k + 1]], ascending, each value once."""


def shingles(texts: pa.Array, config: MinhashDedup, tokenizer: Tokenizer | None = None) -> Sets:
    """Return the shingle hashes of each text, in the unit that the config names; tokens need the tokenizer."""
    from dataproc.kernels.shingles import character_shingles, shingle_hashes, token_shingles

    if config.unit == "words":
        return shingle_hashes(texts, config.shingle_size)
    if config.unit == "characters":
        return character_shingles(texts, config.shingle_size)
    assert tokenizer is not None
    return token_shingles(*tokenizer.encode_batch(texts), config.shingle_size)


def signatures(texts: pa.Array, config: MinhashDedup, tokenizer: Tokenizer | None = None) -> dict[str, pa.Array]:
    """Return `minhash` (num_hashes uint32 or uint64, little-endian) and `shingles` (of `lists_to_binary`), binary.

    A text without a shingle has null signature: it is in no band. `shingles` is null where pairs are not verified by
    it: it is the largest column of the sidecar.
    """
    from dataproc.kernels.minhash import minhash_signatures

    hashes, offsets = shingles(texts, config, tokenizer)
    signature = minhash_signatures(hashes, offsets, config.num_hashes, config.seed, config.scheme)
    empty = offsets[1:] == offsets[:-1]
    rows = pa.array(np.arange(len(texts) + 1, dtype=np.int32) * (config.num_hashes * signature.itemsize))
    minhash = pa.Array.from_buffers(
        pa.binary(), len(texts), [None, rows.buffers()[1], pa.py_buffer(signature.tobytes())]
    )
    stored = config.verification == "jaccard"
    return {
        "minhash": pc.if_else(pa.array(empty), pa.scalar(None, pa.binary()), minhash),
        "shingles": lists_to_binary(hashes, offsets) if stored else pa.nulls(len(texts), pa.binary()),
    }


def lists_to_binary(values: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64]) -> pa.Array:
    """Return the sets as binary, 4 bytes a shingle: the upper 32 bits of hashes, each as its step from the one before.

    Sorted, their steps have a zero byte or two for most texts, which compression finds. Hashes that agree in those bits
    become one: the Jaccard of two sets of n shingles is off by n / 2**32 in the mean, a millionth for 4,000.
    """
    upper = (values >> np.uint64(32)).astype(np.uint32)
    opens = np.zeros(len(values), bool)
    opens[offsets[:-1][offsets[:-1] < offsets[1:]]] = True
    steps = np.where(opens, upper, np.diff(upper, prepend=np.uint32(0)))
    kept = opens | (steps > 0)
    ends = np.concatenate([[0], np.cumsum(kept)])[offsets] * 4
    data = pa.py_buffer(steps[kept].astype("<u4").tobytes())
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, [None, pa.py_buffer(ends.astype(np.int32)), data])


def binary_to_lists(column: pa.Array) -> Sets:
    """Undo `lists_to_binary`, the lower 32 bits 0; nulls are empty sets."""
    column = pc.fill_null(column, b"")
    ends = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    data = column.buffers()[2]
    steps = np.frombuffer(data if data is not None else b"", np.uint8)[ends[0] : ends[-1]].view("<u4")
    offsets = (ends - ends[0]).astype(np.int64) // 4
    total = np.concatenate([[0], np.cumsum(steps, dtype=np.uint64)]).astype(np.uint64)
    before = np.repeat(total[offsets[:-1]], np.diff(offsets))
    return (total[1:] - before) << np.uint64(32), offsets


def signature_matrix(column: pa.Array, config: MinhashDedup) -> npt.NDArray[Any]:
    """Return signatures without nulls as [N, num_hashes]."""
    return np.frombuffer(b"".join(column.to_pylist()), config.hash_type).reshape(len(column), config.num_hashes)


BANDS = pa.schema(
    [
        ("partition", pa.int32()),
        ("band", pa.int32()),
        ("key", pa.int64()),
        ("doc_id", pa.binary()),
        ("place", pa.int64()),
    ]
)
"""One row for each band of each document; see `stages.places`."""

CLAIMS = pa.schema([("run", pa.int32()), ("open", pa.bool_())])
"""What a row of BANDS also says where there are earlier runs: -128 + run of an earlier leader, 0 for a document of this
run; and whether it still is to be led, or has been linked to one of the leaders of the round before."""

CANDIDATES = pa.schema([("a", pa.binary()), ("a_place", pa.int64()), *list(BANDS)[1:]])
"""A pair to verify: a leader `a` of the band and the member `doc_id`."""


def band_rows(batch: pa.RecordBatch, config: MinhashDedup) -> Iterator[pa.RecordBatch]:
    """Yield rows (band, key, doc_id, place) of documents with minhash, doc_id, place, `salt`; no partition yet.

    `salt` (int64) keeps documents apart that are not to meet; 0 changes no key.
    """
    from dataproc.kernels.minhash import band_keys

    batch = batch.filter(pc.is_valid(batch["minhash"]))
    keys = band_keys(signature_matrix(batch["minhash"], config), config.num_bands, config.rows_per_band)
    salt = batch["salt"].to_numpy()
    for band in range(config.num_bands):
        yield pa.RecordBatch.from_arrays(
            [
                pa.array(np.full(batch.num_rows, band, np.int32)),
                pa.array(keys[:, band] ^ salt),
                batch["doc_id"],
                batch["place"],
            ],
            names=["band", "key", "doc_id", "place"],
        )


class PairWithLeaders:
    """Reducer from band rows to CANDIDATES, each member with each leader of its band; other columns are the member's.

    Rows are sorted by band and key, by `run` where they have it, and then so that the best to lead comes first. The
    documents of earlier runs lead, all of them; in a band without any, its first row does. With `leaders`, each of
    these also comes as a pair with itself: what later runs are to be led by.
    """

    def __init__(self, *, leaders: bool = False) -> None:
        self._leaders = leaders

    def __call__(self, rows: Rows) -> Rows:
        """Yield CANDIDATES."""
        carried: pa.RecordBatch | None = None  # what leads the last group
        for batch in _still_open(rows):
            if not batch.num_rows:
                continue
            joined = batch if carried is None else pa.concat_batches([carried, batch])
            starts = group_starts(joined, ["band", "key"])
            group = np.cumsum(starts) - 1
            leads = starts | _is_earlier(joined)
            new = np.arange(joined.num_rows) >= (0 if carried is None else carried.num_rows)
            if self._leaders:
                own = np.flatnonzero(starts & ~_is_earlier(joined) & new)
                yield _pairs(joined, own, own)
            leader, member = np.flatnonzero(leads), np.flatnonzero(~leads & new)
            count = np.bincount(group[leader])  # of leaders, per group
            times = count[group[member]]
            before = np.cumsum(times) - times  # pairs of the members before
            nth = np.arange(times.sum()) - np.repeat(before, times)
            first = np.cumsum(count) - count
            yield _pairs(joined, leader[np.repeat(first[group[member]], times) + nth], np.repeat(member, times))
            carried = joined.take(pa.array(leader[group[leader] == group[-1]]))


def _is_earlier(batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    if "run" not in batch.schema.names:
        return np.zeros(batch.num_rows, dtype=bool)
    return np.asarray(batch["run"].to_numpy() < 0)


def _pairs(batch: pa.RecordBatch, leader: npt.NDArray[np.int64], member: npt.NDArray[np.int64]) -> pa.RecordBatch:
    leaders, members = batch.select(["doc_id", "place"]).take(pa.array(leader)), batch.take(pa.array(member))
    return with_columns(members, {"a": leaders["doc_id"], "a_place": leaders["place"]})


def _still_open(rows: Rows) -> Rows:
    """Yield earlier leaders, and each document of this run once if none of its rows in the band says it is linked.

    Rows have `open` where that is to be asked, and are sorted by it last: false comes first.
    """
    for batch in rows:
        if "open" in batch.schema.names:
            yield from _first_open(chain([batch], rows))
        else:
            yield batch


def _first_open(rows: Rows) -> Rows:
    for batch, _, starts in lead(rows, ["band", "key", "run", "doc_id"], []):
        yield batch.filter(pc.and_(batch["open"], pa.array(starts)))


class AttachSketch:
    """Adds the member's `sketch` to the first row of each pair; candidates sorted by (place, a_place, band).

    A partition holds whole parts, so that signatures are read in order beside the rows; other rows of a pair get null.
    """

    def __init__(self, folder: Folder, column: str) -> None:
        self._folder, self._column = folder, column

    def __call__(self, rows: Rows) -> Rows:
        """Yield the rows with the column added."""
        with SketchReader(self._folder, (), self._column) as reader:
            for batch, _, starts in lead(rows, ["place", "a_place"], []):
                yield with_columns(batch, {"sketch": reader.at(batch["place"].to_numpy(), starts)})


class Verify:
    """Adds `jaccard`, true or estimated, to every row of a pair; rows with sketch sorted by (a_place, place, band)."""

    def __init__(self, folder: Folder, earlier: Sequence[Folder], config: MinhashDedup) -> None:
        self._folder, self._earlier, self._config = folder, tuple(earlier), config

    def __call__(self, rows: Rows) -> Rows:
        """Yield the rows with the column added."""
        last = 0.0
        with SketchReader(self._folder, self._earlier, self._config.sketch) as reader:
            for batch, _, starts in lead(rows, ["a_place", "place"], []):
                first = pa.array(np.flatnonzero(starts))
                leaders = reader.at(batch["a_place"].to_numpy(), starts)
                measured = similarity(leaders.take(first), batch["sketch"].take(first), self._config)
                owner = np.cumsum(starts)  # 0 = the pair carried over from the last batch
                jaccard = np.concatenate([[last], measured])[owner]
                last = float(jaccard[-1])
                yield with_columns(batch.drop_columns(["sketch"]), {"jaccard": jaccard, "first": starts})


def similarity(a: pa.Array, b: pa.Array, config: MinhashDedup) -> npt.NDArray[np.float64]:
    """Return the Jaccard of each pair of sketches, float64 [N]: true for shingles, estimated for signatures."""
    from dataproc.kernels.jaccard import jaccard_pairs

    if config.verification == "signature":
        return np.asarray((signature_matrix(a, config) == signature_matrix(b, config)).mean(axis=1))
    return jaccard_pairs(*binary_to_lists(a), *binary_to_lists(b))
