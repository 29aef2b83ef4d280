"""Near duplicates: MinHash over word shingles, banded, each candidate pair verified by its true Jaccard.

Inside a band the least doc_id leads and every other member is compared with it; members that fail go to the band's next
round, led by the least of the rest. So a band costs a linear number of pairs, however large, and none is skipped.
Sources: Broder 1997; 14 x 8 bands over 5-word shingles: Penedo et al. 2024 (FineWeb), section 3.4. Signatures are
datasketch 2's `affine32` on the kernel's shingle hashes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from dataproc.config import Config
from dataproc.exchange import Rows
from dataproc.stage import with_columns
from dataproc.storage import Folder
from dataproc.tables import read_part
from stages.clusters import lead


class MinhashDedup(Config):
    """Keep one of each cluster of documents that are linked by pairs with Jaccard of at least `min_jaccard`."""

    num_bands: int = Field(14, gt=0)
    rows_per_band: int = Field(8, gt=0)
    shingle_size: int = Field(5, gt=0)
    """Words in a shingle."""
    min_jaccard: float = Field(0.8, ge=0, le=1)
    """Least true Jaccard of the shingle sets of a verified pair."""
    max_rounds: int = Field(8, gt=0)
    """Rounds of leading in a band; members left after the last are counted and reported."""
    seed: int = Field(1, ge=0, lt=1 << 32)
    """Of the permutations; 1 is datasketch's default."""
    scheme: Literal["affine32"] = "affine32"

    @property
    def num_hashes(self) -> int:
        """Return the length of a signature."""
        return self.num_bands * self.rows_per_band


def signatures(texts: pa.Array, config: MinhashDedup) -> dict[str, pa.Array]:
    """Return `minhash` (num_hashes uint32) and `shingles` (sorted unique uint64), both binary, little-endian.

    A text without words has an empty shingle set and null signature: it is in no band.
    """
    from dataproc.kernels.minhash import minhash_signatures
    from dataproc.kernels.shingles import shingle_hashes

    hashes, offsets = shingle_hashes(texts, config.shingle_size)
    signature = minhash_signatures(hashes, offsets, config.num_hashes, config.seed)
    empty = offsets[1:] == offsets[:-1]
    rows = pa.array(np.arange(len(texts) + 1, dtype=np.int32) * (config.num_hashes * 4))
    minhash = pa.Array.from_buffers(
        pa.binary(), len(texts), [None, rows.buffers()[1], pa.py_buffer(signature.tobytes())]
    )
    return {
        "minhash": pa.compute.if_else(pa.array(empty), pa.scalar(None, pa.binary()), minhash),
        "shingles": lists_to_binary(hashes, offsets),
    }


def lists_to_binary(values: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64]) -> pa.Array:
    """Return a binary array whose items are the little-endian bytes of values[offsets[i]:offsets[i + 1]]."""
    ends = pa.array((offsets * 8).astype(np.int32))
    return pa.Array.from_buffers(
        pa.binary(), len(offsets) - 1, [None, ends.buffers()[1], pa.py_buffer(values.tobytes())]
    )


def binary_to_lists(column: pa.Array) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Undo `lists_to_binary`; nulls are empty lists."""
    column = pa.compute.fill_null(column, b"")
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1].astype(
        np.int64
    )
    data = column.buffers()[2]
    values = np.frombuffer(data if data is not None else b"", np.uint8)[offsets[0] : offsets[-1]].view(np.uint64)
    return values, (offsets - offsets[0]) // 8


BANDS = pa.schema(
    [
        ("partition", pa.int32()),
        ("band", pa.int32()),
        ("key", pa.int64()),
        ("doc_id", pa.binary()),
        ("place", pa.int64()),
    ]
)
"""One row for each band of each document; `place` is part << 32 | row."""

CANDIDATES = pa.schema([("a", pa.binary()), ("a_place", pa.int64()), *list(BANDS)[1:]])
"""A pair to verify: the band's leader `a` and the member `doc_id`."""


