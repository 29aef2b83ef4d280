"""What a run refuses before it touches anything, what a killed --redo leaves, and what reuse takes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from dataproc.engines import Failed
from dataproc.errors import ConfigError, InputError, ResumeError, ShardError
from dataproc.shards import Dataset, Entry
from dataproc.storage import Folder
from jobs import pipeline
from jobs.documents import with_text_and_flags
from jobs.funnel import read_funnel
from jobs.pipeline import Order, read_order, run_pipeline
from jobs.progress import ProgressDisplay
from jobs.recipe import load_recipe
from jobs.run import Run
from tests.jobs.runs import SAMPLE, checksums, command

RECIPE = """
description: texts that others have filtered
source: ours
documents: {stages: {language_id: {min_score: null}}}
scores: {stages: {}}
policy: {stages: {assign_bucket: {bucket: web}}}
tokens: {tokenizer: {name: web32k}}
"""


class Silent(ProgressDisplay):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True))
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Order:
    """Thirty documents, and a recipe that needs little."""
    folder = tmp_path_factory.mktemp("crawl")
    texts = [f"The {number} sheep of the valley and their shepherd went to the town, {number}." for number in range(30)]
    (folder / "a.jsonl").write_text("".join(json.dumps({"text": text * 20}) + "\n" for text in texts))
    (folder / "mine.yaml").write_text(RECIPE)
    return Order(str(folder), load_recipe(str(folder / "mine.yaml")), "mine.yaml")


@pytest.fixture(scope="module")
def whole(order: Order, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    out = tmp_path_factory.mktemp("whole") / "run"
    run_pipeline(order, Folder(out), Silent(), workers=1)
    return out


@pytest.fixture
def out(whole: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


@pytest.mark.parametrize(
    ("crawl", "recipe", "name"),
    [
        ("sample", "default", "runs/sample-default"),
        ("/data/cc/*.warc.gz", "conf/mine.yaml", "runs/cc-mine"),
        ("s3://bucket/crawl/segment-0[12]/**", "default", "runs/crawl-default"),
        ("/data/cc-00.warc.gz", "default", "runs/cc-00-default"),
        ("../", "default", "runs/crawl-default"),
    ],
)
def test_the_default_folder_is_named_after_crawl_and_recipe(order: Order, crawl: str, recipe: str, name: str) -> None:
    assert Order(crawl, order.recipe, recipe).default_out() == name


def test_a_folder_with_files_of_others_is_left_alone(order: Order, tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "letter.txt").write_text("mine")
    with pytest.raises(ResumeError, match="must hold a run, or nothing that a run would write, got documents without"):
        run_pipeline(order, Folder(tmp_path), Silent(), redo="documents")
    assert [path.name for path in tmp_path.rglob("*")] == ["documents", "letter.txt"]


def test_a_recipe_that_nobody_has_checked_is_checked_before_anything_starts(order: Order, tmp_path: Path) -> None:
    policy = order.recipe.policy.model_copy(update={"stages": {}})
    unchecked = replace(order, recipe=order.recipe.model_copy(update={"policy": policy}))
    with pytest.raises(ConfigError, match=r"policy.stages must write the column bucket, got no stage that does\. Add"):
        run_pipeline(unchecked, Folder(tmp_path / "run"), Silent())
    assert list(tmp_path.iterdir()) == []


def test_redo_removes_nothing_when_the_run_is_another(order: Order, out: Path, tmp_path: Path) -> None:
    before = checksums(out)
    (tmp_path / "b.jsonl").write_text('{"text": "other"}\n')
    other = Order(str(tmp_path / "b.jsonl"), order.recipe, "mine.yaml")
    with pytest.raises(ResumeError, match="the input must be as it was, got 1 new, 1 missing"):
        run_pipeline(other, Folder(out), Silent(), redo="documents")
    recipe = order.recipe.model_copy(update={"documents": load_recipe("default").documents})
    with pytest.raises(ResumeError, match="documents must be made as before"):
        run_pipeline(Order(order.crawl, recipe, "mine.yaml"), Folder(out), Silent(), redo="tokens")
    with pytest.raises(ConfigError, match=r'--redo must name a step, got "token". Did you mean "tokens"'):
        run_pipeline(order, Folder(out), Silent(), redo="token")
    assert checksums(out) == before


def test_redo_writes_the_same_bytes_again(order: Order, whole: Path, out: Path) -> None:
    (out / "tokens" / "web" / "shard-00000.bin").unlink()
    run_pipeline(order, Folder(out), Silent(), workers=1, redo="tokens")
    assert checksums(out) == checksums(whole)


def test_entries_that_a_killed_redo_left_do_not_pass_for_parts_of_another_config(order: Order, out: Path) -> None:
    """Removing a manifest is not one step: its description may be gone while entries are still there."""
    (out / "manifests" / "tokens" / "dataset.json").unlink()
    run = Run(Folder(out), order.recipe, None, Silent(), 1)  # type: ignore[arg-type]
    dataset = run.dataset("tokens", {"seed": "another"}, [])
    assert dataset.done() == set()
    assert not (out / "tokens").exists()


def test_reuse_takes_equal_datasets_and_says_so(order: Order, whole: Path, tmp_path: Path) -> None:
    progress = Silent()
    run_pipeline(order, Folder(tmp_path / "new"), progress, workers=1, reuse=str(whole))
    taken = ["documents", "signatures", "dedup", "scores", "buckets", "tokens", "mixture"]
    assert progress.said == [f"{name}: taken from {whole}" for name in taken]
    assert checksums(tmp_path / "new") == checksums(whole)
    with pytest.raises(InputError, match="--reuse must name a run, got /no/such/run, which has no manifests/units"):
        run_pipeline(order, Folder(tmp_path / "newer"), Silent(), reuse="/no/such/run")
    assert not (tmp_path / "newer").exists()


def test_a_lost_plan_is_written_again(order: Order, whole: Path, out: Path) -> None:
    (out / "units.parquet").unlink()
    run_pipeline(order, Folder(out), Silent(), workers=1)
    assert checksums(out) == checksums(whole)


def test_a_record_of_another_version_is_an_error(out: Path) -> None:
    record = json.loads((out / "run.json").read_text())
    record["order"]["recipe"]["seeds"] = 1
    (out / "run.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match=r'run.json: recipe.seeds is not a key of Recipe. Did you mean "seed"'):
        read_order(Folder(out))


def test_text_bytes_are_those_of_the_texts(whole: Path) -> None:
    (entry,) = Dataset(Folder(whole), "documents", {}, 1).entries()
    texts = pq.read_table(whole / "documents" / "part-00000000.parquet")["text"]
    assert entry.counters["text_bytes"] == pc.sum(pc.binary_length(texts)).as_py() == 39_800


def test_documents_have_a_text_even_where_a_stage_only_flagged_that_there_is_none() -> None:
    batch = pa.RecordBatch.from_pydict({"text": pa.array(["a", None], pa.large_string())})
    assert with_text_and_flags(batch).to_pydict() == {"text": ["a", ""], "flags": [None, None]}


@pytest.mark.parametrize("trace", ["", "Traceback (most recent call last):\nKeyError: 'x'\n"])
def test_only_bugs_show_their_traceback(order: Order, tmp_path: Path, trace: str) -> None:
    class Engine:
        def map(self, name: str, fn: Any, units: Sequence[int], *_: Any) -> Iterator[Failed]:
            yield Failed(0, "the sentence", trace)

    run = Run(Folder(tmp_path), order.recipe, Engine(), Silent(), 2)  # type: ignore[arg-type]
    with pytest.raises(ShardError, match="documents: 1 of 2 units failed; the others are done") as raised:
        run.fill(Dataset(run.folder, "documents", {}, 2), _never)
    assert "  0: the sentence" in str(raised.value)
    assert str(raised.value).endswith(trace)


def _never(unit: Any) -> Entry:
    raise AssertionError(unit)


def test_the_commit_is_not_that_of_a_checkout_around_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.setattr(pipeline, "__file__", str(tmp_path / "site-packages" / "jobs" / "pipeline.py"))
    assert pipeline._git_commit() is None


def test_the_funnel_tells_of_bands_left_after_the_last_round(sample_run: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(sample_run, tmp_path / "run"))
    assert read_funnel(Folder(out)).notes == ()
    path = out / "run.json"
    record = json.loads(path.read_text())
    record["order"]["recipe"]["dedup"]["minhash"]["max_rounds"] = 1
    path.write_text(json.dumps(record))
    (note,) = read_funnel(Folder(out)).notes
    assert "members of bands were still unlike their leader after round 1 of dedup" in note


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = subprocess.Popen(
        command("run", "--crawl", SAMPLE, "--out", out, "--workers", "1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that starts this in the background has it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not (out / "run.json").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told == f"Stopped. `dataproc resume {out}` goes on where it was.\n"
