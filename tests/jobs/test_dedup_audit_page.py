"""What an audit shows, writes and refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dataproc.engines import Failed, Retried
from dataproc.errors import ConfigError, InputError, ShardError
from dataproc.storage import Folder
from jobs import dedup_audit_page
from jobs.dedup_audit import audit
from jobs.progress import ProgressDisplay
from tests.jobs.dedup_runs import Inline, article, crawl_of, dedup, near
from tests.jobs.runs import dataproc
from tests.jobs.test_report import Page


def test_nothing_is_written_but_the_page(weak: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(weak, run)
    before = Folder(run).files()
    found = audit(Folder(run), Inline(), 50, "fineweb", exact=True)
    assert Folder(run).files() == before
    assert dedup_audit_page.write(Folder(run), found) == f"{run}/audit.html"
    assert set(Folder(run).files()) == {*before, "audit.html"}
    out = tmp_path / "elsewhere" / "page.html"
    out.parent.mkdir()
    assert dedup_audit_page.write(Folder(run), found, out) == str(out)
    assert out.read_text() == (run / "audit.html").read_text()


def test_the_page_asks_for_nothing_and_escapes_all(tmp_path: Path) -> None:
    evil = article(7) + " <script>alert(1)</script>"
    crawl_of(
        [evil, article(7), near(article(7), 2)],
        1,
        tmp_path / "crawl",
        ["javascript:alert(1)", "http://a.example/", None],
    )
    dedup(tmp_path / "crawl", tmp_path / "run", Inline())
    text = dedup_audit_page.page(audit(Folder(tmp_path / "run"), Inline(), 10, "min_jaccard=0.99"))
    page = Page(text)
    assert not {"script", "img", "iframe", "object", "form", "base"} & page.tags
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert not [link for link in page.links if link.startswith("javascript:")]
    assert {link for link in page.links if link.startswith("#")} == {
        "#recall",
        "#missed",
        "#compared",
        "#clusters",
        "#other",
    }
    assert all(f'id="{link[1:]}"' in text for link in page.links if link.startswith("#"))
    assert "<mark>" in text


def test_the_summary_has_the_figures(weak: Path) -> None:
    whole = audit(Folder(weak), Inline(), 10_000)
    told = dedup_audit_page.render(whole)
    assert "2 bands x 14 rows over shingles of 5 words; pairs of a true Jaccard of at least 0.8 link." in told
    assert f"{whole.documents} documents came to near-duplicate dedup, {whole.dropped} of them were dropped" in told
    assert whole.own.recall is not None
    assert f"{whole.own.recall.value:.2%} (exactly: all were drawn)" in told
    assert json.loads(whole.to_json())["own"]["recall"]["value"] == whole.own.recall.value


def test_a_run_without_near_duplicates_has_a_page(tmp_path: Path) -> None:
    crawl_of(["", "one text", article(2)], 1, tmp_path / "crawl")
    dedup(tmp_path / "crawl", tmp_path / "run", Inline())
    found = audit(Folder(tmp_path / "run"), Inline(), 10, "zyda2")
    assert (found.own.pairs, found.own.recall, found.dropped) == (0, None, 0)
    assert "  - (there was none)" in dedup_audit_page.render(found)
    assert "No document drawn has another like it." in dedup_audit_page.page(found)


def test_a_run_without_documents_has_a_page(tmp_path: Path) -> None:
    crawl_of([""], 1, tmp_path / "crawl")
    dedup(tmp_path / "crawl", tmp_path / "run", Inline())
    found = audit(Folder(tmp_path / "run"), Inline(), 10, "min_jaccard=0.9")
    assert (found.documents, found.drawn, found.own.recall, found.own.left) == (0, 0, None, None)
    assert found.other is not None
    assert found.other.dropped.value == 0
    assert "There are none." in dedup_audit_page.page(found)


def unfinished(run: Path) -> None:
    (run / "manifests" / "dedup" / "part-00000001.json").unlink()


def without_minhash(run: Path) -> None:
    path = run / "manifests" / "dedup" / "dataset.json"
    made = json.loads(path.read_text())
    made["made_from"]["dedup"]["minhash"] = None
    path.write_text(json.dumps(made))


def signed_before(run: Path) -> None:
    path = run / "manifests" / "signatures" / "dataset.json"
    made = json.loads(path.read_text())
    made["made_from"]["version"] = 2
    path.write_text(json.dumps(made))


@pytest.mark.parametrize(
    ("spoil", "plan", "exact", "error", "message"),
    [
        (shutil.rmtree, None, False, InputError, "must hold a run with dedup, got no manifests/dedup. Give the OUT"),
        (unfinished, None, False, InputError, r"whose dedup is done, got 2 of 3 parts. Run `dataproc resume"),
        (without_minhash, None, False, InputError, "with near-duplicate dedup, got dedup.minhash: null"),
        (signed_before, None, False, InputError, "must have signatures of version 3, got 2. Run it again with --redo"),
        (None, "olmo", False, ConfigError, r"--plan\.plan must be .*got 'olmo'"),
        (None, "bands=3", False, ConfigError, "--plan.bands is not a key of MinhashDedup. Did you mean"),
        (
            None,
            "min_jaccard=[",
            False,
            ConfigError,
            r"must give fields as name=value, got 'min_jaccard=\['. Correct the",
        ),
        (None, " , ", False, ConfigError, "--plan must be a plan or fields of dedup.minhash, got ' , '"),
        (None, None, True, ConfigError, "--exact must come with --plan, .* got no plan. Leave it out"),
    ],
)
def test_errors_tell_what_to_do(
    spoil: Callable[[Path], Any] | None,
    plan: str | None,
    exact: bool,
    error: type[Exception],
    message: str,
    weak: Path,
    tmp_path: Path,
) -> None:
    run = weak
    if spoil is not None:
        run = tmp_path / "run"
        shutil.copytree(weak, run)
        spoil(run)
    with pytest.raises(error, match=message):
        audit(Folder(run), Inline(), 10, plan, exact=exact)


def test_its_work_is_shown_like_the_steps_of_a_run(weak: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(weak, run)
    console = Console(file=StringIO(), width=200)
    audit(Folder(run), Inline(), 10, "num_bands=14, rows_per_band=2", exact=True, progress=ProgressDisplay(console))
    assert isinstance(console.file, StringIO)
    told = [line.split(" in ")[0] for line in console.file.getvalue().splitlines()]
    assert told[:4] == [
        "dedup audit: draw: 3 of 3 units",
        "dedup audit: compare: 3 of 3 units",
        "dedup audit: edges: 1 of 1 units",
        "dedup audit: clusters: 1 of 1 units",
    ]
    assert told[4:6] == ["dedup audit: compare: 3 of 3 units", "dedup/exact_groups: 1 of 1 units"]
    assert told[-1] == "dedup: 3 of 3 units"


def test_a_part_that_cannot_be_read_ends_it(weak: Path) -> None:
    class Broken(Inline):
        def map(self, name: str, fn: Any, units: Any, resources: Any = None) -> Iterator[Any]:
            yield Retried(name, 0, "exit code 9")
            yield Failed(0, "the disk is gone")

    console = Console(file=StringIO(), width=200)
    with pytest.raises(ShardError, match=r"dedup audit: draw: 0 must be readable, got: the disk is gone"):
        audit(Folder(weak), Broken(), 10, progress=ProgressDisplay(console))
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().endswith(", 1 tried again\n")


@pytest.mark.slow
def test_the_command_on_the_sample(sample_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(sample_run, run)
    told = dataproc("dedup", "audit", run, "--plan", "zyda2", "--workers", "2").stdout
    assert f"Page: {run}/audit.html" in told
    assert "With 8 bands x 16 rows over shingles of 25 characters" in told
    assert "Every file is what its manifest says." in dataproc("verify", run).stdout
    found = json.loads(dataproc("dedup", "audit", run, "--json", "--sample", "100", "--workers", "1").stdout)
    assert (found["drawn"], found["other"]) == (100, None)
    Page((run / "audit.html").read_text())
    assert dataproc("dedup", "audit", tmp_path, ok=False).returncode == 3
