"""The audit against what brute force in plain Python says of small runs, and its page."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from dataproc.engines import Failed, Retried
from dataproc.errors import ConfigError, InputError, ShardError
from dataproc.storage import Folder
from jobs import dedup_audit_page
from jobs.dedup_anew import Beside, dropped_anew
from jobs.dedup_audit import Audit, audit, other_plan
from jobs.dedup_compare import NUM_BINS
from jobs.progress import ProgressDisplay
from stages.minhash_dedup import binary_to_lists
from stages.minhash_plan import MinhashDedup, candidate_probability
from tests.jobs.dedup_runs import Inline, article, crawl_of, dedup, near, recipe_of
from tests.jobs.runs import dataproc
from tests.jobs.test_report import Page

SILENT = ProgressDisplay(Console(quiet=True))

WEAK = {"num_bands": 2, "rows_per_band": 14}
"""Of pairs with a Jaccard of 0.95 three of four meet, of those of 0.9 two of five."""


def texts() -> list[str]:
    """Return 20 articles, 40 pairs of Jaccard 0.95, 5 clusters of 5 whose pairs have 0.9, and 3 exact copies."""
    made = [article(seed) for seed in range(20)]
    made += [text for pair in range(40) for text in (article(100 + pair), near(article(100 + pair), pair))]
    made += [near(article(200 + cluster), copy) for cluster in range(5) for copy in range(5)]
    return [*made, article(0), article(0), article(1)]


@dataclass
class Truth:
    """What is known of a run by its files, in plain Python."""

    sets: dict[bytes, set[int]]
    hashes: dict[bytes, list[int]]
    cluster: dict[bytes, bytes]
    kept: set[bytes]

    def pairs(self, least: float) -> list[tuple[bytes, bytes]]:
        return [(a, b) for a, b in combinations(sorted(self.sets), 2) if self.jaccard(a, b) >= least]

    def jaccard(self, a: bytes, b: bytes) -> float:
        return len(self.sets[a] & self.sets[b]) / len(self.sets[a] | self.sets[b])

    def meets(self, a: bytes, b: bytes, bands: int, rows: int) -> bool:
        one, two = self.hashes[a], self.hashes[b]
        return any(one[k * rows : (k + 1) * rows] == two[k * rows : (k + 1) * rows] for k in range(bands))


def shingles_of(stored: bytes) -> set[int]:
    return set(binary_to_lists(pa.array([stored], pa.binary()))[0].tolist())


def truth_of(run: Path) -> Truth:
    signatures = {row["doc_id"]: row for row in pq.read_table(run / "signatures").to_pylist()}
    rows = [row for path in (run / "dedup").glob("part-*") for row in pq.read_table(path).to_pylist()]
    came = [row for row in rows if row["dedup_reason"] in (None, "dedup.minhash")]
    return Truth(
        {row["doc_id"]: shingles_of(signatures[row["doc_id"]]["shingles"]) for row in came},
        {row["doc_id"]: np.frombuffer(signatures[row["doc_id"]]["minhash"], "<u4").tolist() for row in came},
        {row["doc_id"]: row["duplicate_of"] or row["doc_id"] for row in came},
        {row["doc_id"] for row in came if row["duplicate_of"] is None},
    )


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crawl of three files, and runs of it."""
    folder = tmp_path_factory.mktemp("audit")
    crawl_of(texts(), 3, folder / "crawl")
    return folder


def run_of(crawl: Path, name: str, **config: Any) -> Path:
    out = crawl / name
    if not out.exists():
        dedup(crawl / "crawl", out, Inline(), **config)
        recipe = recipe_of(**config).model_dump(mode="json")
        (out / "run.json").write_text(json.dumps({"format": 1, "order": {"recipe": recipe}}))
    return out


@pytest.fixture(scope="module")
def weak(crawl: Path) -> Path:
    """A run whose plan misses most pairs."""
    return run_of(crawl, "weak", minhash=WEAK)


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


def test_clusters_by_size_with_the_least_alike_first(crawl: Path) -> None:
    run = run_of(crawl, "default", minhash={})
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


def test_without_shingles_similarity_is_estimated(crawl: Path, whole: Audit) -> None:
    run = run_of(crawl, "signature", minhash={**WEAK, "verification": "signature"})
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


def test_with_verification_none_nothing_was_compared(crawl: Path) -> None:
    run = run_of(crawl, "none", minhash={**WEAK, "verification": "none"})
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
def test_what_another_plan_drops(weak: Path, crawl: Path, plan: str, measured_by: str, config: dict[str, Any]) -> None:
    """The estimate from all documents is right where clusters are linked all to all, and a lower bound elsewhere."""
    other = run_of(crawl, f"other-{plan}", minhash=config)
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


