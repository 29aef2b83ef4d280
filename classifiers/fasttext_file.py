"""Reads a fastText model file (.bin or .ftz, version 12) into arrays, to be run by `dataproc.kernels.ngram_model`.

Matrices are spelled out, four bytes a value, also those that are quantised in the file.
Format: `saveModel` in fastText 0.9.2, `src/fasttext.cc`, `dictionary.cc`, `quantmatrix.cc`.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from dataproc.errors import ConfigError
from dataproc.kernels.buffers import frozen
from dataproc.kernels.ngram_model import SIGMOIDS, SOFTMAX, TREE, Labels, Vocabulary, word_slots

Scalar = TypeVar("Scalar", bound=np.generic)

_MAGIC, _VERSION = 793712314, 12
_SUPERVISED = 3
_KINDS = {1: TREE, 2: SIGMOIDS, 3: SOFTMAX, 4: SIGMOIDS}  # losses hs, ns, softmax, ova
_END = b"</s>"
_PREFIX = b"__label__"
_CENTROIDS = 256
_LINE_BYTES = 64


class FastTextFile(NamedTuple):
    """A supervised model."""

    vocabulary: Vocabulary
    matrix: npt.NDArray[np.float32]  # [rows, D], read-only
    labels: Labels
    names: tuple[str, ...]  # [L] of the labels, without their prefix


def read_model(path: Path) -> FastTextFile:
    """Return the model of a file; raise ConfigError when it is no whole supervised fastText model of version 12."""
    with path.open("rb") as file:
        if file.read(8) != struct.pack("<ii", _MAGIC, _VERSION):
            raise ConfigError(
                f"{path} must be a fastText model of version {_VERSION}, got another file. Train it again."
            )
        reader = _Reader(file)
    try:
        return _read(path, reader)
    except (struct.error, ValueError) as error:
        raise ConfigError(f"{path} must be a whole fastText model, got one cut short. Restore it.") from error


def _read(path: Path, reader: _Reader) -> FastTextFile:
    _, _, _, _, _, max_words, loss, kind, buckets, min_chars, max_chars, _, _ = reader.take("12id")
    if kind != _SUPERVISED:
        raise ConfigError(f"{path} must be a supervised fastText model, got word vectors. Train one with labels.")
    size, num_words, num_labels, _, pruned = reader.take("iiiqq")
    entries = [(reader.word(), reader.take("qb")[0]) for _ in range(size)]
    pairs = reader.array(np.int32, 2 * max(pruned, 0)).reshape(-1, 2)
    (quantised,) = reader.take("?")
    matrix = reader.quantised() if quantised else reader.dense()
    (quantised_out,) = reader.take("?")
    weights = reader.quantised() if quantised and quantised_out else reader.dense()
    kept = np.full((buckets + 63) // 64 * 64, pruned < 0)
    if pruned >= 0:
        kept[pairs[:, 0]] = True
        matrix = np.concatenate([matrix[:num_words], matrix[num_words + pairs[np.argsort(pairs[:, 0]), 1]]])

    words = [entry[0] for entry in entries[:num_words]]
    vocabulary = Vocabulary(
        frozen(np.frombuffer(b"".join(words), np.uint8)),
        frozen(np.cumsum([0, *map(len, words)])),
        frozen(word_slots(words)),
        words.index(_END) if _END in words else -1,
        min_chars,
        max_chars,
        max_words,
        buckets,
        frozen(np.packbits(kept, bitorder="little").view(np.uint64)),
        frozen(np.cumsum(np.r_[0, kept.reshape(-1, 64).sum(axis=1)[:-1]], dtype=np.int32)),
    )
    children, order = np.zeros((0, 2), np.int32), np.arange(num_labels, dtype=np.int32)
    if _KINDS[loss] == TREE:
        children, order = _tree([entry[1] for entry in entries[num_words:]])
    names = tuple(entry[0].removeprefix(_PREFIX).decode() for entry in entries[num_words:])
    labels = Labels(_KINDS[loss], frozen(weights), frozen(children), frozen(order))
    return FastTextFile(vocabulary, frozen(_aligned(matrix)), labels, names)


def _aligned(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return a copy that starts with a cache line: a row of 16 values is one line then, not two."""
    space = np.empty(matrix.nbytes + _LINE_BYTES, np.uint8)
    start = -space.ctypes.data % _LINE_BYTES
    copy = space[start : start + matrix.nbytes].view(np.float32).reshape(matrix.shape)
    copy[:] = matrix
    return copy


def _tree(counts: list[int]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return the children of each inner node, int32 [L - 1, 2], and the labels from left to right, of fastText's tree.

    Labels come with falling counts; each node joins the two least, of equals a node before a label.
    """
    num = len(counts)
    weight = counts + [10**15] * (num - 1)
    children = np.zeros((num - 1, 2), np.int32)
    leaf, inner = num - 1, num
    for node in range(num, 2 * num - 1):
        for side in range(2):
            if leaf >= 0 and weight[leaf] < weight[inner]:
                children[node - num, side], leaf = leaf, leaf - 1
            else:
                children[node - num, side], inner = inner, inner + 1
        left, right = children[node - num]
        weight[node] = weight[left] + weight[right]
    order, rest = [], [2 * num - 2]
    while rest:
        node = rest.pop()
        if node < num:
            order.append(node)
        else:
            rest += reversed(children[node - num].tolist())
    return children, np.array(order, np.int32)


class _Reader:
    """Reads little-endian values from a mapped file, one after the other."""

    def __init__(self, file: BinaryIO) -> None:
        self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._at = 8  # behind magic number and version

    def take(self, types: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{types}", self._data, self._at)
        self._at += struct.calcsize(f"<{types}")
        return values

    def word(self) -> bytes:
        start, end = self._at, self._data.find(b"\0", self._at)
        if end < 0:
            raise ValueError("no end")
        self._at = end + 1
        return self._data[start:end]

    def array(self, kind: type[Scalar], size: int) -> npt.NDArray[Scalar]:
        values = np.frombuffer(self._data, kind, size, self._at)
        self._at += values.nbytes
        return values

    def dense(self) -> npt.NDArray[np.float32]:
        rows, width = self.take("qq")
        return self.array(np.float32, rows * width).reshape(rows, width)

    def quantised(self) -> npt.NDArray[np.float32]:
        """Return a product-quantised matrix, each row times its norm if norms are kept apart."""
        (has_norms,) = self.take("?")
        rows, _, size = self.take("qqi")
        codes = self.array(np.uint8, size).reshape(rows, -1)
        matrix = self._quantiser(codes)
        if has_norms:
            matrix = matrix * self._quantiser(self.array(np.uint8, rows).reshape(rows, 1))
        return matrix

    def _quantiser(self, codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the rows that codes [rows, parts] stand for: each code is one of 256 pieces of its part."""
        width, parts, piece, last = self.take("iiii")
        values = self.array(np.float32, width * _CENTROIDS)
        pieces = []
        for part in range(parts):
            start = part * _CENTROIDS * piece
            wide = last if part == parts - 1 else piece
            pieces.append(values[start : start + _CENTROIDS * wide].reshape(_CENTROIDS, wide)[codes[:, part]])
        return np.concatenate(pieces, axis=1)
