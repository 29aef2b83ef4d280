"""Text and title of each page: decoding, then one of the extractors.

Limits count bytes, tags and depth, never time, so that the same pages are dropped on every machine. They bound the
pages on which parsers take minutes or gigabytes; on 3,917 real pages the largest counts were 9,090 tags, 185
attributes in a tag, 1,854 options, 25 unclosed elements, 5,559 reopened ones and, on 1,447 of them, a depth of 41.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import PositiveInt

from dataproc.stage import Contract, Drops, Stage, Transform
from dataproc.text import clean_text
from stages.extractors import LIBRARIES, Extractor, ExtractorName, Justext, Resiliparse, Trafilatura, build_extractor


class ExtractText(Stage):
    """Write the main text, the title and the encoding of each page; text inputs keep their text."""

    extractor: ExtractorName = "resiliparse"
    """`resiliparse` (fast), `trafilatura` (better on articles, nine times slower) or `justext`."""
    resiliparse: Resiliparse = Resiliparse()
    """Settings of the extractor `resiliparse`: alt_texts, comments."""
    trafilatura: Trafilatura = Trafilatura()
    """Settings of the extractor `trafilatura`: favor (precision, balance or recall), comments."""
    justext: Justext = Justext()
    """Settings of the extractor `justext`: stop_list, length_low, length_high, stopwords_low, stopwords_high,
    max_link_density; see `stages/extractors.py`."""
    max_html_bytes: PositiveInt | None = 10 << 20
    """Most bytes of a page; Common Crawl stores 1 MiB (5 MiB since 2025)."""
    max_tags: PositiveInt | None = 300_000
    """Most start tags of a page."""
    max_attributes: PositiveInt | None = 1_000
    """Most attributes of one tag; parsers compare each with the others."""
    max_siblings: PositiveInt | None = 10_000
    """Most <option>s and parts of <ruby>s of a page; each costs as many steps as stand before it."""
    max_unclosed: PositiveInt | None = 500
    """Most formatting elements open at once (<b>, <font>)."""
    max_reopened: PositiveInt | None = 200_000
    """Most formatting elements that a parser may have to open again: for each start tag those open at it, added up.
    490 of them in 400 paragraphs take 2 s and 100 MB, in 8,000 paragraphs 24 s and 1.7 GB."""
    max_depth: PositiveInt | None = 512
    """Greatest depth of the tree in elements, as in Chrome."""
    min_chars: PositiveInt | None = 1
    """Least characters of text, white space around it left out; null keeps documents without text."""

    def contract(self) -> Contract:
        """Return what it reads and writes; see `Stage`."""
        limits = (*_BEFORE_PARSING, "max_depth", "min_chars")
        return Contract(
            reads=("html", "text", "charset"),
            writes={"text": pa.large_string(), "title": pa.string(), "encoding": pa.string()},
            rules=(*(rule for rule in limits if getattr(self, rule) is not None), "extractor_error"),
            libraries=LIBRARIES[self.extractor],
        )

    def build(self) -> Transform:
        """Load the extractor and return `extract_text`."""
        return partial(
            extract_text,
            extractor=build_extractor(self.extractor, self.max_depth, getattr(self, self.extractor)),
            config=self,
        )


_BEFORE_PARSING = ("max_html_bytes", "max_tags", "max_attributes", "max_siblings", "max_unclosed", "max_reopened")
MAX_TITLE_CHARS = 1_000  # an unclosed <title> runs on to the end of the page


class _Page(NamedTuple):
    """What became of one row; `rule` is the one it breaks."""

    text: str | None = None
    title: str | None = None
    encoding: str | None = None
    rule: str | None = None
    value: float = np.nan


def extract_text(batch: pa.RecordBatch, extractor: Extractor, config: ExtractText) -> pa.RecordBatch:
    r"""Write text (under the contract of `dataproc.text`), title and encoding, and mark rows that break a rule.

    batch: N rows, needs html (large_binary), text (large_string) and charset (string). Rows without html keep their
    text; their title and encoding (a Python codec) are null. drop_value is the count over or under the limit; it is
    null for max_depth, where the tree is not measured beyond the limit, and for `extractor_error`, an exception of
    the extractor.
    Example: b"<title>T</title><p>caf\xe9" with charset latin1 -> text "caf\u00e9", title "T", encoding "cp1252".
    """
    pages = [
        _Page(text.as_py()) if not html.is_valid else _read(html.as_py(), charset.as_py(), extractor, config)
        for html, text, charset in zip(batch["html"], batch["text"], batch["charset"], strict=True)
    ]
    text = pa.array([page.text for page in pages], pa.large_string())
    drops = Drops(batch)
    rules = np.array([page.rule or "" for page in pages])
    values = np.array([page.value for page in pages], dtype=np.float64)
    for rule in (*_BEFORE_PARSING, "max_depth", "extractor_error"):
        drops.where(rule, rules == rule, values, getattr(config, rule, None) or np.nan)
    num_chars = pc.fill_null(pc.utf8_length(pc.utf8_trim_whitespace(text)), 0)
    drops.below("min_chars", num_chars, config.min_chars)
    return drops.mark(
        {
            "text": text,
            "title": pa.array([page.title for page in pages], pa.string()),
            "encoding": pa.array([page.encoding for page in pages], pa.string()),
        }
    )


def _read(html: bytes, charset: str | None, extractor: Extractor, config: ExtractText) -> _Page:
    """Decode a page, hold its shape to the limits, and extract its text."""
    from dataproc.decoding import decode_page
    from dataproc.kernels.html_shape import html_shape

    if config.max_html_bytes is not None and len(html) > config.max_html_bytes:
        return _Page(rule="max_html_bytes", value=len(html))
    page, encoding = decode_page(html, charset)
    shape = html_shape(html if encoding == "utf-8" else page.encode())
    for name, count in shape._asdict().items():
        limit = getattr(config, f"max_{name}")
        if limit is not None and count > limit:
            return _Page(encoding=encoding, rule=f"max_{name}", value=count)
    try:
        text, title = extractor(page)
    except Exception:  # the fault of a parser that is not ours costs one page, counted, and not the unit
        return _Page(encoding=encoding, rule="extractor_error")
    if text is None:
        return _Page(encoding=encoding, rule="max_depth")
    title = " ".join(clean_text(title or "").split())[:MAX_TITLE_CHARS]
    return _Page(clean_text(text).strip(), title or None, encoding)
