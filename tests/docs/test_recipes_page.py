"""docs/recipes.md says of each recipe what its file says, and of the sample what a run of it drops."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from dataproc.storage import Folder
from jobs.funnel import read_funnel
from jobs.recipe import RECIPES, load_recipe
from tests.jobs.runs import dataproc

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
NAMES = [path.stem for path in sorted(RECIPES.glob("*.yaml"))]

DROPPING = [name for name in NAMES if name != "all_rules"]  # that one only flags

each_recipe = pytest.mark.parametrize("name", NAMES)


def table() -> dict[str, dict[str, str]]:
    """Return the cells of the table of rules by row, then by recipe."""
    text = PAGE.partition("## On the sample crawl")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line.replace("**", "").split("|")[1:-2]] for line in lines]
    return {row[0].strip("`"): dict(zip(head[1:], row[1:], strict=True)) for row in rows}


@each_recipe
def test_page_says_what_the_recipe_says(name: str) -> None:
    recipe = load_recipe(name)
    section = " ".join(PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0].split())
    for text in (recipe.description, f"**Source.** {recipe.source}", *(f"- {text}" for text in recipe.deviations)):
        assert " ".join(text.split()) in section


def held(name: str, run: Path) -> None:
    """Assert that the table has the figures of a run, and that the run kept enough to be of use."""
    funnel = read_funnel(Folder(str(run)))
    counts = {f"{stage.name}.{rule.name}": rule.dropped for _, stage, rule in funnel.rules()}
    counts |= {"documents kept": funnel.rows_kept, "tokens": funnel.tokens}
    assert {row: int(cells[name].replace(",", "")) for row, cells in table().items() if cells[name]} == counts
    assert funnel.rows_kept >= 100


def test_table_has_the_counts_of_default(sample_run: Path) -> None:
    held("default", sample_run)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in DROPPING if name != "default"])
def test_table_has_the_counts_of_a_run(name: str, tmp_path: Path) -> None:
    dataproc("run", "--crawl", "sample", "--recipe", name, "--out", tmp_path / "run", "--workers", "2")
    held(name, tmp_path / "run")


@pytest.mark.slow
def test_table_of_flags_has_the_counts_of_a_run(tmp_path: Path) -> None:
    dataproc("run", "--crawl", "sample", "--recipe", "all_rules", "--out", tmp_path / "run", "--workers", "2")
    text = PAGE.partition("\n## all_rules\n")[2]
    shown = {
        rule: int(count.replace(",", "")) for rule, count in re.findall(r"^\| `([\w.]+)` \| ([\d,]+) \|", text, re.M)
    }
    documents = ds.dataset(tmp_path / "run" / "documents", format="parquet").to_table(columns=["flags"])
    flags = Counter(flag for row in documents["flags"].to_pylist() for flag in row)
    assert {rule: count for rule, count in shown.items() if count} == flags
    assert f"on the {documents.num_rows:,} of the sample" in text


def test_every_rule_is_explained_or_its_absence() -> None:
    text = PAGE.partition("## On the sample crawl")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([\w.*]+)` \|(.*) \|$", text, re.MULTILINE)
    for rule, cells in rows:
        *counts, why = cells.split(" | ")
        if not any(count.strip() not in ("", "0") for count in counts):
            assert why.strip().startswith("None"), rule
