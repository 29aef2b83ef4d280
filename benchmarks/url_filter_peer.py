"""Runs datatrove's URL filter with our domains and words; called by benchmarks/url_filter.py in the peers' virtualenv.

Arguments: a file of domains, a file of URLs, the folder of block lists. Prints as JSON the seconds that filtering takes
once the lists are loaded, and the number of URLs kept.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.filters import URLFilter

domains, urls, lists = map(Path, sys.argv[1:])


def _words(name: str) -> list[str]:
    return [line for line in (lists / name).read_text().splitlines() if line and not line.startswith("#")]


with domains.open() as lines:
    judge = URLFilter(
        extra_domains=lines,
        banned_words=_words("refinedweb_hard.txt"),
        soft_banned_words=_words("refinedweb_soft.txt"),
        banned_subwords=_words("refinedweb_strict.txt"),
        use_integrated_lists=False,
    )
documents = [Document(text="", id="", metadata={"url": url}) for url in urls.read_text().splitlines()]
judge.filter(documents[0])
started = time.perf_counter()
kept = sum(judge.filter(document) is True for document in documents)
print(json.dumps({"seconds": time.perf_counter() - started, "kept": kept}))
