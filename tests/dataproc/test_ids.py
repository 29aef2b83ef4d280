"""Ids and hashes are contracts: values written down here, and the library's own scalar functions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from dataproc.ids import DOC_ID_BYTES, doc_id, file_hash, hash64, hash_int64, signed64

INT64 = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("input_name", "position", "expected"),
    [
        ("crawl-data/CC-MAIN-2024-51/segments/1/warc/a.warc.gz", 0, "00e7610cf081a5cc9dc1c570e78289cf"),
        ("a.jsonl", 12_345_678_901, "5677b927e10017a75ee1927821c82032"),
        ("Stra\u00dfe/\u6587.warc", 7, "6f17fb8067f886dd2cc5fef8208e2449"),
    ],
)
def test_doc_id_vectors(input_name: str, position: int, expected: str) -> None:
    assert doc_id(input_name, position).hex() == expected


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.integers(0, 2**63 - 1))
def test_doc_id_is_xxh3_128_of_input_nul_position(input_name: str, position: int) -> None:
    found = doc_id(input_name, position)
    assert len(found) == DOC_ID_BYTES
    assert found == xxhash.xxh3_128_digest(input_name.encode() + b"\0" + str(position).encode())


def test_position_cannot_run_into_the_name() -> None:
    assert doc_id("a", 12) != doc_id("a1", 2)


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (2**63 - 1, 2**63 - 1), (2**63, -(2**63)), (2**64 - 1, -1)])
def test_signed64(value: int, expected: int) -> None:
    assert signed64(value) == expected


def test_hash64_vectors() -> None:
    assert hash64(b"") == signed64(0x2D06800538D394C2)
    assert hash64(b"dataproc") == 0x8AE35ACC499EB749 - 2**64


@given(st.lists(INT64, max_size=20))
def test_hash_int64_is_the_librarys(values: list[int]) -> None:
    found = hash_int64(np.array(values, dtype=np.int64))
    assert found.dtype == np.uint64
    assert found.tolist() == [xxhash.xxh3_64_intdigest(value.to_bytes(8, "little", signed=True)) for value in values]


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 1000])
def test_file_hash_does_not_depend_on_chunks(tmp_path: Path, size: int) -> None:
    data = bytes(range(256)) * 4
    path = tmp_path / "file"
    path.write_bytes(data[:size])
    assert file_hash(path, chunk_bytes=100) == file_hash(str(path)) == xxhash.xxh3_64_hexdigest(data[:size])


def test_file_hash_of_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_hash(tmp_path / "none")
