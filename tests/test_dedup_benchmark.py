from __future__ import annotations

import json
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import dedup
from benchmarks.dedup_run import Found, find_duplicates
from benchmarks.dedup_scores import clusters, plain_shingles, precision, recall, scores
from benchmarks.template_pages import template_page, template_pages
from dataproc.errors import InputError
from dataproc.kernels.set_index import SimilarPairs, all_pairs
from dataproc.kernels.shingles import shingle_hashes
from tests.dataproc.kernels.texts import texts


def found(pairs: list[tuple[int, int]], keeper: list[int], verified: list[bool] | None = None) -> Found:
    a, b = np.array(pairs, np.int64).reshape(-1, 2).T
    return Found(a, b, np.array([True] * len(pairs) if verified is None else verified, bool), np.array(keeper))


def test_pages_of_a_template_are_alike_and_copies_more_so() -> None:
    pages = list(template_pages(2, 60))
    pairs = all_pairs(*shingle_hashes(pa.array(pages)), 0.0)
    assert set(((pairs.given - pairs.indexed) % 2).tolist()) == {0}  # templates share nothing
    copied = (pairs.given // 2 % 10 == 9) | (pairs.indexed // 2 % 10 == 9)
    assert 0.75 < pairs.jaccard[~copied].min() < pairs.jaccard[~copied].max() < 0.8
    assert sorted(pairs.given[pairs.jaccard >= 0.87].tolist()) == [
        2 * page + k for page in range(9, 60, 10) for k in (0, 1)
    ]


def test_a_page_never_changes() -> None:
    assert list(template_pages(2, 2))[1] == template_page(1, 0)
    whole = " ".join(template_page(template, number) for template in range(2) for number in range(20))
    assert xxhash.xxh64_hexdigest(whole.encode()) == "4f3fab0971d1839b"


def test_recall_counts_pairs_together_and_compared() -> None:
    true = SimilarPairs(np.array([1, 2, 2, 3]), np.array([0, 0, 1, 0]), np.array([0.9, 0.95, 0.9, 0.89]))
    led = found([(0, 1), (0, 2), (1, 3)], [0, 0, 0, 3], [True, True, False])
    assert recall(true, led, 0.9) == (3, 1.0, 2 / 3)
    assert recall(true, led, 0.89) == (4, 3 / 4, 2 / 4)
    with pytest.raises(InputError, match=r"must have pairs of Jaccard 0\.96 or more .*, got none\. Give more texts"):
        recall(true, led, 0.96)


def test_precision_measures_verified_pairs_only() -> None:
    held = ["a b c d e f", "A b, c d e f", "a b c d e g", "z"]
    assert precision(held, found([(0, 1), (0, 2), (0, 3)], [0] * 4, [True, True, False]), 0.8) == 1 / 2
    for none in (found([], [0, 1, 2, 3]), found([(0, 3)], [0, 1, 2, 3], [False])):
        with pytest.raises(InputError, match=r"must verify pairs to measure precision by, got none\. Give texts"):
            precision(held, none, 0.8)


@given(texts)
def test_plain_shingles_are_those_of_the_kernel(text: str) -> None:
    hashed = sorted(xxhash.xxh64_intdigest(" ".join(gram).encode()) for gram in plain_shingles(text))
    assert shingle_hashes(pa.array([text], pa.large_string()))[0].tolist() == hashed


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=12))
def test_scores_equal_the_oracle(labels: list[tuple[int, int]]) -> None:
    pairs = list(combinations(labels, 2))
    true = sum(a[0] == b[0] for a, b in pairs)
    said = sum(a[1] == b[1] for a, b in pairs)
    both = sum(a == b for a, b in pairs)
    if not true:
        with pytest.raises(InputError, match="A true cluster must have two texts at least, got none"):
            scores(*np.array(labels).T)
        return
    measured = scores(*np.array(labels).T)
    assert measured.precision == (both / said if said else 0)
    assert measured.recall == both / true
    assert measured.f1 == pytest.approx(2 * both / (true + said))


def test_adjusted_rand_index() -> None:
    # scikit-learn's example: adjusted_rand_score([0, 0, 1, 2], [0, 0, 1, 1]) == 0.57...
    assert scores(np.array([0, 0, 1, 2]), np.array([0, 0, 1, 1])).ari == pytest.approx(4 / 7)
    assert scores(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0])).ari == 1
    assert scores(np.array([0, 0, 0]), np.array([1, 1, 1])).ari == 1
    assert scores(np.array([0, 0, 1, 1]), np.arange(4)) == (0, 0, 0, 0)
    assert scores(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])).ari == pytest.approx(-0.5)


def test_clusters_are_links() -> None:
    assert clusters(5, [(4, 3), (3, 1)]).tolist() == [0, 1, 2, 1, 1]


def test_the_pack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dedup.read_packs(None) == ({}, {})
    assert "DATAPROC_BENCH_NEARDUP" in capsys.readouterr().out
    ten, other = "one two three four five six seven eight nine ten", "zwei drei vier"
    for name in ("ca_ca-valencia", "pt_pt-br"):
        lines = [json.dumps({"a": ten, "b": ten.upper() + "!"}), json.dumps({"a": other, "b": ""})]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "articles_1000.train").write_text("t1 some news\nt2 other news\nt3 some, news\n")
    (tmp_path / "articles_1000.truth").write_text("t1 t3\n")
    packs, true = dedup.read_packs(str(tmp_path))
    assert packs["help pages"] == [ten, ten.upper() + "!", other, ""] * 2
    assert true["help pages"].tolist() == [0, 0, 2, 3, 0, 0, 2, 7]
    assert packs["news"] == ["some news", "other news", "some, news"]
    assert true["news"].tolist() == [0, 1, 0]


def test_every_nth_spans_all() -> None:
    held = pa.array([f"{number:04}" for number in range(100)], pa.large_string())
    assert dedup.every_nth(held, held.nbytes // 10).to_pylist() == [f"{number:04}" for number in range(0, 100, 10)]
    assert len(dedup.every_nth(held, 1 << 20)) == 100


@pytest.mark.slow
def test_a_run_finds_the_copies(tmp_path: Path) -> None:
    pages = list(template_pages(2, 100))
    led = find_duplicates(pages, tmp_path)
    true = all_pairs(*shingle_hashes(pa.array(pages)), 0.8)
    assert recall(true, led, 0.9).together == 1.0
    assert precision(pages, led, 0.8) == 1.0
    assert len(led.a) > led.verified.sum() > 0
    kept = {led.keeper[k] for k in range(len(pages))}
    assert all(led.keeper[k] == k for k in kept)
    assert [a for a, b in pairwise(sorted(kept)) if a == b] == []
