"""`dataproc explain RUN URL|DOC_ID`: one document's whole life, from its place in the crawl to its tokens.

A search reads the key column of documents/ and dropped/ only, and skips row groups by their statistics; everything
else is read for the documents found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from dataproc.errors import InputError
from dataproc.shards import read_description
from dataproc.storage import Folder
from dataproc.tables import part_name
from dataproc.tokens.reader import TokenReader
from dataproc.tokens.shards import shard_name
from jobs.funnel import read_recipe

DROPS = {"documents": "dropped/documents", "dedup": "dropped/dedup", "tokens": "dropped/tokens"}
EXCERPT_CHARS = 600
MAX_HOPS = 8

Row = dict[str, Any]


@dataclass
class Life:
    """What a run knows of one document; ids are hex."""

    doc_id: str
    url: str | None
    input: str
    position: int
    fate: str
    """kept, dropped, failed, or pending when the run has not got so far."""
    dropped: Row | None = None
    """step, reason, value and limit of the rule that dropped it."""
    signals: Row = field(default_factory=dict)
    """Every column of documents/ and scores/, the text left out."""
    text: str | None = None
    """Of documents/, or the excerpt that dropped/ has."""
    duplicate_of: list[Row] = field(default_factory=list)
    """The chain of documents kept in its stead, the last of which stays; each with doc_id, url and reason."""
    cluster_size: int | None = None
    """Documents that a kept one stands for."""
    edges: list[Row] = field(default_factory=list)
    """Verified pairs that it is in: other doc_id, true Jaccard, band and whether it links them."""
    bucket: str | None = None
    tokens: Row | None = None
    """bucket, shard, offset and length in tokens in that shard, and the text decoded from them."""


@dataclass
class Lives:
    """All documents that a key names: several may have one URL."""

    lives: list[Life]

    def to_json(self) -> str:
        """Return the lives as a JSON list."""
        return json.dumps([vars(life) for life in self.lives], indent=1, ensure_ascii=False)


def explain(folder: Folder, key: str) -> Lives:
    """Return what a run knows of the documents with this URL or doc_id (32 hex digits).

    Raises InputError when there is none, naming what was searched.
    """
    run = _RunReader(folder)
    column, value = ("doc_id", bytes.fromhex(key)) if re.fullmatch("[0-9a-f]{32}", key) else ("url", key)
    found = [run.life_of_document(part, row, document) for part, row, document in run.find("documents", column, value)]
    found += [run.life_of_dropped(row) for _, _, row in run.find("dropped/documents", column, value)]
    if not found:
        raise InputError(
            f"explain needs a document of this run, got no {column} {key} in the {run.num_parts} parts of"
            " documents/ and dropped/documents/. Copy a URL or doc_id from the report."
        )
    return Lives(sorted(found, key=lambda life: life.doc_id))


class _RunReader:
    """Finds rows of a run by key, and what sidecars say of a row."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        description = read_description(folder, "documents")
        if description is None:
            raise InputError(f"{folder.url} must hold a run, got no documents/. Give the OUT of `dataproc run`.")
        self.num_parts = int(description["parts"])

    def find(self, dataset: str, column: str, value: str | bytes) -> Iterator[tuple[int, int, Row]]:
        """Yield (part, row, values) of each row with this value."""
        for part in range(self.num_parts):
            if not self.folder.exists(part_name(dataset, part)):
                continue
            with self.folder.open(part_name(dataset, part)) as opened:
                file, start = pq.ParquetFile(opened), 0
                for number in range(file.num_row_groups):
                    rows = file.metadata.row_group(number).num_rows
                    if _may_hold(file, number, column, value):
                        keys = file.read_row_group(number, columns=[column])[column]
                        for row in pc.indices_nonzero(pc.fill_null(pc.equal(keys, pa.scalar(value, keys.type)), False)):
                            group = file.read_row_group(number)
                            yield part, start + row.as_py(), group.slice(row.as_py(), 1).to_pylist()[0]
                    start += rows

    def row(self, dataset: str, part: int, row: int) -> Row:
        """Return one row of a sidecar, empty when the part is not there yet."""
        if not self.folder.exists(part_name(dataset, part)):
            return {}
        with self.folder.open(part_name(dataset, part)) as opened:
            file = pq.ParquetFile(opened)
            for number in range(file.num_row_groups):
                rows = file.metadata.row_group(number).num_rows
                if row < rows:
                    values: Row = file.read_row_group(number).slice(row, 1).to_pylist()[0]
                    return values
                row -= rows
        return {}

    def life_of_dropped(self, row: Row) -> Life:
        """Return the life of a document that the documents step dropped or failed to read."""
        fate = "failed" if row["reason"].startswith("failed.") else "dropped"
        life = Life(row["doc_id"].hex(), row["url"], row["input"], row["position"], fate, text=row["text"])
        life.dropped = _drop("documents", row)
        return life

    def life_of_document(self, part: int, row: int, document: Row) -> Life:
        """Return the life of a document of documents/."""
        doc_id: bytes = document.pop("doc_id")
        life = Life(doc_id.hex(), document.pop("url"), document.pop("input"), document.pop("position"), "pending")
        life.text = document.pop("text")
        scores = self.row("scores", part, row)
        life.signals = {**document, **{name: value for name, value in scores.items() if name != "doc_id"}}
        dedup = self.row("dedup", part, row)
        life.cluster_size = dedup.get("cluster_size")
        life.edges = list(self._edges(doc_id))
        life.duplicate_of = list(self._keepers(dedup))
        life.bucket = self.row("buckets", part, row).get("bucket")
        for step in ("dedup", "tokens"):
            for _, _, dropped in self.find_in_part(DROPS[step], part, doc_id):
                life.fate, life.dropped = "dropped", _drop(step, dropped)
        if life.bucket is not None:
            life.fate = "kept"
            life.tokens = self._tokens(life.bucket, doc_id)
        return life

    def find_in_part(self, dataset: str, part: int, doc_id: bytes) -> Iterator[tuple[int, int, Row]]:
        """Yield the rows of one part with this doc_id."""
        if self.folder.exists(part_name(dataset, part)):
            with self.folder.open(part_name(dataset, part)) as opened:
                table = pq.read_table(opened, filters=[("doc_id", "=", doc_id)])
            for row in table.to_pylist():
                yield part, -1, row

    def _keepers(self, dedup: Row) -> Iterator[Row]:
        for _ in range(MAX_HOPS):
            keeper = dedup.get("duplicate_of")
            if keeper is None:
                return
            part, row, document = next(self.find("documents", "doc_id", keeper))
            yield {"doc_id": keeper.hex(), "url": document["url"], "reason": dedup["dedup_reason"]}
            dedup = self.row("dedup", part, row)

    def _edges(self, doc_id: bytes) -> Iterator[Row]:
        """Yield the verified pairs of a document, from the evidence that dedup keeps."""
        minhash = read_recipe(self.folder).dedup.minhash
        for name in self.folder.files("dedup"):
            if minhash is not None and re.fullmatch(r"dedup/round-\d+/edges/part-\d+\.parquet", name):
                with self.folder.open(name) as opened:
                    either = (pc.field("a") == doc_id) | (pc.field("doc_id") == doc_id)
                    table = pq.read_table(opened, filters=either & pc.field("first"))
                for row in table.to_pylist():
                    other = row["doc_id"] if row["a"] == doc_id else row["a"]
                    linked = row["jaccard"] >= minhash.min_jaccard
                    yield {"doc_id": other.hex(), "jaccard": row["jaccard"], "band": row["band"], "linked": linked}

    def _tokens(self, bucket: str, doc_id: bytes) -> Row | None:
        """Return where a document's tokens are, and the text that they decode to.

        None before the tokens step is done.
        """
        if not self.folder.exists(f"tokens/{bucket}/manifest.json"):
            return None
        reader = TokenReader(Folder(f"{self.folder.url}/tokens/{bucket}"))
        number = reader.find(doc_id)
        if number is None:
            raise InputError(
                f"tokens/{bucket} must hold doc_id {doc_id.hex()}, got no such row. Run `dataproc verify`."
            )
        (place,) = reader.document_table(pa.array([number]).to_numpy()).to_pylist()
        ids = reader.read(place["start"], place["stop"])
        tokenizer = read_recipe(self.folder).tokens.tokenizer.load()
        first = 0
        for shard in reader.manifest.shards:
            if place["start"] < first + shard.tokens:
                break
            first += shard.tokens
        special = {reader.manifest.tokenizer.eos_id, reader.manifest.tokenizer.bos_id}
        return {
            "bucket": bucket,
            "shard": shard_name(shard.index),
            "offset": place["start"] - first,
            "length": place["stop"] - place["start"],
            "decoded": tokenizer.decode([one for one in ids.tolist() if one not in special]),
        }


