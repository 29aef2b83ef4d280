"""Vocabularies in tokenizer.json: what is read of one, by which backend, and what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.errors import ConfigError
from dataproc.tokens.tokenizers import Tokenizer, TokenizerConfig
from dataproc.tokens.vocabularies import JsonVocabulary, load_vocabulary
from tests.dataproc.tokens.encoded import IDS, column, rows, small_ranks


def spelled(token: bytes) -> str:
    """A token in the letters of byte-level BPE."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return "".join(chr(byte) if byte in printable else chr(0x100 + others.index(byte)) for byte in token)


def tokenizer_json(folder: Path, eos: str = "</s>", **changes: Any) -> str:
    vocab = {spelled(token): rank for token, rank in small_ranks().items()}
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    content = {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": None,
        "added_tokens": [{"id": 300, "content": eos, "special": True, **added}],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": vocab,
            "merges": ["h e", "he l", "l o", "hel lo"],
        },
        **changes,
    }
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    return str(folder / "tokenizer.json")


def test_json_vocabulary(tmp_path: Path) -> None:
    name = tokenizer_json(tmp_path / "tiny")
    vocabulary = load_vocabulary(name)
    assert isinstance(vocabulary, JsonVocabulary)
    assert vocabulary.lossless
    assert vocabulary.sha256 == hashlib.sha256(Path(name).read_bytes()).hexdigest()
    assert (vocabulary.name, vocabulary.max_id, vocabulary.eos_id) == ("tiny", 300, 300)
    tokenizer = TokenizerConfig(name=name, backend="gigatoken").load()
    text = "hello help</s> to the whole world"  # longer than the file's truncation
    (ids,) = rows(tokenizer, text)
    assert ids[0] == 259
    assert 300 not in ids
    assert tokenizer.decode([*ids, 300]) == text + "</s>"


@pytest.fixture(scope="module")
def json_backends(tmp_path_factory: pytest.TempPathFactory) -> list[Tokenizer]:
    name = tokenizer_json(tmp_path_factory.mktemp("agree") / "tiny")
    return [TokenizerConfig(name=name, backend=backend).load() for backend in ("gigatoken", "hf")]


@pytest.mark.needs("tokenizers")
@given(texts=st.lists(st.text(), max_size=4))
def test_json_backends_agree(json_backends: list[Tokenizer], texts: list[str]) -> None:
    fast, reference = json_backends
    assert rows(fast, *texts) == rows(reference, *texts)
    assert [reference.decode(ids) for ids in rows(reference, *texts)] == texts


@pytest.mark.needs("tokenizers")
def test_json_that_gigatoken_cannot_read_falls_back(tmp_path: Path) -> None:
    content = json.loads(Path(tokenizer_json(tmp_path / "full")).read_text(encoding="utf-8"))
    vocab = {token: rank for token, rank in content["model"]["vocab"].items() if token != spelled(b"\x80")}
    name = tokenizer_json(tmp_path / "partial", model={**content["model"], "vocab": vocab})
    assert TokenizerConfig(name=name).load().backend == "hf"
    with pytest.raises(ConfigError, match=r"tokenizer.backend gigatoken must be able to read partial, got .*0x80"):
        TokenizerConfig(name=name, backend="gigatoken").load()


@pytest.mark.parametrize(
    ("changes", "lossless"),
    [
        ({}, True),
        ({"normalizer": {"type": "Sequence", "normalizers": []}}, True),
        ({"normalizer": {"type": "NFC"}}, False),
        ({"decoder": {"type": "Metaspace"}}, False),
        ({"model": {"vocab": {spelled(bytes([byte])): byte for byte in range(1, 256)}}}, False),
        ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}}, False),
        ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"add_prefix_space": True}]}}, False),
    ],
)
def test_lossless(tmp_path: Path, changes: dict[str, Any], lossless: bool) -> None:
    vocabulary = load_vocabulary(tokenizer_json(tmp_path / "t", **changes))
    assert isinstance(vocabulary, JsonVocabulary)
    assert vocabulary.lossless is lossless


@pytest.mark.needs("tokenizers")
def test_a_normaliser_is_no_failed_round_trip(tmp_path: Path) -> None:
    name = tokenizer_json(tmp_path / "nfc", normalizer={"type": "NFC"})
    tokenizer = TokenizerConfig(name=name, check_one_in=1).load()
    text = column("e\u0301")
    flat, offsets = tokenizer.encode_batch(text)
    assert tokenizer.decode(flat) == "\u00e9"
    assert tokenizer.check(text, pa.array(IDS[:1], pa.binary()), flat, offsets) == 1


def test_json_eos_of_its_neighbour(tmp_path: Path) -> None:
    name = tokenizer_json(tmp_path, eos="<fin>")
    with pytest.raises(ConfigError, match=r"tokenizer.eos must be given for tokenizer.json, got null"):
        load_vocabulary(name)
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": {"content": "<fin>"}, "bos_token": null}')
    assert load_vocabulary(name).eos_id == 300
    assert load_vocabulary(name, eos="hello").eos_id == 259  # any string of the vocabulary can be named
    (tmp_path / "tokenizer_config.json").write_text("[1")
    with pytest.raises(ConfigError, match=r"tokenizer_config.json must be a JSON object, got JSONDecodeError"):
        load_vocabulary(name, bos="hello")


def test_json_eos_of_documents_goes_before_that_of_turns(tmp_path: Path) -> None:
    name = tokenizer_json(tmp_path, eos="<|endoftext|>")
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "hello"}')
    assert load_vocabulary(name).eos_id == 300


@pytest.mark.parametrize("content", ["{", "[]", '{"model": {}}', '{"model": {"vocab": []}}'])
def test_json_must_be_a_tokenizer(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ConfigError, match=r"tokenizer.json must be a tokenizer.json with a vocabulary, got .* Save it"):
        load_vocabulary(str(tmp_path / "tokenizer.json"))
