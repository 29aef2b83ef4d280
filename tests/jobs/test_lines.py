"""Line dedup end to end: frequent lines are cut, too much cut drops, tokens are of what is left, bytes are the same."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from dataproc.config import validate
from dataproc.cuts import cut_text
from dataproc.errors import ConfigError, ResumeError
from dataproc.ids import doc_id, hash64
from dataproc.storage import Folder
from jobs.explain import Lives, explain, render
from jobs.funnel import read_funnel
from jobs.lines import LineCounter
from jobs.pipeline import Order, run_pipeline
from jobs.progress import ProgressDisplay
from jobs.recipe import Recipe, load_recipe
from jobs.verify import verify_run
from stages.line_dedup import LineDedup
from tests.dataproc.kernels.test_line_keys import normalized
from tests.jobs.runs import checksums

COOKIES = "We use cookies, and {} partners do."
LINES = {"max_count": 6, "bucket_docs": 30}


def recipe_of(lines: dict[str, Any] | None) -> Recipe:
    return validate(
        Recipe,
        {
            "description": "test",
            "source": "test",
            "documents": {"stages": {"extract_text": {}, "language_id": {"min_score": 0}}},
            "dedup": {"exact": {}, "partition_bytes": 4000},
            "lines": lines,
            "policy": {"stages": {"assign_bucket": {"bucket": "all"}}},
        },
        "test",
    )


def texts() -> list[str]:
    """Return 80 documents with a frequent line each, one of them twice, and 3 that are little else."""
    draw = random.Random(3)
    made = []
    for number in range(77):
        own = [" ".join("".join(draw.choices("aeiklmnorst", k=7)) for _ in range(8)) for _ in range(4)]
        own.insert(draw.randrange(5), COOKIES.format(number + 10))
        made.append("\n\n".join(own) + ("\nAll rights reserved \u00a9 2024." if number % 2 else ""))
    made += [f"{COOKIES.format(99)}\nshort {word}" for word in ("one", "two", "three")]
    return [*made, made[5]]


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crawl")
    for file in range(3):
        rows = [json.dumps({"text": text, "url": f"http://e/{text[-9:]}"}) for text in texts()[file::3]]
        (folder / f"{file}.jsonl").write_text("\n".join(rows) + "\n")
    return folder


def run(crawl: Path, out: Path, lines: dict[str, Any] | None, workers: int = 1, redo: str | None = None) -> Path:
    order = Order(str(crawl), recipe_of(lines), "test")
    run_pipeline(order, Folder(out), ProgressDisplay(Console(quiet=True)), workers=workers, redo=redo)
    return out


@pytest.fixture(scope="module")
def done(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(crawl, tmp_path_factory.mktemp("done") / "run", LINES)


def rows_of(out: Path, dataset: str) -> list[dict[str, Any]]:
    return [row for path in sorted((out / dataset).glob("part-*.parquet")) for row in pq.read_table(path).to_pylist()]


def counted(out: Path, bucket_docs: int = 30) -> dict[bytes, list[tuple[str, tuple[int, str]]]]:
    """Return the lines of each document that exact dedup kept, with what they are counted as."""
    kept = {row["doc_id"] for row in rows_of(out, "dedup") if row["duplicate_of"] is None}
    buckets = -(-len(kept) // bucket_docs)
    bucket = {one: hash64(bytes(8) + one) % (1 << 64) % buckets for one in kept}
    documents = {row["doc_id"]: row["text"] for row in rows_of(out, "documents")}
    return {
        one: [(line, (bucket[one], normalized(line))) for line in text.split("\n")]
        for one, text in documents.items()
        if one in kept
    }


def test_lines_seen_more_than_max_count_in_their_bucket_are_cut(done: Path) -> None:
    lines = counted(done)
    total = Counter(key for rows in lines.values() for _, key in rows if key[1])
    frequent = {key for key, count in total.items() if count > 6}
    assert len(frequent) == 6, "both lines in each of three buckets"
    texts = {row["doc_id"]: row["text"] for row in rows_of(done, "documents")}
    sidecar = {row["doc_id"]: row for row in rows_of(done, "lines")}
    assert sidecar.keys() == texts.keys()
    for one, rows in lines.items():
        left = cut_text(texts[one], sidecar[one]["cuts"])
        assert [line for line in left.split("\n") if line] == [
            line for line, key in rows if line and key not in frequent
        ]
        assert sidecar[one]["num_cut"] == sum(key in frequent for _, key in rows)
        assert sidecar[one]["cut_chars"] == (len(texts[one]) - len(left)) / len(texts[one])
    (duplicate,) = texts.keys() - lines.keys()
    assert {*sidecar[duplicate].values()} == {duplicate, None}


def test_documents_that_lose_too_much_are_dropped(done: Path) -> None:
    sidecar = {row["doc_id"]: row for row in rows_of(done, "lines")}
    dropped = rows_of(done, "dropped/lines")
    assert [row["text"].split("\n")[1] for row in dropped] == ["short two", "short three", "short one"]
    for row in dropped:
        assert (row["reason"], row["limit"]) == ("lines.max_cut_chars", 0.5)
        assert row["value"] == sidecar[row["doc_id"]]["cut_chars"] > 0.5
    assert {one for one, row in sidecar.items() if row["cut_reason"]} == {row["doc_id"] for row in dropped}
    buckets = {row["doc_id"]: row["bucket"] for row in rows_of(done, "buckets")}
    assert all(buckets[row["doc_id"]] is None for row in dropped)


def test_funnel_and_verify_know_the_step(done: Path) -> None:
    funnel = read_funnel(Folder(done))
    assert [(step.name, step.rows_in, step.dropped) for step in funnel.steps] == [
        ("documents", 81, 0),
        ("dedup", 81, 1),
        ("lines", 80, 3),
        ("buckets", 77, 0),
    ]
    assert funnel.steps[2].num_cut == sum(row["num_cut"] or 0 for row in rows_of(done, "lines"))
    assert funnel.steps[2].cut_bytes == sum(
        cut["end"] - cut["start"] for row in rows_of(done, "lines") for cut in row["cuts"] or []
    )
    assert list(verify_run(Folder(done))) == []
    assert "cuts 1" in (done / "report" / "index.html").read_text()


def test_tokens_decode_to_the_text_without_its_cuts(done: Path) -> None:
    texts = {row["doc_id"]: row["text"] for row in rows_of(done, "documents")}
    for row in rows_of(done, "lines")[::9]:
        (life,) = explain(Folder(done), row["doc_id"].hex()).lives
        if row["cut_reason"] is None and row["cuts"]:
            assert life.tokens is not None
            assert life.tokens["is_the_text"]
            assert life.tokens["decoded"] == cut_text(texts[row["doc_id"]], row["cuts"])
            assert [cut["text"].strip() in life.text for cut in life.cuts if life.text] == [True] * len(row["cuts"])
            assert life.passed[-2:] == ["lines", "assign_bucket"]


def test_explain_shows_the_cuts(done: Path) -> None:
    dropped = rows_of(done, "dropped/lines")[0]
    found = explain(Folder(done), dropped["doc_id"].hex())
    console = Console(width=200)
    with console.capture() as capture:
        console.print(render(Lives(found.lives)))
    told = capture.get()
    assert "at lines by lines.max_cut_chars: 0.8, limit 0.5" in told
    assert "0 to 36: We use cookies, and 99 partners do." in told


def test_the_same_bytes_for_two_workers_and_after_a_kill(crawl: Path, done: Path, tmp_path: Path) -> None:
    assert any(name.startswith("lines/frequent/") for name in checksums(done))
    assert checksums(run(crawl, tmp_path / "two", LINES, workers=2)) == checksums(done)
    killed = tmp_path / "killed"
    shutil.copytree(done, killed)
    for lost in ("manifests/lines/part-00000001.json", "manifests/lines/frequent/part-00000000.json", "tokens"):
        path = killed / lost
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(killed / "manifests" / "tokens")
    assert checksums(run(crawl, killed, LINES)) == checksums(done)


def test_changed_and_dropped_steps_are_errors_until_redone(crawl: Path, done: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(done, out)
    with pytest.raises(
        ResumeError, match=r"lines must be made as before to be resumed, got other values of: lines\.max_count\."
    ):
        run(crawl, out, {**LINES, "max_count": 7})
    with pytest.raises(ResumeError) as caught:
        run(crawl, out, None)
    assert str(caught.value) == (
        f"{Folder(out).url}: lines must be made as before to be resumed, got a recipe without lines."
        " Undo the change, choose another OUT, or rebuild with --redo lines."
    )
    run(crawl, out, None, redo="lines")
    assert not (out / "lines").exists()
    assert not (out / "dropped" / "lines").exists()
    assert [step.name for step in read_funnel(Folder(out)).steps] == ["documents", "dedup", "buckets"]


def cuts_of(out: Path, crawl: Path, **lines: Any) -> dict[str, int]:
    """Return how many lines are cut of each kind, run with other settings on a copy of a finished run."""
    run(crawl, out, {**LINES, **lines}, redo="lines")
    texts = {row["doc_id"]: (row["text"] or "").encode() for row in rows_of(out, "documents")}
    cut: Counter[str] = Counter()
    for row in rows_of(out, "lines"):
        for span in row["cuts"] or []:
            gone = texts[row["doc_id"]][span["start"] : span["end"]].decode().split("\n")
            cut.update(line.split()[0] for line in gone if line)
    return dict(cut)


@pytest.mark.parametrize(
    ("settings", "cut"),
    [
        ({"bucket_docs": 1000}, {"We": 80, "All": 38}),
        ({"bucket_docs": 1000, "max_count": 40}, {"We": 80}),
        ({"bucket_docs": 1000, "max_count": 80}, {}),
        ({"bucket_docs": 1000, "keep": 3}, {"We": 77, "All": 35}),
        ({"bucket_docs": 1000, "min_chars": 25}, {"We": 80}),
        ({"bucket_docs": 1000, "min_chars": 24}, {"We": 80, "All": 38}),
    ],
)
@pytest.mark.slow
def test_settings(crawl: Path, done: Path, tmp_path: Path, settings: dict[str, Any], cut: dict[str, int]) -> None:
    shutil.copytree(done, tmp_path / "run")
    assert cuts_of(tmp_path / "run", crawl, **settings) == cut


def test_copies_that_stay_are_the_first_of_the_crawl(
    crawl: Path, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many partitions there may be."""
    shutil.copytree(done, tmp_path / "run")
    monkeypatch.setattr("jobs.run.MAX_PARTITIONS", 2)
    run(crawl, tmp_path / "run", {"bucket_docs": 1000, "keep": 30}, redo="lines")
    assert [len(list((out / "lines" / "frequent").glob("part-*"))) > 2 for out in (done, tmp_path / "run")] == [
        True,
        False,
    ]
    found = {row["doc_id"]: row["num_cut"] for row in rows_of(tmp_path / "run", "lines")}
    first = [found[doc_id("0.jsonl", row)] for row in range(27)]
    assert first == [0] * 27, "27 of 30 copies of one line, and 13 of 30 of the other, lie in the first file"
    assert sum(count or 0 for count in found.values()) == 80 - 30 + 38 - 30


