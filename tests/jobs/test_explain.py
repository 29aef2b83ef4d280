"""`explain` over the sample run: one document of every reason, ten kept ones, tokens decoded back to the text."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dataproc.errors import InputError
from dataproc.storage import Folder
from jobs.explain import Life, explain
from tests.jobs.runs import dataproc


def one(run: Path, doc_id: bytes) -> Life:
    (life,) = explain(Folder(run), doc_id.hex()).lives
    return life


def test_one_document_of_every_reason(sample_run: Path) -> None:
    seen = set()
    for step in ("documents", "dedup", "tokens"):
        for path in sorted((sample_run / "dropped" / step).glob("*.parquet")):
            for row in pq.read_table(path).to_pylist():
                if row["reason"] in seen:
                    continue
                seen.add(row["reason"])
                life = one(sample_run, row["doc_id"])
                assert life.fate == ("failed" if row["reason"].startswith("failed.") else "dropped")
                assert life.dropped == {
                    "step": step,
                    "reason": row["reason"],
                    "value": row["value"],
                    "limit": row["limit"],
                }
                assert (life.url, life.input, life.position) == (row["url"], row["input"], row["position"])
                assert (life.bucket, life.tokens) == (None, None)
                if step == "dedup":
                    assert life.duplicate_of[0]["reason"] == row["reason"]
                    assert one(sample_run, bytes.fromhex(life.duplicate_of[-1]["doc_id"])).cluster_size > 1
                if row["reason"] == "dedup.minhash":
                    assert max(edge["jaccard"] for edge in life.edges) >= 0.8
    funnel = {
        reason
        for path in (sample_run / "manifests").glob("*/part-*.json")
        for reason in json.loads(path.read_text())["counters"].get("dropped", {})
    }
    assert seen == funnel
    assert {"dedup.exact", "dedup.minhash", "failed.corrupt", "gopher_quality.min_words"} <= seen


def test_ten_kept_documents_down_to_their_tokens(sample_run: Path) -> None:
    kept = [
        (document, bucket["bucket"])
        for path in sorted((sample_run / "documents").glob("*.parquet"))
        for document, bucket in zip(
            pq.read_table(path).to_pylist(), pq.read_table(sample_run / "buckets" / path.name).to_pylist(), strict=True
        )
        if bucket["bucket"] is not None
    ]
    for document, bucket in sorted(kept, key=lambda pair: pair[0]["doc_id"])[:10]:
        life = one(sample_run, document["doc_id"])
        assert (life.fate, life.dropped, life.bucket) == ("kept", None, bucket)
        assert life.signals["num_words"] == document["num_words"]
        assert life.text == document["text"]
        assert life.tokens is not None
        assert life.tokens["decoded"] == document["text"]
        shard = pq.read_table(sample_run / "tokens" / bucket / f"{life.tokens['shard']}.docs.parquet").to_pylist()
        (row,) = [row for row in shard if row["doc_id"] == document["doc_id"]]
        assert (row["offset"], row["length"]) == (life.tokens["offset"], life.tokens["length"])


def test_a_url_finds_every_document_that_has_it(sample_run: Path) -> None:
    urls: dict[str, int] = {}
    for top in ("documents", "dropped/documents"):
        for path in (sample_run / top).glob("*.parquet"):
            for url in pq.read_table(path, columns=["url"])["url"].to_pylist():
                urls[url] = urls.get(url, 0) + 1
    url = next(url for url, count in sorted(urls.items(), key=lambda item: -item[1]) if url)
    assert [life.url for life in explain(Folder(sample_run), url).lives] == [url] * urls[url]


def test_the_command_prints_a_life_and_json(sample_run: Path) -> None:
    path = next((sample_run / "dropped" / "documents").glob("*.parquet"))
    row = pq.read_table(path).to_pylist()[0]
    shown = dataproc("explain", sample_run, row["doc_id"].hex()).stdout
    assert row["reason"] in shown
    (life,) = json.loads(dataproc("explain", sample_run, row["doc_id"].hex(), "--json").stdout)
    assert life["dropped"]["reason"] == row["reason"]


def test_an_unknown_document_is_an_error(sample_run: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"explain needs a document of this run, got no url http://nowhere.example/ in the"
    ):
        explain(Folder(sample_run), "http://nowhere.example/")
    with pytest.raises(InputError, match=r"got no doc_id 0{32}"):
        explain(Folder(sample_run), "0" * 32)
    with pytest.raises(InputError, match=r"must hold a run, got no documents/"):
        explain(Folder(tmp_path), "0" * 32)
