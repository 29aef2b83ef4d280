"""Dedup end to end: planted clusters are found, the right copy stays, neither parts nor partitions show."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataproc.engines.local import LocalEngine
from dataproc.exchange import Exchange
from dataproc.storage import Folder
from jobs import dedup_rows
from jobs.dedup_evidence import read_evidence
from jobs.run import num_partitions, together
from tests.jobs.dedup_runs import Document, Inline, article, crawl_of, dedup, near


@pytest.fixture(scope="module")
def engine() -> Inline:
    return Inline()


def planted() -> list[str]:
    """Return 30 articles, a cluster of 12 near copies, 5 exact copies with a near copy, and an exact pair."""
    texts = [article(seed) for seed in range(30)]
    texts += [near(article(100), seed) for seed in range(12)]
    texts += [article(200)] * 5 + [near(article(200), 1)]
    texts += [article(300) + " end", article(300).replace(" ", "\n\t") + "  end\n"]
    random.Random(7).shuffle(texts)
    return texts


def key(text: str) -> int:
    """The planted cluster of a text, told by its first words, which `near` leaves alone."""
    return hash(tuple(text.split()[:20]))


def test_planted_clusters_are_found_and_the_newest_stays(tmp_path: Path, engine: Inline) -> None:
    documents = crawl_of(planted(), 3, tmp_path / "crawl")
    found = dedup(tmp_path / "crawl", tmp_path / "run", engine)
    assert found.keys() == {document.id for document in documents}
    clusters: dict[int, list[Document]] = {}
    for document in documents:
        clusters.setdefault(key(document.text), []).append(document)
    for cluster in clusters.values():
        newest = max(cluster, key=lambda one: one.date)
        folded = {" ".join(one.text.split()) for one in cluster}
        kept = [one for one in cluster if found[one.id]["duplicate_of"] is None]
        assert [one.id for one in kept] == [newest.id]
        assert found[newest.id]["cluster_size"] == len(cluster)
        for one in cluster:
            reason = found[one.id]["dedup_reason"]
            assert (reason is None) == (one is newest)
            if reason == "dedup.exact":
                keeper = next(other for other in cluster if other.id == found[one.id]["duplicate_of"])
                assert " ".join(keeper.text.split()) == " ".join(one.text.split())
        exact = sum(found[one.id]["dedup_reason"] == "dedup.exact" for one in cluster)
        assert exact == len(cluster) - len(folded)


def test_longest_and_first_are_other_policies(tmp_path: Path, engine: Inline) -> None:
    base = article(1)
    documents = crawl_of([base + " more words here", base, base + " tail"], 1, tmp_path / "crawl")
    longest = dedup(tmp_path / "crawl", tmp_path / "longest", engine, keep="longest")
    assert longest[documents[0].id]["cluster_size"] == 3
    first = dedup(tmp_path / "crawl", tmp_path / "first", engine, keep="first")
    assert first[min(document.id for document in documents)]["cluster_size"] == 3


def test_partitions_are_few_enough() -> None:
    assert [num_partitions(text, 1 << 28) for text in (0, 10**9, 10**15)] == [1, 4, 4096]


@pytest.mark.parametrize("partition_bytes", [2_000, 10_000, 30_000])
def test_partitions_do_not_show(tmp_path: Path, engine: Inline, partition_bytes: int) -> None:
    crawl_of(planted(), 4, tmp_path / "crawl")
    one = dedup(tmp_path / "crawl", tmp_path / "one", engine)
    assert dedup(tmp_path / "crawl", tmp_path / "many", engine, partition_bytes=partition_bytes) == one
    partitions = len(list((tmp_path / "many" / "dedup" / "exact_groups").glob("part-*")))
    assert partitions in {2_000: range(20, 40), 10_000: range(4, 8), 30_000: range(2, 4)}[partition_bytes]
    assert len(list((tmp_path / "many" / "dedup" / "round-0" / "edges").glob("part-*"))) == min(partitions, 4)


def test_units_that_are_split_together_do_not_show(
    tmp_path: Path, engine: Inline, monkeypatch: pytest.MonkeyPatch
) -> None:
    crawl_of(planted(), 7, tmp_path / "crawl")
    expected = dedup(tmp_path / "crawl", tmp_path / "alone", engine, partition_bytes=1 << 12)
    engine.ran.clear()
    monkeypatch.setattr("jobs.run.MIN_SPLITS", 2)
    assert dedup(tmp_path / "crawl", tmp_path / "together", engine, partition_bytes=1 << 12) == expected
    for part in range(7):
        name = f"dedup/part-{part:08d}.parquet"
        assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "together" / name).read_bytes()


def test_many_units_are_split_together() -> None:
    spec = Exchange(
        name="numbers",
        source=lambda unit: iter([pa.RecordBatch.from_pydict({"at": pa.array([unit], pa.int32())})]),
        schema=pa.schema([("at", pa.int32())]),
        partition="at",
        sort_by=("at",),
        num_partitions=9000,
        reduce_fn=iter,
        sink=lambda partition, rows: None,
    )
    assert together(spec, range(511)) == (spec, range(511))
    for count, size in ((512, 2), (2000, 7), (2049, 8), (9000, 8)):
        joined, groups = together(spec, range(count))
        assert [len(group) for group in groups[:-1]] == [size] * (len(groups) - 1)
        assert [unit for group in groups for unit in group] == list(range(count))
    assert [batch["at"].to_pylist() for batch in joined.source((3, 1))] == [[3], [1]]


def test_edges_may_be_contracted_a_few_at_a_time(
    tmp_path: Path, engine: Inline, monkeypatch: pytest.MonkeyPatch
) -> None:
    crawl_of(planted(), 4, tmp_path / "crawl")
    one = dedup(tmp_path / "crawl", tmp_path / "one", engine)
    monkeypatch.setattr(dedup_rows, "CONTRACTED_EDGES", 1)
    assert dedup(tmp_path / "crawl", tmp_path / "few", engine) == one


def test_failed_members_are_led_again(tmp_path: Path, engine: Inline) -> None:
    """Bands of one row, so nearly every pair meets: the leader is like none, yet the others find each other."""
    frame = " ".join(f"menu{i}" for i in range(60))
    pages = [f"{frame} {article(seed, 40)}" for seed in range(6)]
    documents = crawl_of(
        [*pages, near(pages[3] + " " + article(9, 150), 1), pages[3] + " " + article(9, 150)], 2, tmp_path / "c"
    )
    found = dedup(tmp_path / "c", tmp_path / "run", engine, minhash={"num_bands": 8, "rows_per_band": 1})
    dropped = [document for document in documents if found[document.id]["duplicate_of"] is not None]
    assert [document.id for document in dropped] == [documents[-2].id]
    assert found[documents[-2].id]["duplicate_of"] == documents[-1].id
    assert (tmp_path / "run" / "dedup" / "round-1" / "edges").is_dir()


def versions() -> tuple[list[str], list[str | None]]:
    """Return texts and URLs: 3 versions of one page, 2 texts with a URL of their own each, 4 without any.

    The newest version of the page equals a text with another URL, which a third text nearly equals: from the oldest
    version to the one kept are three steps, one of each kind of dedup.
    """
    body = article(500)
    texts = [article(501), article(502), body, body.replace(" ", "  "), near(body, 3), *[article(503)] * 2]
    page = ["http://www.a.example/p?utm_source=x", "https://a.example/p#top", "HTTPS://A.example:443/p"]
    return [*texts, article(504), article(505)], [*page, "https://b.example/1", "https://b.example/2", *[None] * 4]


@pytest.mark.parametrize("kind", ["url", "exact", "minhash"])
def test_a_clean_copy_stays_rather_than_a_newer_one_that_is_flagged(kind: str, tmp_path: Path, engine: Inline) -> None:
    names = ("x", "y", "flagged", "flagged")
    texts = [near(article(1), seed) if kind == "minhash" else article(1) for seed in range(4)]
    same_page = [f"http://a.example/?utm_source={name}" for name in names]  # the filter sees what dedup leaves out
    urls = same_page if kind == "url" else [f"http://{name}.example/" for name in names]
    old_x, y, flagged, newest = crawl_of(texts, 2, tmp_path / "crawl", urls)
    only: dict[str, Any] = {"exact": None, "minhash": None, kind: {}}
    rows = dedup(tmp_path / "crawl", tmp_path / "run", engine, **only)
    flags = {row["doc_id"]: row["flags"] for row in pq.read_table(tmp_path / "run" / "documents").to_pylist()}
    assert [bool(flags[one.id]) for one in (old_x, y, flagged, newest)] == [False, False, True, True]
    assert {one.id: rows[one.id]["duplicate_of"] for one in (old_x, y, flagged, newest)} == {
        old_x.id: y.id,
        y.id: None,
        flagged.id: y.id,
        newest.id: y.id,
    }
    assert rows[y.id]["cluster_size"] == 4


def test_the_newest_version_of_a_url_stays(tmp_path: Path, engine: Inline) -> None:
    texts, urls = versions()
    documents = crawl_of(texts, 2, tmp_path / "crawl", urls)
    found = dedup(tmp_path / "crawl", tmp_path / "run", engine, url={})
    rows = [found[document.id] for document in documents]
    of = [row["duplicate_of"] for row in rows]
    ids = [document.id for document in documents]
    assert of == [ids[2], ids[2], ids[3], ids[4], None, ids[6], None, None, None]
    kinds = ["dedup.url", "dedup.url", "dedup.exact", "dedup.minhash", None, "dedup.exact", None, None, None]
    assert [row["dedup_reason"] for row in rows] == kinds
    assert [row["cluster_size"] for row in rows] == [None, None, None, None, 5, None, 2, 1, 1]


def test_url_dedup_has_its_own_keep_policy_and_is_off_by_default(tmp_path: Path, engine: Inline) -> None:
    texts, urls = [article(1) + " tail", article(2), article(3)[:300]], ["http://a.example/"] * 3
    documents = crawl_of(texts, 1, tmp_path / "crawl", urls)
    for keep, kept in (("newest", 2), ("longest", 0)):
        found = dedup(tmp_path / "crawl", tmp_path / keep, engine, url={"keep": keep}, exact=None, minhash=None)
        sizes = [found[document.id]["cluster_size"] for document in documents]
        assert sizes == [3 if row == kept else None for row in range(3)]
    off = dedup(tmp_path / "crawl", tmp_path / "off", engine)
    assert [off[document.id]["cluster_size"] for document in documents] == [1, 1, 1]


def test_url_dedup_is_the_same_for_any_partitions_and_workers(tmp_path: Path, engine: Inline) -> None:
    texts, _ = versions()
    every = [*texts, *planted()]
    urls = [f"http://{'www.' * (row % 2)}a.example/{row % 17}" if row % 3 else None for row in range(len(every))]
    crawl_of(every, 3, tmp_path / "crawl", urls)
    one = dedup(tmp_path / "crawl", tmp_path / "one", engine, url={})
    assert {row["dedup_reason"] for row in one.values()} == {None, "dedup.url", "dedup.exact", "dedup.minhash"}
    assert sum(row["cluster_size"] or 0 for row in one.values()) == len(every)
    with LocalEngine(workers=1) as alone:
        many = dedup(tmp_path / "crawl", tmp_path / "many", alone, url={}, partition_bytes=3000)
    assert many == one
    for name in ("dedup", "dropped/dedup", "signatures"):
        parts = sorted(path.name for path in (tmp_path / "one" / name).glob("part-*"))
        assert len(parts) == 3
        for part in parts:
            assert (tmp_path / "one" / name / part).read_bytes() == (tmp_path / "many" / name / part).read_bytes()


def test_the_evidence_leads_through_every_kind_of_dedup(tmp_path: Path, engine: Inline) -> None:
    texts, urls = versions()
    documents = crawl_of(texts, 1, tmp_path / "crawl", urls)
    dedup(tmp_path / "crawl", tmp_path / "run", engine, url={})
    evidence = read_evidence(Folder(tmp_path / "run"), documents[0].id, 0)
    ids = [document.id for document in documents]
    hops = [(ids[2], 2, "dedup.url"), (ids[3], 3, "dedup.exact"), (ids[4], 4, "dedup.minhash")]
    assert evidence.keepers == hops
    assert [(pair.a, pair.b) for pair in evidence.links] == [(ids[3], ids[4])]
    members = {(one, reason) for one, _, reason in evidence.members}
    assert members == {(ids[4], ""), (ids[3], "dedup.minhash"), (ids[2], "dedup.exact"), (ids[1], "dedup.url")}


def test_documents_without_words_are_no_near_duplicates(tmp_path: Path, engine: Inline) -> None:
    documents = crawl_of(["...", "!!!", "???", "!!!"], 1, tmp_path / "crawl")
    found = dedup(tmp_path / "crawl", tmp_path / "run", engine)
    assert [found[document.id]["dedup_reason"] for document in documents] == [None, "dedup.exact", None, None]


def test_edges_hold_the_true_jaccard(tmp_path: Path, engine: Inline) -> None:
    texts = [article(1), near(article(1), 5)]
    documents = crawl_of(texts, 1, tmp_path / "crawl")
    dedup(tmp_path / "crawl", tmp_path / "run", engine)
    rows = pq.read_table(tmp_path / "run" / "dedup" / "round-0" / "edges").to_pylist()
    shingles = [{tuple(text.split()[i : i + 5]) for i in range(len(text.split()) - 4)} for text in texts]
    jaccard = len(shingles[0] & shingles[1]) / len(shingles[0] | shingles[1])
    first = [row for row in rows if row["first"]]
    assert [(row["a"], row["doc_id"]) for row in first] == [tuple(sorted(document.id for document in documents))]
    assert first[0]["jaccard"] == pytest.approx(jaccard, abs=1e-12)


@settings(max_examples=5)
@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=8), files=st.integers(1, 3), seed=st.integers(0, 99))
def test_any_clusters_keep_one_each(
    sizes: list[int], files: int, seed: int, tmp_path_factory: pytest.TempPathFactory, engine: Inline
) -> None:
    texts = [near(article(1000 * seed + c), c * 10 + i) for c, size in enumerate(sizes) for i in range(size)]
    random.Random(seed).shuffle(texts)
    folder = tmp_path_factory.mktemp("any")
    documents = crawl_of(texts, files, folder / "crawl")
    found = dedup(folder / "crawl", folder / "run", engine)
    kept = [document for document in documents if found[document.id]["duplicate_of"] is None]
    assert sorted(key(one.text) for one in kept) == sorted({key(one.text) for one in documents})
    assert sum(found[one.id]["cluster_size"] for one in kept) == len(documents)