def test_flags_that_nobody_gives_and_languages_that_nobody_writes_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("extends: default\ndescription: d\nlines: {spare_flagged: [gopher_quality.*]}\n")
    with pytest.raises(ConfigError) as caught:
        load_recipe(str(path))
    assert str(caught.value) == (
        f'{path}: lines.spare_flagged names "gopher_quality.*", which no annotating stage gives.'
    )
    path.write_text(
        "extends: default\ndescription: d\nlines: {spare_flagged: [gopher_quality.*]}\n"
        "documents: {stages: {gopher_quality: {annotate: true}}}\n"
    )
    assert load_recipe(str(path)).lines is not None


def test_spared_documents_lines_and_languages() -> None:
    """Which lines are counted; `by_language` gives equal lines of two languages two keys."""
    batch = pa.RecordBatch.from_pydict(
        {
            "doc_id": pa.array([bytes([row]) * 16 for row in range(4)], pa.binary()),
            "text": pa.array(["A b\n    code\n\tcode\n--\n c", "A b", "A b", "A b"], pa.large_string()),
            "language": ["eng", "deu", "eng", "eng"],
            "flags": pa.array([None, [], ["rule.a", "gopher.b"], ["rule.c"]], pa.list_(pa.string())),
            "is_left": [True, True, True, False],
        }
    )

    def counted(**config: Any) -> tuple[list[bool], Any]:
        lines, mask = LineCounter(LineDedup(**config), 1, 0).lines(batch)
        return mask.tolist(), lines.keys

    mask, keys = counted()
    assert mask == [True, True, True, False, True, True, True, False]
    assert keys[0] == keys[5] == keys[6]
    assert counted(cut_indented=False)[0] == [True, False, False, False, True, True, True, False]
    assert counted(min_chars=2)[0] == [True, True, True, False, False, True, True, False]
    for reason in ("gopher.b", "gopher.*"):
        assert counted(spare_flagged=[reason])[0][5:] == [True, False, False]
    assert counted(spare_flagged=["gopher.c"])[0][5:] == [True, True, False]
    keys = counted(by_language=True)[1]
    assert keys[0] == keys[6] != keys[5]
