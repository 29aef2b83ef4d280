from __future__ import annotations

import sys
from itertools import chain, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.minhash import Permuted, Scheme, band_keys, minhash_signatures
from dataproc.kernels.shingles import shingle_hashes
from tests.dataproc.kernels.texts import column

WORDS = [f"word{k}" for k in range(20)]
SCHEMES: list[Permuted] = ["affine32", "affine64", "legacy"]


def documents(count: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    draw = np.random.default_rng(0)
    lengths = np.concatenate([[0, 1, 4, 5, 6], draw.integers(0, 300, count - 5)])
    return shingle_hashes(column([" ".join(draw.choice(WORDS, length)) for length in lengths]))


def sets(values: list[list[int]]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    return np.array(list(chain(*values)), np.uint64), np.cumsum([0, *map(len, values)])


def datasketch_signature(hashes: list[int], num_hashes: int, seed: int, scheme: Permuted) -> list[int]:
    import datasketch

    mask = 2**64 - 1 if scheme == "affine64" else 2**32 - 1
    minhash = datasketch.MinHash(num_hashes, seed=seed, hashfunc=lambda value: value & mask, scheme=scheme)
    minhash.update_batch(hashes)
    values: list[int] = minhash.hashvalues.tolist()
    return values


@pytest.mark.needs("datasketch")
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("num_hashes", "seed"), [(112, 1), (1, 7), (286, 2**32 - 1), (13, 0)])
def test_equals_datasketch_on_documents(scheme: Permuted, num_hashes: int, seed: int) -> None:
    hashes, offsets = documents(60)
    signatures = minhash_signatures(hashes, offsets, num_hashes, seed, scheme)
    expected = [datasketch_signature(hashes[a:b].tolist(), num_hashes, seed, scheme) for a, b in pairwise(offsets)]
    assert signatures.tolist() == expected


@pytest.mark.needs("datasketch")
@pytest.mark.parametrize("scheme", SCHEMES)
@given(values=st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_equals_datasketch_on_any_set(scheme: Permuted, values: list[int]) -> None:
    assert minhash_signatures(*sets([values]), 16, 1, scheme).tolist() == [datasketch_signature(values, 16, 1, scheme)]


@given(values=st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=8), max_size=4))
def test_affine32_equals_the_oracle(values: list[list[int]]) -> None:
    draw = np.random.RandomState(1)
    a = draw.randint(0, 2**31, 16, np.uint32).astype(int) * 2 + 1
    b = draw.randint(0, 2**32, 16, np.uint32).astype(int)

    def mixed(value: int) -> int:
        value = (value & 0xFFFFFFFF ^ (value & 0xFFFFFFFF) >> 16) * 0x85EBCA6B % 2**32
        value = (value ^ value >> 13) * 0xC2B2AE35 % 2**32
        return value ^ value >> 16

    expected = [
        [min([(int(a[k]) * mixed(value) + int(b[k])) % 2**32 for value in row], default=2**32 - 1) for k in range(16)]
        for row in values
    ]
    assert minhash_signatures(*sets(values), 16).tolist() == expected


@pytest.mark.parametrize(
    ("scheme", "dtype", "expected"),
    [
        ("affine32", np.uint32, [810244074, 784182400, 824974649, 1281368323]),
        ("affine64", np.uint64, [5981626613745235848, 1175767398896880753, 1216712808450923543, 2369155793272936141]),
        ("legacy", np.uint64, [1323083079, 625227618, 364009839, 1461370501]),
        ("fast", np.uint32, [2118833462, 1128584564, 1313452316, 573179400]),
    ],
)
def test_vectors(scheme: Scheme, dtype: Any, expected: list[int]) -> None:
    """The contract: these numbers never change."""
    signatures = minhash_signatures(
        *shingle_hashes(column(["To be, or not to be, that is the question"])), 4, 1, scheme
    )
    assert signatures.dtype == dtype
    assert signatures.tolist() == [expected]


def test_agreement_estimates_jaccard() -> None:
    draw = np.random.default_rng(0)
    shared, left, right = np.split(draw.integers(0, 2**64, 1000, np.uint64), [600, 800])
    hashes = np.concatenate([np.sort(np.concatenate([shared, side])) for side in (left, right)])
    a, b = minhash_signatures(hashes, np.array([0, 800, 1600]), 4096)
    assert abs((a == b).mean() - 0.6) < 0.03


def test_no_documents() -> None:
    signatures = minhash_signatures(np.zeros(0, np.uint64), np.zeros(1, np.int64), 112)
    assert signatures.shape == (0, 112)
    assert band_keys(signatures, 14, 8).shape == (0, 14)


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
def test_band_keys_equal_the_oracle(dtype: Any) -> None:
    signatures = np.random.default_rng(0).integers(0, 2**32, (20, 30), np.uint64).astype(dtype)
    keys = band_keys(signatures, 4, 7)
    assert sys.byteorder == "little"
    expected = [
        [xxhash.xxh64_intdigest(row[band * 7 : band * 7 + 7].tobytes(), seed=band) for band in range(4)]
        for row in signatures
    ]
    assert keys.dtype == np.int64
    assert keys.view(np.uint64).tolist() == expected


def test_equal_rows_have_different_keys_in_different_bands() -> None:
    assert len(set(band_keys(np.zeros((1, 112), np.uint32), 14, 8)[0].tolist())) == 14


def test_bands_must_fit() -> None:
    with pytest.raises(ValueError, match=r"^band_keys\.signatures must have at least 14 x 8 places, got 100\.$"):
        band_keys(np.zeros((1, 100), np.uint32), 14, 8)
