"""The funnel from hand-made manifests: every sum checked by eye, every leak an error."""

from __future__ import annotations

import io
import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dataproc.errors import InputError, ShardError
from dataproc.shards import Dataset
from dataproc.storage import Folder
from jobs.funnel import Funnel, measured, number, read_funnel, render, share
from jobs.recipe import load_recipe
from jobs.step_flow import EXAMPLE_PARTS
from tests.jobs.runs import dataproc


def count(rows_in: int, **dropped: int) -> dict[str, Any]:
    """Return a stage's counters; keyword names are rules, the stage is put before them by `documents`."""
    return {"rows_in": rows_in, "rows_kept": rows_in - sum(dropped.values()), "dropped": dropped, "seconds": 0.5}


def documents(rows_in: int, failed: int = 0, **stages: dict[str, Any]) -> dict[str, Any]:
    """Return the counters of a part of documents/."""
    named = {
        name: {**stage, "dropped": {f"{name}.{rule}": rows for rule, rows in stage["dropped"].items()}, "flagged": {}}
        for name, stage in stages.items()
    }
    reasons = {reason: rows for stage in named.values() for reason, rows in stage["dropped"].items()}
    if failed:
        reasons["failed.corrupt"] = failed
    return {
        "rows_in": rows_in,
        "rows_kept": rows_in - sum(reasons.values()),
        "dropped": reasons,
        "stages": named,
        "records": {"response": rows_in - failed, "request": 3},
        "bytes": 1000,
        "lost_bytes": 40 * failed,
        "text_bytes": 700,
    }


def fill(folder: Folder, name: str, parts: int, *counters: dict[str, Any]) -> None:
    """Write the manifest of a dataset whose first parts are done."""
    dataset = Dataset(folder, name, {}, parts)
    dataset.start()
    for part, values in enumerate(counters):
        dataset.commit(part, {}, values, 2.0)


@pytest.fixture
def run(tmp_path: Path) -> Folder:
    """100 documents in two parts: 2 unreadable, 18 dropped early, 10 by dedup, 5 by the policy, 65 in two buckets."""
    folder = Folder(tmp_path / "run")
    recipe = load_recipe("default").model_dump(mode="json")
    folder.write_text("run.json", json.dumps({"order": {"recipe": recipe}}))
    fill(
        folder,
        "documents",
        2,
        documents(
            60,
            2,
            http_response=count(58, statuses=3),
            parse_url=count(55),
            extract_text=count(55),
            language_id=count(55, min_score=5),
            gopher_quality=count(50),
        ),
        documents(
            40,
            http_response=count(40),
            parse_url=count(40),
            extract_text=count(40),
            language_id=count(40),
            gopher_quality=count(40, min_words=9, max_words=1),
        ),
    )
    dropped = {"dedup.exact": 4, "dedup.minhash": 6}
    fill(
        folder,
        "dedup",
        2,
        {"rows_in": 50, "rows_kept": 40, "dropped": dropped},
        {"rows_in": 30, "rows_kept": 30, "dropped": {}},
    )
    policy = {"min_quality": {**count(40, min=5), "dropped": {"min_quality.min": 5}, "flagged": {}}}
    fill(
        folder,
        "buckets",
        2,
        {
            "rows_in": 40,
            "rows_kept": 35,
            "dropped": {"min_quality.min": 5},
            "stages": policy,
            "bucket_docs": {"eng": 30, "fra": 5},
            "bucket_text_bytes": {"eng": 300, "fra": 50},
        },
        {
            "rows_in": 30,
            "rows_kept": 30,
            "dropped": {},
            "stages": {"min_quality": {**count(30), "flagged": {}}},
            "bucket_docs": {"eng": 30},
            "bucket_text_bytes": {"eng": 400},
        },
    )
    fill(
        folder,
        "tokens",
        3,
        {"bucket": "eng", "rows_in": 35, "tokens": 3500},
        {"bucket": "eng", "rows_in": 25, "tokens": 2500},
        {"bucket": "fra", "rows_in": 5, "tokens": 7000},
    )
    return folder


def change(folder: Folder, name: str, part: int, **values: Any) -> None:
    """Change counters of a manifest entry."""
    path = folder.local_path(f"manifests/{name}/part-{part:08d}.json")
    entry = json.loads(path.read_text())
    entry["counters"].update(values)
    path.write_text(json.dumps(entry))


def printed(funnel: Funnel, width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO())
    with console.capture() as capture:
        console.print(render(funnel))
    return capture.get()


