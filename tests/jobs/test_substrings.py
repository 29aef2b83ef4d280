"""Substring dedup end to end, behind line dedup: what repeats is cut, tokens are of what is left; the same bytes."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from dataproc.config import validate
from dataproc.cuts import cut_text
from dataproc.errors import ResumeError
from dataproc.ids import doc_id
from dataproc.storage import Folder
from jobs.explain import Lives, explain, render
from jobs.funnel import read_funnel
from jobs.funnel import render as render_funnel
from jobs.pipeline import Order, run_pipeline
from jobs.progress import ProgressDisplay
from jobs.recipe import Recipe
from jobs.verify import verify_run
from stages.substring_dedup import partition_ids
from tests.jobs.runs import checksums

MENU = "Home | About | Contact"
NOTICE = "Caf\u00e9 texts may be copied, changed and sold by all who name us. \u4e2d\u6587\u4e5f\u884c\u3002"
FILES, DOCUMENTS = 3, 60


def words(draw: random.Random, count: int) -> str:
    return " ".join("".join(draw.choices("aeiklmnorst", k=7)) for _ in range(count))


def texts() -> list[str]:
    """Return documents with a frequent line each, every fourth with the notice around it; two are only notices."""
    draw = random.Random(5)
    half = len(NOTICE) // 2
    made = []
    for number in range(DOCUMENTS - 2):
        notice = f"{NOTICE[:half]}\n{MENU}\n{NOTICE[half:]}" if number % 4 == 0 else MENU
        made.append(f"{words(draw, 20)}\n{notice}\n{words(draw, 20)}")
    return [*made, f"{NOTICE[:half]}\n{MENU}\n{NOTICE[half:]}\nx", f"{NOTICE[:half]}\n{NOTICE[half:]}\ny\nz"]


def recipe_of(substrings: dict[str, Any] | None, lines: dict[str, Any] | None) -> Recipe:
    return validate(
        Recipe,
        {
            "description": "test",
            "source": "test",
            "documents": {"stages": {"extract_text": {}, "language_id": {"min_score": 0}}},
            "lines": lines,
            "substrings": substrings,
            "policy": {"stages": {"assign_bucket": {"bucket": "all"}}},
        },
        "test",
    )


LINES = {"max_count": 30, "max_cut_chars": None}
SUBSTRINGS = {"min_bytes": 50}


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crawl")
    for file in range(FILES):
        rows = [json.dumps({"text": text}) for text in texts()[file::FILES]]
        (folder / f"{file}.jsonl").write_text("\n".join(rows) + "\n")
    return folder


def run(
    crawl: Path,
    out: Path,
    substrings: dict[str, Any] | None,
    lines: dict[str, Any] | None = LINES,
    workers: int = 1,
    redo: str | None = None,
) -> Path:
    order = Order(str(crawl), recipe_of(substrings, lines), "test")
    run_pipeline(order, Folder(out), ProgressDisplay(Console(quiet=True)), workers=workers, redo=redo)
    return out


@pytest.fixture(scope="module")
def done(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(crawl, tmp_path_factory.mktemp("done") / "run", SUBSTRINGS)


def rows_of(out: Path, dataset: str) -> dict[bytes, dict[str, Any]]:
    paths = sorted((out / dataset).glob("part-*.parquet"))
    return {row["doc_id"]: row for path in paths for row in pq.read_table(path).to_pylist()}


def left(out: Path) -> dict[bytes, str]:
    """Return what the cuts leave of each document."""
    cuts = rows_of(out, "substrings")
    return {one: cut_text(row["text"], cuts[one]["cuts"]) for one, row in rows_of(out, "documents").items()}


def ids() -> list[bytes]:
    """Return the ids of the texts, in their order."""
    return [doc_id(f"{number % FILES}.jsonl", number // FILES) for number in range(DOCUMENTS)]


def test_lines_and_then_all_but_the_first_copy_are_cut(done: Path) -> None:
    """The notice is found across the menu that was cut out of it, and cut around it."""
    notice = "\n".join((NOTICE[: len(NOTICE) // 2], NOTICE[len(NOTICE) // 2 :]))
    found, first = left(done), min(one for one, text in zip(ids(), texts(), strict=True) if NOTICE[:9] in text)
    for one, text in zip(ids(), texts(), strict=True):
        plain = text.replace(f"{MENU}\n", "").removesuffix(f"\n{MENU}")
        assert found[one] == (plain if one == first else plain.replace(f"{notice}\n", ""))
    sidecar, lines = rows_of(done, "substrings"), rows_of(done, "lines")
    spanned = sidecar[ids()[4]]
    assert (spanned["num_cut"], len(spanned["cuts"]), len(lines[ids()[4]]["cuts"])) == (1, 3, 1)
    assert spanned["cut_chars"] == (len(notice) + 1) / (len(texts()[4]) - len(MENU) - 1)


def test_documents_of_which_too_little_is_left_are_dropped(done: Path) -> None:
    dropped = rows_of(done, "dropped/substrings")
    assert dropped.keys() == set(ids()[-2:])
    assert [(row["reason"], row["value"], row["limit"]) for row in dropped.values()] == [
        ("substrings.min_left_chars", len(left(done)[one]), 20) for one in dropped
    ]
    buckets = rows_of(done, "buckets")
    assert {one for one, row in buckets.items() if row["bucket"] is None} == dropped.keys()


def test_funnel_report_and_verify_know_the_step(done: Path) -> None:
    funnel = read_funnel(Folder(done))
    assert [(step.name, step.rows_in, step.dropped) for step in funnel.steps] == [
        ("documents", 60, 0),
        ("dedup", 60, 0),
        ("lines", 60, 0),
        ("substrings", 60, 2),
        ("buckets", 58, 0),
    ]
    assert funnel.steps[3].num_cut == 16
    assert funnel.steps[3].cut_bytes == 16 * (len(NOTICE.encode()) + 2)
    console = Console(width=100)
    with console.capture() as capture:
        console.print(render_funnel(funnel))
    assert f"Cut from it by substrings: 16 repeated spans, {funnel.steps[3].cut_bytes:,} bytes.\n" in capture.get()
    assert list(verify_run(Folder(done))) == []
    assert "cuts 3" in (done / "report" / "index.html").read_text()


def test_explain_tells_what_each_step_cut(done: Path) -> None:
    (life,) = explain(Folder(done), ids()[4].hex()).lives
    assert life.passed[-3:] == ["lines", "substrings", "assign_bucket"]
    assert [cut["step"] for cut in life.cuts] == ["substrings", "lines", "substrings"]
    assert "".join(cut["text"] for cut in life.cuts if cut["step"] == "substrings").replace("\n", "") == NOTICE
    assert life.tokens is not None
    assert life.tokens["is_the_text"]
    assert life.tokens["decoded"] == left(done)[ids()[4]]
    console = Console(width=200)
    with console.capture() as capture:
        console.print(render(Lives([life])))
    assert "lines cut" in capture.get()
    assert "substrings cut" in capture.get()


def test_the_same_bytes_for_two_workers_and_after_a_kill(crawl: Path, done: Path, tmp_path: Path) -> None:
    assert any(name.startswith("substrings/spans/") for name in checksums(done))
    assert checksums(run(crawl, tmp_path / "two", SUBSTRINGS, workers=2)) == checksums(done)
    killed = tmp_path / "killed"
    shutil.copytree(done, killed)
    for lost in ("manifests/substrings/part-00000001.json", "manifests/substrings/spans/part-00000000.json"):
        (killed / lost).unlink()
    for lost in ("tokens", "manifests/tokens"):
        shutil.rmtree(killed / lost)
    assert checksums(run(crawl, killed, SUBSTRINGS)) == checksums(done)


def test_partitions_decide_what_is_found(crawl: Path, done: Path, tmp_path: Path) -> None:
    """One copy stays in each partition that has one; no line dedup before, the menu is found as well."""
    out = tmp_path / "run"
    shutil.copytree(done, out)
    size = sum(len(text.encode()) for text in texts()) // 3 + 1
    run(crawl, out, {**SUBSTRINGS, "partition_bytes": size}, lines=None, redo="lines")
    assert not (out / "lines").exists()
    assert len(list((out / "substrings" / "spans").glob("part-*"))) == 3
    having = [number for number, text in enumerate(texts()) if NOTICE[:9] in text][:-1]
    partitions = partition_ids([ids()[number] for number in having], 3, 0)
    assert len(set(partitions.tolist())) == 3
    found = left(out)
    assert sum(NOTICE[:9] in found[ids()[number]] for number in having) == 3
    run(crawl, out, {**SUBSTRINGS, "action": "drop", "max_cut_chars": 0.2}, lines=None, redo="substrings")
    sidecar = rows_of(out, "substrings")
    assert all(not row["cuts"] for row in sidecar.values()), "texts stay whole"
    dropped = {one for one, row in sidecar.items() if row["cut_reason"] == "substrings.max_cut_chars"}
    assert (
        dropped
        == {one for one, row in sidecar.items() if row["cut_chars"] > 0.2}
        == rows_of(out, "dropped/substrings").keys()
    )
    assert len(dropped) >= 14
    assert read_funnel(Folder(out)).steps[2].num_cut == 0


def test_a_recipe_without_the_step_is_an_error_until_redone(crawl: Path, done: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(done, out)
    with pytest.raises(ResumeError) as caught:
        run(crawl, out, None)
    assert str(caught.value) == (
        f"{Folder(out).url}: substrings must be made as before to be resumed, got a recipe without substrings."
        " Undo the change, choose another OUT, or rebuild with --redo substrings."
    )
    run(crawl, out, None, redo="substrings")
    assert not (out / "substrings").exists()
    assert not (out / "dropped" / "substrings").exists()
    assert "cuts 1" in (out / "report" / "index.html").read_text()
