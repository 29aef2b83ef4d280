"""The report of the sample run, of a run on its way, and of hostile pages."""

from __future__ import annotations

import html
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dataproc.errors import InputError
from dataproc.storage import Folder
from jobs.funnel import read_funnel
from jobs.pages import short
from jobs.report import write_report
from jobs.report_documents import DROPPED_SHOWN, KEPT_SHOWN, count_languages, largest_clusters, pick_dropped, pick_kept
from tests.jobs.runs import dataproc

VOID = {"meta", "link", "br", "wbr", "rect", "polygon", "line"}


class Page(HTMLParser):
    """Checks that tags nest and gathers what a browser would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            assert not name.startswith("on"), f"{tag} has a handler"
            assert name != "src"
            if name == "href":
                self.links.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_has_every_rule_and_figure(sample_run: Path) -> None:
    text = (sample_run / "report" / "index.html").read_text()
    funnel = read_funnel(Folder(sample_run))
    for _, stage, rule in funnel.rules():
        assert (f"<b>{stage.name}.<wbr>{rule.name}</b>" in text) == (rule.dropped > 0)
        assert f"<td>{rule.name}</td>" in text
    for bucket in funnel.buckets[:25]:
        assert f'<td class="name">{bucket.name}</td>' in text
    assert f'<b title="{funnel.tokens:,}">{short(funnel.tokens)}</b>' in text
    assert "are done; the figures are those so far" not in text
    assert (
        json.loads((sample_run / "report" / "funnel.json").read_text())["buckets"][0]["tokens"]
        == funnel.buckets[0].tokens
    )


def test_the_report_asks_for_nothing_from_elsewhere(sample_run: Path) -> None:
    text = (sample_run / "report" / "index.html").read_text()
    page = Page(text)
    assert "default-src 'none'" in text
    assert not {"script", "img", "iframe", "object", "form", "base"} & page.tags
    assert "url(" not in text
    assert "@import" not in text
    anchors = {link for link in page.links if link.startswith("#")}
    assert len(anchors) == 8
    assert all(f'id="{anchor[1:]}"' in text for anchor in anchors)
    assert all(link.startswith(("http://", "https://")) or link in anchors | {"data:,"} for link in page.links)


def test_examples_are_of_their_reason_and_the_same_every_time(sample_run: Path) -> None:
    folder = Folder(sample_run)
    funnel = read_funnel(folder)
    shown = pick_dropped(folder, funnel)
    assert shown == pick_dropped(folder, funnel)
    reasons = {
        row["doc_id"].hex(): row["reason"]
        for path in (sample_run / "dropped").rglob("*.parquet")
        for row in pq.read_table(path, columns=["doc_id", "reason"]).to_pylist()
    }
    dropped = {
        (step.name, f"{stage.name}.{rule.name}"): rule.dropped for step, stage, rule in funnel.rules() if rule.dropped
    }
    assert {key: len(documents) for key, documents in shown.items()} == {
        key: min(count, DROPPED_SHOWN) for key, count in dropped.items()
    }
    for (_, reason), documents in shown.items():
        assert {reasons[document.doc_id] for document in documents} == {reason}
        assert all(len(document.text or "") <= 403 for document in documents)
    assert all(
        re.fullmatch(r"[\d,.]+, limit 50", one.facts[0]) for one in shown["documents", "gopher_quality.min_words"]
    )
    assert all(re.fullmatch(r"kept instead: [0-9a-f]{32}", one.facts[0]) for one in shown["dedup", "dedup.exact"])
    assert all(re.fullmatch(r"[\d,]+ bytes lost", one.facts[0]) for one in shown["documents", "failed.corrupt"])


def test_kept_examples_come_in_turn_from_the_buckets(sample_run: Path) -> None:
    folder = Folder(sample_run)
    funnel = read_funnel(folder)
    kept = pick_kept(folder, funnel)
    assert kept == pick_kept(folder, funnel)
    assert len({one.doc_id for one in kept}) == KEPT_SHOWN
    assert [one.facts[0] for one in kept] == [bucket.name for bucket in funnel.buckets[:KEPT_SHOWN]]
    assert all(any(fact.startswith("quality_score ") for fact in one.facts) for one in kept)


def test_languages_and_clusters_are_those_of_the_run(sample_run: Path) -> None:
    folder = Folder(sample_run)
    funnel = read_funnel(folder)
    languages, parts = count_languages(folder, funnel)
    assert (sum(count for _, count in languages), parts) == (funnel.rows_kept, 7)
    assert languages[0][0] == "eng"
    sizes = [
        size
        for path in (sample_run / "dedup").glob("part-*.parquet")
        for size in pq.read_table(path)["cluster_size"].to_pylist()
        if size
    ]
    clusters = largest_clusters(folder, funnel)
    assert [cluster["size"] for cluster in clusters] == sorted(sizes, reverse=True)[: len(clusters)]
    assert clusters[0]["size"] > 2


def test_a_run_on_its_way_has_a_report(sample_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(sample_run, tmp_path / "run"))
    for step in ("buckets", "tokens"):
        shutil.rmtree(run / "manifests" / step)
    for part in (5, 6):
        (run / "manifests" / "dedup" / f"part-{part:08d}.json").unlink()
    write_report(Folder(run))
    text = (run / "report" / "index.html").read_text()
    Page(text)
    assert "dedup: 5 of 7 parts are done; the figures are those so far." in text
    assert "None yet: the policy has not decided." in text


def test_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"must hold a run, got no manifests/documents\. Give the OUT of `dataproc run`"
    ):
        write_report(Folder(tmp_path))


def test_pages_cannot_speak_in_the_report(tmp_path: Path) -> None:
    words = " ".join(f"these are the words of chapter {index} that have been written" for index in range(30))
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'</p></article>{{ 7777 * 7777 }}"
    rows = [
        {"text": words, "url": "http://a.org/kept"},
        {"text": f"{evil} {words}", "url": f"http://a.org/{evil}"},
        {"text": f"{evil} two", "url": "javascript:alert(3)"},
        {"text": f"{evil} \u202e turned", "url": "data:text/html,<script>alert(4)</script>"},
    ]
    (tmp_path / "<b>.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = tmp_path / "open.yaml"
    recipe.write_text(
        "extends: default\n"
        "documents: {stages: {language_id: {min_score: null}, gopher_repetition: null}}\n"
        "policy: {stages: {min_quality: {min: 0.0}}}\n"
    )
    dataproc("run", "--crawl", tmp_path / "<b>.jsonl", "--recipe", recipe, "--out", tmp_path / "run")
    text = (tmp_path / "run" / "report" / "index.html").read_text()
    page = Page(text)
    assert not {"script", "img", "b.jsonl"} & page.tags
    assert html.escape(evil).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in text
    assert str(7777 * 7777) not in text
    assert not any(link.startswith(("javascript:", "data:text")) for link in page.links)
    assert "<bdi>javascript:alert(3)</bdi>" in text
    dataproc("explain", tmp_path / "run", "javascript:alert(3)")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0"),
        (2012, "2,012"),
        (99_999, "99,999"),
        (100_000, "100 K"),
        (999_600, "1.00 M"),
        (2_990_530, "2.99 M"),
        (15_921_707, "15.9 M"),
        (999_400_000, "999 M"),
        (14_990_000_000_000, "15.0 T"),
    ],
)
def test_headline_numbers(value: int, told: str) -> None:
    assert short(value) == told
