"""The policy end to end: flagged documents, a score that outweighs flags, and what every reader of a run says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from dataproc.errors import ConfigError
from dataproc.storage import Folder
from jobs.explain import explain
from jobs.funnel import read_funnel
from jobs.recipe import load_recipe
from tests.jobs.runs import dataproc
from tests.jobs.test_explain import printed as printed_lives
from tests.jobs.test_funnel import printed as printed_funnel

# The score is that of soft words in the URL: a number that can be read off it.
RECIPE: dict[str, Any] = {
    "description": "test",
    "source": "test",
    "documents": {
        "stages": {
            "extract_text": {},
            "language_id": {"min_score": None},
            "hard": {"use": "url_filter", "domains": ["hard.example"], "urls": [], "subwords": []},
            "soft": {
                "use": "url_filter",
                "annotate": True,
                "domains": ["blocked.example"],
                "urls": [],
                "hard_words": ["never"],
                "soft_words": ["fine", "good"],
                "max_soft_score": None,
                "subwords": [],
            },
        }
    },
    "dedup": {"exact": {}},
    "policy": {
        "drop_flagged": ["soft.domains", "soft.hard_words"],
        "bypass": {"column": "url_soft_score", "min": 2, "reasons": ["soft.domains"]},
        "stages": {
            "long": {"use": "threshold", "column": "position", "max": 4},
            "assign_bucket": {"bucket": "web"},
        },
    },
}

FATES = {
    "http://a.example/": ("web", None, None),
    "http://blocked.example/fine": (None, None, "policy.soft.domains"),
    "http://blocked.example/fine/good": ("web", "soft.domains", None),
    "http://hard.example/fine/good": (None, None, "hard.domains"),
    "http://a.example/never/fine/good": (None, None, "policy.soft.hard_words"),
    "http://blocked.example/good-fine": (None, "soft.domains", "long.max"),
}
"""URL -> bucket, what its score outweighed, and the reason that dropped it."""


def write_recipe(folder: Path, **policy: Any) -> Path:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**RECIPE, "policy": {**RECIPE["policy"], **policy}}))
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policy")
    lines = [json.dumps({"text": f"text {number}", "url": url}) for number, url in enumerate(FATES)]
    (folder / "crawl.jsonl").write_text("\n".join(lines) + "\n")
    dataproc("run", "--crawl", folder / "crawl.jsonl", "--recipe", write_recipe(folder), "--out", folder / "run")
    return folder / "run"


def rows_of(run: Path, dataset: str) -> list[dict[str, Any]]:
    return [row for path in sorted((run / dataset).glob("part-*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_flags_scores_and_hard_rules_decide(finished: Path) -> None:
    urls = {row["doc_id"]: row["url"] for row in rows_of(finished, "documents")}
    decided = {urls[row["doc_id"]]: (row["bucket"], row["bypassed"]) for row in rows_of(finished, "buckets")}
    dropped = {
        row["url"]: row["reason"] for step in ("documents", "tokens") for row in rows_of(finished, f"dropped/{step}")
    }
    assert {url: (*decided.get(url, (None, None)), dropped.get(url)) for url in FATES} == FATES


def test_the_funnel_counts_what_was_bypassed(finished: Path) -> None:
    funnel = read_funnel(Folder(finished))
    rules = {f"{stage.name}.{rule.name}": rule for _, stage, rule in funnel.rules()}
    domains = rules["policy.soft.domains"]
    assert (domains.dropped, domains.bypassed) == (1, 2)
    assert (rules["policy.soft.hard_words"].dropped, rules["policy.soft.hard_words"].bypassed) == (1, 0)
    assert rules["soft.domains"].flagged == 3
    assert "soft.domains (2 bypassed)" in printed_funnel(funnel)
    assert "2 bypassed" in (finished / "report" / "index.html").read_text()


def test_explain_says_what_the_score_outweighed(finished: Path) -> None:
    (life,) = explain(Folder(finished), "http://blocked.example/fine/good").lives
    assert (life.fate, life.flags, life.bypassed) == ("kept", ["soft.domains"], "soft.domains")
    assert "its score outweighs soft.domains" in printed_lives(explain(Folder(finished), life.doc_id))
    (dropped,) = explain(Folder(finished), "http://blocked.example/good-fine").lives
    assert (dropped.fate, dropped.bypassed) == ("dropped", "soft.domains")
    (plain,) = explain(Folder(finished), "http://a.example/").lives
    assert plain.bypassed is None


def test_verify_finds_nothing(finished: Path) -> None:
    assert "Every file is what its manifest says." in dataproc("verify", finished).stdout


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (
            {"drop_flagged": ["soft.domain"]},
            'policy.drop_flagged names "soft.domain", which no annotating stage gives. Did you mean "soft.domains"?',
        ),
        (
            {"bypass": {"column": "url_soft_score", "min": 1, "reasons": ["soft.domain"]}},
            'policy.bypass.reasons names "soft.domain", which no annotating stage gives. Did you mean "soft.domains"?',
        ),
        (
            {
                "drop_flagged": ["soft.domains"],
                "bypass": {"column": "url_soft_score", "min": 1, "reasons": ["soft.hard_words"]},
            },
            'policy.bypass.reasons must name what policy.drop_flagged drops by, got "soft.hard_words".'
            " Known: soft.domains.",
        ),
        (
            {"drop_flagged": [], "bypass": {"column": "url_soft_score", "min": 1}},
            "policy.bypass needs reasons that drop, got none. List them in policy.drop_flagged.",
        ),
        (
            {"bypass": {"column": "url_soft_scor", "min": 1}},
            'policy.bypass reads column "url_soft_scor", which nobody writes. Did you mean "url_soft_score"?',
        ),
        (
            {"bypass": {"column": "url", "min": 1}},
            "policy.bypass.column must be a column of numbers, got url of type string. Name a score.",
        ),
    ],
)
def test_a_bypass_that_cannot_help_is_an_error(policy: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write_recipe(tmp_path, **policy)
    with pytest.raises(ConfigError) as caught:
        load_recipe(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
