"""Options of dedup: scope, who is kept, units, verification, keepers checked, alarms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataproc.errors import ConfigError
from dataproc.storage import Folder
from jobs.dedup_evidence import read_evidence
from jobs.dedup_rows import Keep
from jobs.dedup_scope import crawl_of, salts, scoped_hashes
from jobs.funnel import read_funnel
from jobs.recipe import check_recipe, load_recipe, with_against
from stages.places import MAX_EARLIER
from tests.jobs.dedup_runs import Inline, article, dedup, near, recipe_of
from tests.jobs.dedup_runs import crawl_of as write_crawl

SIZED = {"num_bands": 40, "rows_per_band": 1, "shingle_size": 1, "min_jaccard": 0.8}
"""Sets of words, nearly all pairs of which meet."""


@pytest.mark.parametrize(
    ("name", "crawl"),
    [
        ("crawl-data/CC-MAIN-2024-51/segments/1/warc/a.warc.gz", "CC-MAIN-2024-51"),
        ("may/1/a.jsonl", "may"),
        ("a.jsonl", ""),
    ],
)
def test_the_crawl_of_an_input(name: str, crawl: str) -> None:
    assert crawl_of(name) == crawl


def test_only_equal_hashes_of_equal_scope_stay_equal() -> None:
    languages = pa.array(["eng", "deu", "eng", None])
    batch = pa.RecordBatch.from_arrays([languages], names=["language"])
    hashes = pa.array([b"1" * 16, b"1" * 16, b"1" * 16, None])
    assert scoped_hashes(hashes, batch, "global") is hashes
    first, other, same, none = scoped_hashes(hashes, batch, "language").to_pylist()
    assert (first == same, first == other, none, len(first)) == (True, False, None, 16)
    assert salts(batch, "global").tolist() == [0, 0, 0, 0]
    assert len(set(salts(batch, "language").tolist())) == 3


def test_crawls_apart_have_no_common_duplicates(tmp_path: Path) -> None:
    texts = [article(1), article(1), near(article(1), 2), near(article(2), 1), near(article(2), 2)]
    url = "http://a.example/"
    for month in ("may", "june"):
        write_crawl(texts, 1, tmp_path / "crawl" / month, [None, None, None, url, url + "#x"])
    together = dedup(tmp_path / "crawl", tmp_path / "together", Inline(), url={})
    assert sorted(row["cluster_size"] or 0 for row in together.values()) == [0] * 8 + [4, 6]
    apart = dedup(tmp_path / "crawl", tmp_path / "apart", Inline(), url={}, scope="crawl")
    assert sorted(row["cluster_size"] or 0 for row in apart.values()) == [0] * 6 + [2, 2, 3, 3]


def test_greatest_first_and_unknown_last() -> None:
    scores = pa.array([0.5, None, -0.25, 3.0, float("nan"), 0.0, -0.0, 1e-9], pa.float32())
    batch = pa.RecordBatch.from_arrays([scores, pa.nulls(8, pa.list_(pa.string()))], names=["score", "flags"])
    order = Keep("best", "score").order(batch)["keep_order"]
    ranks = sorted(range(8), key=lambda row: (int(order[row]), row))
    assert ranks == [3, 0, 7, 5, 6, 2, 1, 4]
    assert order[5] == order[6]


def test_the_best_by_a_column_stays(tmp_path: Path) -> None:
    texts = [near(article(1), copy) for copy in range(4)]
    documents = write_crawl(texts, 1, tmp_path / "crawl")
    found = dedup(tmp_path / "crawl", tmp_path / "run", Inline(), keep="best", best_by="position")
    assert [found[one.id]["cluster_size"] for one in documents] == [None, None, None, 4]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"keep": "best"},
            "dedup.best_by must be given with the policy best and with no other, got None and best, first.",
        ),
        (
            {"best_by": "length"},
            "given with the policy best and with no other, got length and newest, first. Set ded",
        ),
        (
            {"keep": "best", "best_by": "lenght"},
            'dedup.best_by names "lenght", which no stage of documents writes. Did you mean "length"',
        ),
        ({"keep": "best", "best_by": "url"}, "must be a column of numbers, got url of type string. Name a score"),
        (
            {"keep": "best", "best_by": "quality_score"},
            'dedup.best_by must be a column of documents/, got "quality_score" of scores/, which come after dedup.',
        ),
    ],
)
def test_a_column_that_cannot_be_kept_by_is_an_error(config: dict[str, Any], message: str) -> None:
    recipe = load_recipe("default")
    url = {"keep": "first"}
    changed = recipe.dedup.model_validate({**recipe.dedup.model_dump(), "url": url, **config})
    with pytest.raises(ConfigError, match=message):
        check_recipe(recipe.model_copy(update={"dedup": changed}))


def test_too_many_earlier_runs_are_an_error() -> None:
    with pytest.raises(ConfigError, match=r"--against\.against must be .*at most 127"):
        with_against(recipe_of(), ["run"] * (MAX_EARLIER + 1))
    assert with_against(recipe_of(), ["run"]).dedup.against == ("run",)


@pytest.mark.parametrize(
    ("verification", "scheme", "hash_bytes"),
    [("signature", "affine64", 8), ("none", "legacy", 8), ("signature", "fast", 4)],
)
def test_signatures_alone_find_the_clusters_too(
    verification: str, scheme: str, hash_bytes: int, tmp_path: Path
) -> None:
    texts = [near(article(cluster), copy) for cluster in range(3) for copy in range(3)]
    documents = write_crawl(texts, 2, tmp_path / "crawl")
    config = {"verification": verification, "scheme": scheme, "min_jaccard": 0.7}
    found = dedup(tmp_path / "crawl", tmp_path / "run", Inline(), minhash=config)
    assert [found[one.id]["cluster_size"] for one in documents] == [None, None, 3] * 3
    stored = pq.read_table(tmp_path / "run" / "signatures").to_pylist()
    assert {(row["shingles"], len(row["minhash"])) for row in stored} == {(None, hash_bytes * 112)}
    evidence = read_evidence(Folder(tmp_path / "run"), documents[0].id, 0)
    assert evidence.keepers == [(documents[2].id, 1, "dedup.minhash")]
    assert evidence.links[-1].b == documents[2].id
    estimates = {pair.jaccard for pair in evidence.pairs}
    assert estimates == {None} if verification == "none" else all(one * 112 % 1 == 0 for one in estimates if one)


@pytest.mark.parametrize(("unit", "size"), [("characters", 24), ("tokens", 5)])
def test_other_units_find_the_clusters_too(unit: str, size: int, tmp_path: Path) -> None:
    texts = [near(article(cluster), copy) for cluster in range(2) for copy in range(2)]
    documents = write_crawl(texts, 1, tmp_path / "crawl")
    config = {"unit": unit, "shingle_size": size, "min_jaccard": 0.7}
    found = dedup(tmp_path / "crawl", tmp_path / "run", Inline(), minhash=config)
    assert [found[one.id]["cluster_size"] for one in documents] == [None, 2] * 2


def test_a_chain_does_not_swallow_unlike_documents_when_keepers_are_checked(tmp_path: Path) -> None:
    """a-b-c-d: each has 8 of 10 words of the next, so Jaccard 9/11; a and c share too few. The newest is d."""
    texts = [" ".join(f"w{number}" for number in range(start, start + 10)) for start in range(4)]
    documents = write_crawl(texts, 1, tmp_path / "crawl")
    sizes = {}
    for check in (False, True):
        plan = {**SIZED, "check_keeper": check}
        found = dedup(tmp_path / "crawl", tmp_path / str(check), Inline(), minhash=plan)
        sizes[check] = [found[one.id]["cluster_size"] for one in documents]
    assert sizes == {False: [None, None, None, 4], True: [None, 2, None, 2]}
    assert [found[one.id]["duplicate_of"] for one in documents] == [documents[1].id, None, documents[3].id, None]
    evidence = read_evidence(Folder(tmp_path / "True"), documents[0].id, 0)
    assert [(pair.a, pair.b) for pair in evidence.links] == [(documents[0].id, documents[1].id)]


def test_members_left_after_the_last_round_in_a_cluster_stay_and_are_told(tmp_path: Path) -> None:
    texts = [" ".join(f"w{number}" for number in range(start, start + 10)) for start in range(4)]
    write_crawl(texts, 1, tmp_path / "crawl")
    config = {"minhash": {**SIZED, "check_keeper": True, "max_rounds": 1}, "alarms": {"max_cluster": 1}}
    found = dedup(tmp_path / "crawl", tmp_path / "run", Inline(), **config)
    left = [row for row in found.values() if row["duplicate_of"] is None]
    folder = Folder(tmp_path / "run")
    recipe = recipe_of(**config).model_dump(mode="json")
    folder.write_text("run.json", json.dumps({"format": 1, "order": {"recipe": recipe}}))
    rows = [
        row for file in (tmp_path / "run").glob("dedup/keepers/*/edges/*") for row in pq.read_table(file).to_pylist()
    ]
    unlike = sum(row["jaccard"] < 0.8 for row in rows)
    assert (len(left), unlike > 0) == (4 - sum(row["jaccard"] >= 0.8 for row in rows), True)
    told = f"{unlike} members of clusters were still unlike their leader after round 1 of dedup: near duplicates among"
    assert any(note.startswith(told) for note in read_funnel(folder).notes)


def test_alarms_name_what_lost_too_much(tmp_path: Path) -> None:
    """5 of 6 pages of one domain are one text; another domain is too small, a third loses half."""
    lost = [article(1)] * 6
    half = [article(2)] * 2 + [article(3), article(4)]
    small = [article(5)] * 3
    urls = [f"http://{name}.lost.example/{row}" for row, name in enumerate(["a", "b", "www"] * 2)]
    urls += [f"http://half.example/{row}" for row in range(4)] + [f"http://small.example/{row}" for row in range(3)]
    write_crawl([*lost, *half, *small], 2, tmp_path / "crawl", urls)
    config: dict[str, Any] = {"alarms": {"max_dropped": 0.6, "min_docs": 4, "max_cluster": 5}}
    found = dedup(tmp_path / "crawl", tmp_path / "run", Inline(), **config)
    stored = pq.read_table(tmp_path / "run" / "dedup" / "sources").to_pylist()
    assert [tuple(row.values()) for row in stored] == [
        ("crawl", "", 13, 8),
        ("domain", "half.example", 4, 1),
        ("domain", "lost.example", 6, 5),
    ]
    folder = Folder(tmp_path / "run")
    recipe = recipe_of(**config).model_dump(mode="json")
    folder.write_text("run.json", json.dumps({"format": 1, "order": {"recipe": recipe}}))
    keeper = next(one.hex() for one, row in found.items() if row["cluster_size"] == 6)
    assert read_funnel(folder).notes == (
        "Dedup dropped 61.5% of the 13 documents of the crawl, limit 60.0%: look at what it kept instead.",
        'Dedup dropped 83.3% of the 6 documents of domain "lost.example", limit 60.0%: look at what it kept instead.',
        f"Dedup kept {keeper} for a cluster of 6 documents, limit 5: `dataproc explain` shows some of them.",
    )
    engine = Inline()
    looser = {"alarms": {"max_dropped": 0.9, "min_docs": 4}}
    dedup(tmp_path / "crawl", tmp_path / "run", engine, **looser)
    assert set(engine.ran) == {"dedup/sources"}, "other limits redo nothing else"
    many = dedup(tmp_path / "crawl", tmp_path / "many", Inline(), **config, partition_bytes=2000)
    assert many == found
    parts = sorted((tmp_path / "many" / "dedup" / "sources").glob("*.parquet"))
    rows = [tuple(row.values()) for part in parts for row in pq.read_table(part).to_pylist()]
    assert (len(parts) > 3, sorted(rows)) == (True, [tuple(row.values()) for row in stored])
