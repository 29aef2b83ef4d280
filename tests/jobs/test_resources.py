"""A stage that declares a GPU takes its units to the node that has one, through the documents job."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from dataproc.engines import find_engine
from dataproc.inputs import Unit, plan_units
from dataproc.resources import Resources
from dataproc.stage import Contract, Stage, Transform, with_columns
from dataproc.storage import Folder
from jobs.documents import Located, resources, run_documents
from jobs.progress import ProgressDisplay
from jobs.recipe import DocumentsConfig, PolicyConfig, Recipe
from jobs.run import Run
from stages.assign_bucket import AssignBucket
from stages.parse_url import ParseUrl
from tests.ray_cluster import two_nodes

UNITS = 6


class OnGpu(Stage):
    """Say on which node, with which GPU, each document was."""

    def contract(self) -> Contract:
        return Contract(
            writes={"node": pa.string(), "gpu": pa.string()}, resources=Resources(gpus=1, memory_bytes=1 << 20)
        )

    def build(self) -> Transform:
        return on_gpu


def on_gpu(batch: pa.RecordBatch) -> pa.RecordBatch:
    import ray

    context: Any = ray.get_runtime_context()
    found = {"node": context.get_node_id(), "gpu": ",".join(context.get_accelerator_ids()["GPU"])}
    return with_columns(batch, {name: pa.array([value] * batch.num_rows) for name, value in found.items()})


STAGES = {"parse_url": ParseUrl(), "on_gpu": OnGpu()}


def test_a_job_asks_for_the_most_that_a_stage_declares() -> None:
    assert resources(STAGES) == Resources(cpus=1, gpus=1, memory_bytes=1 << 20)


def drive(crawl: str, out: str) -> None:
    """Run the documents job in a process of its own, and print the node that has a GPU."""
    import ray

    recipe = Recipe(
        description="a stage that needs a GPU",
        source="ours",
        documents=DocumentsConfig(stages=STAGES),
        policy=PolicyConfig(stages={"assign_bucket": AssignBucket(bucket="web")}),
    )
    inputs = plan_units(crawl, recipe.input)
    located = zip(inputs.units.to_pylist(), inputs.locations.to_pylist(), strict=True)
    units = [Located(Unit(**row), location) for row, location in located]
    run = Run(Folder(out), recipe, find_engine("ray")(None), ProgressDisplay(Console(quiet=True)), len(units))
    run.fingerprints["units"] = "those of this test"
    run_documents(run, units)
    nodes: Callable[[], list[Any]] = ray.nodes
    print(*(node["NodeID"] for node in nodes() if node["Resources"].get("GPU")))


@pytest.mark.slow
@pytest.mark.needs("ray")
def test_units_that_need_a_gpu_are_placed_where_one_is(tmp_path: Path) -> None:
    crawl = tmp_path / "crawl"
    crawl.mkdir()
    for unit in range(UNITS):
        rows = [{"text": f"text {row} of {unit}", "url": f"http://a/{unit}/{row}"} for row in range(9)]
        (crawl / f"{unit}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    code = "import sys; from tests.jobs import test_resources; test_resources.drive(*sys.argv[1:])"
    with two_nodes(tmp_path) as env:
        words = [sys.executable, "-c", code, str(crawl), str(tmp_path / "out")]
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (has_one,) = done.stdout.split()
    table = pq.read_table(tmp_path / "out" / "documents")
    assert table.num_rows == 9 * UNITS
    assert set(table["node"].to_pylist()) == {has_one}
    assert set(table["gpu"].to_pylist()) == {"0"}
