"""MinHash signatures of shingle sets, bit for bit those of datasketch 2 or sketched faster, and their LSH band keys.

`datasketch.MinHash(num_perm, seed, hashfunc=lambda h: h, scheme=scheme)` updated with the same hashes (their lower 32
bits for affine32 and legacy) has the same `hashvalues`. A signature place holds the minimum over the set of one
permutation of the hashes; two sets agree in a place with a probability equal to their Jaccard similarity. Scheme `fast`
has that too, in places of its own: see `dataproc.kernels.fast_sketch`. Sources:
Broder 1997, https://doi.org/10.1109/SEQUEN.1997.666900; datasketch 2.0, https://github.com/ekzhu/datasketch
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dataproc.kernels.buffers import frozen
from dataproc.kernels.fast_sketch import fast_sketches
from dataproc.kernels.hashing import hash_bytes
from dataproc.kernels.jit import kernel

Scheme = Literal["affine32", "affine64", "legacy", "fast"]
Permuted = Literal["affine32", "affine64", "legacy"]
"""The schemes of datasketch, with a permutation for each place."""

_MERSENNE = np.uint64((1 << 61) - 1)
_LOW_32 = np.uint64(0xFFFFFFFF)


def minhash_signatures(
    hashes: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    num_hashes: int,
    seed: int = 1,
    scheme: Scheme = "affine32",
) -> npt.NDArray[Any]:
    """Return the signatures of the sets hashes[offsets[k]:offsets[k + 1]].

    The result is [N, num_hashes], uint32 for affine32 and fast, uint64 for the others. An empty set has the largest
    value in every place, as an empty datasketch MinHash has: leave such rows out of LSH, since all of them would meet
    in every band. About 10 ns per hash at 112 places, from some 200 hashes on 2 with fast.
    """
    if scheme == "fast":
        return fast_sketches(hashes, offsets, num_hashes, seed)
    a, b = permutations(num_hashes, seed, scheme)
    largest = 0xFFFFFFFFFFFFFFFF if scheme == "affine64" else 0xFFFFFFFF
    out = np.full((len(offsets) - 1, num_hashes), largest, a.dtype)
    sign: Any = {"affine32": _affine32, "affine64": _affine64, "legacy": _legacy}[scheme]
    sign(frozen(hashes), frozen(offsets), a, b, out)
    return out


def permutations(num_hashes: int, seed: int, scheme: Permuted) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return factors and terms (a, b) of the permutations, drawn as datasketch draws them.

    Numpy keeps the stream of RandomState fixed for ever (NEP 19).
    """
    draw = np.random.RandomState(seed)
    if scheme == "legacy":
        pairs = [
            (draw.randint(1, int(_MERSENNE), dtype=np.uint64), draw.randint(0, int(_MERSENNE), dtype=np.uint64))
            for _ in range(num_hashes)
        ]
        a, b = np.array(pairs, np.uint64).reshape(num_hashes, 2).T
        return frozen(a), frozen(b)
    bits: int
    kind: Any
    kind, bits = (np.uint32, 32) if scheme == "affine32" else (np.uint64, 64)
    # A factor is odd, so that h -> a h + b is one to one.
    a = draw.randint(0, 1 << (bits - 1), num_hashes, dtype=kind) * kind(2) + kind(1)
    b = draw.randint(0, 1 << bits, num_hashes, dtype=kind)
    return frozen(a), frozen(b)


def band_keys(signatures: npt.NDArray[Any], num_bands: int, rows_per_band: int) -> npt.NDArray[np.int64]:
    """Return the key of each band of each signature, int64 [N, num_bands], an unsigned hash bit-cast.

    Band k covers places k * rows_per_band up to (k + 1) * rows_per_band; its key is the XXH64, with seed k, of their
    little-endian bytes. Raises ValueError when the bands need more places than the signatures have.
    """
    if signatures.shape[1] < num_bands * rows_per_band:
        raise ValueError(
            f"band_keys.signatures must have at least {num_bands} x {rows_per_band} places, got {signatures.shape[1]}."
        )
    raw = np.ascontiguousarray(signatures[:, : num_bands * rows_per_band], signatures.dtype.newbyteorder("<"))
    out = np.empty((len(signatures), num_bands), np.uint64)
    _band_keys(frozen(raw.view(np.uint8)), rows_per_band * signatures.itemsize, out)
    return out.view(np.int64)


@kernel
def _affine32(
    hashes: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    a: npt.NDArray[np.uint32],
    b: npt.NDArray[np.uint32],
    out: npt.NDArray[np.uint32],
) -> None:
    for row in range(len(offsets) - 1):
        least = out[row]
        for hashed in hashes[offsets[row] : offsets[row + 1]]:
            mixed = np.uint32(hashed)  # the lower half, through MurmurHash3's 32-bit finalizer
            mixed = np.uint32(np.uint32(mixed ^ mixed >> 16) * np.uint32(0x85EBCA6B))
            mixed = np.uint32(np.uint32(mixed ^ mixed >> 13) * np.uint32(0xC2B2AE35))
            mixed = np.uint32(mixed ^ mixed >> 16)
            for k in range(len(least)):
                value = np.uint32(a[k] * mixed + b[k])
                least[k] = min(least[k], value)


@kernel
def _affine64(
    hashes: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    a: npt.NDArray[np.uint64],
    b: npt.NDArray[np.uint64],
    out: npt.NDArray[np.uint64],
) -> None:
    shift = np.uint64(33)
    for row in range(len(offsets) - 1):
        least = out[row]
        for hashed in hashes[offsets[row] : offsets[row + 1]]:
            mixed = (hashed ^ hashed >> shift) * np.uint64(0xFF51AFD7ED558CCD)
            mixed = (mixed ^ mixed >> shift) * np.uint64(0xC4CEB9FE1A85EC53)
            mixed = mixed ^ mixed >> shift
            for k in range(len(least)):
                least[k] = min(least[k], a[k] * mixed + b[k])


@kernel
def _legacy(
    hashes: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    a: npt.NDArray[np.uint64],
    b: npt.NDArray[np.uint64],
    out: npt.NDArray[np.uint64],
) -> None:
    for row in range(len(offsets) - 1):
        least = out[row]
        for hashed in hashes[offsets[row] : offsets[row + 1]]:
            for k in range(len(least)):
                least[k] = min(least[k], (a[k] * (hashed & _LOW_32) + b[k]) % _MERSENNE & _LOW_32)


@kernel
def _band_keys(raw: npt.NDArray[np.uint8], band_bytes: int, out: npt.NDArray[np.uint64]) -> None:
    for row in range(out.shape[0]):
        for band in range(out.shape[1]):
            out[row, band] = hash_bytes(raw[row], band * band_bytes, (band + 1) * band_bytes, np.uint64(band))
