from __future__ import annotations

import base64
import hashlib
import json
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from dataproc.config import validate
from dataproc.errors import ConfigError, ShardError
from dataproc.tokens import backends, vocabularies
from dataproc.tokens.backends import O200K_PATTERN, choose, family_of
from dataproc.tokens.tokenizers import Tokenizer, TokenizerConfig, _sample
from dataproc.tokens.vocabularies import SHIPPED, JsonVocabulary, RankVocabulary, load_vocabulary

FAST = TokenizerConfig(backend="gigatoken").load()
REFERENCE = TokenizerConfig(backend="tiktoken").load()
IDS = [bytes([number]) * 16 for number in range(8)]


def column(*texts: str | None) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def rows(tokenizer: Tokenizer, *texts: str) -> list[list[int]]:
    flat, offsets = tokenizer.encode_batch(column(*texts))
    assert flat.dtype == np.uint32
    assert offsets.dtype == np.int64
    assert (offsets[0], offsets[-1]) == (0, len(flat))
    return [flat[start:end].tolist() for start, end in pairwise(offsets)]


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


# Which vocabulary, which backend


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


def small_ranks() -> dict[bytes, int]:
    return {bytes([byte]): byte for byte in range(256)} | {b"he": 256, b"hel": 257, b"lo": 258, b"hello": 259}


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


# tokenizer.json


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
