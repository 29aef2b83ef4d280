"""`explain` over the sample run: one document of every reason, ten kept ones, clusters, tokens decoded to the text."""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from dataproc.errors import InputError, ShardError
from dataproc.storage import Folder
from jobs.explain import Lives, explain, render
from jobs.funnel import read_funnel
from jobs.lives import Life
from jobs.recipe import load_recipe
from tests.jobs.runs import dataproc

STEPS = {"documents": "documents", "dedup": "dedup", "tokens": "buckets"}
"""dropped/<folder> -> the step that fills it."""

DOCUMENT_STAGES = list(load_recipe("default").documents.stages)
MIN_JACCARD = 0.8


def rows_of(run: Path, dataset: str) -> list[dict[str, Any]]:
    return [row for path in sorted((run / dataset).glob("part-*.parquet")) for row in pq.read_table(path).to_pylist()]


def one(run: Path, doc_id: bytes | str) -> Life:
    (life,) = explain(Folder(run), doc_id if isinstance(doc_id, str) else doc_id.hex()).lives
    return life


def printed(lives: Lives) -> str:
    console = Console(width=200, file=io.StringIO())
    with console.capture() as capture:
        console.print(render(lives))
    return capture.get()


@pytest.fixture(scope="module")
def dropped(sample_run: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """One dropped row of every reason, with its step."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for folder, step in STEPS.items():
        for row in rows_of(sample_run, f"dropped/{folder}"):
            found.setdefault(row["reason"], (step, row))
    return found


def test_the_sample_has_every_reason_of_the_funnel(
    sample_run: Path, dropped: dict[str, tuple[str, dict[str, Any]]]
) -> None:
    rules = read_funnel(Folder(sample_run)).rules()
    assert dropped.keys() == {f"{stage.name}.{rule.name}" for _, stage, rule in rules if rule.dropped}
    assert {"dedup.exact", "dedup.minhash", "failed.corrupt", "gopher_quality.min_words"} <= dropped.keys()


def test_one_document_of_every_reason(sample_run: Path, dropped: dict[str, tuple[str, dict[str, Any]]]) -> None:
    for reason, (step, row) in dropped.items():
        life = one(sample_run, row["doc_id"])
        assert life.fate == ("failed" if reason == "failed.corrupt" else "dropped")
        assert life.dropped == {"step": step, "reason": reason, "value": row["value"], "limit": row["limit"]}
        assert (life.url, life.input, life.position) == (row["url"], row["input"], row["position"])
        assert (life.bucket, life.tokens) == (None, None)
        assert (life.text or "")[:400] == (row["text"] or "")
        stage = reason.split(".")[0]
        if step == "documents":
            before = [] if stage == "failed" else DOCUMENT_STAGES[: DOCUMENT_STAGES.index(stage)]
            assert life.passed == before
            assert life.signals == {}
        else:
            assert life.passed[: len(DOCUMENT_STAGES)] == DOCUMENT_STAGES
            assert life.signals["num_words"] > 0
        assert reason in printed(Lives([life]))


def test_a_document_dropped_by_the_policy_has_passed_dedup_and_shows_its_scores(
    sample_run: Path, dropped: dict[str, tuple[str, dict[str, Any]]]
) -> None:
    life = one(sample_run, dropped["min_quality.min"][1]["doc_id"])
    assert life.passed == [*DOCUMENT_STAGES, "dedup"]
    assert life.dropped is not None
    assert life.scores["quality_score"] == pytest.approx(life.dropped["value"])
    assert life.dropped["value"] < life.dropped["limit"]


def test_ten_kept_documents_down_to_their_tokens(sample_run: Path) -> None:
    buckets = {row["doc_id"]: row["bucket"] for row in rows_of(sample_run, "buckets") if row["bucket"]}
    scores = {row["doc_id"]: row for row in rows_of(sample_run, "scores")}
    documents = {row["doc_id"]: row for row in rows_of(sample_run, "documents")}
    for doc_id in sorted(buckets)[:10]:
        life, document, bucket = one(sample_run, doc_id), documents[doc_id], buckets[doc_id]
        assert (life.fate, life.dropped, life.bucket) == ("kept", None, bucket)
        assert life.passed == [*DOCUMENT_STAGES, "dedup", "min_quality", "assign_bucket"]
        assert life.length == document["length"]
        assert (life.signals["num_words"], life.signals["language"]) == (document["num_words"], document["language"])
        assert life.scores == {name: value for name, value in scores[doc_id].items() if name != "doc_id"}
        assert life.text == document["text"]
        tokens = life.tokens
        assert tokens is not None
        assert (tokens["decoded"], tokens["is_the_text"]) == (document["text"], True)
        table = pq.read_table(sample_run / tokens["file"].replace(".bin", ".docs.parquet")).to_pylist()
        (row,) = [row for row in table if row["doc_id"] == doc_id]
        assert tokens["file"].startswith(f"tokens/{bucket}/shard-")
        assert (row["offset"], row["length"]) == (tokens["offset"], tokens["length"])
        assert pq.read_table(sample_run / life.file).slice(life.row, 1).to_pylist()[0]["doc_id"] == doc_id


def test_clusters_keepers_and_the_pairs_between(sample_run: Path) -> None:
    """Every cluster of the sample has as many members as its keeper stands for, and each near duplicate is linked."""
    sidecar = {row["doc_id"]: row for row in rows_of(sample_run, "dedup")}
    sizes = Counter(row["cluster_size"] for row in sidecar.values() if row["cluster_size"] is not None)
    assert max(sizes) > 2
    for reason in ("dedup.exact", "dedup.minhash"):
        for doc_id in sorted(doc_id for doc_id, row in sidecar.items() if row["dedup_reason"] == reason)[:3]:
            life = one(sample_run, doc_id)
            last = bytes.fromhex(life.duplicate_of[-1]["doc_id"])
            assert life.duplicate_of[0]["reason"] == reason
            assert life.duplicate_of[0]["doc_id"] == sidecar[doc_id]["duplicate_of"].hex()
            assert life.cluster_size == sidecar[last]["cluster_size"] == len(life.cluster) + 1
            assert life.cluster[0] == {**life.duplicate_of[-1], "reason": None}
            keeper = one(sample_run, last)
            assert {member["doc_id"] for member in keeper.cluster} | {keeper.doc_id} == {
                member["doc_id"] for member in life.cluster
            } | {life.doc_id}
            near = [one["doc_id"] for one in life.duplicate_of if one["reason"] == "dedup.minhash"]
            assert [link["b"] for link in life.links][-1:] == near[-1:]
            assert all(link["jaccard"] >= MIN_JACCARD for link in life.links)
            for before, after in zip(life.links, life.links[1:], strict=False):
                assert before["b"] == after["a"]
            if reason == "dedup.minhash":
                assert life.links[0]["a"] == life.doc_id
                assert any(pair["linked"] for pair in life.pairs)


def test_a_pair_that_was_not_alike_enough_is_shown(sample_run: Path) -> None:
    edges = [
        row
        for path in (sample_run / "dedup" / "round-0" / "edges").glob("*")
        for row in pq.read_table(path).to_pylist()
    ]
    edge = next(row for row in edges if row["first"] and row["jaccard"] < MIN_JACCARD)
    for doc_id, other in ((edge["a"], edge["doc_id"]), (edge["doc_id"], edge["a"])):
        assert {"doc_id": other.hex(), "jaccard": edge["jaccard"], "linked": False} in one(sample_run, doc_id).pairs


def test_a_url_finds_every_document_that_has_it(sample_run: Path) -> None:
    urls = Counter(row["url"] for dataset in ("documents", "dropped/documents") for row in rows_of(sample_run, dataset))
    del urls[None]
    ((url, count),) = urls.most_common(1)
    assert count > 1
    lives = explain(Folder(sample_run), url)
    assert [life.url for life in lives.lives] == [url] * count
    assert f"{count} documents have this URL." in printed(lives)


def test_the_command_prints_a_life_and_json(sample_run: Path, dropped: dict[str, tuple[str, dict[str, Any]]]) -> None:
    row = dropped["gopher_quality.min_words"][1]
    shown = dataproc("explain", sample_run, row["doc_id"].hex().upper()).stdout
    assert f"at documents by gopher_quality.min_words: {row['value']:g}, limit 50" in shown
    (life,) = json.loads(dataproc("explain", sample_run, row["doc_id"].hex(), "--json").stdout)
    assert life["dropped"] == {"step": "documents", **{name: row[name] for name in ("reason", "value", "limit")}}


def test_an_unknown_document_is_an_error(sample_run: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"got url http://nowhere\.example/, which is in none of the 7 parts done \(of 7\)"
    ):
        explain(Folder(sample_run), "http://nowhere.example/")
    with pytest.raises(InputError, match=r"got doc_id 0{32}, which is in none"):
        explain(Folder(sample_run), "0" * 32)
    with pytest.raises(InputError, match=r"must hold a run, got no manifests/documents\. Give the OUT"):
        explain(Folder(tmp_path), "0" * 32)


def test_a_run_on_its_way_is_explained_as_far_as_it_got(sample_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(sample_run, tmp_path / "run"))
    kept = next(row["doc_id"] for row in rows_of(run, "buckets") if row["bucket"])
    shutil.rmtree(run / "tokens")
    assert (one(run, kept).fate, one(run, kept).tokens) == ("kept", None)
    for step in ("buckets", "dedup"):
        shutil.rmtree(run / "manifests" / step)
    life = one(run, kept)
    assert (life.fate, life.bucket, life.cluster_size, life.passed) == ("pending", None, None, DOCUMENT_STAGES)
    assert "the run has not come to it yet" in printed(Lives([life]))


def test_damage_is_an_error_that_names_the_part(sample_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(sample_run, tmp_path / "run"))
    kept = next(row["doc_id"] for row in rows_of(run, "buckets") if row["bucket"])
    part = Path(one(run, kept).file).name
    scores = pq.read_table(run / "scores" / part)
    pq.write_table(scores.take(pa.array(range(len(scores) - 1, -1, -1))), run / "scores" / part)
    with pytest.raises(ShardError, match=rf"scores/{part} row \d+ must hold doc_id {kept.hex()}, got"):
        one(run, kept)
    (run / "scores" / part).write_bytes(b"PAR1 no more PAR1")
    with pytest.raises(ShardError, match=rf"scores/{part} must be readable, got: .* Run `dataproc verify`"):
        one(run, kept)
    (run / "scores" / part).unlink()
    with pytest.raises(ShardError, match=rf"scores/{part} must exist, got no such file"):
        one(run, kept)


def test_another_vocabulary_of_the_same_name_is_refused(sample_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(sample_run, tmp_path / "run"))
    kept, bucket = next((row["doc_id"], row["bucket"]) for row in rows_of(run, "buckets") if row["bucket"])
    manifest = run / "tokens" / bucket / "manifest.json"
    values = json.loads(manifest.read_text())
    values["tokenizer"]["sha256"] = "0" * 64
    manifest.write_text(json.dumps(values))
    with pytest.raises(
        ShardError, match=r"must be decoded with web32k of sha256 0{64}, got [0-9a-f]{64}\. Bring the voc"
    ):
        one(run, kept)


def test_what_a_terminal_could_obey_is_shown_as_an_escape() -> None:
    evil = "red \x1b[31m bell \x07 csi \x9b31m turned \u202e markup [red]no[/red] [bold"
    life = Life("00" * 16, evil, "a.jsonl", 0, None, "documents/part-00000000.parquet", 0, "pending", text=evil)
    shown = printed(Lives([life]))
    assert shown.count(r"red \x1b[31m bell \x07 csi \x9b31m turned \u202e markup [red]no[/red] [bold") == 2
    assert not set("\x1b\x07\x9b\u202e") & set(shown)
    told = Lives([life]).to_json()
    assert not set("\x1b\x07\x9b\u202e") & set(told)
    assert json.loads(told)[0]["text"] == evil