def _may_hold(file: pq.ParquetFile, group: int, column: str, value: str | bytes) -> bool:
    index = file.schema_arrow.get_field_index(column)
    statistics = file.metadata.row_group(group).column(index).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min <= value <= statistics.max)


def _drop(step: str, row: Row) -> Row:
    return {"step": step, "reason": row["reason"], "value": row["value"], "limit": row["limit"]}


def render(found: Lives) -> RenderableType:
    """Return the lives for a terminal, one panel each."""
    return Group(*(_panel(life) for life in found.lives))


def _panel(life: Life) -> Panel:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")

    def add(name: str, value: object) -> None:
        table.add_row(name, Text(str(value)))

    add("url", life.url or "none")
    add("where", f"{life.input} at {life.position}")
    add("fate", _fate(life))
    for keeper in life.duplicate_of:
        add("duplicate of", f"{keeper['doc_id']} {keeper['url'] or ''} ({keeper['reason']})")
    if life.cluster_size is not None and life.cluster_size > 1:
        add("stands for", f"{life.cluster_size} documents")
    for edge in life.edges:
        add("pair", f"{edge['doc_id']} Jaccard {edge['jaccard']:.4f}, {'linked' if edge['linked'] else 'too unlike'}")
    for name, value in life.signals.items():
        if value is not None:
            add(name, f"{value:g}" if isinstance(value, float) else value)
    if life.tokens is not None:
        tokens = life.tokens
        stop = tokens["offset"] + tokens["length"]
        add("tokens", f"tokens/{tokens['bucket']}/{tokens['shard']}.bin [{tokens['offset']}, {stop})")
    if life.text:
        add("text", life.text[:EXCERPT_CHARS] + ("..." if len(life.text) > EXCERPT_CHARS else ""))
    return Panel(table, title=life.doc_id, title_align="left")


def _fate(life: Life) -> str:
    if life.dropped is None:
        return f"kept, bucket {life.bucket}" if life.bucket else life.fate
    drop = life.dropped
    measured = f": value {drop['value']:g}" if drop["value"] is not None else ""
    limit = f", limit {drop['limit']:g}" if drop["limit"] is not None else ""
    return f"{life.fate} at {drop['step']} by {drop['reason']}{measured}{limit}"
