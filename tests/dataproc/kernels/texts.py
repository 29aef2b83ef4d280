"""Texts for the kernel tests: every script, the characters that rules turn on, and texts of one thing only."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache

import pyarrow as pa
from hypothesis import strategies as st

TURNING = (
    "aZ09 _'-.#*\n\t\u00ad\u00b2\u00c9\u00df\u0130\u0300\u03a3\u03c2\u0410\u05d0\u0628\u0915\u093f\u0e40\u0e01\u0e34"
    "\u1780\u17d2\u1000\u200b\u200c\u200d\u2019\u2022\u2026\u2028\u212a\u023a\u3000\u3005\u3007\u3042\u30ab\u30fc\u3099"
    "\u4e2d\u6587\ud55c\uff21\ufe0f\ufeff\ufffd\U00010400\U0001f600\U0001f1e6\U00020000\U000e0100"
)
"""One of each class, and of each exception: joiners, marks, folds that grow or shrink, astral letters, emoji."""


@cache
def scripts() -> dict[str, str]:
    """Return the letters and marks of every script, which is how their Unicode names begin."""
    found: dict[str, list[str]] = {}
    for char in map(chr, range(0x20000)):
        if unicodedata.category(char)[0] in "LM":
            found.setdefault(unicodedata.name(char, "").partition(" ")[0], []).append(char)
    return {script: "".join(chars) for script, chars in found.items()}


one_script = st.deferred(lambda: st.sampled_from(sorted(scripts()))).flatmap(
    lambda script: st.text(st.sampled_from(scripts()[script]) | st.sampled_from(" .,-\n'0"), max_size=60)
)
texts = one_script | st.text(st.one_of(st.sampled_from(TURNING), st.characters(exclude_categories=["Cs"])), max_size=60)
"""Text of every script, one in a text, or of any characters mixed."""

rows = st.lists(st.none() | texts, max_size=6)


def column(values: Sequence[str | None]) -> pa.Array:
    """Return a large_string column."""
    return pa.array(values, pa.large_string())


PATHOLOGICAL = [
    "a" * 1_000_000,
    "a " * 300_000,
    "\u4e2d" * 300_000,
    "\u0301" * 300_000,
    "." * 1_000_000,
    "\n" * 1_000_000,
]
"""Texts of a megabyte that hold one thing only."""
