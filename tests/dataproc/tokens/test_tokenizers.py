"""Token ids of every backend are the same, and lead back to the text; the check of it while a run goes on."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.errors import ShardError
from dataproc.tokens import backends, vocabularies
from dataproc.tokens.tokenizers import Tokenizer, TokenizerConfig, _sample
from dataproc.tokens.vocabularies import SHIPPED, RankVocabulary, load_vocabulary
from tests.dataproc.tokens.encoded import IDS, column, rows

FAST = TokenizerConfig(backend="gigatoken").load()
REFERENCE = TokenizerConfig(backend="tiktoken").load()


# The shipped vocabulary


def test_shipped_vocabulary_is_what_its_description_says() -> None:
    lines = (SHIPPED / "web32k.tiktoken").read_bytes()
    about = json.loads((SHIPPED / "web32k.json").read_text(encoding="utf-8"))
    vocabulary = load_vocabulary("web32k")
    assert isinstance(vocabulary, RankVocabulary)
    assert hashlib.sha256(lines).hexdigest() == about["sha256"] == vocabulary.sha256
    assert sorted(vocabulary.ranks.values()) == list(range(32_752))
    assert sorted(vocabulary.special_tokens.values()) == list(range(32_752, 32_768))
    assert vocabulary.info().model_dump() == {
        "name": "web32k",
        "sha256": about["sha256"],
        "vocab_size": 32_768,
        "max_id": 32_767,
        "eos_id": 32_752,
        "bos_id": None,
    }
    assert vocabulary.info(bos=True).bos_id == 32_753
    assert vocabulary.info().dtype == "uint16"
    assert vocabulary.lines == lines


def test_shipped_vocabulary_spends_few_tokens_on_the_languages_it_learned() -> None:
    english = "Everyone has the right to freedom of thought, conscience and religion; this right includes freedom."
    assert len(rows(FAST, english)[0]) <= 20
    german = "Jeder Mensch hat das Recht auf Gedanken-, Gewissens- und Religionsfreiheit."
    assert len(rows(FAST, german)[0]) <= 25


# Same ids from every backend, and back again


@given(st.lists(st.text(), max_size=6))
def test_any_text_round_trips_and_both_backends_agree(texts: list[str]) -> None:
    fast = rows(FAST, *texts)
    assert fast == rows(REFERENCE, *texts)
    assert [FAST.decode(ids) for ids in fast] == texts


@given(
    st.lists(st.sampled_from(["'s", "'LL", "\u017f", " ", "\t", "\n", "\r\n", "\u00a0", "a", "A", "\u0301", "9", "/"]))
)
def test_backends_agree_where_the_pattern_is_delicate(parts: list[str]) -> None:
    text = "".join(parts)
    assert rows(FAST, text) == rows(REFERENCE, text)


def scripts() -> Iterator[str]:
    """Made-up words of every assigned letter, mark and number, a block of 256 code points at a time."""
    for block in range(0, 0x32000, 256):
        letters = [chr(code) for code in range(block, block + 256) if unicodedata.category(chr(code))[0] in "LMN"]
        if letters:
            yield " ".join("".join(letters[at : at + 5]) for at in range(0, len(letters), 5))


def test_letters_of_every_script() -> None:
    texts = list(scripts())
    assert len(texts) > 400
    fast = rows(FAST, *texts)
    assert fast == rows(REFERENCE, *texts)
    assert [FAST.decode(ids) for ids in fast] == texts


@pytest.mark.parametrize("unit", ["a", "A", " ", "\n", "0", "-", "\u4e00", "\u0301", "\U0001f600", "ab ", " \n"])
def test_a_megabyte_of_one_thing(unit: str) -> None:
    text = unit * (1_000_000 // len(unit.encode()))
    (fast,) = rows(FAST, text)
    assert FAST.decode(fast) == text
    if unit != " ":
        assert [fast] == rows(REFERENCE, text)


def test_a_megabyte_of_spaces_is_too_much_for_the_reference_alone() -> None:
    text = " " * 1_000_000
    sentence = (
        r"tiktoken must be able to encode every text, got Regex error.* Set tokenizer.backend to auto, or drop texts"
        r" with a million white-space characters in a row\."
    )
    with pytest.raises(ShardError, match=sentence):
        rows(REFERENCE, text)
    assert TokenizerConfig(check_one_in=1).load().check(*encoded(text)) == 1


def test_special_tokens_in_a_text_are_ordinary_text() -> None:
    text = "a <|endoftext|> b<|bos|><|reserved_0|>"
    for tokenizer in (FAST, REFERENCE):
        (ids,) = rows(tokenizer, text)
        assert max(ids) < 32_752
        assert tokenizer.decode(ids) == text


def test_decode_shows_special_tokens_and_half_characters() -> None:
    (ids,) = rows(FAST, "x y")
    assert FAST.decode([32_753, *ids, 32_752]) == "<|bos|>x y<|endoftext|>"
    assert FAST.decode(np.array([], dtype=np.uint16)) == ""
    euro = load_vocabulary("web32k").ranks[b"\xe2"]  # type: ignore[attr-defined]
    assert FAST.decode([euro, 32_752]) == "\ufffd<|endoftext|>"


@pytest.mark.parametrize("tokenizer", [FAST, REFERENCE], ids=["gigatoken", "tiktoken"])
def test_slices_chunks_nulls_and_other_string_types(tokenizer: Tokenizer) -> None:
    texts = ["\u00e9t\u00e9 one", "", "two two", "three"]
    expected = rows(tokenizer, *texts)
    sliced = column("before", *texts, "after").slice(1, 4)
    for text in (sliced, pa.chunked_array([sliced.slice(0, 1), sliced.slice(1)]), pa.array(texts, pa.string())):
        flat, offsets = tokenizer.encode_batch(text)
        assert [flat[a:b].tolist() for a, b in pairwise(offsets)] == expected
    flat, offsets = tokenizer.encode_batch(column(None, "two two", None))
    assert (flat.tolist(), offsets.tolist()) == (expected[2], [0, 0, len(expected[2]), len(expected[2])])
    for empty in (column(), column("x").slice(1), pa.chunked_array([], pa.large_string())):
        flat, offsets = tokenizer.encode_batch(empty)
        assert (flat.tolist(), offsets.tolist()) == ([], [0])


def test_recycling_bounds_what_is_remembered_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = 0
    original = backends._open_gigatoken

    def counting(vocabulary: vocabularies.Vocabulary) -> Any:
        nonlocal opened
        opened += 1
        return original(vocabulary)

    monkeypatch.setattr(backends, "_open_gigatoken", counting)
    tokenizer = TokenizerConfig(backend="gigatoken", recycle_bytes=10).load()
    for text in ("12345", "67890", "the next", "one"):  # opened again before the third: 10 bytes are seen by then
        assert rows(tokenizer, text) == rows(REFERENCE, text)
    assert opened == 2


# The check while running


def encoded(*texts: str) -> tuple[pa.LargeStringArray, pa.BinaryArray, Any, Any]:
    text = column(*texts)
    return text, pa.array(IDS[: len(texts)], pa.binary()), *FAST.encode_batch(text)


def test_check_passes_what_is_right_and_counts_it() -> None:
    tokenizer = TokenizerConfig(check_one_in=1).load()
    assert tokenizer.backend == "gigatoken"
    assert tokenizer.check(*encoded("one", "", "three \u00e9")) == 3
    assert TokenizerConfig(check_one_in=0).load().check(*encoded("one")) == 0
    assert tokenizer.check(*encoded()) == 0


def test_check_names_document_and_first_token_that_differs() -> None:
    tokenizer = TokenizerConfig(check_one_in=1).load()
    text, ids, flat, offsets = encoded("one", "two three four")
    wrong = flat.copy()
    wrong[offsets[1] + 1] = 7
    truth = flat[offsets[1] + 1]
    with pytest.raises(ShardError) as error:
        tokenizer.check(text, ids, wrong, offsets)
    assert str(error.value) == (
        f"doc_id {IDS[1].hex()}: token 1 of web32k must be {truth} as by tiktoken, got 7 by gigatoken."
        " Set tokenizer.backend to tiktoken."
    )
    last = len(flat) - offsets[1] - 1
    with pytest.raises(
        ShardError, match=rf"token {last} of web32k must be \d+ as by tiktoken, got the end by gigatoken"
    ):
        tokenizer.check(text, ids, flat[:-1], np.array([0, offsets[1], len(flat) - 1]))


def test_check_notices_a_decoder_that_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = TokenizerConfig(check_one_in=1).load()
    monkeypatch.setattr(tokenizer._backend, "decode", lambda ids: b"another text")
    with pytest.raises(ShardError) as error:
        tokenizer.check(*encoded("one"))
    assert str(error.value) == (
        f"doc_id {IDS[0].hex()}: decode(encode(text)) must be the text, got another with web32k by gigatoken."
        " Report it: the vocabulary or its backend is broken."
    )


def test_the_sample_depends_on_doc_id_alone() -> None:
    ids = [hashlib.sha256(bytes([number])).digest()[:16] for number in range(200)]
    whole = {ids[row] for row in _sample(pa.array(ids, pa.binary()), 20)}
    assert 3 <= len(whole) <= 25
    for size in (1, 7, 50):
        for start in range(0, 200, size):
            part = ids[start : start + size]
            sample = {part[row] for row in _sample(pa.array(part, pa.binary()), 20)}
            assert sample == whole.intersection(part) or (len(sample) == 1 and not whole.intersection(part))
    assert len(_sample(pa.array(ids, pa.binary()), 0)) == 0
