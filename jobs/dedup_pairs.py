"""Two documents side by side, with the words marked that only one of them has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from dataproc.storage import Folder
from jobs.lookup import Row, read_rows
from stages.places import run_part_row

MAX_WORDS = 1500
"""Words of a text that are compared."""

MAX_SHOWN = 260
"""Words that are shown of each side."""

CONTEXT = 12
"""Words shown on each side of a difference."""

_WORD = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]\\s*|[^\\s\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+\\s*")

Span = tuple[str, str]
"""(same | only | gap, text)."""


@dataclass(frozen=True)
class Side:
    """One of the two: what its text has in common with the other's, and what it has alone."""

    doc_id: str
    url: str | None
    where: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class ShownPair:
    """Two documents; `facts` are short sentences about the pair."""

    left: Side
    right: Side
    facts: tuple[str, ...]


class PairReader:
    """Reads documents of a run, and of those it was deduplicated against, by their places."""

    def __init__(self, folder: Folder, earlier: Sequence[Folder]) -> None:
        self._folder, self._earlier = folder, tuple(earlier)

    def pair(self, left: int, right: int, *facts: str) -> ShownPair:
        """Return the documents at two places side by side."""
        one, two = self._row(left), self._row(right)
        spans = side_by_side(one["text"] or "", two["text"] or "")
        return ShownPair(_side(one, spans[0]), _side(two, spans[1]), facts)

    def _row(self, place: int) -> Row:
        run, part, row = run_part_row(place)
        folder = self._folder if run is None else self._earlier[run]
        (found,) = read_rows(folder, "documents", part, [row], ["doc_id", "url", "input", "position", "text"])
        return found


def _side(row: Row, spans: tuple[Span, ...]) -> Side:
    return Side(row["doc_id"].hex(), row["url"], f"{row['input']} at {row['position']:,}", spans)


def side_by_side(left: str, right: str) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """Return the spans of two texts: differences with some words around, and how many words lie between.

    Example: "a b c", "a x c" give (same "a ", only "b ", same "c") and (same "a ", only "x ", same "c").
    """
    one, two = _WORD.findall(left)[:MAX_WORDS], _WORD.findall(right)[:MAX_WORDS]
    plain, other = ([word.strip() for word in words] for words in (one, two))
    blocks = SequenceMatcher(None, plain, other, autojunk=False).get_opcodes()
    ends = [len(_WORD.findall(text)) - len(words) for text, words in ((left, one), (right, two))]
    sides = (
        [(tag, one[start:stop]) for tag, start, stop, _, _ in blocks],
        [(tag, two[start:stop]) for tag, _, _, start, stop in blocks],
    )
    found = [tuple(_shortened(list(_spans(side)), end)) for side, end in zip(sides, ends, strict=True)]
    return found[0], found[1]


def _spans(blocks: Sequence[tuple[str, list[str]]]) -> Iterator[tuple[str, list[str]]]:
    """Yield (kind, words), long stretches of what is the same cut in the middle; a gap holds the words left out."""
    for number, (tag, words) in enumerate(blocks):
        if tag != "equal":
            if words:
                yield "only", words
            continue
        before = CONTEXT if number else 0
        after = CONTEXT if number < len(blocks) - 1 else 0
        if not number and not after:
            before = 4 * CONTEXT  # nothing differs
        left_out = words[before : len(words) - after]
        if len(left_out) <= CONTEXT:
            yield "same", words
            continue
        if before:
            yield "same", words[:before]
        yield "gap", left_out
        if after:
            yield "same", words[-after:]


def _shortened(spans: Sequence[tuple[str, list[str]]], beyond: int) -> Iterator[Span]:
    """Yield the spans as text, up to MAX_SHOWN words; the rest, and `beyond` more words, are a gap."""
    room = MAX_SHOWN
    left = sum(len(words) for _, words in spans) + beyond
    for kind, words in spans:
        if not room:
            break
        shown = words if kind == "gap" else words[:room]
        room -= 0 if kind == "gap" else len(shown)
        left -= len(shown)
        yield kind, f"{len(words):,} equal words" if kind == "gap" else "".join(shown)
    if left:
        yield "gap", f"{left:,} more words"
