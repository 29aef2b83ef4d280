"""The audit's figures against what brute force in plain Python says of small runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from dataproc.errors import ConfigError
from dataproc.storage import Folder
from jobs import dedup_audit_page
from jobs.dedup_audit import Audit, audit, other_plan
from jobs.dedup_compare import NUM_BINS
from stages.minhash_plan import MinhashDedup, candidate_probability
from tests.jobs.dedup_audits import WEAK, run_of, truth_of
from tests.jobs.dedup_runs import Inline, article, crawl_of, dedup, near, recipe_of


@pytest.fixture(scope="module")
def whole(weak: Path) -> Audit:
    """Its audit with every document drawn."""
    return audit(Folder(weak), Inline(), 10_000)


def test_recall_of_a_plan_that_misses_pairs(weak: Path, whole: Audit) -> None:
    truth = truth_of(weak)
    pairs = truth.pairs(0.8)
    found = [pair for pair in pairs if truth.cluster[pair[0]] == truth.cluster[pair[1]]]
    met = [pair for pair in pairs if truth.meets(*pair, 2, 14)]
    assert 30 < len(found) < len(pairs) - 15
    own = whole.own
    assert whole.documents == whole.drawn == len(truth.sets)
    assert whole.dropped == len(truth.sets) - len(truth.kept)
    assert own.pairs == 2 * len(pairs), "each pair is known from both ends"
    for estimate, hits in ((own.recall, found), (own.met, met)):
        assert estimate is not None
        assert (estimate.low, estimate.value, estimate.high) == (len(hits) / len(pairs),) * 3
    left = {one for pair in pairs if set(pair) <= truth.kept for one in pair}
    assert own.left is not None
    assert own.left.value == len(left) / len(truth.kept)


def test_pairs_by_similarity(weak: Path, whole: Audit) -> None:
    truth = truth_of(weak)
    for number, shown in enumerate(whole.own.bins):
        pairs = [pair for pair in truth.pairs(0.3) if int(truth.jaccard(*pair) * NUM_BINS + 1e-9) == number]
        assert (shown.pairs, shown.met) == (2 * len(pairs), 2 * sum(truth.meets(*pair, 2, 14) for pair in pairs))
        expected = sum(candidate_probability(truth.jaccard(*pair), 2, 14) for pair in pairs)
        assert shown.expected == pytest.approx(2 * expected, abs=1e-4)
    assert whole.own.curve[90] == (0.9, candidate_probability(0.9, 2, 14))


def test_missed_pairs_come_most_alike_first(weak: Path, whole: Audit) -> None:
    truth = truth_of(weak)
    missed = [pair for pair in truth.pairs(0.8) if truth.cluster[pair[0]] != truth.cluster[pair[1]]]
    most = sorted((truth.jaccard(*pair) for pair in missed), reverse=True)[: len(whole.missed)]
    assert len(whole.missed) == 6
    shown = [(bytes.fromhex(pair.left.doc_id), bytes.fromhex(pair.right.doc_id)) for pair in whole.missed]
    assert [round(truth.jaccard(*pair), 9) for pair in shown] == [round(one, 9) for one in most]
    assert len({frozenset(pair) for pair in shown}) == 6
    assert whole.missed[0].facts == (f"Jaccard {most[0]:.3f}", "met in no band")
    assert any(kind == "only" for kind, _ in whole.missed[0].left.spans)


def test_a_sample_is_always_the_same_one_and_its_interval_holds_the_truth(weak: Path, whole: Audit) -> None:
    one, two = (audit(Folder(weak), Inline(seed=seed), 60) for seed in (None, 3))
    assert one.to_json() == two.to_json()
    assert one.drawn == 60
    assert one.documents == whole.documents
    for own, every in ((one.own.recall, whole.own.recall), (one.own.left, whole.own.left)):
        assert own is not None
        assert every is not None
        assert own.low < own.high
        assert own.low <= every.value <= own.high


def test_edges_are_those_of_all_rounds(weak: Path, whole: Audit) -> None:
    rows = [row for path in weak.glob("dedup/round-*/edges") for row in pq.read_table(path).to_pylist() if row["first"]]
    assert sum(whole.edges) == len(rows) > 20
    assert whole.linked == sum(row["jaccard"] >= 0.8 for row in rows)
    assert whole.edges[48] == sum(0.96 <= row["jaccard"] < 0.98 for row in rows)


def test_clusters_by_size_with_the_least_alike_first(audit_crawl: Path) -> None:
    run = run_of(audit_crawl, "default", minhash={})
    truth, found = truth_of(run), audit(Folder(run), Inline(), 10)
    sizes = [list(truth.cluster.values()).count(one) for one in truth.kept]
    by_class = {size.least: (size.clusters, size.documents) for size in found.classes if size.clusters}
    assert by_class == {
        2: (sizes.count(2), 2 * sizes.count(2)),
        3: (sum(3 <= size <= 5 for size in sizes), sum(size for size in sizes if 3 <= size <= 5)),
    }
    assert by_class[3][1] >= 25
    (cluster, *others) = found.classes[1].shown
    assert len(others) == 2
    keeper = bytes.fromhex(cluster.pairs[0].left.doc_id)
    assert keeper in truth.kept
    members = sorted(truth.jaccard(keeper, one) for one, of in truth.cluster.items() if of == keeper != one)
    assert cluster.documents == len(members) + 1
    assert [pair.facts for pair in cluster.pairs] == [(f"Jaccard {one:.3f}",) for one in members[:3]]


def test_without_shingles_similarity_is_estimated(audit_crawl: Path, whole: Audit) -> None:
    run = run_of(audit_crawl, "signature", minhash={**WEAK, "verification": "signature"})
    found = audit(Folder(run), Inline(), 10_000)
    signatures = {row["doc_id"]: row["minhash"] for row in pq.read_table(run / "signatures").to_pylist()}
    rows = [row for path in (run / "dedup").glob("part-*") for row in pq.read_table(path).to_pylist()]
    came = [row["doc_id"] for row in rows if row["dedup_reason"] != "dedup.exact"]
    hashes = np.array([np.frombuffer(signatures[one], "<u4") for one in came])
    share = (hashes[:, None] == hashes[None]).mean(axis=2)
    assert found.own.measured_by == "minhash"
    assert found.own.pairs == int((share >= 0.8).sum()) - len(came)
    assert "estimated by the signatures" in dedup_audit_page.render(found)
    other = audit(Folder(run), Inline(), 10, "verification=jaccard", exact=True).other
    assert other is not None
    assert (other.figures.measured_by, other.dropped.value) == ("minhash", whole.dropped), "it made shingles first"
    assert "estimated by the signatures" in dedup_audit_page.page(found)


def test_with_verification_none_nothing_was_compared(audit_crawl: Path) -> None:
    run = run_of(audit_crawl, "none", minhash={**WEAK, "verification": "none"})
    found = audit(Folder(run), Inline(), 100)
    assert (found.edges, found.linked) == ([], 0)
    assert found.classes[0].shown[0].pairs[0].facts[0].startswith("similarity by their signatures")
    assert "all pairs of a band link" in dedup_audit_page.page(found)


@pytest.mark.parametrize(
    ("plan", "measured_by", "config"),
    [
        ("num_bands=14, rows_per_band=2", "shingles", {"num_bands": 14, "rows_per_band": 2}),
        ("fineweb, min_jaccard=0.93", "text", {"plan": "fineweb", "min_jaccard": 0.93}),
        (
            "shingle_size=3, num_bands=20, rows_per_band=5",
            "text",
            {"shingle_size": 3, "num_bands": 20, "rows_per_band": 5},
        ),
    ],
)
def test_what_another_plan_drops(
    weak: Path, audit_crawl: Path, plan: str, measured_by: str, config: dict[str, Any]
) -> None:
    """The estimate from all documents is right where clusters are linked all to all, and a lower bound elsewhere."""
    other = run_of(audit_crawl, f"other-{plan}", minhash=config)
    truth = truth_of(other)
    dropped = len(truth.sets) - len(truth.kept)
    found = audit(Folder(weak), Inline(), 10_000, plan).other
    assert found is not None
    assert not found.exact
    assert found.figures.measured_by == measured_by
    assert found.dropped.low == found.dropped.value == found.dropped.high
    assert found.dropped.value == pytest.approx(dropped, rel=0.25)
    assert found.figures.pairs == 2 * len(truth.pairs(found.figures.plan["min_jaccard"]))
    exactly = audit(Folder(weak), Inline(), 10, plan, exact=True).other
    assert exactly is not None
    assert exactly.exact
    assert exactly.dropped.value == dropped
    assert not list((weak / ".scratch").glob("audit-*"))


def test_what_another_plan_would_link_and_let_go(audit_crawl: Path) -> None:
    run = run_of(audit_crawl, "default", minhash={})
    stricter = audit(Folder(run), Inline(), 10_000, "min_jaccard=0.97").other
    assert stricter is not None
    assert stricter.gained == []
    truth = truth_of(run)
    assert len(stricter.let_go) == 4
    for pair in stricter.let_go:
        keeper, dropped = bytes.fromhex(pair.left.doc_id), bytes.fromhex(pair.right.doc_id)
        assert truth.cluster[dropped] == keeper != dropped
    looser = audit(Folder(run_of(audit_crawl, "weak", minhash=WEAK)), Inline(), 10_000, "fineweb").other
    assert looser is not None
    assert len(looser.gained) == 6
    for pair in looser.gained:
        one, two = bytes.fromhex(pair.left.doc_id), bytes.fromhex(pair.right.doc_id)
        assert truth.jaccard(one, two) >= 0.8
        assert truth.meets(one, two, 14, 8)


def test_plans_are_named_as_in_recipes() -> None:
    own = MinhashDedup(num_bands=3, min_jaccard=0.7, scheme="affine64")
    assert other_plan(own, "olmo3, min_jaccard=0.9") == MinhashDedup(plan="olmo3", min_jaccard=0.9, scheme="affine64")
    assert other_plan(own, "rows_per_band=2") == own.model_copy(update={"rows_per_band": 2})


def earlier_runs(crawl: Path) -> Path:
    """A run against another, and back its folder."""
    for number, made in enumerate(
        ([article(1), article(2)], [near(article(1), 4), near(article(3), 1), near(article(3), 2)])
    ):
        crawl_of(made, 1, crawl / f"part{number}")
        (crawl / f"part{number}" / "0.jsonl").rename(crawl / f"part{number}" / f"{number}.jsonl")
    against = [str(crawl / "old")]
    dedup(crawl / "part0", crawl / "old", Inline(), index=True)
    dedup(crawl / "part1", crawl / "new", Inline(), against=against)
    recipe = recipe_of(against=against).model_dump(mode="json")
    (crawl / "new" / "run.json").write_text(json.dumps({"format": 1, "order": {"recipe": recipe}}))
    return crawl / "new"


def test_clusters_of_earlier_documents_are_shown_beside_them(tmp_path: Path) -> None:
    run = earlier_runs(tmp_path)
    found = audit(Folder(run), Inline(), 10)
    assert (found.documents, found.dropped, found.classes[0].clusters) == (3, 2, 2)
    kept = {pq.read_table(tmp_path / "old" / "documents").to_pylist()[row]["doc_id"].hex() for row in (0, 1)}
    assert len({pair.left.doc_id for one in found.classes[0].shown for pair in one.pairs} & kept) == 1
    with pytest.raises(ConfigError, match=r"for a run without earlier ones, got a run that was .*"):
        audit(Folder(run), Inline(), 10, "olmo3", exact=True)


def test_a_share_of_no_pairs_is_not_told(tmp_path: Path) -> None:
    crawl_of([article(seed) for seed in range(4)], 1, tmp_path / "crawl")
    dedup(tmp_path / "crawl", tmp_path / "run", Inline())
    found = audit(Folder(tmp_path / "run"), Inline(), 10)
    assert (found.drawn, found.own.pairs, found.own.recall, found.own.met) == (4, 0, None, None)
    assert found.own.left is not None
    assert found.own.left.value == 0
    told = dedup_audit_page.render(found).splitlines()
    for line in ("in one cluster                               ", "met in a band                                "):
        assert f"  {line}       - (there was none)" in told
    assert "<b>-</b><span>of pairs of at least 0.8 are in one cluster; none is known" in dedup_audit_page.page(found)
