"""Runs in the virtualenv of the peers: datatrove's four filters of the FineWeb recipe over given texts.

Usage: python peer_datatrove.py IN.json OUT.json. IN holds `texts`, and for the oracle `words` (of each text, in place
of datatrove's) and `sentences` (of each line, their number). OUT holds, for each filter and for the four as one chain,
the CPU seconds and why each text is dropped (null: kept); and the same reasons with the words and sentences given.
Gopher's rule of letters in words goes by what is a token more than any other: it is a filter of its own.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    c4_filters,
    fineweb_quality_filter,
    gopher_quality_filter,
    gopher_repetition_filter,
)

LETTERS_ONLY = {
    **{f"{bound}_{what}": None for bound in ("min", "max") for what in ("doc_words", "avg_word_length")},
    **dict.fromkeys(["max_symbol_word_ratio", "max_bullet_lines_ratio", "max_ellipsis_lines_ratio", "min_stop_words"]),
}


def main(read: str, write: str) -> None:
    with open(read, encoding="utf-8") as file:
        given = json.load(file)
    texts = given["texts"]
    filters = {
        "gopher_repetition": GopherRepetitionFilter(),
        "gopher_quality": GopherQualityFilter(max_non_alpha_words_ratio=None),
        "letter rule": GopherQualityFilter(**LETTERS_ONLY),
        "c4": C4QualityFilter(filter_no_terminal_punct=False),
        "fineweb_quality": FineWebQualityFilter(),
    }
    chain = [filters["gopher_repetition"], GopherQualityFilter(), filters["c4"], filters["fineweb_quality"]]
    for step in chain:
        step.filter(Document(text="Tokenizers load. " * 50, id="0"))
    reasons, seconds = {}, {}
    for name, steps in {**{name: [step] for name, step in filters.items()}, "chain": chain}.items():
        started = time.process_time()
        reasons[name] = [reason(steps, text) for text in texts]
        seconds[name] = time.process_time() - started
    words = dict(zip(texts, given["words"], strict=True))
    modules: list[Any] = [gopher_repetition_filter, gopher_quality_filter, fineweb_quality_filter]
    for module in modules:
        module.split_into_words = lambda text, language: words[text]
    c4: Any = c4_filters
    c4.split_into_sentences = lambda line, language: range(given["sentences"].get(line.strip(), 0))
    oracle = {name: [reason([filters[name]], text) for text in texts] for name in filters}
    with open(write, "w", encoding="utf-8") as file:
        json.dump({"seconds": seconds, "reasons": reasons, "oracle": oracle}, file)


def reason(steps: list[Any], text: str) -> str | None:
    document = Document(text=text, id="0")
    for step in steps:
        kept = step.filter(document)
        if kept is not True:
            return str(kept[1])
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
