"""HTML -> main text: extractors behind one protocol.

F1 by bag of words, mean over the pages (wcxb-dev: 1,243 of seven types; ScrapingHub: 181 articles; newspaper4k: 23),
and speed on one core:

| extractor | wcxb-dev | ScrapingHub | newspaper4k | MB of HTML a second |
|---|---|---|---|---|
| resiliparse | .807 | .916 | .889 | 30 |
| trafilatura | .846 | .959 | .925 | 3.5 |
| justext | .809 | .850 | .828 | 7 |
| justext, its own English settings | .711 | .718 | .459 | 6 |

The settings are those that are best on wcxb-dev. resiliparse falls to .799 with the alternative texts of images and to
.794 without what it takes for comments (a forum's content); trafilatura falls to .842 with comments, .824 with
favor_recall, .808 with fast and .780 with favor_precision. justext tells text by its stop words, so it has to be told
the language before there is text. Without a stop list (`Justext.stop_list`) it goes by lengths and links alone, in any
language, and does better: .758 with its other settings as they are, .803 with shorter lengths, .809 with more links.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field

from dataproc.config import Config
from dataproc.errors import suggest

ExtractorName = Literal["resiliparse", "trafilatura", "justext"]

LIBRARIES: dict[ExtractorName, tuple[str, ...]] = {
    "resiliparse": ("resiliparse",),
    "trafilatura": ("resiliparse", "trafilatura", "lxml", "justext"),  # resiliparse gives depth and title
    "justext": ("resiliparse", "justext", "lxml", "lxml_html_clean"),
}


def _check_stop_list(name: str | None) -> str | None:
    if name is not None:
        import justext

        if name not in (known := justext.get_stoplists()):
            raise ValueError(f'stop_list must be a list that justext has, got "{name}".{suggest(name, known)}')
    return name


class Resiliparse(Config):
    """Settings of resiliparse."""

    alt_texts: bool = False
    """Keep the alternative texts of images."""
    comments: bool = True
    """Keep what it takes for comments, in a forum the posts themselves."""


class Trafilatura(Config):
    """Settings of trafilatura."""

    favor: Literal["precision", "balance", "recall"] = "balance"
    """What to prefer where it is in doubt: text lost, or boilerplate kept."""
    comments: bool = False
    """Keep comments below articles."""


class Justext(Config):
    """Settings of justext, which calls a block of a page text by its length, stop words and links.

    Those of Nemotron-CC, justext's own, are {stop_list: English, length_low: 70, length_high: 200,
    max_link_density: 0.2}.  Source: Pomikalek 2011, https://is.muni.cz/th/45523/fi_d/phdthesis.pdf
    """

    stop_list: Annotated[str | None, AfterValidator(_check_stop_list)] = None
    """Stop words by justext's name of the language; null asks for none, and no language is left out."""
    length_low: Annotated[int, Field(ge=0)] = 20
    """Characters below which a block is short, and text only beside text."""
    length_high: Annotated[int, Field(ge=0)] = 70
    """Characters above which a block is text by itself, given its stop words."""
    stopwords_low: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Least share of stop words of a block that may be text; not asked without a stop list."""
    stopwords_high: Annotated[float, Field(ge=0, le=1)] = 0.32
    """Least share of stop words of a block that is text."""
    max_link_density: Annotated[float, Field(ge=0, le=1)] = 0.4
    """Greatest share of a block's characters that are links."""


class Extracted(NamedTuple):
    """What an extractor makes of a page; text is null when the tree is too deep for it."""

    text: str | None
    title: str | None


Extractor = Callable[[str], Extracted]


def build_extractor(
    name: ExtractorName, max_depth: int | None, settings: Resiliparse | Trafilatura | Justext | None = None
) -> Extractor:
    """Return the extractor of that name, which refuses trees deeper than `max_depth` elements.

    `settings` are those of the extractor, null stands for the defaults.
    resiliparse's time grows with the square of the depth: 10,000 nested <div>s take 1.7 s, 100,000 take five minutes.
    Example: build_extractor("resiliparse", 512)("<title>T</title><p>hi") == Extracted("hi", "T")
    """
    from resiliparse.parse.html import HTMLTree

    if name == "resiliparse":
        main_text = _resiliparse(settings if isinstance(settings, Resiliparse) else Resiliparse())
    elif name == "trafilatura":
        main_text = _trafilatura(settings if isinstance(settings, Trafilatura) else Trafilatura())
    else:
        main_text = _justext(settings if isinstance(settings, Justext) else Justext())
    deeper = None if max_depth is None else " > ".join("*" * (max_depth + 1))

    def extract(page: str) -> Extracted:
        tree = HTMLTree.parse(page)
        document = tree.document
        if deeper and document is not None and document.query_selector(deeper) is not None:
            return Extracted(None, None)
        return Extracted(main_text(page, tree), tree.title)

    return extract


def _resiliparse(settings: Resiliparse) -> Callable[[str, Any], str]:
    from resiliparse.extract.html2text import extract_plain_text

    def main_text(page: str, tree: Any) -> str:
        return extract_plain_text(tree, main_content=True, alt_texts=settings.alt_texts, comments=settings.comments)

    return main_text


def _trafilatura(settings: Trafilatura) -> Callable[[str, Any], str]:
    import trafilatura

    # `deduplicate` would remember lines across documents. Without metadata the date finder, which reads the clock, is
    # off.
    options: dict[str, Any] = {
        "include_comments": settings.comments,
        "favor_precision": settings.favor == "precision",
        "favor_recall": settings.favor == "recall",
        "deduplicate": False,
        "with_metadata": False,
    }

    def main_text(page: str, tree: Any) -> str:
        return trafilatura.extract(page, **options) or ""

    return main_text


def _justext(settings: Justext) -> Callable[[str, Any], str]:
    import justext

    options = settings.model_dump(exclude={"stop_list"})
    if settings.stop_list is None:
        options |= {"stopwords_low": 0, "stopwords_high": 0}
    stop_words = frozenset() if settings.stop_list is None else justext.get_stoplist(settings.stop_list)

    def main_text(page: str, tree: Any) -> str:
        if tree.body is None or not (tree.body.text or "").strip():
            return ""  # lxml refuses pages without any element
        # The page is decoded: an encoding that it names would make lxml decode it once more.
        paragraphs = justext.justext(_XML_DECLARATION.sub("", page, count=1), stop_words, **options)
        return "\n".join(paragraph.text for paragraph in paragraphs if not paragraph.is_boilerplate)

    return main_text


_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*>")
