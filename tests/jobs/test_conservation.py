"""Nothing is lost silently: in = kept + dropped by reason + failed, at every step, on whole and damaged files.

The crawl holds each kind of damage beside its whole twin. What must come of each file is written down here, and the
manifests, the rows on disk and the funnel are held to it separately.
"""

from __future__ import annotations

import codecs
import gzip
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dataproc.members import Window
from dataproc.raw import ReadReport
from dataproc.shards import read_entry
from dataproc.storage import Folder
from dataproc.warc_records import read_records
from jobs.funnel import read_funnel
from tests.dataproc.warc_files import http_response, warc_record
from tests.jobs.runs import SAMPLE, dataproc

MAX_RECORD_BYTES = 50_000
ROOT = SAMPLE.parents[2]


@dataclass(frozen=True)
class Made:
    """A file of the crawl and what must come of it."""

    name: str
    data: bytes
    documents: int
    failed: dict[str, int]
    lost_bytes: int = 0
    truncated: int = 0
    """Documents that lack their end: read, and dropped by `http_response.drop_truncated`."""


def real_pages(count: int) -> list[bytes]:
    """Return response records of the sample crawl, none longer than the limit."""
    with open(SAMPLE / "sample-00005.warc.gz", "rb") as file:
        records = read_records(Window(file), "sample-00005.warc.gz", ReadReport(), 1 << 24)
        blocks = [record.block for record in records if record.kind == "response"]
    short = [block for block in blocks if len(block) < MAX_RECORD_BYTES][:count]
    return [warc_record(block, warc_target_uri=f"http://page/{k}") for k, block in enumerate(short)]


def lines(count: int) -> list[bytes]:
    """Return lines of JSON with English text, one of them twice."""
    words = " ".join((ROOT / "docs" / name).read_text() for name in ("architecture.md", "loader.md")).split()
    texts = [" ".join(words[100 * k : 100 * k + 100]) for k in range(count - 1)]
    return [json.dumps({"text": text, "url": "http://line/"}).encode() + b"\n" for text in [*texts, texts[0]]]


