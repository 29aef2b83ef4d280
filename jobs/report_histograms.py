"""Where documents lie around the limits: a histogram of each measured column, and the documents nearest each limit.

All is counted in the few parts that the funnel names for what was kept (at most step_flow.EXAMPLE_PARTS), so that
memory and time do not grow with the crawl. A document that an earlier rule dropped has no place in a later rule's
histogram: each shows the documents that rule dropped and those that the whole run kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dataproc.stage import Stage
from dataproc.storage import Folder
from dataproc.tables import read_aligned, read_part
from jobs.funnel import Funnel, number, read_recipe
from jobs.lookup import DROPPED, read_rows
from jobs.recipe import Recipe
from jobs.report_documents import Shown, shown_row

NUM_BINS = 60
NEAR_SHOWN = 2
LENGTH = "text_bytes"
"""The one column that no stage writes: bytes of UTF-8 of a document's text."""


@dataclass(frozen=True)
class Mark:
    """The limit of one rule on a column, and documents just on either side of it."""

    rule: str
    """stage.rule"""
    limit: float
    at: float
    """Where it lies on the axis, from 0 to 1."""
    dropped: list[Shown]
    kept: list[Shown]


@dataclass(frozen=True)
class Histogram:
    """Documents by one measured column in NUM_BINS bins of equal width, or of equal ratio when `log`."""

    column: str
    log: bool
    least: float
    greatest: float
    median: float
    """Of the documents kept."""
    kept: list[int]
    dropped: list[int]
    marks: list[Mark]

    @property
    def bins(self) -> list[tuple[int, int]]:
        """Return (kept, dropped) of each bin."""
        return list(zip(self.kept, self.dropped, strict=True))


