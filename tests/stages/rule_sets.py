"""What the tests of rule sets share: batches of texts, one row's result, words, pieces and lines of a text."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from dataproc.kernels.char_classes import SPACE, tables
from dataproc.kernels.pieces import split_pieces
from dataproc.kernels.words import split_words
from dataproc.stage import Stage
from stages.fineweb2 import TABLE
from tests.dataproc.kernels.texts import texts

SPACES = "".join(chr(code) for code in range(0x110000) if tables().classes[code] == SPACE)
TOKENS = re.compile(f"[^{re.escape(SPACES)}]+")

PIECES = [
    *(
        "\n",
        "\n\n",
        " ",
        " \n",
        "to be ",
        "or not ",
        "The quick brown fox jumps.\n",
        "a ",
        "7 ",
        "[1]",
        "[edit] ",
        "...",
        "'",
    ),
    *(
        "\u3002\n",
        "lorem ipsum ",
        "{",
        "JavaScript ",
        "cookie policy ",
        "It is. So. ",
        "\u4e2d\u6587",
        "\u00e9\u00e9\n",
    ),
]
"""What rules look at, so that made-up texts come near their limits."""

repeating = st.lists(texts | st.sampled_from(PIECES), max_size=40).map("".join)


def batch(values: list[str | None], language: str | None = "eng") -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "doc_id": [b"%d" % k for k in range(len(values))],
            "text": pa.array(values, pa.large_string()),
            "language": pa.array([language] * len(values), pa.string()),
        }
    )


def apply(stage: Stage, text: str | None, language: str | None = "eng") -> dict[str, Any]:
    row: dict[str, Any] = stage.build()(batch([text], language)).to_pylist()[0]
    return row


def words_of(text: str) -> tuple[list[str], list[int]]:
    """Return the words, and 1 for each that something parts from the next, else 0."""
    words = split_words(pa.array([text], pa.large_string()))
    found = [words.data[a:b].tobytes().decode() for a, b in zip(words.starts, words.ends, strict=True)]
    return found, [int(a < b) for a, b in zip(words.ends[:-1], words.starts[1:], strict=True)]


def lines_of(text: str) -> list[str]:
    lines = [line.strip(SPACES) for line in text.split("\n")]
    return [line for line in lines if line]


def pieces_of(text: str) -> list[str]:
    pieces = split_pieces(pa.array([text], pa.large_string()))
    return [pieces.data[a:b].tobytes().decode() for a, b in zip(pieces.starts, pieces.ends, strict=True)]


def tokens_of(text: str) -> list[str]:
    """Return what white space parts."""
    return TOKENS.findall(text)


def repeats_of(elements: list[str]) -> list[str]:
    first = {element: k for k, element in reversed([*enumerate(elements)])}
    return [element for k, element in enumerate(elements) if first[element] < k]


@cache
def published(language: str) -> dict[str, str]:
    """Return FineWeb-2's limits and stop words of a language, as its file has them.

    Where characters are words, limits of words are "nan", which no number is above or below.
    """
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    header, *rows = (line.split("\t") for line in lines if line[0] != "#")
    found = next(dict(zip(header, row, strict=True)) for row in rows if row[0] == language)
    off = re.compile("m.._mean_word_length|max_dup_[0-9]+grams" if language in ("cmn", "jpn") else "$.")
    return {name: "nan" if off.fullmatch(name) else value for name, value in found.items()}
