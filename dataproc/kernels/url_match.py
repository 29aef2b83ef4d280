"""Matching of URLs against block lists: millions of domains and addresses, words, parts of words, in one pass.

An address is what lists name: the host in lower case, without scheme, user, port, `www.` and a dot at the end, then
path and query as they are, without the fragment and without slashes at the end. List entries and URLs come through
the same function, so both have one form. About 1 us a URL.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dataproc.kernels.automaton import Automaton
from dataproc.kernels.buffers import TextBuffers, frozen
from dataproc.kernels.hash_table import HashTable, find
from dataproc.kernels.hashing import hash_bytes, hash_slices
from dataproc.kernels.jit import kernel

DOMAIN, URL, ALLOW, OPT_OUT = 1, 2, 4, 8
"""Values in a table of addresses: what it means to be there. ALLOW and OPT_OUT cover what is below, too."""

HARD_WORD = 1 << 30
"""Value of a hard word in a table of words; a soft word's is its number, from 1."""

SUBWORD = 16
"""Bit of a URL that holds a part of a word."""

MAX_HOST_BYTES = 255
"""Longest name of DNS (RFC 1035, 2.3.4); of a longer host only so much is looked at, so time stays linear."""

_NO_SEED = np.uint64(0)


class Addresses(NamedTuple):
    """The addresses of N URLs; read-only."""

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]  # [N + 1]: address k is data[offsets[k]:offsets[k + 1]]
    host_ends: npt.NDArray[np.int64]  # [N] where its host ends
    odd: npt.NDArray[np.bool_]  # [N] holds its host anything but ASCII letters, digits, and "-._:[]"?


def addresses(urls: TextBuffers) -> Addresses:
    """Return the address of each URL; a URL may lack a scheme, as list entries do.

    Example: "https://me@WWW.Example.org:8080/A/?b=1#c" -> "example.org/A/?b=1", its host ending at 11.
    """
    data, offsets = urls
    room = np.empty(int(offsets[-1] - offsets[0]), np.uint8)
    ends = np.empty(len(offsets), np.int64)
    host_ends, odd = np.empty(len(offsets) - 1, np.int64), np.empty(len(offsets) - 1, np.bool_)
    size = _addresses(data, offsets, room, ends, host_ends, odd)
    return Addresses(frozen(room[:size]), frozen(ends), frozen(host_ends), frozen(odd))


def match_addresses(found: Addresses, table: HashTable, max_slashes: int) -> npt.NDArray[np.int64]:
    """Return the bits of each address, int64 [N], by a table of the hashes of addresses.

    Every domain that the host is in is looked up, the whole address, and its folders up to `max_slashes` deep (that
    of the deepest entry that covers what is below).
    """
    return _match_addresses(found.data, found.offsets, found.host_ends, table.keys, table.values, max_slashes)


