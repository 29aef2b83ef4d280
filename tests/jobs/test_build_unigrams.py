from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataproc.errors import InputError
from jobs.build_unigrams import build_unigrams
from stages.unigrams import read_unigrams, unigrams_path
from tests.jobs.runs import dataproc

SOURCE = Path(__file__).parents[1] / "data" / "unigrams" / "articles.jsonl.gz"


def test_the_shipped_reference_is_what_the_command_makes(tmp_path: Path) -> None:
    out = tmp_path / "eng.tsv.gz"
    told = dataproc("build-unigrams", SOURCE, "--language", "en", "--out", out).stdout
    assert out.read_bytes() == unigrams_path("eng").read_bytes()
    assert "21,565 of 262,240 words of 1,000 documents. Their divergence by quantile: 0.5 2.3571" in told


def test_of_a_run(sample_run: Path, tmp_path: Path) -> None:
    german = build_unigrams(str(sample_run), "deu", tmp_path / "deu.tsv", 1000, 1 << 30)
    assert german.words[:4] == ("die", "sie", "der", "und")
    assert len(german.words) == 1000
    assert read_unigrams(str(tmp_path / "deu.tsv")).words == german.words
    parts = (pq.read_table(part, columns=["language"])["language"] for part in (sample_run / "documents").iterdir())
    assert german.documents == sum(part.to_pylist().count("deu") for part in parts)


def test_limits(tmp_path: Path) -> None:
    lines = [json.dumps({"text": text}) for text in ("a b", "b c c", "c d")]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    for limit, words in ((1, ("a", "b")), (8, ("b", "c", "a")), (11, ("c", "b", "a"))):
        found = build_unigrams(str(tmp_path / "in.jsonl"), "eng", tmp_path / "out.tsv", 3, limit)
        assert found.words == words
    assert found.divergence == {}  # no text of fifty words
    assert (tmp_path / "out.tsv").read_text().splitlines()[1:] == ["c\t3", "b\t2", "a\t1"]


def test_no_texts(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["...", None]}), tmp_path / "in.parquet")
    with pytest.raises(InputError) as error:
        build_unigrams(str(tmp_path / "in.parquet"), "eng", tmp_path / "out.tsv", 3, 10)
    assert str(error.value) == (
        f"{tmp_path}/in.parquet must hold texts of eng, got none. Give another source or language."
    )