def test_every_sum(run: Folder) -> None:
    funnel = read_funnel(run)
    assert [(step.name, step.rows_in, step.dropped, step.rows_kept) for step in funnel.steps] == [
        ("documents", 100, 20, 80),
        ("dedup", 80, 10, 70),
        ("buckets", 70, 5, 65),
    ]
    assert (funnel.rows_in, funnel.rows_kept, funnel.tokens) == (100, 65, 13_000)
    assert (funnel.input_bytes, funnel.lost_bytes, funnel.text_bytes) == (2000, 80, 1400)
    assert funnel.records == {"response": 98, "request": 6}
    assert [(one.name, one.documents, one.text_bytes, one.tokens, one.shards) for one in funnel.buckets] == [
        ("fra", 5, 50, 7000, 1),
        ("eng", 60, 700, 6000, 2),
    ]
    assert funnel.notes == ()


def test_each_rule_starts_with_what_the_one_before_it_kept(run: Folder) -> None:
    rows = [
        (stage.name, rule.name, rule.rows_in, rule.dropped, rule.rows_kept)
        for step, stage, rule in read_funnel(run).rules()
        if step.name == "documents"
    ]
    assert [row for row in rows if row[3]] == [
        ("failed", "corrupt", 100, 2, 98),
        ("http_response", "statuses", 98, 3, 95),
        ("language_id", "min_score", 95, 5, 90),
        ("gopher_quality", "min_words", 90, 9, 81),
        ("gopher_quality", "max_words", 81, 1, 80),
    ]
    assert all(after[2] == before[4] for before, after in pairwise(rows))


def test_rules_that_dropped_nothing_are_listed(run: Folder) -> None:
    recipe = load_recipe("default")
    planned = {(name, rule) for name, stage in recipe.documents.stages.items() for rule in stage.contract().rules} | {
        ("dedup", "url"),
        ("dedup", "exact"),
        ("dedup", "minhash"),
        ("min_quality", "min"),
    }
    listed = {(stage.name, rule.name) for _, stage, rule in read_funnel(run).rules()}
    assert listed == planned | {("failed", "corrupt")}


def test_a_run_of_another_version_is_counted_too(run: Folder) -> None:
    """Without a recipe the stages come in the order in which they ran; ties are told by what they kept."""
    known = [(stage.name, rule.name) for _, stage, rule in read_funnel(run).rules() if rule.dropped]
    record = json.loads(run.read_text("run.json"))
    record["order"]["recipe"]["colour"] = "red"
    run.write_text("run.json", json.dumps(record))
    funnel = read_funnel(run)
    assert [(stage.name, rule.name) for _, stage, rule in funnel.rules()] == [
        *known[:5],
        ("dedup", "minhash"),
        ("dedup", "exact"),
        known[7],
    ]
    (note,) = funnel.notes
    assert note.startswith("Rules that dropped nothing are not listed, since the recipe cannot be read: ")
    assert "recipe.colour is not a key of Recipe" in note
    assert "recipe.colour is not a key" in " ".join(printed(funnel).split())


def test_flags_are_counted_beside_drops(run: Folder) -> None:
    entry = json.loads(run.read_text("manifests/documents/part-00000001.json"))
    entry["counters"]["stages"]["language_id"]["flagged"] = {"language_id.min_score": 7}
    run.write_text("manifests/documents/part-00000001.json", json.dumps(entry))
    funnel = read_funnel(run)
    (rule,) = [rule for _, stage, rule in funnel.rules() if stage.name == "language_id" and rule.name == "min_score"]
    assert (rule.dropped, rule.flagged) == (5, 7)
    assert "min_score (7 flagged)" in printed(funnel)


@pytest.mark.parametrize(
    ("name", "part", "values", "sentence"),
    [
        ("documents", 0, {"rows_kept": 49}, r"documents, part 0: rows in must be .* got 60 = 49 \+ 10\. Rebuild"),
        ("dedup", 0, {"dropped": {}}, r"dedup, part 0: rows in must be .* got 50 = 40 \+ 0\. Rebuild the step"),
        (
            "dedup",
            1,
            {"rows_in": 29, "rows_kept": 29},
            r"dedup: rows in must be what documents kept, got 79 and 80\. Rebuild with --redo dedup",
        ),
        (
            "buckets",
            1,
            {"bucket_docs": {"eng": 29, "fra": 1}},
            r"tokens/eng: documents must be the 59 that buckets/ put there, got 60\. Rebuild with --redo tokens",
        ),
        (
            "documents",
            1,
            {"stages": {}},
            r"documents, stage http_response: rows in and kept must be 98 and 95, got 58 and 55\. Report this as a bug",
        ),
    ],
)
def test_a_leak_is_an_error(run: Folder, name: str, part: int, values: dict[str, Any], sentence: str) -> None:
    change(run, name, part, **values)
    with pytest.raises(ShardError, match=sentence):
        read_funnel(run)


