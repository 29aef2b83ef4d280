"""Dedup against earlier runs: what one run over all would drop is dropped, and the old document is named."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataproc.errors import ConfigError, InputError
from dataproc.ids import doc_id
from dataproc.shards import read_description
from dataproc.storage import Folder
from jobs.dedup_earlier import open_earlier
from jobs.dedup_evidence import read_evidence
from jobs.lives import LifeReader
from jobs.signatures import VERSION
from stages.places import run_part_row
from tests.jobs.dedup_runs import Inline, article, crawl_of, dedup, near, recipe_of

Text = tuple[str, str | None]
"""A text and its URL."""

MESSY = {"num_bands": 6, "rows_per_band": 1, "shingle_size": 1, "min_jaccard": 0.5, "max_rounds": 3}
"""Bands in which unlike texts meet, and a limit that is not transitive: chains and many rounds."""


def files_of(names: Sequence[str], crawls: Sequence[Sequence[Text]], folder: Path) -> list[list[bytes]]:
    """Write crawls as one file each, named so that ids of the first are less than those of the second, and so on.

    Rows whose id would be elsewhere are left to fillers. Returns the ids of the documents of each crawl.
    """
    ids: list[list[bytes]] = []
    for number, (name, documents) in enumerate(zip(names, crawls, strict=True)):
        lines: list[str] = []
        own: list[bytes] = []
        for text, url in documents:
            while doc_id(name, len(lines))[0] * len(names) // 256 != number:
                lines.append(json.dumps({"text": f"filler {name} {len(lines)}"}))
            own.append(doc_id(name, len(lines)))
            lines.append(json.dumps({"text": text, "url": url}))
        lines.append(json.dumps({"text": f"last {name}"}))
        target = folder / str(number)
        target.mkdir(parents=True)
        (target / name).write_text("\n".join(lines) + "\n")
        ids.append(own)
    (folder / "all").mkdir()
    for number, name in enumerate(names):
        shutil.copy(folder / str(number) / name, folder / "all" / name)
    return ids


words = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6).map(" ".join)
urls = st.sampled_from([None, None, None, "http://a.example/", "http://www.a.example/#x", "http://b.example/"])
crawls = st.lists(st.lists(st.tuples(words, urls), max_size=7), min_size=3, max_size=3)


@settings(max_examples=6)
@given(crawls=crawls, partition_bytes=st.sampled_from([1 << 20, 100]))
def test_a_new_crawl_keeps_what_one_run_over_all_keeps(
    crawls: list[list[Text]], partition_bytes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """B against A and C against both, where A's documents come before B's, and those before C's, in every choice."""
    folder, engine = tmp_path_factory.mktemp("runs"), Inline()
    ids = files_of(["a.jsonl", "b.jsonl", "c.jsonl"], crawls, folder)
    config = {"url": {"keep": "first"}, "keep": "first", "minhash": MESSY, "alarms": None}
    made: list[str] = []
    for number in range(3):
        out = folder / f"run{number}"
        ours: dict[str, Any] = {**config, "index": True, "against": made, "partition_bytes": partition_bytes}
        last = dedup(folder / str(number), out, engine, **ours)
        made.append(str(out))
    whole = dedup(folder / "all", folder / "whole", engine, **config)
    for one in ids[2]:
        assert last[one]["dedup_reason"] == whole[one]["dedup_reason"]
        if last[one]["dedup_reason"] in ("dedup.url", "dedup.exact"):
            assert last[one]["duplicate_of"] == whole[one]["duplicate_of"]
        assert last[one]["cluster_size"] == whole[one]["cluster_size"]