def match_words(
    urls: TextBuffers, words: HashTable, weights: npt.NDArray[np.float64], subwords: Automaton
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return bits (HARD_WORD, SUBWORD) and the soft score of each URL, [N] each; weights[k] is that of soft word k.

    Words are runs of ASCII letters and digits, in lower case; subwords are looked for in all of them joined.
    """
    return _match_words(*urls, words.keys, words.values, weights, subwords.moves, subwords.ends)


def hash_addresses(found: Addresses) -> npt.NDArray[np.uint64]:
    """Return the XXH64 of each address."""
    return hash_slices(found.data, found.offsets[:-1], found.offsets[1:])


def count_slashes(found: Addresses) -> int:
    """Return the greatest number of / and ? in one of the addresses."""
    marks = np.flatnonzero((found.data == ord("/")) | (found.data == ord("?")))
    return int(np.diff(np.searchsorted(marks, found.offsets)).max(initial=0))


@kernel
def _lower(byte: int) -> int:
    return byte + 32 if 65 <= byte <= 90 else byte


@kernel
def _is_alnum(byte: int) -> bool:
    return 97 <= byte <= 122 or 48 <= byte <= 57


@kernel
def _after_scheme(data: npt.NDArray[np.uint8], at: int, stop: int) -> int:
    """Return the position after `scheme://` or `//`; `at` when there is neither."""
    end = at
    while end < stop and (_is_alnum(_lower(data[end])) or data[end] in (43, 45, 46)):  # + - .
        end += 1
    if end > at and end < stop and data[end] == 58:
        end += 1
    elif end > at:
        return at
    return end + 2 if end + 2 <= stop and data[end] == 47 and data[end + 1] == 47 else at


@kernel
def _addresses(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    out: npt.NDArray[np.uint8],
    ends: npt.NDArray[np.int64],
    host_ends: npt.NDArray[np.int64],
    odd: npt.NDArray[np.bool_],
) -> int:
    size = 0
    ends[0] = 0
    for row in range(len(offsets) - 1):
        at, stop = offsets[row], offsets[row + 1]
        while at < stop and data[at] <= 32:
            at += 1
        while stop > at and data[stop - 1] <= 32:
            stop -= 1
        at = _after_scheme(data, at, stop)
        host_end, user_end, port = at, at, -1
        while host_end < stop and data[host_end] not in (35, 47, 63, 92):  # # / ? \
            if data[host_end] == 64:  # @
                user_end, port = host_end + 1, -1
            elif data[host_end] == 58:  # :
                port = host_end
            elif data[host_end] == 93:  # ]
                port = -1
            host_end += 1
        at, rest = user_end, host_end
        if port >= at:
            host_end = port
        while host_end > at and data[host_end - 1] == 46:
            host_end -= 1
        if host_end - at > 4 and _is_www(data, at) and _has_dot(data, at + 4, host_end):
            at += 4
        odd[row] = False
        while at < host_end:
            byte = _lower(data[at])
            odd[row] |= not (_is_alnum(byte) or byte in (45, 46, 58, 91, 93, 95))
            out[size] = byte
            size += 1
            at += 1
        host_ends[row] = size
        at = rest
        while at < stop and data[at] != 35:
            out[size] = data[at]
            size += 1
            at += 1
        while size > host_ends[row] and out[size - 1] == 47:
            size -= 1
        ends[row + 1] = size
    return size


@kernel
def _is_www(data: npt.NDArray[np.uint8], at: int) -> Any:
    for k in range(3):
        if _lower(data[at + k]) != 119:
            return False
    return data[at + 3] == 46


@kernel
def _has_dot(data: npt.NDArray[np.uint8], at: int, stop: int) -> bool:
    for k in range(at, stop):  # noqa: SIM110 - numba compiles no generator expressions
        if data[k] == 46:
            return True
    return False


@kernel
def _match_addresses(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    host_ends: npt.NDArray[np.int64],
    keys: npt.NDArray[np.uint64],
    values: npt.NDArray[np.int32],
    max_slashes: int,
) -> npt.NDArray[np.int64]:
    out = np.zeros(len(host_ends), np.int64)
    for row in range(len(out)):
        start, host_end, stop = offsets[row], host_ends[row], offsets[row + 1]
        for at in range(max(start, host_end - MAX_HOST_BYTES), host_end):
            if at == start or data[at - 1] == 46:
                out[row] |= find(keys, values, hash_bytes(data, at, host_end, _NO_SEED)) & (DOMAIN | ALLOW | OPT_OUT)
        out[row] |= find(keys, values, hash_bytes(data, start, stop, _NO_SEED)) & (URL | ALLOW | OPT_OUT)
        slashes = 0
        for at in range(host_end, stop):
            if data[at] == 47 or data[at] == 63:  # / ?
                if slashes > max_slashes:
                    break
                out[row] |= find(keys, values, hash_bytes(data, start, at, _NO_SEED)) & (ALLOW | OPT_OUT)
                slashes += 1
    return out


@kernel
def _match_words(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    keys: npt.NDArray[np.uint64],
    values: npt.NDArray[np.int32],
    weights: npt.NDArray[np.float64],
    moves: npt.NDArray[np.int32],
    ends: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    rows = len(offsets) - 1
    found, scores = np.zeros(rows, np.int64), np.zeros(rows, np.float64)
    seen = np.full(len(weights), -1, np.int64)  # last row that each soft word was met in
    longest = 0
    for row in range(rows):
        longest = max(longest, offsets[row + 1] - offsets[row])
    word = np.empty(longest, np.uint8)
    for row in range(rows):
        size, state = 0, 0
        for at in range(offsets[row], offsets[row + 1] + 1):
            byte = _lower(data[at]) if at < offsets[row + 1] else 0
            if _is_alnum(byte):
                word[size] = byte
                size += 1
                state = moves[state, byte - 48 if byte < 58 else byte - 87]
                if ends[state]:
                    found[row] |= SUBWORD
            elif size:
                value = find(keys, values, hash_bytes(word, 0, size, _NO_SEED))
                found[row] |= value & HARD_WORD
                soft = value & ~HARD_WORD
                if soft and seen[soft] != row:
                    seen[soft] = row
                    scores[row] += weights[soft]
                size = 0
    return found, scores
