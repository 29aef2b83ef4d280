from __future__ import annotations

import random
import sys
import time
import types
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.cuts import Cuts
from dataproc.kernels.repeats import repeats, suffix_array
from tests.dataproc.kernels.texts import texts

Found = list[list[tuple[int, int]]]

few = st.text(st.sampled_from("ab\u00e9\u4e2d \n"), max_size=30)
"""Texts that repeat each other, in one, two and three bytes a character."""


def joined(documents: list[bytes]) -> tuple[Any, Any]:
    data = b"".join(one + b"\0" for one in documents)
    return np.frombuffer(bytearray(data), np.uint8), np.cumsum([0, *(len(one) + 1 for one in documents)])


def listed(spans: Cuts) -> Found:
    pairs = list(zip(spans.starts.tolist(), spans.ends.tolist(), strict=True))
    return [pairs[start:stop] for start, stop in zip(spans.offsets[:-1], spans.offsets[1:], strict=True)]


def found(documents: list[bytes], min_bytes: int, *, keep_first: bool = True, merge_share: float = 1.0) -> Found:
    return listed(repeats(*joined(documents), min_bytes, keep_first=keep_first, merge_share=merge_share))


def by_brute_force(documents: list[bytes], min_bytes: int, keep_first: bool) -> Found:
    """Say in plain Python which spans are found: the bytes of windows that come back, windows that touch in one."""
    windows = [
        (one[at : at + min_bytes], row, at)
        for row, one in enumerate(documents)
        for at in range(len(one) - min_bytes + 1)
    ]
    spans: Found = [[] for _ in documents]
    for k, (window, row, at) in enumerate(windows):
        others = windows[:k] if keep_first else windows[:k] + windows[k + 1 :]
        if any(window == other for other, _, _ in others):
            start = at if not spans[row] or at > spans[row][-1][1] else spans[row].pop()[0]
            spans[row].append((start, at + min_bytes))
    return spans


@given(st.lists(few | texts, max_size=6), st.integers(1, 9), st.booleans())
def test_spans_are_those_of_brute_force(documents: list[str], min_bytes: int, keep_first: bool) -> None:
    data = [one.replace("\0", "").encode() for one in documents]
    assert found(data, min_bytes, keep_first=keep_first) == by_brute_force(data, min_bytes, keep_first)


@given(st.lists(few, max_size=4))
def test_texts_with_nul_bytes_lose_none_of_their_spans(documents: list[str]) -> None:
    data = [one.replace(" ", "\0").encode() for one in documents]
    assert found(data, 3) == by_brute_force(data, 3, keep_first=True)


@pytest.mark.parametrize(
    ("documents", "keep_first", "spans"),
    [
        ([b"xABCD", b"yABCDz"], True, [[], [(1, 5)]]),
        ([b"xABCD", b"yABCDz"], False, [[(1, 5)], [(1, 5)]]),
        ([b"xABC", b"yABCz"], True, [[], []]),  # a byte too short
        ([b"ABCDxABCD"], True, [[(5, 9)]]),  # in one document
        ([b"AB", b"CD", b"ABCD"], True, [[], [], []]),  # never across documents
        ([b"ABCDEF", b"ABCDxCDEF"], True, [[], [(0, 4), (5, 9)]]),
        ([b"ABCDEFGH", b"ABCDEFGHI"], True, [[], [(0, 8)]]),
        ([b"abababab"], True, [[(2, 8)]]),  # of what repeats itself one period stays
        ([b"", b"ABCD", b"", b"ABCD", b""], True, [[], [], [], [(0, 4)], []]),
        ([], True, []),
    ],
)
def test_spans(documents: list[bytes], keep_first: bool, spans: Found) -> None:
    assert found(documents, 4, keep_first=keep_first) == spans


def test_neighbours_are_merged_from_the_share_on() -> None:
    documents = [b"ABCD", b"EFGH", b"xABCD..EFGHx"]  # 8 of 10 bytes
    assert found(documents, 4, merge_share=0.8)[2] == [(1, 11)]
    assert found(documents, 4, merge_share=0.81)[2] == [(1, 5), (7, 11)]
    three = [b"ABCD", b"EFGH", b"IJKL", b"ABCD.EFGH.IJKL"]
    assert found(three, 4, merge_share=0.85)[3] == [(0, 14)]
    assert found(three, 4, merge_share=0.87)[3] == [(0, 9), (10, 14)], "8 of 9, then 12 of 14 bytes"


@given(st.binary(max_size=60) | st.lists(st.sampled_from([b"a", b"ab"]), max_size=30).map(b"".join))
def test_suffix_array_is_sorted(data: bytes) -> None:
    array = suffix_array(np.frombuffer(data, np.uint8))
    assert array.tolist() == sorted(range(len(data)), key=lambda at: data[at:])


def test_no_memory_for_the_suffix_array_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def divsufsort(_data: object) -> None:
        raise Exception("libdivsufsort error", -2)

    monkeypatch.setitem(sys.modules, "pydivsufsort", types.SimpleNamespace(divsufsort=divsufsort))
    with pytest.raises(MemoryError, match="the suffix array of 3 bytes needs 12 bytes more"):
        suffix_array(np.zeros(3, np.uint8))


@pytest.mark.parametrize(
    "kind", ["one byte", "one period", "one character of three bytes", "no repeats", "a text twice"]
)
def test_time_is_linear_in_a_document_of_megabytes(kind: str) -> None:
    draw = random.Random(7)
    size = 10_000_000 if kind == "one byte" else 1_000_000
    one = {
        "one byte": b"a" * size,
        "one period": b"to be or not " * (size // 13),
        "one character of three bytes": "\u4e2d".encode() * (size // 3),
        "no repeats": draw.randbytes(size).replace(b"\0", b"\1"),
        "a text twice": draw.randbytes(size // 2).replace(b"\0", b"\1") * 2,
    }[kind]
    found([b"warm"], 3)
    started = time.process_time()
    spans = found([one], 100)
    spent = time.process_time() - started
    period = {"one byte": 1, "one period": 13, "one character of three bytes": 3, "a text twice": size // 2}
    assert spans == [[(period[kind], len(one))] if kind in period else []]
    assert spent < 5


def test_places_beyond_2_gib_are_64_bits_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels with the wide suffix array, which takes gigabytes to see in earnest."""
    import dataproc.kernels.repeats as module

    narrow = module.suffix_array
    monkeypatch.setattr(module, "suffix_array", lambda data: narrow(data).astype(np.int64))
    assert found([b"xABCD", b"yABCDz"], 4) == [[], [(1, 5)]]
