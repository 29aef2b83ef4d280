"""What a run reads: Common Crawl over HTTP and S3, the same documents in every format, limits, and errors."""

from __future__ import annotations

import gzip
import io
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataproc.inputs import Unit, plan_units
from dataproc.members import Members, Window, codec_of
from dataproc.shards import Entry
from dataproc.storage import Folder
from jobs.documents import DocumentsTask, Located, declare_documents
from jobs.recipe import Recipe, load_recipe
from jobs.run import Run
from tests.dataproc.warc_files import members, warc_record
from tests.jobs.runs import SAMPLE, checksums, dataproc
from tests.stores import Web, s3, serve

CRAWL_ID = "CC-MAIN-2024-51"
NUM_FILES = 30


@pytest.fixture(scope="module")
def common_crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Common Crawl's layout: a file of the sample cut into many, and the list that names them."""
    root = tmp_path_factory.mktemp("commoncrawl")
    data = (SAMPLE / "sample-00005.warc.gz").read_bytes()
    starts = [piece.start for piece in Members(Window(io.BytesIO(data)), codec_of("a.gz")) if piece.first]
    bounds = [*starts[:: max(1, len(starts) // NUM_FILES)], len(data)]
    lines = []
    for number, (start, stop) in enumerate(pairwise(bounds)):
        lines.append(f"crawl-data/{CRAWL_ID}/segments/{number % 3}/warc/{number:05d}.warc.gz")
        (root / lines[-1]).parent.mkdir(parents=True, exist_ok=True)
        (root / lines[-1]).write_bytes(data[start:stop])
    (root / f"crawl-data/{CRAWL_ID}/warc.paths.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    return root


def documents(
    out: Path, crawl: str | Path, recipe: Recipe | None = None, **options: Any
) -> tuple[dict[str, str], list[Entry]]:
    """Make documents/ and dropped/documents/ of a crawl in this process; return their checksums and the entries."""
    recipe = recipe or load_recipe("default")
    inputs = plan_units(str(crawl), recipe.input, **options)
    run = Run(Folder(str(out)), recipe, None, None, inputs.units.num_rows)  # type: ignore[arg-type]
    run.fingerprints["units"] = ""
    task = DocumentsTask(declare_documents(run), recipe)
    units = [Unit(**row) for row in inputs.units.to_pylist()]
    entries = [task(Located(*pair)) for pair in zip(units, inputs.locations.to_pylist(), strict=True)]
    return checksums(out), entries


def rows(out: Path, dataset: str) -> list[dict[str, Any]]:
    return [row for path in sorted((out / dataset).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


@pytest.fixture(scope="module")
def from_disk(common_crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The checksums of documents/ and dropped/documents/ of the crawl, read as a folder."""
    found, _ = documents(tmp_path_factory.mktemp("disk"), common_crawl)
    assert {name.split("/")[0] for name in found} == {"documents", "dropped"}
    assert len(found) >= 2 * NUM_FILES
    return found


def test_a_common_crawl_id_over_a_bad_network_gives_the_bytes_of_the_disk(
    common_crawl: Path, from_disk: dict[str, str], tmp_path: Path
) -> None:
    """The whole command: every tenth answer is busy, every tenth connection breaks, one file is refused until later."""
    out = tmp_path / "run"
    last = sorted(path.relative_to(common_crawl) for path in common_crawl.rglob("*.warc.gz"))[-1]
    with serve(Web(common_crawl, busy_every=10, cut_every=10, refused=(f"/{last}",))) as web:
        done = dataproc("run", "--crawl", CRAWL_ID, "--root", web.url, "--out", out, ok=False)
        statuses = Counter(status for *_, status in web.answers)
        assert statuses[503] >= 3
        assert statuses.keys() == {206, 403, 503}
        assert done.stderr.count("got 503 Service Unavailable; trying again") == statuses[503]
        assert done.stderr.count("broke off at byte") >= 3
        assert done.returncode == 5
        num_units = len(from_disk) // 2
        assert f"documents: 1 of {num_units} units failed; the others are done and a resume keeps them." in done.stderr
        assert f"{web.url}/{last} must be readable, got 403 Forbidden. Check the permissions" in done.stderr
        web.refused = ()
        dataproc("resume", out)
    found = checksums(out)
    assert {name: found[name] for name in from_disk} == from_disk
    assert "mixture.json" in found


@pytest.mark.needs("moto", "s3fs")
def test_a_common_crawl_id_over_s3_gives_the_bytes_of_the_disk(
    common_crawl: Path, from_disk: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3("commoncrawl", common_crawl) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert documents(tmp_path / "id", CRAWL_ID, root="s3://commoncrawl")[0] == from_disk
        assert documents(tmp_path / "folder", "s3://commoncrawl")[0] == from_disk
        done = dataproc("run", "--crawl", "s3://commoncrawl/gone.warc.gz", "--out", tmp_path / "run", ok=False)
        assert done.returncode == 3
        assert "s3://commoncrawl/gone.warc.gz must exist, got " in done.stderr


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The sample's smallest files as WARC, and every document of theirs that reaches the language stage."""
    folder = tmp_path_factory.mktemp("pages")
    for path in sorted(SAMPLE.glob("*.warc.gz"), key=lambda path: path.stat().st_size)[:2]:
        shutil.copy(path, folder)
    documents(folder / "run", folder, recipe_with_texts())  # unmasked, so that a text can be read again
    dropped = [row for row in rows(folder / "run", "dropped/documents") if row["reason"].startswith(LATE)]
    reached = [*rows(folder / "run", "documents"), *dropped]
    assert len(dropped) > 20
    return folder, [{"text": row["text"], "url": row["url"], "date": row.get("date")} for row in reached]


LATE = ("language_id.", "gopher_quality.", "gopher_repetition.")


def recipe_with_texts() -> Recipe:
    """Return the default recipe, texts of dropped documents kept whole, no text masked."""
    recipe = load_recipe("default")
    stages = {name: stage for name, stage in recipe.documents.stages.items() if name != "pii"}
    update = {"dropped_text": "full", "stages": stages}
    return recipe.model_copy(update={"documents": recipe.documents.model_copy(update=update)})


def fates(out: Path) -> Counter[tuple[Any, ...]]:
    """Count what became of each text from the language stage on: its reason and value, or its columns when kept."""
    lost = [row for row in rows(out, "dropped/documents") if row["reason"].startswith(LATE)]
    kept = [(row["url"], row["text"], row["language"], row["language_score"]) for row in rows(out, "documents")]
    return Counter([*kept, *((row["url"], row["text"], row["reason"], row["value"]) for row in lost)])


@pytest.mark.parametrize("kind", ["wet", "parquet", "jsonl"])
def test_the_same_documents_meet_the_same_fate_in_every_format(
    kind: str, pages: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, reached = pages
    file = tmp_path / "in" / {"wet": "a.warc.wet.gz", "parquet": "a.parquet", "jsonl": "a.jsonl"}[kind]
    file.parent.mkdir()
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(reached), file, row_group_size=20)
    elif kind == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in reached), encoding="utf-8")
    else:
        described = [{"warc_target_uri": row["url"], "content_type": "text/plain"} for row in reached]
        records = [
            warc_record(row["text"].encode(), kind="conversion", **fields)
            for row, fields in zip(reached, described, strict=True)
        ]
        file.write_bytes(members([warc_record(b"software: x\r\n", kind="warcinfo"), *records]))
    recipe = recipe_with_texts()
    recipe = recipe.model_copy(update={"input": recipe.input.model_copy(update={"unit_bytes": 50_000})})
    _, entries = documents(tmp_path / "run", file.parent, recipe)
    assert (len(entries) > 1) == (kind != "wet")
    assert sum(entry.counters["rows_in"] for entry in entries) == len(reached)
    assert sum(entry.counters["bytes"] for entry in entries) == file.stat().st_size
    assert fates(tmp_path / "run") == fates(folder / "run")


def documents_read(entry: Entry) -> int:
    failed = sum(count for reason, count in entry.counters["dropped"].items() if reason.startswith("failed."))
    return int(entry.counters["rows_in"] - failed)


def test_the_first_documents(common_crawl: Path, from_disk: dict[str, str], tmp_path: Path) -> None:
    """The first file whole, some of the second, nothing of the others; the same documents as without a limit."""
    _, entries = documents(tmp_path / "all", common_crawl)
    first, second, *_ = map(documents_read, entries)
    found, limited = documents(tmp_path / "some", common_crawl, limit_docs=first + 2)
    assert [documents_read(entry) for entry in limited] == [first, 2]
    whole = "documents/part-00000000.parquet"
    assert found[whole] == from_disk[whole]
    every = [row["doc_id"] for name in ("documents", "dropped/documents") for row in rows(tmp_path / "all", name)]
    some = [row["doc_id"] for name in ("documents", "dropped/documents") for row in rows(tmp_path / "some", name)]
    assert set(some) <= set(every)
    assert entries[1].counters["bytes"] > limited[1].counters["bytes"] > 0
    assert len(documents(tmp_path / "less", common_crawl, limit_docs=first)[1]) == 1
    assert len(documents(tmp_path / "more", common_crawl, limit_docs=10**6)[1]) == len(entries)
    assert second > 2


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "secret.warc.gz").write_bytes(b"x")
    with serve(Web(tmp_path / "web", refused=("/secret.warc.gz",))) as running:
        yield running


@pytest.mark.parametrize(
    ("crawl", "sentence"),
    [
        ("{folder}/empty", "{folder}/empty must hold files that end in one of .warc, "),
        (
            "{folder}/gone.warc.gz",
            "{folder}/gone.warc.gz must exist. Give a file, a folder, a glob, a list of paths, or",
        ),
        ("{folder}/textless.parquet", "textless.parquet must have a column of strings named text or content or"),
        ("{url}/gone.warc.gz", "{url}/gone.warc.gz must exist, got 404 "),
        ("{url}/secret.warc.gz", "{url}/secret.warc.gz must be readable, got 403 Forbidden. Check the permissions and"),
        (
            "CC-MAIN-2099-01",
            "CC-MAIN-2099-01 must be a crawl of Common Crawl, got no {url}/crawl-data/CC-MAIN-2099-01/warc.paths.gz."
            " The ids are listed at https://index.commoncrawl.org/.",
        ),
    ],
)
def test_inputs_that_cannot_be_read_are_told_before_anything_starts(
    crawl: str, sentence: str, web: Web, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    pq.write_table(pa.table({"id": [1], "body": ["a text"]}), tmp_path / "textless.parquet")
    names = {"folder": tmp_path, "url": web.url}
    words: list[str | Path] = ["run", "--crawl", crawl.format(**names), "--out", tmp_path / "run", "--root", web.url]
    done = dataproc(*words, ok=False)
    assert done.returncode == 3
    assert done.stderr.startswith("InputError: " + sentence.format(**names))
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_no_gzip_is_told_with_its_cause(tmp_path: Path) -> None:
    """Beside other files it costs itself alone (tests/jobs/test_conservation.py)."""
    (tmp_path / "a.warc.gz").write_bytes(b"no gzip at all")
    done = dataproc("run", "--crawl", tmp_path / "a.warc.gz", "--out", tmp_path / "run", ok=False)
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        f"InputError: the input must hold a document, got none in 1 units, the first of {tmp_path}/a.warc.gz:"
        " 1 x failed.garbage. Give files that are what their names say, and name their fields in input.columns."
    ]


def test_invalid_utf8_costs_the_document_in_every_format(tmp_path: Path) -> None:
    crawl = tmp_path / "crawl"
    crawl.mkdir()
    (crawl / "a.jsonl").write_bytes(b'{"text": "\xff"}\n{"text": "good"}\n')
    texts = [warc_record(text, kind="conversion", content_type="text/plain") for text in (b"\xff", b"good")]
    (crawl / "b.warc.wet.gz").write_bytes(members(texts))
    column = pa.array([b"\xff", b"good"], pa.binary())
    pq.write_table(pa.table({"text": column}), crawl / "c.parquet")
    _, entries = documents(tmp_path / "run", crawl)
    assert [entry.counters["rows_in"] for entry in entries] == [2, 2, 2]
    assert [entry.counters["dropped"]["failed.invalid_utf8"] for entry in entries] == [1, 1, 1]
