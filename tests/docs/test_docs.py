"""What the documents say is so: pages from the code are current, links lead somewhere, commands exist, examples run."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from rich.console import Console

import stages
from dataproc.stage import BuiltStage, run_stages
from dataproc.storage import Folder
from docs.generate import pages
from jobs.funnel import read_funnel, render
from jobs.recipe import load_recipe
from stages.registry import STAGES

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in DOCUMENTS}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

every_document = pytest.mark.parametrize("name", TEXTS)


def blocks(name: str, language: str) -> dict[str, str]:
    """Return the code blocks of a document by the file name in their first line."""
    found = re.findall(rf"^```{language}\n# (\S+)\n(.*?)^```$", TEXTS[name], re.MULTILINE | re.DOTALL)
    return dict(found)


@pytest.mark.parametrize("name", pages())
def test_generated_pages_are_current(name: str) -> None:
    assert TEXTS.get(f"docs/{name}") == pages()[name], "run make docs"


@every_document
def test_links_lead_somewhere(name: str) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", TEXTS[name])
    folder = (ROOT / name).parent
    missing = [target for target in targets if "://" not in target and not (folder / target).exists()]
    assert not missing


@every_document
def test_paths_exist(name: str) -> None:
    """Every path in backticks that starts with one of our folders is there, but those that an example makes."""
    named = re.findall(r"`((?:dataproc|stages|classifiers|jobs|tests|docs|benchmarks)/[\w./-]*)`", TEXTS[name])
    made = {path for document in TEXTS for path in blocks(document, "python")}
    assert not [path for path in named if not (ROOT / path).exists() and path not in made]


@every_document
def test_commands_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
    commands = set(re.findall(r"^## dataproc ([\w-]+)", pages()["commands.md"], re.MULTILINE))
    assert set(re.findall(r"[`$] ?make ([a-z-]+)", TEXTS[name])) <= targets
    assert set(re.findall(r"[`$] ?dataproc ([a-z][\w-]+)", TEXTS[name])) <= commands


def test_readme_shows_the_funnel(sample_run: Path) -> None:
    shown = Console(file=StringIO(), width=80)
    shown.print(render(read_funnel(Folder(str(sample_run)))))
    assert isinstance(shown.file, StringIO)
    lines = [line.rstrip() for line in shown.file.getvalue().splitlines() if line.strip()]
    readme = {line.rstrip() for line in TEXTS["README.md"].splitlines()}
    assert not [line for line in lines if line not in readme], "put the output of make pipeline into the README"


def test_sample_run_counts(sample_run: Path) -> None:
    funnel = read_funnel(Folder(str(sample_run)))
    rules = [(f"{stage.name}.{rule.name}", rule.dropped) for _, stage, rule in funnel.rules()]
    text = TEXTS["docs/sample_run.md"]
    told = [(name, int(count)) for name, count in re.findall(r"^\| `([\w.]+)` \| (\d+) \|", text, re.MULTILINE)]
    assert told == rules
    assert f"Of {funnel.rows_in:,} documents {funnel.rows_kept:,} are kept, as {funnel.tokens:,} tokens." in text


def test_readme_feeds_a_trainer(sample_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = blocks("README.md", "python")["feed.py"].replace("runs/sample-default", str(sample_run))
    scope: dict[str, Any] = {}
    exec(compile(code, "feed.py", "exec"), scope)
    assert scope["state"]["step"] == 1
    assert capsys.readouterr().out.startswith("(")


def test_readme_recipe_loads(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(blocks("README.md", "yaml")["mine.yaml"], encoding="utf-8")
    assert load_recipe(str(path)).documents.stages["language_id"].min_score == 0.8


def test_help_lists_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))


@pytest.mark.parametrize(("name", "lines"), [("README.md", 200), ("CONTRIBUTING.md", 120)])
def test_length(name: str, lines: int) -> None:
    assert len(TEXTS[name].splitlines()) < lines


class TestFiveSteps:
    """The stage of CONTRIBUTING.md is made, tested by its own test, and used by its own recipe."""

    EXAMPLES = blocks("CONTRIBUTING.md", "python")
    RECIPE: dict[str, Any] = yaml.safe_load(blocks("CONTRIBUTING.md", "yaml")["mine.yaml"])

    @pytest.fixture
    def stage_module(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
        (tmp_path / "url_digits.py").write_text(self.EXAMPLES["stages/url_digits.py"], encoding="utf-8")
        monkeypatch.setattr(stages, "__path__", [*stages.__path__, str(tmp_path)])
        module = importlib.import_module("stages.url_digits")
        monkeypatch.setitem(STAGES, "url_digits", module.UrlDigits)
        yield module
        del sys.modules["stages.url_digits"]

    def test_its_test_passes(self, stage_module: Any) -> None:
        scope: dict[str, Any] = {}
        exec(compile(self.EXAMPLES["tests/stages/test_url_digits.py"], "test_url_digits.py", "exec"), scope)
        scope["test_max_digits"]()

    def test_its_recipe_loads(self, stage_module: Any, tmp_path: Path) -> None:
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(self.RECIPE), encoding="utf-8")
        recipe = load_recipe(str(path))
        assert recipe.documents.stages["url_digits"] == stage_module.UrlDigits(max_digits=12)
        batch = pa.RecordBatch.from_pydict({"doc_id": [b"0"], "url": ["http://a/1234567890123"]})
        stage = BuiltStage("url_digits", recipe.documents.stages["url_digits"].build())
        (lost,) = run_stages([stage], batch, {})[1]
        assert lost.select(["drop_reason", "drop_value", "drop_limit"]).to_pylist() == [
            {"drop_reason": "url_digits.max_digits", "drop_value": 13.0, "drop_limit": 12.0}
        ]