def test_a_run_on_its_way(run: Folder) -> None:
    for name, part in (("dedup", 1), ("buckets", 0), ("buckets", 1), ("tokens", 0), ("tokens", 1), ("tokens", 2)):
        run.remove(f"manifests/{name}/part-{part:08d}.json")
    funnel = read_funnel(run)
    assert [(step.name, step.parts_done, step.complete) for step in funnel.steps] == [
        ("documents", 2, True),
        ("dedup", 1, False),
    ]
    assert (funnel.rows_kept, funnel.buckets) == (40, ())
    assert "dedup: 1 of 2 parts are done." in printed(funnel)
    assert "bucket " not in printed(funnel)


def test_no_run_and_no_part_are_errors(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"must hold a run, got no manifests/documents\. Give the OUT of `dataproc run`\."
    ):
        read_funnel(Folder(tmp_path))
    fill(Folder(tmp_path), "documents", 3)
    with pytest.raises(InputError, match=r"must hold run\.json, got no such file"):
        read_funnel(Folder(tmp_path))
    recipe = load_recipe("default").model_dump(mode="json")
    Folder(tmp_path).write_text("run.json", json.dumps({"order": {"recipe": recipe}}))
    with pytest.raises(InputError, match=r"must hold a run with a part done, got none\. Wait for the first, or run"):
        read_funnel(Folder(tmp_path))


def test_examples_come_from_few_parts_chosen_by_hash(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    recipe = load_recipe("default").model_dump(mode="json")
    folder.write_text("run.json", json.dumps({"order": {"recipe": recipe}}))
    fill(folder, "documents", 40, *(documents(3, http_response=count(3, empty=part % 2)) for part in range(40)))
    funnel = read_funnel(folder)
    (rule,) = [rule for _, _, rule in funnel.rules() if rule.dropped]
    assert len(rule.parts) == len(funnel.steps[0].kept_parts) == EXAMPLE_PARTS
    assert all(part % 2 for part in rule.parts)
    assert rule.parts == tuple(sorted(rule.parts))
    assert max(rule.parts) > 20


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_fits_and_ends_with_all_tokens(run: Folder, width: int) -> None:
    text = printed(read_funnel(run), width)
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    assert max(map(len, lines)) <= width
    assert "..." not in text
    assert lines[-1].split() == ["all", "buckets", "65", "13,000", "100.0%"]
    assert "\x1b" not in text
    assert any(line.split() == ["min_words", "9", "81", "9.0%", "9.0%"] for line in lines)
    assert any(line.split() == ["max_words", "1", "80", "1.0%", "1.0%"] for line in lines)
    assert "Input: 2,000 bytes; 80 of them could not be read (4.0%)." in lines


def test_huge_numbers_fit_in_100_columns(run: Folder) -> None:
    entry = json.loads(run.read_text("manifests/documents/part-00000000.json"))

    def grow(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: grow(one) for name, one in value.items()}
        return value * 4_500_000_000 if isinstance(value, int) else value

    for name in ("documents", "dedup", "buckets", "tokens"):
        for file in run.files(f"manifests/{name}"):
            if "part-" in file:
                entry = json.loads(run.read_text(file))
                entry["counters"] = {key: grow(value) for key, value in entry["counters"].items()}
                run.write_text(file, json.dumps(entry))
    text = printed(read_funnel(run))
    assert "450,000,000,000" in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100
    assert "\u2026" not in text


def test_the_command_prints_it_and_writes_the_report(sample_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(sample_run, tmp_path / "run"))
    shutil.rmtree(run / "report")
    told = dataproc("report", run).stdout
    assert f"{read_funnel(Folder(run)).tokens:,}" in told
    assert told.rstrip().endswith("/report/index.html")
    assert (run / "report" / "index.html").is_file()


@pytest.mark.parametrize(
    ("part", "whole", "told"),
    [
        (0, 0, "-"),
        (0, 9, "0.0%"),
        (1, 8, "12.5%"),
        (1, 10**6, "<0.1%"),
        (10**6 - 1, 10**6, ">99.9%"),
        (9, 9, "100.0%"),
        (5, 10_000, "0.1%"),
        (4, 10_000, "<0.1%"),
    ],
)
def test_share(part: int, whole: int, told: str) -> None:
    assert share(part, whole) == told


def test_what_a_rule_measured() -> None:
    assert number(12000.0) == "12,000"
    assert number(1 / 3) == "0.333333"
    assert measured({"reason": "a.b", "value": None, "limit": None}) == ""
    assert measured({"reason": "a.b", "value": 12.0, "limit": 50.0}, ": ") == ": 12, limit 50"
    assert measured({"reason": "a.b", "value": 0.25, "limit": None}) == "0.25"
    assert measured({"reason": "failed.corrupt", "value": 3173.0, "limit": None}) == "3,173 bytes lost"
