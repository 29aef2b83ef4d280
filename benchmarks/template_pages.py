"""Pages made from templates, the hard case of MinHash: thousands alike but no duplicates, and duplicates among them.

Pages of one template share its words but for some slots, so that two have a Jaccard of 0.75 to 0.79 over 5-word
shingles. All 8 rows of a band come from what is shared on a third of the pages, which so meet in one band: 3,000 pages
to a template are 1,000 to a band, whatever the hash functions. Every tenth page is a copy of one of the nine before it
with one to three words changed, a Jaccard of 0.9 or more. A page is a function of its template and number alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

SHARED_WORDS = 264
SLOTS = 4
SLOT_WORDS = (5, 6, 7)
"""A slot of w words has w + 4 shingles: 40 of 300 in all, give or take some."""

_SYLLABLES = [a + b + c for a in "bdfgklmnprstvz" for b in "aeiou" for c in ("", "l", "n", "r", "s")]


def template_pages(templates: int, pages: int) -> Iterator[str]:
    """Yield the pages of each template in turn: page 0 of all of them, then page 1.

    Example: next(template_pages(1, 1)).split()[0] is the first word of template 0.
    """
    for number in range(pages):
        for template in range(templates):
            yield template_page(template, number)


def template_page(template: int, number: int) -> str:
    """Return one page, 280 to 290 words."""
    if number % 10 != 9:
        return " ".join(_words(template, number))
    draw = random.Random(f"copy {template} {number}")  # seeded by a string, it is the same in every version of Python
    words = _words(template, number - draw.randrange(1, 10))
    for place in draw.sample(range(len(words)), draw.randrange(1, 4)):
        words[place] = _word(draw)
    return " ".join(words)


def _words(template: int, number: int) -> list[str]:
    shared, starts = _template(template)
    draw = random.Random(f"page {template} {number}")
    words = []
    for start, stop in zip((0, *starts), (*starts, len(shared)), strict=True):
        words += [*shared[start:stop], *(_word(draw) for _ in range(draw.choice(SLOT_WORDS)))]
    return words


@cache
def _template(template: int) -> tuple[list[str], list[int]]:
    draw = random.Random(f"template {template}")
    shared = [_word(draw) for _ in range(SHARED_WORDS)]
    step = SHARED_WORDS // SLOTS
    return shared, [step * (slot + 1) - draw.randrange(10, step - 10) for slot in range(SLOTS - 1)]


def _word(draw: random.Random) -> str:
    return "".join(draw.choice(_SYLLABLES) for _ in range(2))
