"""The report of the sample run, and of hostile pages."""

from __future__ import annotations

import json
import re
from pathlib import Path

from dataproc.storage import Folder
from jobs.funnel import read_funnel
from tests.jobs.runs import dataproc


def test_the_report_shows_every_reason_and_kept_documents(sample_run: Path) -> None:
    html = (sample_run / "report" / "index.html").read_text()
    funnel = read_funnel(Folder(sample_run))
    for _, stage, rule in funnel.rules():
        assert (f"<b>{stage.name}.{rule.name}</b>" in html) == (rule.dropped > 0)
    assert f"<b>{funnel.tokens:,}</b>tokens" in html
    assert f"<b>15 of {funnel.rows_kept:,}</b>" in html
    assert not re.search(r'(?:src|href)="', html), "self-contained: nothing is loaded from elsewhere"


def test_pages_cannot_speak_in_the_report(tmp_path: Path) -> None:
    words = " ".join(f"the sentences of paragraph {index} that have little to say" for index in range(30))
    evil = {"text": f"<script>alert(1)</script> {words}", "url": "http://a.org/<script>alert(2)</script>"}
    (tmp_path / "a.jsonl").write_text(json.dumps(evil) + "\n" + json.dumps({"text": "<img src=x>", "url": "b"}) + "\n")
    recipe = tmp_path / "open.yaml"
    recipe.write_text(
        "extends: default\n"
        "documents: {stages: {language_id: {min_score: null}}}\n"
        "policy: {stages: {min_quality: {min: 0.0}}}\n"
    )
    dataproc("run", "--crawl", tmp_path / "a.jsonl", "--recipe", recipe, "--out", tmp_path / "run")
    html = (tmp_path / "run" / "report" / "index.html").read_text()
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)" in html
