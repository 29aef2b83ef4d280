"""Every error of docs/errors.md, through the command: the whole sentence, the exit code, and what a resume finds.

Each row of the page's table of cases is the test of that name, which takes its sentence and code from there.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.dataproc.warc_files import members, warc_record
from tests.disks import disk
from tests.jobs.runs import checksums, command, dataproc
from tests.stores import Web, serve

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


class Case(NamedTuple):
    """A row of the page."""

    sentence: str
    exit_code: int


def _cases() -> dict[str, Case]:
    rows = re.findall(r"^\| ([^|`]+) \| ``([^|]+)`` \| (\d+) \|", PAGE.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"\W", "_", name.lower()): Case(sentence, int(exit_code)) for name, sentence, exit_code in rows}


CASES = _cases()

RECIPE = """
description: texts that others have filtered
source: ours
documents: {stages: {language_id: {min_score: null}}}
dedup: {exact: {}}
policy: {stages: {assign_bucket: {bucket: web}}}
tokens: {tokenizer: {name: web32k}}
"""


def says(case: str, done: subprocess.CompletedProcess[str], **places: object) -> None:
    """Hold what the command said, white space folded, against the page."""
    sentence = CASES[case].sentence
    for name, place in places.items():
        sentence = sentence.replace(f"{{{name}}}", str(place))
    assert " ".join(done.stderr.split()) == sentence
    assert done.returncode == CASES[case].exit_code


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe that needs little and passes through every kind of step."""
    path = tmp_path_factory.mktemp("recipe") / "mine.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files of texts that do not compress well, a third of a megabyte in all."""
    folder = tmp_path_factory.mktemp("crawl")
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(5000)]
    for number in range(3):
        texts = (" ".join(draw.choices(words, k=150)) for _ in range(120))
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (folder / f"{number}.jsonl.gz").write_bytes(gzip.compress(lines.encode(), mtime=0))
    return folder