def old_and_new(tmp_path: Path, **config: Any) -> tuple[list[bytes], dict[bytes, dict[str, Any]]]:
    """An old crawl, and a new one with an old URL, an old text, an old near copy, two new copies and a new text."""
    old = [(article(1), "http://a.example/1"), (article(2), "http://a.example/2"), (article(3), "http://a.example/3")]
    new = [
        (article(11), "https://www.a.example/1#top"),
        (article(2).replace(" ", "  "), "http://b.example/2"),
        (near(article(3), 7), "http://b.example/3"),
        (near(article(4), 1), None),
        (near(article(4), 2), None),
        (article(5), None),
    ]
    _, ids = files_of(["old.jsonl", "new.jsonl"], [old, new], tmp_path)
    engine = Inline()
    common = {"url": {}, **config}
    dedup(tmp_path / "0", tmp_path / "old", engine, index=True, **common)
    found = dedup(tmp_path / "1", tmp_path / "new", engine, against=[str(tmp_path / "old")], **common)
    return ids, found


@pytest.mark.parametrize("verification", ["jaccard", "none"])
def test_dropped_documents_name_the_old_one_and_its_run(verification: str, tmp_path: Path) -> None:
    ids, found = old_and_new(tmp_path, minhash={"verification": verification})
    rows = [found[one] for one in ids]
    assert [row["dedup_reason"] for row in rows[:3]] == ["dedup.url", "dedup.exact", "dedup.minhash"]
    old = pq.read_table(tmp_path / "old" / "documents").to_pylist()
    by_url = {row["url"]: row["doc_id"] for row in old}
    assert [row["duplicate_of"] for row in rows[:3]] == [by_url[f"http://a.example/{number}"] for number in (1, 2, 3)]
    run = (read_description(Folder(tmp_path / "old"), "dedup") or {})["fingerprint"]
    assert [row["duplicate_run"] for row in rows] == [run] * 3 + [None] * 3
    assert sorted([rows[3]["cluster_size"] or 0, rows[4]["cluster_size"] or 0, rows[5]["cluster_size"]]) == [0, 1, 2]
    assert "duplicate_run" not in pq.read_schema(tmp_path / "old" / "dedup" / "part-00000000.parquet").names


def test_explain_tells_the_old_document(tmp_path: Path) -> None:
    ids, _ = old_and_new(tmp_path)
    new, old = Folder(tmp_path / "new"), tmp_path / "old"
    recipe = recipe_of(url={}, against=[str(old)])
    new.write_text("run.json", json.dumps({"format": 1, "order": {"recipe": recipe.model_dump(mode="json")}}))
    stored = pq.read_table(tmp_path / "new" / "documents").to_pylist()
    for number, reason in enumerate(["dedup.url", "dedup.exact", "dedup.minhash"]):
        row = next(index for index, one in enumerate(stored) if one["doc_id"] == ids[number])
        ((keeper, place, why),) = read_evidence(new, ids[number], row).keepers
        assert (run_part_row(place)[:2], why) == ((0, 0), reason)
        life = LifeReader(new).life("documents", 0, row)
        url = f"http://a.example/{number + 1}"
        assert life.duplicate_of == [{"doc_id": keeper.hex(), "url": url, "reason": reason, "run": str(old)}]
    assert [(link["a"], link["b"]) for link in life.links] == [(ids[2].hex(), keeper.hex())]


def test_a_chain_to_an_old_document_goes_unless_keepers_are_checked(tmp_path: Path) -> None:
    """a, which is old, is like b, and b like c, but c is not like a."""
    a, b, c = (" ".join(f"w{number}" for number in range(start, start + 10)) for start in range(3))
    files_of(["old.jsonl", "new.jsonl"], [[(a, None)], [(b, None), (c, None)]], tmp_path)
    plan = {"num_bands": 40, "rows_per_band": 1, "shingle_size": 1, "min_jaccard": 0.8}
    engine = Inline()
    dedup(tmp_path / "0", tmp_path / "old", engine, index=True, minhash=plan)
    against = [str(tmp_path / "old")]
    for check, kept in ((False, set()), (True, {c})):
        out = tmp_path / str(check)
        found = dedup(tmp_path / "1", out, engine, against=against, minhash={**plan, "check_keeper": check})
        texts = {row["doc_id"]: row["text"] for row in pq.read_table(out / "documents").to_pylist()}
        left = {texts[one] for one, row in found.items() if row["duplicate_of"] is None}
        assert left & {b, c} == kept


