"""Sentences as spans of the text, across lines, and how many of their words begin with a capital.

A sentence ends behind a run of full stops, question and exclamation marks with white space after it, or behind a mark
of another script (`dataproc.kernels.sentences.sentence_ends`), which needs no white space. Newlines end none, so that
a menu is one long sentence. This is how the rules of MADLAD-400 are applied; `sentences` counts those of a line with
more care.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.kernels.buffers import frozen, text_buffers
from dataproc.kernels.char_classes import SPACE, tables
from dataproc.kernels.jit import kernel
from dataproc.kernels.line_shapes import capital_letters
from dataproc.kernels.lines import Lines
from dataproc.kernels.sentences import sentence_ends
from dataproc.kernels.utf8 import byte_at, decode
from dataproc.kernels.words import Words

_ENDS, _NEEDS_SPACE = 1, 2


def split_sentences(text: pa.Array) -> Lines:
    r"""Return the sentences of a text column, white space around them left out; null rows have none.

    Example: ["One. Two\nthree? 3.5."] has three: "One.", "Two\nthree?" and "3.5.".
    """
    data, offsets = text_buffers(text)
    room = (int(offsets[-1] - offsets[0]) + len(text)) // 2 + 1  # a character and a mark, or a mark of three bytes
    starts, ends, rows = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(len(offsets), np.int64)
    marks = np.zeros(0x110000, np.uint8)
    marks[[ord(char) for char in sentence_ends()]] = _ENDS
    marks[[ord(char) for char in ".?!"]] = _NEEDS_SPACE
    count = _split(data, offsets, tables().classes, frozen(marks), starts, ends, rows)
    return Lines(data, frozen(starts[:count]), frozen(ends[:count]), frozen(rows))


def capitalized_words(spans: Lines, words: Words) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return, for each span (line, sentence), its words and how many of them begin with a capital, int64 [L] each.

    `words` are those of the same column. Example: "To Be or not" has 4 words, 2 with a capital.
    """
    out = _capitalized(*spans, words.starts, words.offsets, capital_letters())
    return out[0], out[1]


def as_strings(spans: Lines) -> pa.Array:
    """Return the text of each span, large_string [L]; the bytes are not copied before they are taken."""
    if len(spans.starts) == 0:
        return pa.array([], pa.large_string())
    bounds = np.stack((spans.starts, spans.ends), axis=1).ravel()  # every second string is what parts two spans
    parts = pa.LargeStringArray.from_buffers(len(bounds) - 1, pa.py_buffer(bounds), pa.py_buffer(spans.data))
    return parts.take(pa.array(np.arange(0, len(parts), 2)))


@kernel
def _split(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    marks: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
) -> int:
    count = 0
    rows[0] = 0
    for row in range(len(offsets) - 1):
        at, stop = offsets[row], offsets[row + 1]
        inside = False  # a sentence is open
        before = 0  # the kind of mark in front of `at`; 0 = none
        while at < stop:
            code, after = byte_at(data, at), at + 1
            if code >= 0x80:
                code, after = decode(data, at, stop)
            if classes[code] == SPACE:
                inside = inside and before == 0
                before = 0
            else:
                mark = marks[code]
                if not inside or (before == _ENDS and mark == 0):
                    starts[count] = at
                    count += 1
                    inside = True
                ends[count - 1] = after
                before = mark
            at = after
        rows[row + 1] = count
    return count


@kernel
def _capitalized(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    word_starts: npt.NDArray[np.int64],
    word_offsets: npt.NDArray[np.int64],
    capitals: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int64]:
    out = np.zeros((2, len(starts)), np.int64)
    for row in range(len(offsets) - 1):
        word, last = word_offsets[row], word_offsets[row + 1]
        for span in range(offsets[row], offsets[row + 1]):
            while word < last and word_starts[word] < starts[span]:
                word += 1
            while word < last and word_starts[word] < ends[span]:
                code = decode(data, word_starts[word], ends[span])[0]
                out[0, span] += 1
                out[1, span] += code < len(capitals) and capitals[code]
                word += 1
    return out
