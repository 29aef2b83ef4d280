"""The kernel hash of words, lines, shingles and bands: XXH64, as published.

Any xxHash library computes the same numbers (`xxhash.xxh64_intdigest` in Python), so signatures can be checked and
made elsewhere. About 7 ns for a short word, 10 GB/s for long input. Source:
https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataproc.kernels.bits import below
from dataproc.kernels.jit import kernel

_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_P4 = np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)
_ZERO = np.uint64(0)


def hash_slices(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], seed: int = 0
) -> npt.NDArray[np.uint64]:
    """Return the XXH64 of data[starts[k]:ends[k]] for each k. Example: an empty slice gives 0xEF46DB3751D8E999."""
    return _hash_slices(data, starts, ends, np.uint64(seed))


def hash_text(text: str) -> int:
    """Return the XXH64 of one text in UTF-8.

    Example: hash_text("a") == 0xD24EC4F1A98C6E5B
    """
    data = np.frombuffer(text.encode(), np.uint8)
    return int(hash_slices(data, np.zeros(1, np.int64), np.array([len(data)]))[0])


@kernel
def _hash_slices(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], seed: np.uint64
) -> npt.NDArray[np.uint64]:
    out = np.empty(len(starts), np.uint64)
    for k in range(len(starts)):
        out[k] = hash_bytes(data, starts[k], ends[k], seed)
    return out


@kernel
def hash_bytes(data: npt.NDArray[np.uint8], start: int, stop: int, seed: np.uint64) -> np.uint64:
    """Return the XXH64 of data[start:stop]; for use inside other kernels."""
    at = start
    if stop - start >= 32:
        a, b, c, d = seed + _P1 + _P2, seed + _P2, seed, seed - _P1
        while at + 32 <= stop:
            a = _round(a, load64(data, at))
            b = _round(b, load64(data, at + 8))
            c = _round(c, load64(data, at + 16))
            d = _round(d, load64(data, at + 24))
            at += 32
        value = _rotate(a, 1) + _rotate(b, 7) + _rotate(c, 12) + _rotate(d, 18)
        for lane in (a, b, c, d):
            value = (value ^ _round(_ZERO, lane)) * _P1 + _P4
    else:
        value = seed + _P5
    value += np.uint64(stop - start)
    while at + 8 <= stop:
        value = _rotate(value ^ _round(_ZERO, load64(data, at)), 27) * _P1 + _P4
        at += 8
    if at + 4 <= stop:
        value = _rotate(value ^ load32(data, at) * _P1, 23) * _P2 + _P3
        at += 4
    while at < stop:
        value = _rotate(value ^ np.uint64(data[at]) * _P5, 11) * _P1
        at += 1
    value = (value ^ value >> np.uint64(33)) * _P2
    value = (value ^ value >> np.uint64(29)) * _P3
    return value ^ value >> np.uint64(32)


@kernel
def _round(lane: np.uint64, word: np.uint64) -> np.uint64:
    return _rotate(lane + word * _P2, 31) * _P1


@kernel
def _rotate(value: np.uint64, bits: int) -> np.uint64:
    return value << np.uint64(bits) | value >> np.uint64(64 - bits)


@kernel
def load64(data: npt.NDArray[np.uint8], at: int) -> np.uint64:
    """Return data[at:at + 8] as a little-endian number; for use inside other kernels."""
    return load32(data, at) | load32(data, at + 4) << np.uint64(32)


@kernel
def load_up_to_64(data: npt.NDArray[np.uint8], at: int, stop: int) -> np.uint64:
    """Return data[at:stop], or its first 8 bytes, as a little-endian number; for use inside other kernels."""
    size = min(stop - at, 8)
    if at + 8 <= len(data):
        return load64(data, at) & below(8 * size)  # type: ignore[no-any-return]
    value = _ZERO
    for k in range(size):
        value |= np.uint64(data[np.uint64(at + k)]) << np.uint64(8 * k)
    return value


@kernel
def load32(data: npt.NDArray[np.uint8], at: int) -> np.uint64:
    """Return data[at:at + 4] as a little-endian number; for use inside other kernels."""
    # Unsigned positions skip numba's test for negative ones; only then does LLVM make one load of it (5x faster).
    k = np.uint64(at)
    return (
        np.uint64(data[k])
        | np.uint64(data[k + np.uint64(1)]) << np.uint64(8)
        | np.uint64(data[k + np.uint64(2)]) << np.uint64(16)
        | np.uint64(data[k + np.uint64(3)]) << np.uint64(24)
    )


@kernel
def store64(data: npt.NDArray[np.uint8], at: int, value: np.uint64) -> None:
    """Write a number to data[at:at + 8], little-endian; for use inside other kernels."""
    k = np.uint64(at)  # as for load32; LLVM makes one store of it
    data[k] = np.uint8(value)
    data[k + np.uint64(1)] = np.uint8(value >> np.uint64(8))
    data[k + np.uint64(2)] = np.uint8(value >> np.uint64(16))
    data[k + np.uint64(3)] = np.uint8(value >> np.uint64(24))
    data[k + np.uint64(4)] = np.uint8(value >> np.uint64(32))
    data[k + np.uint64(5)] = np.uint8(value >> np.uint64(40))
    data[k + np.uint64(6)] = np.uint8(value >> np.uint64(48))
    data[k + np.uint64(7)] = np.uint8(value >> np.uint64(56))
