from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from classifiers import load
from classifiers.cards import load_card
from dataproc.config import validate
from dataproc.errors import ConfigError
from stages.score import Score

PROSE = "Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do. " * 4
BATCH = pa.RecordBatch.from_pydict({"text": pa.array([PROSE, "", None], pa.large_string())})


def test_probability_of_one_label() -> None:
    config = Score(model="quality", label="high", column="quality_score")
    result = config.build()(BATCH)
    assert result.schema.field("quality_score").type == pa.float32()
    assert result["quality_score"].to_pylist() == load("quality").probabilities([PROSE, "", None])[:, 1].tolist()
    assert result["quality_score"].to_pylist()[1:] == [0, 0]
    assert config.contract().rules == ()
    assert config.contract().writes == {"quality_score": pa.float32()}
    assert config.contract().assets["quality.ftz"] == load_card("quality").sha256


def test_best_label() -> None:
    config = Score(model="domain", label_column="domain", score_column="domain_score")
    result = config.build()(BATCH)
    assert result["domain"].to_pylist() == ["fiction", None, None]
    assert result["domain_score"].to_pylist()[1:] == [0, 0]
    assert config.contract().writes == {"domain": pa.string(), "domain_score": pa.float32()}


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"model": "quality"}, "columns must be label and column, or label_column and score_column, got"),
        ({"model": "quality", "label": "high"}, "columns must be label and column"),
        (
            {"model": "quality", "label": "hihg", "column": "q"},
            'label must be one of the labels of quality, got "hihg"',
        ),
        ({"model": "domain", "label_column": "d", "score_column": "d"}, "score_column must differ from label_column"),
        ({"model": "none", "label": "a", "column": "q"}, 'model card "none" does not exist'),
    ],
)
def test_wrong_configs(config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        validate(Score, config, "recipe")
