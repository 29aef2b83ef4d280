"""UTF-8 to code points and back, one at a time, for use inside other kernels.

Numba does not inline the call: loops over text read ASCII themselves, which doubles their speed, and call `decode`
for the rest.

Bytes that are not UTF-8 (cut, overlong, surrogate, above U+10FFFF) read as U+FFFD one byte each: words, lines and
characters come out as from Python's `bytes.decode("utf-8", "replace")`, and nothing is read outside the document.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dataproc.kernels.bits import popcount
from dataproc.kernels.hashing import load_up_to_64
from dataproc.kernels.jit import kernel

REPLACEMENT = 0xFFFD
_EACH_BYTE = np.uint64(0x0101010101010101)


@kernel
def byte_at(data: npt.NDArray[np.uint8], at: int) -> Any:
    """Return data[at] as int64, without numba's test for negative positions."""
    return np.int64(data[np.uint64(at)])


@kernel
def decode(data: npt.NDArray[np.uint8], at: int, stop: int) -> tuple[int, int]:
    """Return the code point at `at` and the position after it, which is at most `stop`.

    Example: the bytes of U+00E9 at 0 give (0xE9, 2).
    """
    first = byte_at(data, at)
    if first < 0x80:
        return first, at + 1
    if 0xC2 <= first < 0xE0 and at + 2 <= stop:
        second = byte_at(data, at + 1)
        if second & 0xC0 == 0x80:
            return (first & 0x1F) << 6 | second & 0x3F, at + 2
    elif 0xE0 <= first < 0xF0 and at + 3 <= stop:
        second, third = byte_at(data, at + 1), byte_at(data, at + 2)
        code = (first & 0x0F) << 12 | (second & 0x3F) << 6 | third & 0x3F
        if second & 0xC0 == third & 0xC0 == 0x80 and code >= 0x800 and not 0xD800 <= code < 0xE000:
            return code, at + 3
    elif 0xF0 <= first < 0xF5 and at + 4 <= stop:
        second, third, fourth = byte_at(data, at + 1), byte_at(data, at + 2), byte_at(data, at + 3)
        code = (first & 0x07) << 18 | (second & 0x3F) << 12 | (third & 0x3F) << 6 | fourth & 0x3F
        if second & 0xC0 == third & 0xC0 == fourth & 0xC0 == 0x80 and 0x10000 <= code < 0x110000:
            return code, at + 4
    return REPLACEMENT, at + 1


@kernel
def last_char(data: npt.NDArray[np.uint8], start: int, stop: int) -> tuple[int, int]:
    """Return the last code point of data[start:stop], which is not empty, and its position.

    Example: the bytes of "a" and U+00E9 give (0xE9, 1).
    """
    at = stop - 1
    if data[np.uint64(at)] < 0x80:
        return byte_at(data, at), at
    while at > start and at > stop - 4 and data[np.uint64(at)] & 0xC0 == 0x80:  # back to its first byte
        at -= 1
    code, after = decode(data, at, stop)
    return (code, at) if after == stop else (REPLACEMENT, stop - 1)


@kernel
def inside_chars(eight: np.uint64) -> np.uint64:
    """Return a one for each of eight bytes that continues a character (10xxxxxx); for use inside other kernels."""
    return eight >> np.uint64(7) & ~(eight >> np.uint64(6)) & _EACH_BYTE


@kernel
def count_chars(data: npt.NDArray[np.uint8], start: int, stop: int) -> int:
    """Return the number of code points in data[start:stop], those of broken UTF-8 by their first bytes."""
    count = stop - start
    for at in range(start, stop, 8):
        count -= popcount(inside_chars(load_up_to_64(data, at, stop)))
    return count


@kernel
def encode(code: int, out: npt.NDArray[np.uint8], at: int) -> int:
    """Write a code point to `out` from `at` on and return the position after it."""
    if code < 0x80:
        out[at] = code
        return at + 1
    if code < 0x800:
        out[at] = 0xC0 | code >> 6
        out[at + 1] = 0x80 | code & 0x3F
        return at + 2
    if code < 0x10000:
        out[at] = 0xE0 | code >> 12
        out[at + 1] = 0x80 | code >> 6 & 0x3F
        out[at + 2] = 0x80 | code & 0x3F
        return at + 3
    out[at] = 0xF0 | code >> 18
    out[at + 1] = 0x80 | code >> 12 & 0x3F
    out[at + 2] = 0x80 | code >> 6 & 0x3F
    out[at + 3] = 0x80 | code & 0x3F
    return at + 4