@dataclass(frozen=True)
class _Measured:
    """Values of a column in part after part, and in which row each lies."""

    values: list[npt.NDArray[np.float64]] = field(default_factory=list)
    places: list[npt.NDArray[np.int64]] = field(default_factory=list)  # [n, 2]: part, row

    def add(self, part: int, rows: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> None:
        known = np.isfinite(values)
        self.values.append(values[known])
        self.places.append(np.stack([np.full(int(known.sum()), part), rows[known]], axis=1))

    def joined(self) -> npt.NDArray[np.float64]:
        return np.concatenate([np.zeros(0), *self.values])

    def nearest(self, limit: float, inside: npt.NDArray[np.bool_]) -> list[tuple[int, int, float]]:
        """Return (part, row, value) of the values nearest to the limit among those `inside`; ties in crawl order."""
        values = self.joined()
        candidates = np.flatnonzero(inside)
        order = np.argsort(np.abs(values[candidates] - limit), kind="stable")[:NEAR_SHOWN]
        places = np.concatenate([np.zeros((0, 2), np.int64), *self.places])
        return [(*places[row].tolist(), float(values[row])) for row in candidates[order]]


def draw_histograms(folder: Folder, funnel: Funnel) -> list[Histogram]:
    """Return the histograms of a run's limits in the order of its rules, then of its scores; [] before the policy."""
    parts = next((step.kept_parts for step in funnel.steps if step.name == "buckets"), ())
    if not parts:
        return []
    recipe = read_recipe(folder)
    rules = _rules(recipe)
    kept = _kept_values(folder, parts, recipe, [LENGTH, *(column for _, _, column, _ in rules)])
    dropped = {
        (step, reason): _dropped_values(folder, step, reason, parts) for step, reason, _, _ in rules if step in DROPPED
    }
    histograms = []
    for column, values in kept.items():
        here = [(step, reason, limit) for step, reason, of, limit in rules if of == column]
        lost = [dropped[step, reason] for step, reason, _ in here]
        histogram = _histogram(column, values, lost, [limit for _, _, limit in here])
        if histogram is not None:
            marks = [
                _mark(folder, column, histogram, values, dropped[step, reason], step, reason, limit)
                for step, reason, limit in here
            ]
            histograms.append(replace(histogram, marks=marks))
    return histograms


def _rules(recipe: Recipe) -> list[tuple[str, str, str, float]]:
    """Return (step, stage.rule, column, limit) of each rule that compares a column with one number."""

    def of(step: str, stages: Mapping[str, Stage]) -> Iterator[tuple[str, str, str, float]]:
        for name, stage in stages.items():
            for rule, column in stage.contract().measures.items():
                limit = getattr(stage, rule, None)
                if isinstance(limit, (int, float)) and not isinstance(limit, bool):
                    yield step, f"{name}.{rule}", column, float(limit)

    return [*of("documents", recipe.documents.stages), *of("buckets", recipe.policy.stages)]


def _kept_values(folder: Folder, parts: tuple[int, ...], recipe: Recipe, columns: list[str]) -> dict[str, _Measured]:
    """Return the values of kept documents for each column of `columns`, and of numeric scores, that is stored."""
    documents, scores = recipe.document_columns(), recipe.score_columns()
    scored = [name for name, kind in scores.items() if pa.types.is_floating(kind)]
    wanted = [name for name in dict.fromkeys([*columns, *scored]) if name in {LENGTH, *documents, *scores}]
    found = {name: _Measured() for name in wanted}
    datasets = {
        "documents": ["doc_id", "text", *(name for name in wanted if name in documents)],
        "scores": [name for name in wanted if name in scores and name not in documents],
        "buckets": ["bucket"],
    }
    for part in parts:
        first = 0
        for batch in read_aligned(folder, part, datasets):
            rows = np.flatnonzero(pc.is_valid(batch["bucket"]).to_numpy(zero_copy_only=False))
            for name, measured in found.items():
                column = pc.binary_length(batch["text"]) if name == LENGTH else batch[name]
                measured.add(part, first + rows, _numbers(column)[rows])
            first += batch.num_rows
    return found


def _dropped_values(folder: Folder, step: str, reason: str, parts: tuple[int, ...]) -> _Measured:
    found = _Measured()
    for part in parts:
        first = 0
        for batch in read_part(folder, DROPPED[step], part, ["reason", "value"]):
            rows = np.flatnonzero(pc.equal(batch["reason"], reason).to_numpy(zero_copy_only=False))
            found.add(part, first + rows, _numbers(batch["value"])[rows])
            first += batch.num_rows
    return found


def _numbers(column: pa.Array) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def _histogram(column: str, kept: _Measured, dropped: list[_Measured], limits: list[float]) -> Histogram | None:
    """Return the bins of a column without its marks, None when all its values are the same."""
    inside, outside = kept.joined(), np.concatenate([np.zeros(0), *(one.joined() for one in dropped)])
    every = np.concatenate([inside, outside, limits])
    if not len(inside) or every.min() == every.max():
        return None
    least, greatest, median = float(every.min()), float(every.max()), float(np.median(inside))
    log = least >= 0 and greatest > 30 * max(median, 1)
    edges = np.linspace(_scale(least, log), _scale(greatest, log), NUM_BINS + 1)
    up, down = (np.histogram(_scale(values, log), edges)[0].tolist() for values in (inside, outside))
    return Histogram(column, log, least, greatest, median, up, down, marks=[])


def _scale(values: npt.ArrayLike, log: bool) -> npt.NDArray[np.float64]:
    return np.log10(1 + np.asarray(values)) if log else np.asarray(values, dtype=np.float64)


def _mark(
    folder: Folder,
    column: str,
    histogram: Histogram,
    kept: _Measured,
    dropped: _Measured,
    step: str,
    reason: str,
    limit: float,
) -> Mark:
    least, greatest, at = (
        float(_scale(value, histogram.log)) for value in (histogram.least, histogram.greatest, limit)
    )
    values, lost = kept.joined(), dropped.joined()
    # A language may have a limit of its own; what is kept beyond the common one is no neighbour of it.
    beyond = values <= limit if reason.rpartition(".")[2].startswith("max") else values >= limit
    return Mark(
        rule=reason,
        limit=limit,
        at=(at - least) / (greatest - least),
        dropped=_documents(folder, DROPPED[step], column, dropped.nearest(limit, np.ones(len(lost), bool))),
        kept=_documents(folder, "documents", column, kept.nearest(limit, beyond)),
    )


def _documents(folder: Folder, dataset: str, column: str, places: list[tuple[int, int, float]]) -> list[Shown]:
    return [
        shown_row(read_rows(folder, dataset, part, [row])[0], [f"{column} {number(round(value, 6))}"])
        for part, row, value in places
    ]
