from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.config import validate
from dataproc.errors import ConfigError, ShardError
from dataproc.tokens.backends import O200K_PATTERN
from dataproc.tokens.tokenizers import Tokenizer, TokenizerConfig
from dataproc.tokens.vocabularies import SHIPPED
from stages.tokenize_text import TokenizeText

EOS, BOS = 32_752, 32_753
PLAIN = TokenizerConfig().load()
CHECKED = TokenizeText(tokenizer=TokenizerConfig(check_one_in=1)).build()


def batch(*texts: str | None) -> pa.RecordBatch:
    ids = [hashlib.sha256(bytes([number])).digest()[:16] for number in range(len(texts))]
    return pa.RecordBatch.from_pydict(
        {"doc_id": pa.array(ids, pa.binary()), "text": pa.array(texts, pa.large_string())}
    )


def documents(result: pa.RecordBatch, dtype: str = "<u2") -> list[list[int]]:
    """The ids of each document, and a check that num_tokens counts them."""
    rows = [np.frombuffer(tokens, dtype).tolist() for tokens in result["tokens"].to_pylist()]
    assert result["num_tokens"].to_pylist() == [len(row) for row in rows]
    return rows


def test_contract() -> None:
    contract = TokenizeText().contract()
    assert contract.reads == ("doc_id", "text")
    assert contract.writes == {"tokens": pa.large_binary(), "num_tokens": pa.int64()}
    assert contract.rules == ()
    digest = hashlib.sha256((SHIPPED / "web32k.tiktoken").read_bytes()).hexdigest()
    pattern = hashlib.sha256(O200K_PATTERN.encode()).hexdigest()
    assert contract.assets == {"vocabulary/web32k": digest, "pattern/web32k": pattern}
    assert contract.libraries == ("gigatoken", "tiktoken")


def test_eos_ends_each_document_and_is_counted() -> None:
    result = TokenizeText().build()(batch("one two", "", None, "three"))
    assert result.schema.field("tokens").type == pa.large_binary()
    assert result.schema.field("num_tokens").type == pa.int64()
    assert result.schema.names == ["doc_id", "text", "tokens", "num_tokens"]
    first, *empty, last = documents(result)
    assert empty == [[EOS], [EOS]]
    assert (first[-1], PLAIN.decode(first[:-1])) == (EOS, "one two")
    assert (last[-1], PLAIN.decode(last[:-1])) == (EOS, "three")


@pytest.mark.parametrize(("bos", "empty"), [(False, [EOS]), (True, [BOS, EOS])])
def test_eos_and_bos(bos: bool, empty: list[int]) -> None:
    stage = TokenizeText(bos=bos)
    assert stage.info().bos_id == (BOS if bos else None)
    word = PLAIN.encode_batch(pa.array(["word"], pa.large_string()))[0].tolist()
    first, second = documents(stage.build()(batch("", "word")))
    assert first == empty
    assert second == [BOS] * bos + word + [EOS]


@given(st.lists(st.text(), max_size=5))
def test_any_batch_equals_its_texts_one_by_one(texts: list[str]) -> None:
    rows = documents(CHECKED(batch(*texts)))
    for text, row in zip(texts, rows, strict=True):
        flat, _ = PLAIN.encode_batch(pa.array([text], pa.large_string()))
        assert row == [*flat.tolist(), EOS]


def test_sliced_and_empty_batches() -> None:
    whole = TokenizeText().build()(batch("a", "b b", "c"))
    part = TokenizeText().build()(batch("a", "b b", "c").slice(1, 2))
    assert documents(part) == documents(whole)[1:]
    assert documents(TokenizeText().build()(batch())) == []


def test_wide_vocabularies_write_four_bytes(tmp_path: Path) -> None:
    lines = (SHIPPED / "web32k.tiktoken").read_bytes()
    about = json.loads((SHIPPED / "web32k.json").read_text(encoding="utf-8"))
    for largest, dtype in ((65_535, "<u2"), (65_536, "<u4")):
        about["special_tokens"] = {"<|endoftext|>": largest}
        folder = tmp_path / str(largest)
        folder.mkdir()
        (folder / "wide.tiktoken").write_bytes(lines)
        (folder / "wide.json").write_text(json.dumps({**about, "bos": None}), encoding="utf-8")
        stage = TokenizeText(tokenizer=TokenizerConfig(name=str(folder / "wide.tiktoken")))
        assert documents(stage.build()(batch("")), dtype) == [[largest]]


def test_bos_must_exist(tmp_path: Path) -> None:
    about = json.loads((SHIPPED / "web32k.json").read_text(encoding="utf-8"))
    (tmp_path / "mine.tiktoken").write_bytes((SHIPPED / "web32k.tiktoken").read_bytes())
    (tmp_path / "mine.json").write_text(json.dumps({**about, "name": "mine", "bos": None}), encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        TokenizeText(tokenizer=TokenizerConfig(name=str(tmp_path / "mine.tiktoken")), bos=True).contract()
    assert str(error.value) == "tokenize_text.bos needs a token of mine, got null. Name one in tokenizer.bos."


def test_a_wrong_token_stops_the_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Tokenizer.encode_batch

    def wrong(self: Tokenizer, text: pa.LargeStringArray) -> object:
        flat, offsets = right(self, text)
        return flat ^ 1, offsets

    monkeypatch.setattr(Tokenizer, "encode_batch", wrong)
    with pytest.raises(
        ShardError, match=r"^doc_id [0-9a-f]{32}: token 0 of web32k must be \d+ as by tiktoken, got \d+ by"
    ):
        TokenizeText().build()(batch("one", "two"))


def test_config_pickles_and_round_trips() -> None:
    stage = TokenizeText(tokenizer=TokenizerConfig(check_one_in=7), bos=True)
    assert pickle.loads(pickle.dumps(stage)) == stage
    assert validate(TokenizeText, stage.model_dump(mode="json"), "tokens") == stage
