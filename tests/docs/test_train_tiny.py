"""The page docs/train_tiny.md runs as printed: a tiny model beats the unigram model, and going on repeats nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dataproc.storage import Folder
from jobs.mixture import write_mixture

PAGE = Path(__file__).parent.parent.parent / "docs" / "train_tiny.md"


def block(text: str, language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


@pytest.mark.slow
@pytest.mark.needs("torch")
def test_the_page_runs(sample_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(block(text, "yaml"), encoding="utf-8")
    write_mixture(Folder(sample_run), "tiny.yaml", 0, Path("tiny.json"))
    scope: dict[str, float] = {}
    exec(compile(block(text, "python"), str(PAGE), "exec"), scope)
    assert scope["model_loss"] < scope["unigram_loss"] - 0.05