def test_runs_that_do_not_know_each_other_both_lead(tmp_path: Path) -> None:
    """Each band of the new text is led by unlike texts of two old runs, and it is like the second only."""
    plan = {"num_bands": 4, "rows_per_band": 1, "shingle_size": 1, "min_jaccard": 0.8}
    shared = " ".join(f"w{number}" for number in range(60))
    one = [(f"{shared} {article(1, 40)}", None)]
    two = [(f"{shared} {article(2, 40)}", None)]
    new = [(f"{shared} {article(2, 40)} more", None)]
    _, second, (document,) = files_of(["a.jsonl", "b.jsonl", "c.jsonl"], [one, two, new], tmp_path)
    engine = Inline()
    for number in range(2):
        dedup(tmp_path / str(number), tmp_path / f"run{number}", engine, index=True, minhash=plan)
    against = [str(tmp_path / "run0"), str(tmp_path / "run1")]
    found = dedup(tmp_path / "2", tmp_path / "new", engine, against=against, minhash=plan)
    assert found[document]["duplicate_of"] == second[0]
    pairs = pq.read_table(tmp_path / "new" / "dedup" / "round-0" / "edges").to_pylist()
    assert len({row["a"] for row in pairs if row["doc_id"] == document}) == 2


def bytes_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for top in ("dedup", "dropped/dedup", "signatures")
        for path in (folder / top).rglob("*.parquet")
    }


TEXTS = [near(article(cluster), copy) for cluster in range(8) for copy in range(5)] + [article(3)] * 3
PAGES = [f"http://a.example/{row % 23}" if row % 3 else None for row in range(len(TEXTS))]
NEW = [*TEXTS[1::2], *(near(article(50), copy) for copy in range(4)), article(50)]
TEXT_BYTES = sum(len(text) for text in NEW)


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An old crawl and its run, and a new crawl, with clusters of all kinds and pairs that fail."""
    folder = tmp_path_factory.mktemp("clusters")
    crawl_of(TEXTS[::2], 2, folder / "old-crawl", PAGES[::2])
    crawl_of(NEW, 3, folder / "new-crawl", [*PAGES[1::2], *[None] * 5])
    dedup(folder / "old-crawl", folder / "old", Inline(), **COMMON)
    dedup(folder / "new-crawl", folder / "one", Inline(), **COMMON, against=[str(folder / "old")])
    return folder


COMMON = {
    "url": {},
    "index": True,
    "minhash": {"num_bands": 20, "rows_per_band": 2, "min_jaccard": 0.93, "check_keeper": True, "max_rounds": 3},
}


@pytest.mark.parametrize(
    "partitions", [2, pytest.param(7, marks=pytest.mark.slow), pytest.param(64, marks=pytest.mark.slow)]
)
def test_the_same_decisions_for_any_partitions_and_order_of_units(
    clusters: Path, tmp_path: Path, partitions: int
) -> None:
    config = {**COMMON, "against": [str(clusters / "old")], "partition_bytes": TEXT_BYTES // (partitions - 1)}
    dedup(clusters / "new-crawl", tmp_path / "run", Inline(seed=partitions), **config)
    assert len(list((tmp_path / "run" / "dedup" / "near_groups").glob("*.parquet"))) == partitions
    assert len(list((clusters / "one" / "dedup" / "near_groups").glob("*.parquet"))) == 1
    for name in ("dedup", "dropped/dedup"):
        for part in range(3):
            file = f"{name}/part-{part:08d}.parquet"
            assert (tmp_path / "run" / file).read_bytes() == (clusters / "one" / file).read_bytes()
    parts = (clusters / "one" / "dedup").glob("part-*")
    rows = [row for part in parts for row in pq.read_table(part).to_pylist()]
    assert {(row["duplicate_run"] is None, row["dedup_reason"]) for row in rows} >= {
        (True, None),
        (True, "dedup.minhash"),
        (False, "dedup.minhash"),
        (False, "dedup.url"),
    }


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(clusters: Path, tmp_path: Path) -> None:
    config = {**COMMON, "against": [str(clusters / "old")]}
    deaths = 0
    while True:
        try:
            dedup(clusters / "new-crawl", tmp_path / "run", Inline(lives=7), **config)
            break
        except KeyboardInterrupt:
            deaths += 1
    assert deaths > 15
    assert bytes_of(tmp_path / "run") == bytes_of(clusters / "one")
    assert any("dedup/keepers/round-0/edges" in name for name in bytes_of(tmp_path / "run"))


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with an index."""
    folder = tmp_path_factory.mktemp("old")
    crawl_of([article(1)], 1, folder / "crawl")
    dedup(folder / "crawl", folder / "run", Inline(), index=True, minhash={"verification": "signature"})
    dedup(folder / "crawl", folder / "bare", Inline())
    crawl_of([article(2)], 1, folder / "next")
    chained = {"index": True, "minhash": {"verification": "signature"}, "against": [str(folder / "run")]}
    dedup(folder / "next", folder / "chained", Inline(), **chained)
    return folder


