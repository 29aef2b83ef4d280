"""The texts that benchmarks run on: real pages and books where there are some, else those of the sample crawl.

Name folders in DATAPROC_BENCH_TEXTS, parted by ":": every .html file below them is read as `extract_text` reads a page
(main content by resiliparse), every .txt file is a document. The figures in the README are of 3,857 pages (the
development set of WCXB, ScrapingHub's article-extraction-benchmark, newspaper4k's test pages, and manuals in 31
languages) and 88 books (ELTeC in 13 languages, Project Gutenberg, Aozora Bunko, WikiText-2).
"""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.figures import sample_texts

FOLDERS = "DATAPROC_BENCH_TEXTS"
MAX_CHARS = 1_000_000
"""A document's length, as of a page of Common Crawl: books are cut at the first line that ends behind it."""


def bench_texts() -> tuple[pa.LargeStringArray, str]:
    """Return the texts, none empty, and a sentence that says where they are from."""
    named = os.environ.get(FOLDERS)
    if not named:
        return (
            sample_texts(),
            f"texts of the sample crawl; name folders of .html and .txt files in {FOLDERS} for others",
        )
    cache = Path("runs") / "bench-texts.parquet"
    if not cache.exists() or pq.read_schema(cache).metadata.get(b"folders") != named.encode():
        texts = _read([Path(folder) for folder in named.split(os.pathsep)])
        cache.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({"text": texts}, metadata={"folders": named}), cache)
    return pq.read_table(cache)["text"].combine_chunks(), f"main content of the pages, and the books, in {named}"


def _read(folders: list[Path]) -> pa.LargeStringArray:
    from dataproc.decoding import decode_page
    from dataproc.text import clean_text
    from stages.extract_text import ExtractText

    pages = [path.read_bytes() for folder in folders for path in sorted(folder.glob("**/*.html"))]
    batch = pa.RecordBatch.from_pydict(
        {
            "html": pa.array(pages, pa.large_binary()),
            "text": pa.nulls(len(pages), pa.large_string()),
            "charset": pa.nulls(len(pages), pa.string()),
        }
    )
    extracted = pc.drop_null(ExtractText().build()(batch)["text"])
    books = []
    for path in (path for folder in folders for path in sorted(folder.glob("**/*.txt"))):
        text = clean_text(decode_page(path.read_bytes(), None)[0])
        end = text.find("\n", MAX_CHARS)
        books.append(text if end < 0 else text[:end])
    texts = pa.concat_arrays([extracted, pa.array(books, pa.large_string())])
    return texts.filter(pc.greater(pc.binary_length(texts), 0))