def band_rows(batch: pa.RecordBatch, config: MinhashDedup) -> Iterator[pa.RecordBatch]:
    """Yield rows (band, key, doc_id, place) of documents with minhash, doc_id, place; no partition yet."""
    from dataproc.kernels.minhash import band_keys

    batch = batch.filter(pa.compute.is_valid(batch["minhash"]))
    data = np.frombuffer(b"".join(batch["minhash"].to_pylist()), np.uint32).reshape(batch.num_rows, config.num_hashes)
    keys = band_keys(data, config.num_bands, config.rows_per_band)
    for band in range(config.num_bands):
        yield pa.RecordBatch.from_arrays(
            [
                pa.array(np.full(batch.num_rows, band, np.int32)),
                pa.array(np.ascontiguousarray(keys[:, band])),
                batch["doc_id"],
                batch["place"],
            ],
            names=["band", "key", "doc_id", "place"],
        )


def pair_with_leader(rows: Rows) -> Rows:
    """Reduce band rows sorted by (band, key, doc_id) to CANDIDATES: each member with the least doc_id of its band."""
    for batch, leaders, starts in lead(rows, ["band", "key"], ["doc_id", "place"]):
        members = pa.array(~starts)
        pairs = with_columns(batch, {"a": leaders["doc_id"], "a_place": leaders["place"]})
        yield pairs.select(CANDIDATES.names).filter(members)


class AttachShingles:
    """Adds the member's `shingles` to the first row of each pair; candidates sorted by (place, a_place, band).

    The partition is the member's part, so its signatures are read in order beside the rows; other rows of a pair get
    null.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def __call__(self, rows: Rows) -> Rows:
        """Yield the rows with the column added."""
        reader: _PlaceReader | None = None
        for batch, _, starts in lead(rows, ["place", "a_place"], []):
            reader = reader or _PlaceReader(self._folder, batch["place"][0].as_py() >> 32)
            yield with_columns(batch, {"shingles": reader.shingles(batch["place"].to_numpy(), starts)})


class Verify:
    """Adds the true `jaccard` to every row of a pair; shingled candidates sorted by (a_place, place, band)."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def __call__(self, rows: Rows) -> Rows:
        """Yield the rows with the column added."""
        from dataproc.kernels.jaccard import jaccard_pairs

        reader: _PlaceReader | None = None
        last = 0.0
        for batch, _, starts in lead(rows, ["a_place", "place"], []):
            reader = reader or _PlaceReader(self._folder, batch["a_place"][0].as_py() >> 32)
            first = np.flatnonzero(starts)
            a_values, a_offsets = binary_to_lists(reader.shingles(batch["a_place"].to_numpy(), starts))
            b_values, b_offsets = binary_to_lists(batch["shingles"])
            measured = jaccard_pairs(a_values, a_offsets, b_values, b_offsets)[first]
            owner = np.cumsum(starts)  # 0 = the pair carried over from the last batch
            jaccard = np.concatenate([[last], measured])[owner]
            last = float(jaccard[-1])
            yield with_columns(batch.drop_columns(["shingles"]), {"jaccard": jaccard, "first": starts})


class _PlaceReader:
    """Reads `shingles` of one part of signatures/ at ascending rows, one row group in memory at a time."""

    def __init__(self, folder: Folder, part: int) -> None:
        self._groups = read_part(folder, "signatures", part, ["shingles"])
        self._start = self._stop = 0
        self._group: pa.Array = pa.array([], pa.binary())

    def shingles(self, places: npt.NDArray[np.int64], wanted: npt.NDArray[np.bool_]) -> pa.Array:
        """Return the shingles at the wanted places (ascending), null elsewhere."""
        rows = places & 0xFFFFFFFF
        pieces: list[pa.Array] = []
        done = 0
        while done < len(rows):
            while rows[done] >= self._stop:
                self._group = next(self._groups)["shingles"]
                self._start, self._stop = self._stop, self._stop + len(self._group)
            stop = int(np.searchsorted(rows, self._stop))
            index = pa.array(rows[done:stop] - self._start, mask=~wanted[done:stop])
            pieces.append(self._group.take(index))
            done = stop
        return pa.concat_arrays(pieces)
