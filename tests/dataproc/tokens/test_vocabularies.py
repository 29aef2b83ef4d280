"""Which vocabulary and backend a config means, files of rank lines, and training of one."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tiktoken

from dataproc.config import validate
from dataproc.errors import ConfigError
from dataproc.tokens.backends import O200K_PATTERN, choose, family_of
from dataproc.tokens.tokenizers import TokenizerConfig
from dataproc.tokens.vocabularies import RankVocabulary, load_vocabulary
from tests.dataproc.tokens.encoded import IDS, column, rows, small_ranks


def test_choose() -> None:
    ranked = load_vocabulary("web32k")
    assert isinstance(ranked, RankVocabulary)
    assert family_of(ranked) == "o200k"
    assert choose("auto", ranked) == "gigatoken"
    other = replace(ranked, pattern=r"\S+|\s+")
    assert (family_of(other), choose("auto", other)) == ("", "tiktoken")
    gaps = replace(ranked, ranks={**ranked.ranks, b"a token that nobody has": 40_000})
    assert (family_of(gaps), choose("auto", gaps)) == ("", "tiktoken")
    with pytest.raises(ConfigError) as error:
        choose("gigatoken", other)
    assert str(error.value) == "tokenizer.backend must be one of tiktoken for web32k, got gigatoken. Use auto."
    with pytest.raises(ConfigError) as error:
        choose("hf", ranked)
    assert str(error.value) == "tokenizer.backend must be one of gigatoken, tiktoken for web32k, got hf. Use auto."


def test_auto_without_gigatoken_is_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert choose("auto", load_vocabulary("web32k")) == "tiktoken"


def test_libraries_are_those_that_may_decide_the_ids() -> None:
    for backend in ("auto", "gigatoken", "tiktoken"):
        assert TokenizerConfig(backend=backend).libraries() == ("gigatoken", "tiktoken")


def test_libraries_of_a_pattern_that_gigatoken_does_not_know(tmp_path: Path) -> None:
    name = write_ranks(tmp_path, rank_lines(small_ranks()), eos="<end>", pattern=r"\S+|\s+")
    assert TokenizerConfig(name=name).libraries() == ("tiktoken",)


def test_a_pattern_is_part_of_what_a_vocabulary_is(tmp_path: Path) -> None:
    """Rank lines and their sha256 are the same; the words are not."""
    one, other = (
        load_vocabulary(write_ranks(tmp_path / name, rank_lines(small_ranks()), eos="<end>", pattern=pattern))
        for name, pattern in (("a", O200K_PATTERN), ("b", r"\S+|\s+"))
    )
    assert one.sha256 == other.sha256
    assert {name for name, digest in one.checksums().items() if other.checksums()[name] != digest} == {"pattern/mine"}


def test_config_errors_name_the_key() -> None:
    with pytest.raises(ConfigError, match=r'tokens.nam is not a key of TokenizerConfig. Did you mean "name"\?'):
        validate(TokenizerConfig, {"nam": "gpt2"}, "tokens")
    with pytest.raises(ConfigError, match=r"tokens.recycle_bytes must be greater than 0, got 0"):
        validate(TokenizerConfig, {"recycle_bytes": 0}, "tokens")


def test_unknown_name_suggests_a_known_one() -> None:
    with pytest.raises(ConfigError) as error:
        load_vocabulary("web32")
    assert str(error.value) == 'tokenizer.name "web32" is neither a vocabulary nor a file. Did you mean "web32k"?'


def test_named_encoding_without_cache_or_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(name: str) -> tiktoken.Encoding:
        raise ConnectionError(name)

    monkeypatch.setattr(tiktoken, "get_encoding", unreachable)
    with pytest.raises(ConfigError) as error:
        load_vocabulary("cl100k_base")
    assert str(error.value) == (
        "tokenizer.name cl100k_base must be in tiktoken's cache or reachable, got ConnectionError. Set"
        " TIKTOKEN_CACHE_DIR to a folder that holds it, or use a shipped vocabulary: web32k."
    )


def test_named_encoding_of_tiktoken(monkeypatch: pytest.MonkeyPatch) -> None:
    encoding = tiktoken.Encoding(
        "small", pat_str=O200K_PATTERN, mergeable_ranks=small_ranks(), special_tokens={"<|endoftext|>": 300}
    )
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: encoding)
    load_vocabulary.cache_clear()
    tokenizer = TokenizerConfig(name="gpt2", check_one_in=1).load()
    load_vocabulary.cache_clear()
    assert tokenizer.backend == "gigatoken"
    assert tokenizer.vocabulary.info().model_dump() == {
        "name": "gpt2",
        "sha256": hashlib.sha256(rank_lines(small_ranks())).hexdigest(),
        "vocab_size": 301,
        "max_id": 300,
        "eos_id": 300,
        "bos_id": None,
    }
    assert rows(tokenizer, "hello", "help") == [[259], [257, ord("p")]]


# Files of rank lines


def rank_lines(ranks: dict[bytes, int]) -> bytes:
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items())


def write_ranks(folder: Path, lines: bytes, **about: Any) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "mine.tiktoken").write_bytes(lines)
    description = {"pattern": O200K_PATTERN, "special_tokens": {"<end>": 300, "<start>": 301}, **about}
    (folder / "mine.json").write_text(json.dumps(description), encoding="utf-8")
    return str(folder / "mine.tiktoken")


def test_rank_file(tmp_path: Path) -> None:
    name = write_ranks(tmp_path, rank_lines(small_ranks()), eos="<end>")
    tokenizer = TokenizerConfig(name=name, bos="<start>").load()
    assert rows(tokenizer, "hello") == [[259]]
    info = tokenizer.vocabulary.info(bos=True)
    assert (info.name, info.eos_id, info.bos_id, info.vocab_size) == ("mine", 300, 301, 302)


@pytest.mark.parametrize(
    ("about", "sentence"),
    [
        ({}, "tokenizer.eos must be given for mine.tiktoken, got null. Name the special token that ends a document."),
        (
            {"eos": "<ent>"},
            'tokenizer.eos must be a special token of mine.tiktoken, got "<ent>". Did you mean "<end>"?',
        ),
        ({"pattern": None, "special_tokens": 5}, "mine.json must be JSON with `pattern` and `special_tokens`, got"),
        ({"eos": "<end>", "sha256": "0" * 64}, f"mine.tiktoken must have sha256 {'0' * 64}, got "),
    ],
)
def test_description_of_ranks_must_be_right(tmp_path: Path, about: dict[str, Any], sentence: str) -> None:
    name = write_ranks(tmp_path, rank_lines(small_ranks()), **about)
    with pytest.raises(ConfigError) as error:
        load_vocabulary(name)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (b"YQ== 0\n!! 1\n", "line 2: must be a base64 token and its rank, got b'!! 1'. Copy it again."),
        (b"YQ== 0\nYg==\n", "line 2: must be a base64 token and its rank, got b'Yg=='. Copy it again."),
        (b"YQ== 0\n", "must have a token for each byte, got none for 0x00. Use a byte-level vocabulary."),
    ],
)
def test_rank_lines_must_be_right(tmp_path: Path, lines: bytes, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_vocabulary(write_ranks(tmp_path, lines, eos="<end>"))
    assert sentence in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load_vocabulary(str(tmp_path / "tokenizer.json"))
    assert str(error.value) == (
        f"{tmp_path}/tokenizer.json must be a readable file, got No such file or directory. Correct tokenizer.name."
    )


# Training


@pytest.mark.needs("tokenizers")
def test_training_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    from dataproc.tokens.train_vocab import train, write_vocabulary

    texts = ["the cat sat on the mat, the dog sat on the log. " * 3, "L'\u00e9t\u00e9, l'\u00e9t\u00e9 !"]
    tokens = train(texts, 276)
    assert tokens == train(texts, 276)
    assert tokens[:256] == [bytes([byte]) for byte in range(256)]
    assert {b" the", b" sat", b"\xc3\xa9"} <= set(tokens)
    write_vocabulary(tokens, tmp_path, "small", {"licence": "CC0-1.0"})
    tokenizer = TokenizerConfig(name=str(tmp_path / "small.tiktoken"), check_one_in=1).load()
    assert tokenizer.vocabulary.info().vocab_size == 292
    assert (
        tokenizer.check(column("the cat"), pa.array(IDS[:1], pa.binary()), *tokenizer.encode_batch(column("the cat")))
        == 1
    )


@pytest.mark.needs("tokenizers")
def test_training_needs_enough_words() -> None:
    from dataproc.tokens.train_vocab import train

    with pytest.raises(ValueError, match=r"train must find 300 different tokens, got 2\d\d. Give it more text."):
        train(["one two"], 300)


def test_caps_end_a_group_not_its_source() -> None:
    from dataproc.tokens.train_vocab import CAPS, Text, capped

    long = "x" * CAPS["udhr"]
    texts = [Text("udhr", "deu", long), Text("udhr", "deu", "y"), Text("udhr", "fra", "z"), Text("books", "deu", "w")]
    assert [text.text[0] for text in capped(texts)] == ["x", "z", "w"]