def crawl_files() -> list[Made]:
    pages, rows = real_pages(12), lines(12)
    members = [gzip.compress(page, mtime=0) for page in pages]
    third = len(b"".join(members[:2]))
    corrupt = bytearray(b"".join(members))
    corrupt[third + 40 : third + 60] = bytes(20)
    noise = bytes(range(256)) * 20
    long = warc_record(http_response(b"<p>" + b"long " * MAX_RECORD_BYTES, "Content-Type: text/html"))
    half = len(pages[11]) // 2
    bad = [b'{"text": "cut of\n', b'{"text": 5}\n', b'{"txt": "x"}\n', b'["x"]\n', b'{"text": "\xff"}\n']
    too_long = json.dumps({"text": "x" * MAX_RECORD_BYTES}).encode() + b"\n"
    packed = gzip.compress(b"".join(rows), mtime=0)
    return [
        Made("whole.warc.gz", b"".join(members), 12, {}),
        Made("whole.warc", b"".join(pages), 12, {}),
        Made("corrupt.warc.gz", bytes(corrupt), 11, {"corrupt": 1}, len(members[2])),
        Made("garbage.warc.gz", members[0] + noise + members[1], 2, {"garbage": 1}, len(noise)),
        Made("garbage.warc", pages[0] + noise + pages[1], 2, {"garbage": 1}, len(noise)),
        Made("cut.warc", b"".join(pages)[: -half - 4], 12, {}, truncated=1),
        Made("cut.warc.gz", b"".join(members)[: -(len(members[11]) // 2)], 12, {}, truncated=1),
        Made("cut_in_header.warc", pages[0] + pages[1][:40], 1, {"cut": 1}, 40),
        Made("long.warc", long + pages[0], 2, {}, truncated=1),
        Made("whole.jsonl", b"".join(rows), 12, {}),
        Made(
            "damaged.jsonl",
            b"".join([*rows[:6], *bad, b"\n", too_long, *rows[6:]]),
            12,
            {"invalid_json": 1, "no_text": 2, "not_an_object": 1, "invalid_utf8": 1, "too_long": 1},
            len(b"".join([*bad, too_long])),
        ),
        Made("cut.jsonl", b"".join(rows)[:-10], 11, {"invalid_json": 1}, len(rows[-1]) - 10),
        Made("garbage.jsonl.gz", packed + noise, 12, {"garbage": 1}, len(noise)),
        Made("not.warc.gz", noise, 0, {"garbage": 1}, len(noise)),
        Made("not.jsonl", packed, 0, {"compressed": 1}, len(packed)),
        Made("marked.jsonl", codecs.BOM_UTF8 + b"".join(rows[:2]), 2, {}),
        Made("empty.warc.gz", b"", 0, {}),
        Made("empty.jsonl", b"", 0, {}),
    ]


FILES = {made.name: made for made in crawl_files()}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A finished run over all of them, one part a file."""
    base = tmp_path_factory.mktemp("conservation")
    (base / "crawl").mkdir()
    for made in FILES.values():
        (base / "crawl" / made.name).write_bytes(made.data)
    (base / "small.yaml").write_text(f"extends: default\ninput: {{max_record_bytes: {MAX_RECORD_BYTES}}}\n")
    dataproc("run", "--crawl", base / "crawl", "--out", base / "run", "--recipe", base / "small.yaml", "--workers", "2")
    return Folder(base / "run")


def counters(run: Folder, step: str, part: int) -> dict[str, Any]:
    return dict(read_entry(run, step, part).counters)


def rows(run: Folder, dataset: str, part: int, *columns: str) -> list[dict[str, Any]]:
    path = run.local_path(f"{dataset}/part-{part:08d}.parquet")
    return list(pq.read_table(path, columns=list(columns)).to_pylist())


def parts(run: Folder) -> dict[str, int]:
    """Return the part of each input file."""
    return {row["input"]: row["unit"] for row in pq.read_table(run.local_path("units.parquet")).to_pylist()}


@pytest.mark.parametrize("name", FILES)
def test_every_document_and_byte_of_a_file_is_accounted_for(run: Folder, name: str) -> None:
    made, part = FILES[name], parts(run)[name]
    counted = counters(run, "documents", part)
    kept = rows(run, "documents", part, "doc_id", "input")
    dropped = rows(run, "dropped/documents", part, "doc_id", "input", "reason", "value")
    failed = Counter(row["reason"] for row in dropped if row["reason"].startswith("failed."))
    assert failed == {f"failed.{cause}": count for cause, count in made.failed.items()}
    assert len(kept) + len(dropped) == made.documents + sum(made.failed.values())
    assert len({row["doc_id"] for row in [*kept, *dropped]}) == len(kept) + len(dropped)
    assert {row["input"] for row in [*kept, *dropped]} <= {name}
    assert (counted["rows_in"], counted["rows_kept"]) == (len(kept) + len(dropped), len(kept))
    assert counted["dropped"] == Counter(row["reason"] for row in dropped)
    assert counted["dropped"].get("http_response.drop_truncated", 0) == made.truncated
    assert (counted["bytes"], counted["lost_bytes"]) == (len(made.data), made.lost_bytes)
    assert sum(row["value"] for row in dropped if row["reason"].startswith("failed.")) == made.lost_bytes


def test_every_part_of_every_step_sums_up(run: Folder) -> None:
    """What one step keeps is what the next one gets, part by part; drops on disk are those counted."""
    for part in range(len(FILES)):
        reached = counters(run, "documents", part)["rows_kept"]
        for step, drops in (("dedup", "dropped/dedup"), ("buckets", "dropped/tokens")):
            counted = counters(run, step, part)
            dropped = rows(run, drops, part, "doc_id", "reason")
            assert counted["rows_in"] == reached
            assert counted["rows_in"] == counted["rows_kept"] + sum(counted["dropped"].values())
            assert counted["dropped"] == Counter(row["reason"] for row in dropped)
            reached = counted["rows_kept"]
        for sidecar in ("signatures", "dedup", "scores", "buckets"):
            documents = rows(run, "documents", part, "doc_id")
            assert rows(run, sidecar, part, "doc_id") == documents, "rows that are dropped stay in the sidecars"


def test_each_document_is_in_the_tokens_or_dropped_once(run: Folder) -> None:
    documents = [row["doc_id"] for part in range(len(FILES)) for row in rows(run, "documents", part, "doc_id")]
    later = [
        row["doc_id"]
        for part in range(len(FILES))
        for drops in ("dropped/dedup", "dropped/tokens")
        for row in rows(run, drops, part, "doc_id")
    ]
    tables = [run.local_path(name) for name in run.files("tokens") if name.endswith(".docs.parquet")]
    tokens = [row["doc_id"] for path in tables for row in pq.read_table(path, columns=["doc_id"]).to_pylist()]
    assert Counter([*later, *tokens]) == Counter(documents)
    assert len(documents) > 20, "a test of nothing proves nothing"
    assert len(later) > 20
    assert len(tokens) > 10


def test_the_funnel_tells_the_same(run: Folder) -> None:
    funnel = read_funnel(run)
    made = FILES.values()
    assert funnel.rows_in == sum(one.documents + sum(one.failed.values()) for one in made)
    assert funnel.input_bytes == sum(len(one.data) for one in made)
    assert funnel.lost_bytes == sum(one.lost_bytes for one in made)
    causes: Counter[str] = sum((Counter(one.failed) for one in made), Counter())
    assert {rule.name: rule.dropped for _, stage, rule in funnel.rules() if stage.name == "failed"} == causes
    for step in funnel.steps:
        assert step.rows_in == step.rows_kept + sum(rule.dropped for stage in step.stages for rule in stage.rules)
    told = dataproc("report", run.url).stdout
    assert f"Input: {funnel.input_bytes:,} bytes; {funnel.lost_bytes:,} of them could not be read" in told


def test_an_input_without_a_document_is_an_error_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"body": "x"}\n' * 3)
    (tmp_path / "b.warc.gz").write_bytes(b"<html>")
    done = dataproc("run", "--crawl", tmp_path, "--out", tmp_path / "run", "--workers", "1", ok=False)
    assert done.returncode == 3
    assert (
        f"InputError: the input must hold a document, got none in 2 units, the first of {tmp_path}/a.jsonl:"
        " 3 x failed.no_text, 1 x failed.garbage. Give files that are what their names say, and name their fields in"
        " input.columns."
    ) in done.stderr
