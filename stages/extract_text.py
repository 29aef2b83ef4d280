"""HTML to plain text: charset, main content, and limits that keep a hostile page from taking the process with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Literal

import pyarrow as pa
from pydantic import Field

from dataproc.stage import Contract, Drops, Stage, Transform
from dataproc.text import clean_text

Extractor = Callable[[str], str]

_TAG = re.compile(rb"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_VOID = frozenset(b"area base br col embed hr img input link meta param source track wbr p li td tr th option".split())


class ExtractText(Stage):
    """Write `text`, the main content of each page; text inputs pass as they are."""

    extractor: Literal["resiliparse", "trafilatura"] = "resiliparse"
    """Which library finds the main content."""
    min_chars: int = Field(1, ge=0)
    """Fewest characters kept."""
    max_html_bytes: int | None = Field(10 << 20, gt=0)
    """Larger pages are dropped unread."""
    max_depth: int | None = Field(2_000, gt=0)
    """Deeper nesting is dropped unread: extractors recurse."""

    def contract(self) -> Contract:
        """Read the capture, write text."""
        libraries = {"resiliparse": ("resiliparse",), "trafilatura": ("trafilatura", "resiliparse")}
        return Contract(
            reads=("html", "text", "charset"),
            writes={"text": pa.large_string()},
            rules=tuple(rule for rule in ("max_html_bytes", "max_depth", "min_chars") if getattr(self, rule)),
            libraries=libraries[self.extractor],
        )

    def build(self) -> Transform:
        """Import the extractor and return the function."""
        extractors = {"resiliparse": _resiliparse, "trafilatura": _trafilatura}
        return partial(extract_text, extract=extractors[self.extractor](), config=self)


def extract_text(batch: pa.RecordBatch, extract: Extractor, config: ExtractText) -> pa.RecordBatch:
    """Add `text` (large_string) from `html`, decoded by BOM, `charset`, meta, then detection.

    Example: b"<html><body><main><p>Hello world</p></main></body></html>" -> "Hello world".
    """
    texts, sizes, depths = [], [], []
    rows = zip(batch["html"], batch["text"].to_pylist(), batch["charset"].to_pylist(), strict=True)
    for html, given, charset in rows:
        if not html.is_valid:
            texts.append(given or "")
            sizes.append(0)
            depths.append(0)
            continue
        body = html.as_py()
        sizes.append(len(body))
        fits = config.max_html_bytes is None or len(body) <= config.max_html_bytes
        depths.append(_depth(body) if fits else 0)
        shallow = config.max_depth is None or depths[-1] <= config.max_depth
        texts.append(clean_text(extract(_decode(body, charset))).strip() if fits and shallow else "")
    drops = Drops(batch)
    drops.above("max_html_bytes", sizes, config.max_html_bytes)
    drops.above("max_depth", depths, config.max_depth)
    drops.below("min_chars", [len(text) for text in texts], config.min_chars)
    return drops.mark({"text": pa.array(texts, pa.large_string())})


def _depth(html: bytes) -> int:
    """Return an upper bound of the nesting that a parser builds: open minus closed tags, void ones left out."""
    depth = deepest = 0
    for match in _TAG.finditer(html):
        if match[2].lower() in _VOID:
            continue
        depth = max(0, depth - 1) if match[1] else depth + 1
        deepest = max(deepest, depth)
    return deepest


def _decode(body: bytes, charset: str | None) -> str:
    """Return the page as text; never raises: what does not fit the encoding becomes U+FFFD."""
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding, map_encoding_to_html5

    encoding = map_encoding_to_html5(charset, fallback_utf8=False) if charset else None
    return str(
        bytes_to_str(body, encoding or detect_encoding(body, html5_compatible=True, from_html_meta=True) or "utf-8")
    )


def _resiliparse() -> Extractor:
    from resiliparse.extract.html2text import extract_plain_text

    return partial(extract_plain_text, main_content=True)


def _trafilatura() -> Extractor:
    from trafilatura import extract

    def run(html: str) -> str:
        # Its duplicate cache spans documents, so the result would depend on their order.
        return extract(html, deduplicate=False, with_metadata=False, include_comments=False) or ""

    return run
