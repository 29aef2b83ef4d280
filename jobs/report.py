"""report/index.html: the funnel, why documents were dropped, what the stages cost, and documents to read, in one file.

Figures come from the manifests. Documents shown come from a bounded number of parts, chosen by hash, and within these
are the ones with the least doc_id, which is as good as random and always the same. Pages are hostile: everything is
escaped.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pyarrow.compute as pc

from dataproc.storage import Folder
from dataproc.tables import read_aligned, read_part
from jobs.funnel import Funnel, read_funnel, read_record, share

DROPPED = {"documents": "dropped/documents", "dedup": "dropped/dedup", "buckets": "dropped/tokens"}
"""Where each step puts what it drops."""

DROPPED_SHOWN = 5
KEPT_SHOWN = 15
EXCERPT_CHARS = 400
LANGUAGE_PARTS = 64


@dataclass(frozen=True)
class Shown:
    """A document to read in the report."""

    doc_id: str
    url: str
    text: str
    notes: str


def write_report(folder: Folder) -> None:
    """Write report/index.html of a run, finished or not. Raises InputError when the folder holds no run."""
    funnel = read_funnel(folder)
    languages, parts = _languages(folder, funnel)
    template = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    ).get_template("report_template.html")
    html = template.render(
        record=read_record(folder),
        run=folder.url,
        funnel=funnel,
        reasons=sorted(_reasons(folder, funnel), key=lambda reason: -reason["dropped"]),
        stages=list(_stages(funnel)),
        languages=languages,
        language_parts=parts,
        kept=list(_kept(folder, funnel)),
        share=share,
    )
    folder.write_text("report/index.html", html)


def _reasons(folder: Folder, funnel: Funnel) -> Iterator[dict[str, Any]]:
    """Yield each reason that dropped something, with examples."""
    for step, stage, rule in funnel.rules():
        if rule.dropped:
            reason = f"{stage.name}.{rule.name}"
            rows = _dropped_rows(folder, step.name, reason, rule.parts)
            shown = [_dropped(row) for row in heapq.nsmallest(DROPPED_SHOWN, rows, key=lambda row: row["doc_id"])]
            yield {"name": reason, "step": step.name, "dropped": rule.dropped, "of_all": funnel.rows_in, "shown": shown}


def _dropped_rows(folder: Folder, step: str, reason: str, parts: Iterable[int]) -> Iterator[dict[str, Any]]:
    for part in parts:
        for batch in read_part(folder, DROPPED[step], part):
            yield from batch.filter(pc.equal(batch["reason"], reason)).to_pylist()


def _dropped(row: dict[str, Any]) -> Shown:
    measured = [f"{name} {row[name]:g}" for name in ("value", "limit") if row[name] is not None]
    where = row["url"] or f"{row['input']} at {row['position']}"
    return Shown(row["doc_id"].hex(), where, (row["text"] or "")[:EXCERPT_CHARS], ", ".join(measured))


def _stages(funnel: Funnel) -> Iterator[dict[str, Any]]:
    for step in funnel.steps:
        for stage in step.stages:
            if stage.seconds:
                yield {"step": step.name, "name": stage.name, "rows": stage.rows_in, "seconds": stage.seconds}


def _languages(folder: Folder, funnel: Funnel) -> tuple[list[tuple[str, int]], int]:
    """Return the languages of documents/ with their counts in the first parts, and how many parts these are."""
    counts: Counter[str] = Counter()
    parts = min(funnel.steps[0].parts_done, LANGUAGE_PARTS)
    for part in range(parts):
        for batch in read_part(folder, "documents", part):
            if "language" in batch.schema.names:
                counts.update(batch["language"].to_pylist())
    return counts.most_common(30), parts


def _kept(folder: Folder, funnel: Funnel) -> Iterator[Shown]:
    """Yield documents that were kept to the end; none before the policy has decided."""
    last = funnel.steps[-1]
    if last.name != "buckets":
        return
    rows = (row for part in last.kept_parts for row in _kept_rows(folder, part))
    for row in heapq.nsmallest(KEPT_SHOWN, rows, key=lambda row: row["doc_id"]):
        scores = [f"{name} {row[name]:.2f}" for name in row if name.endswith("_score") and row[name] is not None]
        where = row["url"] or f"{row['input']} at {row['position']}"
        yield Shown(row["doc_id"].hex(), where, row["text"], ", ".join([row["bucket"], *scores]))


def _kept_rows(folder: Folder, part: int) -> Iterator[dict[str, Any]]:
    scores = next(iter(read_part(folder, "scores", part)), None)
    wanted = [name for name in (scores.schema.names if scores is not None else []) if name.endswith("_score")]
    columns = {"documents": ["doc_id", "url", "input", "position", "text"], "buckets": ["bucket"], "scores": wanted}
    for batch in read_aligned(folder, part, columns):
        kept = batch.filter(pc.is_valid(batch["bucket"]))
        excerpt = pc.utf8_slice_codeunits(kept["text"], 0, EXCERPT_CHARS)
        yield from kept.set_column(kept.schema.get_field_index("text"), "text", excerpt).to_pylist()