@pytest.fixture(scope="module")
def whole(crawl: Path, recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run."""
    out = tmp_path_factory.mktemp("whole") / "run"
    dataproc("run", "--crawl", crawl, "--recipe", recipe, "--out", out, "--workers", "1")
    return out


@pytest.fixture
def out(whole: Path, tmp_path: Path) -> Path:
    """A copy of the run."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


@pytest.fixture
def refused(crawl: Path, tmp_path: Path) -> Callable[[str, str], None]:
    """Run a recipe with a mistake in it, and see that it made nothing."""

    def check(case: str, text: str) -> None:
        recipe = tmp_path / "wrong.yaml"
        recipe.write_text(f"extends: default\n{text}\n")
        done = dataproc("run", "--crawl", crawl, "--recipe", recipe, "--out", tmp_path / "run", ok=False)
        says(case, done, recipe=recipe)
        assert not (tmp_path / "run").exists()

    return check


def test_misspelt_key(refused: Callable[[str, str], None]) -> None:
    refused("misspelt_key", "documents: {stages: {gopher_quality: {min_word: 3}}}")


def test_unknown_stage(refused: Callable[[str, str], None]) -> None:
    refused("unknown_stage", "documents: {stages: {good: {use: gopher_qualty}}}")


def test_column_nobody_writes(refused: Callable[[str, str], None]) -> None:
    refused("column_nobody_writes", "policy: {stages: {good: {use: threshold, column: qualty_score, min: 1}}}")


def test_unknown_plan(refused: Callable[[str, str], None]) -> None:
    refused("unknown_plan", "dedup: {minhash: {plan: finweb}}")


def test_kept_by_a_score_that_comes_later(refused: Callable[[str, str], None]) -> None:
    refused("kept_by_a_score_that_comes_later", "dedup: {keep: best, best_by: quality_score}")


def against(run: Path, case: str, crawl: Path, tmp_path: Path) -> None:
    done = dataproc("run", "--crawl", crawl, "--out", tmp_path / "run", "--against", run, ok=False)
    says(case, done, run=run)
    assert not (tmp_path / "run").exists()


def test_earlier_run_that_is_none(crawl: Path, tmp_path: Path) -> None:
    against(tmp_path / "gone", "earlier_run_that_is_none", crawl, tmp_path)


def test_earlier_run_without_an_index(crawl: Path, whole: Path, tmp_path: Path) -> None:
    against(whole, "earlier_run_without_an_index", crawl, tmp_path)


def test_seed_too_large(refused: Callable[[str, str], None]) -> None:
    refused("seed_too_large", f"seed: {1 << 63}")


def asked_for_ray(crawl: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    done = dataproc("run", "--crawl", crawl, "--out", tmp_path / "run", "--engine", "ray", ok=False)
    assert not (tmp_path / "run").exists()
    return done


def test_engine_not_installed(crawl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ray.py").write_text("raise ModuleNotFoundError(name='ray')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    says("engine_not_installed", asked_for_ray(crawl, tmp_path))


@pytest.mark.needs("ray")
def test_cluster_that_does_not_answer(crawl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    says("cluster_that_does_not_answer", asked_for_ray(crawl, tmp_path), address=address)


def run_of(crawl: Path | str, recipe: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return dataproc("run", "--crawl", crawl, "--recipe", recipe, "--out", out, "--workers", "1", ok=False)


def test_empty_crawl(recipe: Path, tmp_path: Path) -> None:
    crawl = tmp_path / "crawl"
    crawl.mkdir()
    says("empty_crawl", run_of(crawl, recipe, tmp_path / "run"), crawl=crawl)
    assert not (tmp_path / "run").exists()


def test_file_without_a_document(recipe: Path, tmp_path: Path) -> None:
    crawl, out = tmp_path / "crawl", tmp_path / "run"
    crawl.mkdir()
    (crawl / "a.jsonl").touch()
    says("file_without_a_document", run_of(crawl, recipe, out), crawl=crawl)
    says("file_without_a_document", dataproc("resume", out, ok=False), crawl=crawl)


def test_missing_file(recipe: Path, tmp_path: Path) -> None:
    says("missing_file", run_of(tmp_path / "gone.warc.gz", recipe, tmp_path / "run"), crawl=tmp_path)
    assert not (tmp_path / "run").exists()


def listed(crawl: Path, url: str, folder: Path) -> Path:
    """Return a list of the crawl's files on a server."""
    path = folder / "list.txt"
    path.write_text("".join(f"{url}/{file.name}\n" for file in sorted(crawl.iterdir())))
    return path


def test_unreadable_object(crawl: Path, recipe: Path, tmp_path: Path) -> None:
    with serve(Web(crawl, refused=("/0.jsonl.gz",))) as web:
        done = run_of(listed(crawl, web.url, tmp_path), recipe, tmp_path / "run")
        says("unreadable_object", done, url=web.url)
    assert not (tmp_path / "run").exists()


def test_object_unreadable_later(crawl: Path, recipe: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with serve(Web(crawl, refused=("/1.jsonl.gz",))) as web:
        says("object_unreadable_later", run_of(listed(crawl, web.url, tmp_path), recipe, out), url=web.url)
        made = {path: path.stat().st_mtime_ns for path in (out / "documents").iterdir()}
        assert [path.name for path in sorted(made)] == ["part-00000000.parquet", "part-00000002.parquet"]
        web.refused = ()
        dataproc("resume", out)
    assert all(path.stat().st_mtime_ns == made[path] for path in made)
    found = checksums(out)
    del found["units.parquet"]  # sizes were not asked of the server
    assert found.items() <= checksums(whole).items()
    assert "mixture.json" in found


def test_out_below_a_file(crawl: Path, recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "file" / "run"
    says("out_below_a_file", run_of(crawl, recipe, out), out=out)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.needs("mount")
def test_read_only_out(crawl: Path, recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    out = tmp_path / "disk" / "run"
    run = command("run", "--crawl", crawl, "--recipe", recipe, "--out", out, "--workers", "1")
    with disk(tmp_path / "disk", "size=100m,ro") as small:
        done = subprocess.run(small.enter(*run), capture_output=True, text=True, check=False)
        says("read_only_out", done, out=out)
        assert list(small.seen(tmp_path / "disk").iterdir()) == []


@pytest.mark.needs("mount")
def test_full_disk(crawl: Path, recipe: Path, whole: Path, tmp_path: Path) -> None:
    """Full while documents/ is written, then while an exchange spills, then there is space."""
    (tmp_path / "disk").mkdir()
    out = tmp_path / "disk" / "run"
    run = command("run", "--crawl", crawl, "--recipe", recipe, "--out", out, "--workers", "2")
    with disk(tmp_path / "disk", "size=200k") as small:
        for words, place in (
            (run, "(documents|dropped/documents|manifests/documents)/part-.*"),
            (command("resume", out, "--workers", "2"), r"\.scratch/exchange/tokens-.*/unit-0000000\d\.spill"),
        ):
            done = subprocess.run(small.enter(*words), capture_output=True, text=True, check=False)
            file = done.stderr.removeprefix("StorageError: ").partition(" must be")[0]
            assert re.fullmatch(place, file.removeprefix(f"{out}/"))
            says("full_disk", done, file=file)
            small.remount("size=600k")
        small.remount("size=100m")
        subprocess.run(small.enter(*words), capture_output=True, check=True)
        assert checksums(small.seen(out)) == checksums(whole)
        assert not small.seen(out / ".scratch").exists()


def test_no_gzip(recipe: Path, tmp_path: Path) -> None:
    crawl, out = tmp_path / "crawl", tmp_path / "run"
    crawl.mkdir()
    (crawl / "a.jsonl.gz").write_text('{"text": "a document"}\n')
    says("no_gzip", run_of(crawl, recipe, out), crawl=crawl)


def test_parquet_without_a_text(recipe: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1], "body": ["a text"]}), tmp_path / "a.parquet")
    says("parquet_without_a_text", run_of(tmp_path / "a.parquet", recipe, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_invalid_utf_8(recipe: Path, tmp_path: Path) -> None:
    """Alone in each text format, then each beside a good document, which it does not harm."""

    def write(name: str, texts: list[bytes]) -> Path:
        crawl = tmp_path / name
        crawl.mkdir()
        (crawl / "a.jsonl").write_bytes(b"".join(b'{"text": "%s"}\n' % text for text in texts))
        records = [warc_record(text, kind="conversion", content_type="text/plain") for text in texts]
        (crawl / "b.warc.wet.gz").write_bytes(members(records))
        pq.write_table(pa.table({"text": pa.array(texts, pa.binary())}), crawl / "c.parquet")
        return crawl

    alone = write("alone", [b"\xff"])
    says("invalid_utf_8", run_of(alone, recipe, tmp_path / "run"), crawl=alone)
    out = tmp_path / "other"
    done = run_of(write("beside", [b"\xff", b"Good texts come first."]), recipe, out)
    assert done.returncode == 0, done.stderr
    assert re.search(r"invalid_utf8 +3 +3 +50.0%", done.stdout)
    texts = [pq.read_table(path)["text"].to_pylist() for path in sorted((out / "documents").iterdir())]
    assert texts == [["Good texts come first."]] * 3


def test_resume_without_a_run(tmp_path: Path) -> None:
    says("resume_without_a_run", dataproc("resume", tmp_path / "run", ok=False), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_changed_recipe(crawl: Path, whole: Path, out: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(RECIPE.replace("bucket: web", "bucket: books"))
    says("changed_recipe", run_of(crawl, other, out), out=out)
    assert checksums(out) == checksums(whole)


def test_changed_input(crawl: Path, whole: Path, out: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copytree(crawl, tmp_path / "crawl"))
    record = json.loads((out / "run.json").read_text())
    record["order"]["crawl"] = str(mine)
    (out / "run.json").write_text(json.dumps(record))
    data = (mine / "1.jsonl.gz").read_bytes()
    (mine / "1.jsonl.gz").write_bytes(data + gzip.compress(b'{"text": "one more"}\n'))
    says("changed_input", dataproc("resume", out, ok=False), out=out)
    assert checksums(out) == checksums(whole)
    (mine / "1.jsonl.gz").write_bytes(data)
    done = dataproc("resume", out)
    assert done.stdout.startswith(f"{out} was finished: nothing was left to do.\n")
    assert checksums(out) == checksums(whole)


def test_another_version(whole: Path, out: Path) -> None:
    """The folder as a release left it whose language_id gave other bytes."""
    path = out / "manifests" / "documents" / "dataset.json"
    described = json.loads(path.read_text())
    described["made_from"]["documents"]["stages"]["language_id"]["version"] -= 1
    described["fingerprint"] = "0" * 32
    path.write_text(json.dumps(described))
    says("another_version", dataproc("resume", out, ok=False), out=out)
    assert checksums(out) == checksums(whole)


def test_another_format(crawl: Path, recipe: Path, whole: Path, out: Path) -> None:
    """The folder as a release to come might leave it, with an order that this one does not know."""
    path = out / "run.json"
    record = json.loads(path.read_text())
    record["format"], record["versions"]["dataproc-llm"], record["order"]["shards"] = 2, "9.0.0", 3
    path.write_text(json.dumps(record))
    for done in (dataproc("resume", out, ok=False), run_of(crawl, recipe, out)):
        says("another_format", done, out=out)
    assert checksums(out) == checksums(whole)


def test_every_case_of_the_page_is_a_test() -> None:
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert set(CASES) == tests - {"every_case_of_the_page_is_a_test", "codes_of_the_page_are_those_of_the_command"}


def test_codes_of_the_page_are_those_of_the_command() -> None:
    from jobs.cli import EXIT_CODES

    page = re.findall(r"^\| (\d+) \| ", PAGE.read_text(encoding="utf-8"), re.M)
    assert page == re.findall(r"(?<=[ ,])\d+(?= )", EXIT_CODES)
