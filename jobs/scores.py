"""documents/ -> scores/: what the classifiers say of every document, as a sidecar; nothing is decided here."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from dataproc.shards import Dataset, Entry, stages_made_from
from dataproc.stage import BuiltStage, StageCounts, run_stages
from dataproc.tables import create_part, part_name, read_part
from jobs.documents import build_stages, resources
from jobs.recipe import Recipe
from jobs.run import Run


def declare_scores(run: Run) -> Dataset:
    """Return the dataset scores/."""
    return run.dataset("scores", stages_made_from(run.recipe.scores.stages), ["documents"], run.num_parts)


def run_scores(run: Run) -> None:
    """Fill scores/."""
    dataset = declare_scores(run)
    run.fill(dataset, ScoresTask(dataset, run.recipe), resources=resources(run.recipe.scores.stages))


@dataclass(frozen=True)
class ScoresTask:
    """Makes one part of scores/."""

    dataset: Dataset
    recipe: Recipe

    @cached_property
    def _stages(self) -> list[BuiltStage]:
        return build_stages(self.recipe.scores.stages)

    @cached_property
    def _schema(self) -> pa.Schema:
        return pa.schema([("doc_id", pa.binary()), *self.recipe.score_columns().items()])

    @cached_property
    def _reads(self) -> list[str]:
        written = self.recipe.score_columns()
        read = {column for stage in self.recipe.scores.stages.values() for column in stage.contract().reads}
        return ["doc_id", *sorted(read - {"doc_id", *written})]

    def __call__(self, part: int) -> Entry:
        """Make one part and return its entry."""
        started = time.perf_counter()
        name = part_name("scores", part)
        counts: dict[str, StageCounts] = {}
        size = 0
        with create_part(self.dataset.folder, name, self._schema) as out:
            for batch in read_part(self.dataset.folder, "documents", part, self._reads):
                size += batch.nbytes
                scored, _ = run_stages(self._stages, batch, counts)
                out.write(scored.select(self._schema.names))
        seconds = {stage: {"rows_in": count.rows_in, "seconds": count.seconds} for stage, count in counts.items()}
        counters = {"rows_in": out.rows, "bytes": size, "stages": seconds}
        return self.dataset.commit(part, {name: out.rows}, counters, time.perf_counter() - started)