@pytest.mark.parametrize(
    ("runs", "config", "error", "message"),
    [
        (["gone"], {}, InputError, "must name runs whose dedup is done, got .*gone. Give the OUT of a finished run"),
        (
            ["bare"],
            {},
            ConfigError,
            "bare must have a band index, got none. Set dedup.index: true in its recipe",
        ),
        (["run"], {"scope": "crawl"}, ConfigError, 'the scope of this run, "crawl", got "global". Set dedup.scope'),
        (
            ["run"],
            {"minhash": {"plan": "zyda2"}},
            ConfigError,
            "must have the MinHash plan of this run, got unit words there and characters here. Set dedup.minhash.unit",
        ),
        (
            ["run"],
            {"minhash": {}},
            ConfigError,
            'must have shingles to verify pairs by, got verification other than "jaccard" there. Set dedup.minhash.ver',
        ),
        (
            ["chained"],
            {"minhash": {"verification": "signature"}},
            ConfigError,
            "must list, before .*chained, the 1 runs that it was deduplicated against, got 1 of them missing. Add them",
        ),
    ],
)
def test_a_run_that_cannot_be_an_index_is_an_error(
    runs: list[str], config: dict[str, Any], error: type[Exception], message: str, old: Path
) -> None:
    recipe = recipe_of(against=[str(old / run) for run in runs], **config)
    with pytest.raises(error, match=message):
        open_earlier(recipe.dedup)


def test_signatures_of_another_version_are_an_error(old: Path, tmp_path: Path) -> None:
    shutil.copytree(old / "run", tmp_path / "run")
    described = tmp_path / "run" / "manifests" / "signatures" / "dataset.json"
    described.write_text(described.read_text().replace(f'"version": {VERSION}', '"version": 2'))
    recipe = recipe_of(against=[str(tmp_path / "run")], minhash={"verification": "signature"})
    with pytest.raises(ConfigError, match=f"signatures of version {VERSION}, got 2. Run it again with --redo signat"):
        open_earlier(recipe.dedup)


def test_without_minhash_any_finished_run_will_do(old: Path) -> None:
    (run,) = open_earlier(recipe_of(against=[str(old / "bare")], minhash=None).dedup)
    assert (run.number, run.parts) == (0, 1)


def test_the_path_of_an_earlier_run_is_not_in_the_fingerprint(clusters: Path, tmp_path: Path) -> None:
    shutil.copytree(clusters / "one", tmp_path / "run")
    shutil.copytree(clusters / "old", tmp_path / "moved")
    engine = Inline()
    dedup(clusters / "new-crawl", tmp_path / "run", engine, **COMMON, against=[str(tmp_path / "moved")])
    assert engine.ran == []
