from __future__ import annotations

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.hashing import hash_slices

# The contract: these numbers never change. They are those of the XXH64 specification's algorithm.
VECTORS = [
    (b"", 0, 0xEF46DB3751D8E999),
    (b"a", 0, 0xD24EC4F1A98C6E5B),
    (b"the", 0, 0x4B1B03A21F8B5F26),
    (b"abcd", 0, 0xDE0327B0D25D92CC),
    (b"abcdefgh", 0, 0x3AD351775B4634B7),
    (b"to be, or not to be", 1, 0x40E5146951EB81D9),
    (bytes(range(32)), 0, 0xCBF59C5116FF32B4),
    (bytes(range(101)), 2**64 - 1, 0x49B1A7087BCDB7BE),
]


def hash_of(data: bytes, seed: int = 0) -> int:
    return int(hash_slices(np.frombuffer(data, np.uint8), np.array([0]), np.array([len(data)]), seed)[0])


@pytest.mark.parametrize(("data", "seed", "expected"), VECTORS)
def test_vectors(data: bytes, seed: int, expected: int) -> None:
    assert f"{hash_of(data, seed):016x}" == f"{expected:016x}"


@given(data=st.binary(max_size=200), seed=st.integers(0, 2**64 - 1))
def test_equals_the_xxhash_library(data: bytes, seed: int) -> None:
    assert hash_of(data, seed) == xxhash.xxh64_intdigest(data, seed)


def test_slices_of_every_length_and_place() -> None:
    data = bytes(np.random.default_rng(0).integers(0, 256, 1000, np.uint8))
    starts = np.arange(100)
    ends = starts + np.arange(100) * 7
    expected = [xxhash.xxh64_intdigest(data[a:b]) for a, b in zip(starts, ends, strict=True)]
    assert hash_slices(np.frombuffer(data, np.uint8), starts, ends).tolist() == expected


def test_a_flipped_bit_changes_half_of_the_bits() -> None:
    word = int.from_bytes(b"word", "big")
    changed = [hash_of(b"word") ^ hash_of((word ^ 1 << bit).to_bytes(4, "big")) for bit in range(32)]
    assert 28 < np.mean([value.bit_count() for value in changed]) < 36
