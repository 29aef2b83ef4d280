"""HTML -> main text: extractors behind one protocol.

F1 by bag of words, mean over the pages (wcxb-dev: 1,243 of seven types; ScrapingHub: 181 articles; newspaper4k: 23),
and speed on one core:

| extractor | wcxb-dev | ScrapingHub | newspaper4k | MB of HTML a second |
|---|---|---|---|---|
| resiliparse | .807 | .916 | .889 | 30 |
| trafilatura | .846 | .959 | .925 | 3.5 |

The settings are those that are best on wcxb-dev. resiliparse falls to .799 with the alternative texts of images and to
.794 without what it takes for comments (a forum's content); trafilatura falls to .842 with comments, .824 with
favor_recall, .808 with fast and .780 with favor_precision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

ExtractorName = Literal["resiliparse", "trafilatura"]

LIBRARIES: dict[ExtractorName, tuple[str, ...]] = {
    "resiliparse": ("resiliparse",),
    "trafilatura": ("resiliparse", "trafilatura", "lxml", "justext"),  # resiliparse gives depth and title
}


class Extracted(NamedTuple):
    """What an extractor makes of a page; text is null when the tree is too deep for it."""

    text: str | None
    title: str | None


Extractor = Callable[[str], Extracted]


def build_extractor(name: ExtractorName, max_depth: int | None) -> Extractor:
    """Return the extractor of that name, which refuses trees deeper than `max_depth` elements.

    resiliparse's time grows with the square of the depth: 10,000 nested <div>s take 1.7 s, 100,000 take five minutes.
    Example: build_extractor("resiliparse", 512)("<title>T</title><p>hi") == Extracted("hi", "T")
    """
    from resiliparse.parse.html import HTMLTree

    main_text = _resiliparse() if name == "resiliparse" else _trafilatura()
    deeper = None if max_depth is None else " > ".join("*" * (max_depth + 1))

    def extract(page: str) -> Extracted:
        tree = HTMLTree.parse(page)
        document = tree.document
        if deeper and document is not None and document.query_selector(deeper) is not None:
            return Extracted(None, None)
        return Extracted(main_text(page, tree), tree.title)

    return extract


def _resiliparse() -> Callable[[str, Any], str]:
    from resiliparse.extract.html2text import extract_plain_text

    def main_text(page: str, tree: Any) -> str:
        return extract_plain_text(tree, main_content=True, alt_texts=False)

    return main_text


def _trafilatura() -> Callable[[str, Any], str]:
    import trafilatura

    def main_text(page: str, tree: Any) -> str:
        # `deduplicate` would remember lines across documents. Without metadata the date finder, which reads the
        # clock, is off.
        return trafilatura.extract(page, include_comments=False, deduplicate=False, with_metadata=False) or ""

    return main_text
