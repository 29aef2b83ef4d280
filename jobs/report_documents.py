"""The documents that a report shows: picked by the hash of their id, so always the same ones, from few parts.

For each reason, and for what was kept, only the parts are read that the funnel names (at most step_flow.EXAMPLE_PARTS,
picked by hash): their key columns first, then the rows picked. So memory and time do not grow with the crawl.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.cuts import cut_text
from dataproc.ids import hash_int64
from dataproc.storage import Folder
from dataproc.tables import read_aligned, read_part
from jobs.cuts import CUTTING
from jobs.funnel import Funnel, measured, number
from jobs.lookup import DROPPED, Row, find_rows, read_rows

DROPPED_SHOWN = 5
KEPT_SHOWN = 16
CLUSTERS_SHOWN = 8
EXCERPT_CHARS = 400
KEPT_SIGNALS = ("language", "language_score", "num_words")

Picked = tuple[int, int, int]
"""(what to sort by, part, row)."""


@dataclass(frozen=True)
class Shown:
    """A document to read; `facts` are short sentences about it."""

    doc_id: str
    url: str | None
    where: str
    facts: tuple[str, ...]
    text: str | None


def pick_dropped(folder: Folder, funnel: Funnel) -> dict[tuple[str, str], list[Shown]]:
    """Return up to DROPPED_SHOWN documents of each (step, reason) that dropped some."""
    shown: dict[tuple[str, str], list[Shown]] = {}
    for step in funnel.steps:
        wanted: dict[int, list[str]] = {}
        for stage in step.stages:
            for rule in stage.rules:
                for part in rule.parts:
                    wanted.setdefault(part, []).append(f"{stage.name}.{rule.name}")
        picked: dict[str, list[Picked]] = {}
        for part, reasons in sorted(wanted.items()):
            keys = _keys(folder, DROPPED[step.name], part, "reason")
            for reason in reasons:
                more = _least(keys, reason, part, DROPPED_SHOWN)
                picked[reason] = sorted([*picked.get(reason, []), *more])[:DROPPED_SHOWN]
        for reason, places in picked.items():
            rows = zip(places, _rows(folder, DROPPED[step.name], places), strict=True)
            shown[step.name, reason] = [_dropped(folder, step.name, part, row) for (_, part, _), row in rows]
    return shown


def _keys(folder: Folder, dataset: str, part: int, column: str) -> pa.Table:
    """Return doc_id and one more column of a part."""
    schema = pa.schema([("doc_id", pa.binary()), (column, pa.string())])
    return pa.Table.from_batches(read_part(folder, dataset, part, schema.names), schema)


def _least(keys: pa.Table, value: str, part: int, count: int) -> list[Picked]:
    """Return the rows of least hash among those whose second column is `value`."""
    rows = np.flatnonzero(pc.fill_null(pc.equal(keys.column(1), value), False).to_numpy())
    hashes = _hashes(keys["doc_id"])[rows]
    least = np.argsort(hashes, kind="stable")[:count]
    return [(int(hashes[index]), part, int(rows[index])) for index in least]


def _hashes(ids: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """Return a hash of each doc_id; not the id itself, by which every tie in a run is broken already."""
    return hash_int64(np.frombuffer(b"".join(ids.to_pylist()), np.int64)[::2])


def _rows(folder: Folder, dataset: str, places: Sequence[Picked], columns: Sequence[str] | None = None) -> list[Row]:
    """Return the rows at the places, in order; each part is opened once."""
    found: dict[tuple[int, int], Row] = {}
    for part in {part for _, part, _ in places}:
        rows = [row for _, other, row in places if other == part]
        values = read_rows(folder, dataset, part, rows, columns)
        found.update({(part, row): value for row, value in zip(rows, values, strict=True)})
    return [found[part, row] for _, part, row in places]


def _dropped(folder: Folder, step: str, part: int, row: Row) -> Shown:
    facts = [measured(row)]
    if step == "dedup":
        ((_, at),) = find_rows(folder, "dedup", [part], "doc_id", [row["doc_id"]])
        (decided,) = read_rows(folder, "dedup", part, [at], ["duplicate_of"])
        facts = [f"kept instead: {decided['duplicate_of'].hex()}"]
    return shown_row(row, facts)


def shown_row(row: Row, facts: Iterable[str]) -> Shown:
    """Return a row of documents/ or dropped/ as it is shown, its text cut to EXCERPT_CHARS."""
    text = row["text"]
    return Shown(
        doc_id=row["doc_id"].hex(),
        url=row["url"],
        where=f"{row['input']} at {row['position']:,}",
        facts=tuple(fact for fact in facts if fact),
        text=None if text is None else text[:EXCERPT_CHARS] + ("..." if len(text) > EXCERPT_CHARS else ""),
    )


def pick_kept(folder: Folder, funnel: Funnel) -> list[Shown]:
    """Return up to KEPT_SHOWN documents in turn from each bucket, largest first; none before the policy has decided."""
    order = [bucket.name for bucket in funnel.buckets]
    picked: dict[str, list[Picked]] = {bucket: [] for bucket in order}
    for part in _kept_parts(funnel):
        keys = _keys(folder, "buckets", part, "bucket")
        for bucket in pc.unique(keys["bucket"].drop_null()).to_pylist():
            picked[bucket] = sorted([*picked[bucket], *_least(keys, bucket, part, KEPT_SHOWN)])[:KEPT_SHOWN]
    turns = sorted((turn, order.index(bucket), place) for bucket in order for turn, place in enumerate(picked[bucket]))
    places = [place for _, _, place in turns[:KEPT_SHOWN]]
    cut = [step.name for step in funnel.steps if step.name in CUTTING][-1:]
    datasets = [_rows(folder, dataset, places) for dataset in ("documents", "buckets", "scores", *cut)]
    return [_kept(*rows) for rows in zip(*datasets, strict=True)]


def _kept_parts(funnel: Funnel) -> tuple[int, ...]:
    return next((step.kept_parts for step in funnel.steps if step.name == "buckets"), ())


def _kept(document: Row, bucket: Row, scores: Row, cuts: Row | None = None) -> Shown:
    """Return a kept document with the text that is trained on."""
    values = {**{name: document.get(name) for name in KEPT_SIGNALS}, **scores}
    if cuts and cuts["cuts"]:
        left = cut_text(document["text"], cuts["cuts"])
        values |= {"cuts": len(cuts["cuts"]), "cut_chars": 1 - len(left) / len(document["text"])}
        document = {**document, "text": left}
    facts = [
        f"{name} {number(value) if isinstance(value, float) else value}"
        for name, value in values.items()
        if name != "doc_id" and value is not None
    ]
    return shown_row(document, [bucket["bucket"], *facts])


def count_languages(folder: Folder, funnel: Funnel) -> tuple[list[tuple[str, int]], int]:
    """Return the languages of the documents kept in the parts read, most first, and the number of these parts."""
    counts: Counter[str] = Counter()
    for part in _kept_parts(funnel):
        for batch in read_aligned(folder, part, {"documents": ["doc_id", "language"], "buckets": ["bucket"]}):
            counts.update(batch["language"].filter(pc.is_valid(batch["bucket"])).fill_null("unknown").to_pylist())
    return counts.most_common(), len(_kept_parts(funnel))


def largest_clusters(folder: Folder, funnel: Funnel) -> list[Row]:
    """Return the kept documents of the parts read that stand for most others: doc_id, url, cluster_size."""
    found: list[Picked] = []
    for part in _kept_parts(funnel):
        batches = [batch["cluster_size"] for batch in read_part(folder, "dedup", part, ["cluster_size"])]
        sizes = pa.chunked_array(batches, pa.int64()).fill_null(0).to_numpy()  # null for dropped ones
        largest = np.argsort(-sizes, kind="stable")[:CLUSTERS_SHOWN].tolist()
        found += [(-int(sizes[row]), part, row) for row in largest if sizes[row] > 1]
    places = sorted(found)[:CLUSTERS_SHOWN]
    documents = _rows(folder, "documents", places, ["doc_id", "url"])
    return [
        {"doc_id": document["doc_id"].hex(), "url": document["url"], "size": -size}
        for (size, _, _), document in zip(places, documents, strict=True)
    ]
