"""`dataproc explain RUN URL|DOC_ID`: find the documents that a key names, and tell the life of each.

Texts and URLs come from strangers, so what a terminal could obey is shown as an escape.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from dataproc.errors import InputError
from dataproc.shards import read_description
from dataproc.storage import Folder
from jobs.funnel import measured, number
from jobs.lives import Life, LifeReader
from jobs.lookup import DROPPED, Row, find_rows, parts_done

SHOWN_CHARS = 800
SHOWN_ROWS = 12
CUT_CHARS = 80

_CONTROLS = [*range(0x00, 0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0)]
_BIDI = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in (*_CONTROLS, *_BIDI)}
_JSON_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), *_BIDI)}


def _visible(text: str) -> str:
    """Return the text with controls, and marks that turn the direction of writing, as escapes."""
    return text.translate(_ESCAPES)


@dataclass(frozen=True)
class Lives:
    """All documents that a key names: several may have one URL."""

    lives: list[Life]

    def to_json(self) -> str:
        """Return the lives as a JSON list, with everything escaped that a terminal could obey."""
        return json.dumps([asdict(life) for life in self.lives], indent=1, ensure_ascii=False).translate(_JSON_ESCAPES)


def explain(folder: Folder, key: str) -> Lives:
    """Return what a run knows of the documents with this URL (exactly as captured) or doc_id (32 hex digits).

    Raises InputError when the folder holds no run or no such document, saying what was searched; ShardError when a part
    is damaged.
    """
    description = read_description(folder, "documents")
    if description is None:
        raise InputError(f"{folder.url} must hold a run, got no manifests/documents. Give the OUT of `dataproc run`.")
    is_id = re.fullmatch("[0-9a-fA-F]{32}", key) is not None
    column, value = ("doc_id", bytes.fromhex(key)) if is_id else ("url", key)
    parts = parts_done(folder, "documents")
    reader = LifeReader(folder)
    lives = [
        reader.life(dataset, part, row)
        for dataset in ("documents", DROPPED["documents"])
        for part, row in find_rows(folder, dataset, parts, column, [value])
    ]
    if not lives:
        raise InputError(
            f"explain needs a document of this run, got {column} {_visible(key)}, which is in none of the {len(parts)}"
            f" parts done (of {description['parts']}) of documents/ and dropped/documents/. A URL must be exactly as"
            " captured; copy one, or a doc_id, from the report."
        )
    return Lives(sorted(lives, key=lambda life: life.doc_id))


def render(found: Lives) -> RenderableType:
    """Return the lives for a terminal, one after another."""
    several = [Text(f"{len(found.lives)} documents have this URL.")] if len(found.lives) > 1 else []
    return Group(*several, *(part for life in found.lives for part in (Rule(Text(life.doc_id)), _table(life))))


def _table(life: Life) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for section, lines in _sections(life):
        for index, line in enumerate(lines):
            table.add_row("" if index else section, line)
    return table


def _sections(life: Life) -> Iterator[tuple[str, list[Text | Table]]]:
    """Yield each section that has something to say."""
    stop = f" to {life.position + life.length}" if life.length and life.length > 0 else ""
    yield "url", [_line(life.url or "none")]
    yield "input", [_line(f"{life.input}, position {life.position}{stop}")]
    yield "row", [_line(f"{life.row} of {life.file}")]
    yield life.fate, [Text(_visible(_fate(life)), style="green" if life.fate == "kept" else "red")]
    if life.passed:
        yield "passed", [_line(", ".join(life.passed))]
    if life.flags:
        yield "flags", [_line(", ".join(life.flags))]
    if life.bypassed:
        yield "bypassed", [_line(f"its score outweighs {life.bypassed}")]
    if life.duplicate_of:
        yield (
            "kept instead",
            [_line(f"{one['doc_id']} {one['url'] or ''} ({one['reason']}{_run(one)})") for one in life.duplicate_of],
        )
    yield from _dedup_sections(life)
    for step in dict.fromkeys(cut["step"] for cut in life.cuts):
        cuts = [cut for cut in life.cuts if cut["step"] == step]
        spans = [_line(f"{cut['start']} to {cut['end']}: {_first(cut['text'].strip())}") for cut in cuts]
        size = sum(len(cut["text"]) for cut in cuts) / max(1, len(life.text or ""))
        yield f"{step} cut", [_line(f"{size:.1%} of its characters, bytes of the text:"), *_some(spans)]
    if life.signals:
        yield "signals", [_columns(life.signals)]
    if life.scores:
        yield "scores", [_columns(life.scores)]
    if life.tokens is not None:
        tokens = life.tokens
        where = f"{tokens['file']}, tokens {tokens['offset']} to {tokens['offset'] + tokens['length']}"
        what = "the text without the cuts" if life.cuts else "the text"
        same = f"they decode to {what}" if tokens["is_the_text"] else f"THEY DO NOT DECODE TO {what.upper()}"
        yield "tokens", [_line(f"{where} ({tokens['length']}); by {tokens['tokenizer']} {same}")]
    text = life.text if life.tokens is None else life.tokens["decoded"]
    if text:
        more = f" ... {len(text) - SHOWN_CHARS:,} more characters" if len(text) > SHOWN_CHARS else ""
        yield "decoded" if life.tokens else "text", [_line(text[:SHOWN_CHARS] + more)]


def _first(text: str) -> str:
    return text if len(text) <= CUT_CHARS else f"{text[:CUT_CHARS]} ..."


def _dedup_sections(life: Life) -> Iterator[tuple[str, list[Text | Table]]]:
    if life.links:
        yield "linked by", [_line(f"{one['a']} - {one['b']}, {_jaccard(one)}") for one in life.links]
    if life.cluster:
        size = f"{life.cluster_size} documents, this one and:"
        lines = [
            _line(f"{one['doc_id']} {one['url'] or ''} ({one['reason'] or 'kept'}{_run(one)})") for one in life.cluster
        ]
        yield "cluster", [_line(size), *_some(lines)]
    if life.pairs:
        lines = [
            _line(f"{one['doc_id']} {_jaccard(one)}, {'linked' if one['linked'] else 'not alike enough'}")
            for one in life.pairs
        ]
        yield "compared", _some(lines)


def _run(document: Row) -> str:
    return f", in {document['run']}" if "run" in document else ""


def _jaccard(pair: Row) -> str:
    return "Jaccard not measured" if pair["jaccard"] is None else f"Jaccard {pair['jaccard']:.4f}"


def _some(lines: Sequence[Text]) -> list[Text | Table]:
    more = [_line(f"and {len(lines) - SHOWN_ROWS} more with --json")] if len(lines) > SHOWN_ROWS else []
    return [*lines[:SHOWN_ROWS], *more]


def _fate(life: Life) -> str:
    if life.dropped is None:
        return f"in bucket {life.bucket}" if life.bucket else "the run has not come to it yet"
    return f"at {life.dropped['step']} by {life.dropped['reason']}{measured(life.dropped, ': ')}"


def _columns(values: Row) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(name, _line(_short(value)))
    return table


def _short(value: Any) -> str:
    return "none" if value is None else number(value) if isinstance(value, float) else str(value)


def _line(text: str) -> Text:
    return Text(_visible(text))
