from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.windows import count_values, is_space, spread_windows, whole_texts, window_texts
from tests.dataproc.kernels.texts import texts as any_text


def oracle(text: str, count: int, chars: int) -> list[str]:
    """All, or windows at even places, less up to 40 characters before the first space and behind the last."""
    if len(text) <= count * chars:
        return [text]
    windows = []
    for k in range(count):
        start = k * (len(text) - chars) // max(count - 1, 1)
        end = start + chars
        if start > 0 and (space := re.compile(r"\s").search(text, start - 1, min(start + 40, end))):
            start = space.start()
        if end < len(text) and (spaces := list(re.compile(r"\s").finditer(text, max(end - 40, start), end + 1))):
            end = spaces[-1].end()
        windows.append(text[start:end])
    return windows


def windows(text: str | None, count: int, chars: int) -> list[str]:
    (found,) = window_texts(spread_windows(pa.array([text], pa.large_string()), count, chars))
    return found


def test_windows() -> None:
    assert windows("aaaaaaaaa b ccccccccc", 2, 10) == ["aaaaaaaaa ", " ccccccccc"]
    assert windows("short text", 2, 10) == ["short text"]
    assert windows("a" * 20, 2, 10) == ["a" * 20]
    assert windows("a" * 21, 2, 10) == ["a" * 10] * 2
    assert windows(None, 2, 10) == [""]


@given(st.lists(any_text, max_size=4), st.integers(1, 4), st.integers(1, 60))
def test_windows_are_those_of_the_oracle(texts: list[str], count: int, chars: int) -> None:
    texts += ["".join(texts), " ".join(texts) * 3]
    spans = spread_windows(pa.array(texts, pa.large_string()), count, chars)
    assert list(window_texts(spans)) == [oracle(text, count, chars) for text in texts]


def test_long_texts() -> None:
    for text in ("word " * 200_000, "\u3042" * 100_000, "x" * 1_000_000, "a\u00e9 \U0001f600" * 10_000):
        for count, chars in ((1, 9), (4, 1000)):
            assert windows(text, count, chars) == oracle(text, count, chars)


def test_spaces_are_those_of_python() -> None:
    assert [code for code in range(0x110000) if is_space(code)] == [
        code for code in range(0x110000) if chr(code).isspace()
    ]


def test_values_are_counted_in_the_spans_only() -> None:
    table = np.zeros(0x110000, np.uint8)
    table[ord("a")], table[0x3042] = 1, 2
    texts = pa.array(["aab\u3042", None, "\u3042" * 9 + " " + "a" * 9])
    assert count_values(whole_texts(texts), table, 3).tolist() == [[1, 2, 1], [0, 0, 0], [1, 9, 9]]
    assert count_values(spread_windows(texts, 1, 5), table, 3)[2].tolist() == [0, 0, 5]