def test_what_another_plan_would_link_and_let_go(crawl: Path) -> None:
    run = run_of(crawl, "default", minhash={})
    stricter = audit(Folder(run), Inline(), 10_000, "min_jaccard=0.97").other
    assert stricter is not None
    assert stricter.gained == []
    truth = truth_of(run)
    assert len(stricter.let_go) == 4
    for pair in stricter.let_go:
        keeper, dropped = bytes.fromhex(pair.left.doc_id), bytes.fromhex(pair.right.doc_id)
        assert truth.cluster[dropped] == keeper != dropped
    looser = audit(Folder(run_of(crawl, "weak", minhash=WEAK)), Inline(), 10_000, "fineweb").other
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


def test_its_work_is_shown_like_the_steps_of_a_run(weak: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(weak, run)
    console = Console(file=StringIO(), width=200)
    audit(Folder(run), Inline(), 10, "num_bands=14, rows_per_band=2", exact=True, progress=ProgressDisplay(console))
    assert isinstance(console.file, StringIO)
    told = [line.split(" in ")[0] for line in console.file.getvalue().splitlines()]
    assert told[:4] == [
        "dedup audit: draw: 3 of 3 units",
        "dedup audit: compare: 3 of 3 units",
        "dedup audit: edges: 1 of 1 units",
        "dedup audit: clusters: 3 of 3 units",
    ]
    assert told[4:6] == ["dedup audit: compare: 3 of 3 units", "dedup/exact_groups: 1 of 1 units"]
    assert told[-1] == "dedup: 3 of 3 units"


def test_a_part_that_cannot_be_read_ends_it(weak: Path) -> None:
    class Broken(Inline):
        def map(self, name: str, fn: Any, units: Any, resources: Any = None) -> Iterator[Any]:
            yield Retried(name, 0, "exit code 9")
            yield Failed(0, "the disk is gone")

    console = Console(file=StringIO(), width=200)
    with pytest.raises(ShardError, match=r"dedup audit: draw: 0 must be readable, got: the disk is gone"):
        audit(Folder(weak), Broken(), 10, progress=ProgressDisplay(console))
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().endswith(", 1 tried again\n")


@pytest.mark.parametrize("change", [None, "plan", "keep", "documents"])
def test_what_a_killed_one_left_is_gone_on_with_by_its_like_alone(
    change: str | None, weak: Path, tmp_path: Path
) -> None:
    """Its folder is named by all that decides what is in it; another's is neither read nor removed."""
    run = tmp_path / "run"
    shutil.copytree(weak, run)
    with pytest.raises(KeyboardInterrupt):
        dropped_anew(Folder(run), Inline(lives=12), SILENT, MinhashDedup(num_bands=2), signed=False)
    (left,) = (run / ".scratch").iterdir()
    if change == "keep":
        record = json.loads((run / "run.json").read_text())
        record["order"]["recipe"]["dedup"]["keep"] = "longest"
        (run / "run.json").write_text(json.dumps(record))
    if change == "documents":
        described = run / "manifests" / "documents" / "dataset.json"
        described.write_text(described.read_text().replace(json.loads(described.read_text())["fingerprint"], "0" * 32))
    second = Inline()
    plan = MinhashDedup(num_bands=2, min_jaccard=0.9) if change == "plan" else MinhashDedup(num_bands=2)
    dropped_anew(Folder(run), second, SILENT, plan, signed=False)
    assert ("signatures" in second.ran) == (change is not None)
    assert left.exists() == (change is not None)


def test_nothing_is_written_but_the_page(weak: Path, whole: Audit, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(weak, run)
    before = Folder(run).files()
    found = audit(Folder(run), Inline(), 50, "fineweb", exact=True)
    assert Folder(run).files() == before
    assert dedup_audit_page.write(Folder(run), found) == f"{run}/audit.html"
    assert set(Folder(run).files()) == {*before, "audit.html"}
    out = tmp_path / "elsewhere" / "page.html"
    out.parent.mkdir()
    assert dedup_audit_page.write(Folder(run), found, out) == str(out)
    assert out.read_text() == (run / "audit.html").read_text()


def test_the_page_asks_for_nothing_and_escapes_all(crawl: Path, tmp_path: Path) -> None:
    evil = article(7) + " <script>alert(1)</script>"
    crawl_of(
        [evil, article(7), near(article(7), 2)],
        1,
        tmp_path / "crawl",
        ["javascript:alert(1)", "http://a.example/", None],
    )
    dedup(tmp_path / "crawl", tmp_path / "run", Inline())
    text = dedup_audit_page.page(audit(Folder(tmp_path / "run"), Inline(), 10, "min_jaccard=0.99"))
    page = Page(text)
    assert not {"script", "img", "iframe", "object", "form", "base"} & page.tags
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert not [link for link in page.links if link.startswith("javascript:")]
    assert {link for link in page.links if link.startswith("#")} == {
        "#recall",
        "#missed",
        "#compared",
        "#clusters",
        "#other",
    }
    assert all(f'id="{link[1:]}"' in text for link in page.links if link.startswith("#"))
    assert "<mark>" in text


def test_the_summary_has_the_figures(whole: Audit) -> None:
    told = dedup_audit_page.render(whole)
    assert "2 bands x 14 rows over shingles of 5 words; pairs of a true Jaccard of at least 0.8 link." in told
    assert f"{whole.documents} documents came to near-duplicate dedup, {whole.dropped} of them were dropped" in told
    assert whole.own.recall is not None
    assert f"{whole.own.recall.value:.2%} (exactly: all were drawn)" in told
    assert json.loads(whole.to_json())["own"]["recall"]["value"] == whole.own.recall.value


def test_a_run_without_near_duplicates_has_a_page(tmp_path: Path) -> None:
    crawl_of(["", "one text", article(2)], 1, tmp_path / "crawl")
    dedup(tmp_path / "crawl", tmp_path / "run", Inline())
    found = audit(Folder(tmp_path / "run"), Inline(), 10, "zyda2")
    assert (found.own.pairs, found.own.recall, found.dropped) == (0, None, 0)
    assert "  - (there was none)" in dedup_audit_page.render(found)
    assert "No document drawn has another like it." in dedup_audit_page.page(found)


def test_a_run_without_documents_has_a_page(tmp_path: Path) -> None:
    crawl_of([""], 1, tmp_path / "crawl")
    dedup(tmp_path / "crawl", tmp_path / "run", Inline())
    found = audit(Folder(tmp_path / "run"), Inline(), 10, "min_jaccard=0.9")
    assert (found.documents, found.drawn, found.own.recall, found.own.left) == (0, 0, None, None)
    assert found.other is not None
    assert found.other.dropped.value == 0
    assert "There are none." in dedup_audit_page.page(found)


def unfinished(run: Path) -> None:
    (run / "manifests" / "dedup" / "part-00000001.json").unlink()


def without_minhash(run: Path) -> None:
    path = run / "manifests" / "dedup" / "dataset.json"
    made = json.loads(path.read_text())
    made["made_from"]["dedup"]["minhash"] = None
    path.write_text(json.dumps(made))


def signed_before(run: Path) -> None:
    path = run / "manifests" / "signatures" / "dataset.json"
    made = json.loads(path.read_text())
    made["made_from"]["version"] = 2
    path.write_text(json.dumps(made))


@pytest.mark.parametrize(
    ("spoil", "plan", "exact", "error", "message"),
    [
        (shutil.rmtree, None, False, InputError, "must hold a run with dedup, got no manifests/dedup. Give the OUT"),
        (unfinished, None, False, InputError, r"whose dedup is done, got 2 of 3 parts. Run `dataproc resume"),
        (without_minhash, None, False, InputError, "with near-duplicate dedup, got dedup.minhash: null"),
        (signed_before, None, False, InputError, "must have signatures of version 3, got 2. Run it again with --redo"),
        (None, "olmo", False, ConfigError, r"--plan\.plan must be .*got 'olmo'"),
        (None, "bands=3", False, ConfigError, "--plan.bands is not a key of MinhashDedup. Did you mean"),
        (
            None,
            "min_jaccard=[",
            False,
            ConfigError,
            r"must give fields as name=value, got 'min_jaccard=\['. Correct the",
        ),
        (None, " , ", False, ConfigError, "--plan must be a plan or fields of dedup.minhash, got ' , '"),
        (None, None, True, ConfigError, "--exact must come with --plan, .* got no plan. Leave it out"),
    ],
)
def test_errors_tell_what_to_do(
    spoil: Callable[[Path], Any] | None,
    plan: str | None,
    exact: bool,
    error: type[Exception],
    message: str,
    weak: Path,
    tmp_path: Path,
) -> None:
    run = weak
    if spoil is not None:
        run = tmp_path / "run"
        shutil.copytree(weak, run)
        spoil(run)
    with pytest.raises(error, match=message):
        audit(Folder(run), Inline(), 10, plan, exact=exact)


def test_a_folder_beside_another_reads_what_it_has_of_it(tmp_path: Path) -> None:
    below = Folder(tmp_path / "below")
    below.write_text("documents/a", "below")
    below.write_text("dedup/a", "below")
    beside = pickle.loads(pickle.dumps(Beside(tmp_path / "over", below, ("documents",))))
    assert (beside.read_text("documents/a"), beside.exists("dedup/a"), beside.size("documents/a")) == (
        "below",
        False,
        5,
    )
    beside.write_text("dedup/a", "over")
    assert (beside.files("dedup"), beside.read_text("dedup/a"), below.read_text("dedup/a")) == (
        ["dedup/a"],
        "over",
        "below",
    )
    with beside.open("documents/a") as file:
        assert file.read() == b"below"


@pytest.mark.slow
def test_the_command_on_the_sample(sample_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(sample_run, run)
    told = dataproc("dedup", "audit", run, "--plan", "zyda2", "--workers", "2").stdout
    assert f"Page: {run}/audit.html" in told
    assert "With 8 bands x 16 rows over shingles of 25 characters" in told
    assert "Every file is what its manifest says." in dataproc("verify", run).stdout
    found = json.loads(dataproc("dedup", "audit", run, "--json", "--sample", "100", "--workers", "1").stdout)
    assert (found["drawn"], found["other"]) == (100, None)
    Page((run / "audit.html").read_text())
    assert dataproc("dedup", "audit", tmp_path, ok=False).returncode == 3
