"""Text in blocks of 64 bytes, each a few 64-bit masks, one bit a byte, in which runs are found by arithmetic.

A run of letters is a run of ones: where words start is one expression for 64 bytes, how many there are is one
instruction. Characters above ASCII are decoded and their bits set one by one. Some 1.2 GB/s of English.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from dataproc.kernels.bits import NONE, ONE, below, lowest
from dataproc.kernels.buffers import frozen
from dataproc.kernels.char_classes import ALONE, FORMAT, LETTER, MARK, NUMBER, SPACE, tables
from dataproc.kernels.jit import kernel
from dataproc.kernels.utf8 import decode

BLOCK = 64
_LANE = np.uint64(0xFF)


@cache
def kinds() -> npt.NDArray[np.uint64]:
    """Return what `block` adds for a byte: bit 0 in a word, bit 8 no white space, bit 16 a letter, bit 24 no ASCII."""
    classes = tables().classes[:128]
    table = np.full(256, 1 << 24, np.uint64)
    in_word, letter = np.isin(classes, (LETTER, NUMBER, ALONE)), np.isin(classes, (LETTER, ALONE))
    table[:128] = in_word * 1 + (classes != SPACE) * (1 << 8) + letter * (1 << 16)
    return frozen(table)


@kernel
def block(
    data: npt.NDArray[np.uint8],
    at: int,
    stop: int,
    classes: npt.NDArray[np.uint8],
    kinds: npt.NDArray[np.uint64],
    plain: bool,
) -> tuple[int, Any, Any, Any]:
    """Return up to 64 bytes of data[at:stop] as masks: (bytes, in a word, no white space, letters).

    A block ends before a character that it would cut; bits behind its end are 0. If `plain`, it also ends before marks,
    format characters and letters that stand alone, of which one bit does not say where words part; it is of 0 bytes
    when it begins with one. For use inside other kernels.
    """
    size = min(BLOCK, stop - at)
    word, solid, letter, high = NONE, NONE, NONE, NONE
    inside = below(size)
    if at + BLOCK <= len(data):
        for part in range(0, BLOCK, 8):  # each byte adds its bits to four lanes of one number, eight bytes at a time
            bits = NONE
            for k in range(8):
                bits |= kinds[data[np.uint64(at + part + k)]] << np.uint64(k)
            shift = np.uint64(part)
            word |= (bits & _LANE) << shift
            solid |= (bits >> np.uint64(8) & _LANE) << shift
            letter |= (bits >> np.uint64(16) & _LANE) << shift
            high |= (bits >> np.uint64(24) & _LANE) << shift
    else:
        for k in range(size):
            bits, shift = kinds[data[np.uint64(at + k)]], np.uint64(k)
            word |= (bits & ONE) << shift
            solid |= (bits >> np.uint64(8) & ONE) << shift
            letter |= (bits >> np.uint64(16) & ONE) << shift
            high |= (bits >> np.uint64(24) & ONE) << shift
    high &= inside
    while high != NONE:
        first = lowest(high)
        code, after = decode(data, at + first, stop)
        kind = classes[code]
        if after - at > BLOCK or (plain and kind in (ALONE, MARK, FORMAT)):
            size, inside = first, below(first)
            break
        char = below(after - at - first) << np.uint64(first)
        high &= ~char
        if kind in (LETTER, NUMBER, ALONE):
            word |= char
        if kind in (LETTER, ALONE):
            letter |= char
        if kind != SPACE:
            solid |= char
    return size, word & inside, solid & inside, letter & inside
