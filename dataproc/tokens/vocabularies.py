"""Vocabularies: what a token id means, wherever it comes from.

Three forms: the vocabulary shipped with the project, a name that tiktoken knows, and a file: `tokenizer.json` of
Hugging Face's tokenizers, or rank lines (`.tiktoken`, `.model`) with a description beside them. Special tokens are
known by id only: their strings in a text are ordinary text, as a page with "<|endoftext|>" in it must not end there.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from dataproc.errors import ConfigError, suggest
from dataproc.tokens.shards import TokenizerInfo

SHIPPED = Path(__file__).parent / "vocab"

EOS_NAMES = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<\uff5cend\u2581of\u2581sentence\uff5c>")
"""Strings that end a document in published tokenizers, tried in this order when nobody names one. They go before what
tokenizer_config.json says: there, chat models name the token that ends a turn."""


@dataclass(frozen=True)
class Vocabulary:
    """What all forms have in common."""

    name: str
    sha256: str
    """Of the rank lines, or of the tokenizer.json."""
    special_tokens: Mapping[str, int]
    eos_id: int
    bos_id: int | None

    @property
    def max_id(self) -> int:
        """Return the largest id that can occur, special tokens included."""
        raise NotImplementedError

    def checksums(self) -> dict[str, str]:
        """Return sha256 by name of all that decides the ids of a text."""
        return {f"vocabulary/{self.name}": self.sha256}

    def info(self, bos: bool = False) -> TokenizerInfo:
        """Return what token shards record; `vocab_size` is what an embedding needs, the largest id + 1."""
        return TokenizerInfo(
            name=self.name,
            sha256=self.sha256,
            vocab_size=self.max_id + 1,
            max_id=self.max_id,
            eos_id=self.eos_id,
            bos_id=self.bos_id if bos else None,
        )


@dataclass(frozen=True)
class RankVocabulary(Vocabulary):
    """Byte-level BPE as tiktoken has it: tokens with their ranks, and the pattern that cuts a text into words."""

    ranks: Mapping[bytes, int]
    pattern: str

    @cached_property
    def max_id(self) -> int:
        """Return the largest id that can occur, special tokens included."""
        return max(*self.ranks.values(), *self.special_tokens.values())

    def checksums(self) -> dict[str, str]:
        """Return sha256 by name of all that decides the ids of a text: rank lines say nothing of the pattern."""
        return {**super().checksums(), f"pattern/{self.name}": hashlib.sha256(self.pattern.encode()).hexdigest()}

    @cached_property
    def lines(self) -> bytes:
        """Return the rank lines in order of rank: base64 of the token, a space, its rank."""
        return _rank_lines(self.ranks)


@dataclass(frozen=True)
class JsonVocabulary(Vocabulary):
    """A tokenizer.json; `plain` is it without special tokens, so that they are never found in a text."""

    plain: str
    largest_id: int
    lossless: bool
    """Whether decode(encode(x)) == x must hold: no normaliser, and bytes as the alphabet."""

    @property
    def max_id(self) -> int:
        """Return the largest id that can occur, special tokens included."""
        return self.largest_id


@lru_cache(maxsize=8)
def load_vocabulary(name: str, eos: str | None = None, bos: str | None = None) -> Vocabulary:
    """Return the vocabulary of a shipped name, a tiktoken encoding or a file.

    eos, bos: special tokens that end and open a document, where the vocabulary does not say. Raises ConfigError for an
    unknown name or special token, a missing or damaged file, and a tiktoken encoding neither cached nor reachable.
    Example: load_vocabulary("web32k").max_id == 32767
    """
    path = Path(name)
    if path.suffix == ".json":
        return _from_json(path, eos, bos)
    if path.suffix in (".tiktoken", ".model"):
        return _from_ranks(path, eos, bos)
    if (SHIPPED / f"{name}.tiktoken").is_file():
        return _from_ranks(SHIPPED / f"{name}.tiktoken", eos, bos)
    return _from_tiktoken(name, eos, bos)


def _from_ranks(path: Path, eos: str | None, bos: str | None) -> RankVocabulary:
    description_path = path.with_suffix(".json")
    data = _read(path)
    try:
        about = json.loads(_read(description_path))
        specials, pattern = dict(about["special_tokens"]), str(about["pattern"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{description_path} must be JSON with `pattern` and `special_tokens`, got {error!r}."
            " Write it: rank lines say neither."
        ) from error
    ranks = _parse_ranks(path, data)
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != about.get("sha256", sha256):
        raise ConfigError(f"{path} must have sha256 {about['sha256']}, got {sha256}. Copy the file again.")
    return RankVocabulary(
        name=str(about.get("name", path.stem)),
        sha256=sha256,
        special_tokens=specials,
        **_document_ends(path.name, specials, eos or about.get("eos"), bos or about.get("bos")),
        ranks=ranks,
        pattern=pattern,
    )


def _from_tiktoken(name: str, eos: str | None, bos: str | None) -> RankVocabulary:
    import tiktoken

    shipped = sorted(file.stem for file in SHIPPED.glob("*.tiktoken"))
    known = [*shipped, *tiktoken.list_encoding_names()]
    if name not in known:
        raise ConfigError(f'tokenizer.name "{name}" is neither a vocabulary nor a file.{suggest(name, known)}')
    try:
        encoding = tiktoken.get_encoding(name)
    except OSError as error:  # requests' errors are OSErrors too
        raise ConfigError(
            f"tokenizer.name {name} must be in tiktoken's cache or reachable, got {type(error).__name__}. Set"
            f" TIKTOKEN_CACHE_DIR to a folder that holds it, or use a shipped vocabulary: {', '.join(shipped)}."
        ) from error
    specials, ranks = dict(encoding._special_tokens), encoding._mergeable_ranks
    return RankVocabulary(
        name=name,
        sha256=hashlib.sha256(_rank_lines(ranks)).hexdigest(),
        special_tokens=specials,
        **_document_ends(name, specials, eos, bos),
        ranks=ranks,
        pattern=encoding._pat_str,
    )


def _from_json(path: Path, eos: str | None, bos: str | None) -> JsonVocabulary:
    data = _read(path)
    try:
        content = json.loads(data)
        model, added = content["model"], content.get("added_tokens") or []
        largest = max([*model["vocab"].values(), *(token["id"] for token in added)])
        specials = {str(token["content"]): int(token["id"]) for token in added if token.get("special")}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} must be a tokenizer.json with a vocabulary, got {error!r}. Save it again."
        ) from error
    named = _tokenizer_config(path.with_name("tokenizer_config.json"))
    # Some files list no special tokens at all (tiny test tokenizers): then the vocabulary's own strings are searched.
    known = {**model["vocab"], **specials}
    # What a file says of cutting, filling up and framing is about batches of examples, not about what a text's ids are.
    plain = {**content, "truncation": None, "padding": None, "post_processor": None}
    plain["added_tokens"] = [token for token in added if not token.get("special")]
    return JsonVocabulary(
        name=path.resolve().parent.name if path.stem == "tokenizer" else path.stem,
        sha256=hashlib.sha256(data).hexdigest(),
        special_tokens=specials,
        **_document_ends(
            path.name, known, eos, bos or _token(named.get("bos_token")), last_eos=_token(named.get("eos_token"))
        ),
        plain=json.dumps(plain, ensure_ascii=False),
        largest_id=largest,
        lossless=_is_lossless(content),
    )


def _tokenizer_config(path: Path) -> dict[str, Any]:
    """Return what the file beside a tokenizer.json says; nothing when there is none."""
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(_read(path)))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} must be a JSON object, got {error!r}. Save it again, or remove it.") from error


def _token(value: Any) -> str | None:
    """A special token of tokenizer_config.json: a string, or a mapping with its content."""
    return str(value["content"]) if isinstance(value, dict) else value


def _is_lossless(content: Mapping[str, Any]) -> bool:
    steps = [content.get("pre_tokenizer") or {}]
    steps += steps[0].get("pretokenizers", [])
    normalizer = content.get("normalizer") or {}
    return (
        (not normalizer or normalizer.get("normalizers") == [])
        and not any(step.get("add_prefix_space") for step in steps)
        and (content.get("decoder") or {}).get("type") == "ByteLevel"
        and sum(len(token) == 1 for token in content["model"]["vocab"]) >= 256  # a letter for each byte
    )


def _document_ends(
    where: str, specials: Mapping[str, int], eos: str | None, bos: str | None, last_eos: str | None = None
) -> dict[str, Any]:
    """Return eos_id and bos_id; raise ConfigError when a named one does not exist or no EOS is known."""
    eos = eos or next((name for name in EOS_NAMES if name in specials), last_eos)
    if eos is None:
        raise ConfigError(
            f"tokenizer.eos must be given for {where}, got null. Name the special token that ends a document."
        )
    for key, token in (("eos", eos), ("bos", bos)):
        if token is not None and token not in specials:
            raise ConfigError(
                f'tokenizer.{key} must be a special token of {where}, got "{token}".{suggest(token, specials)}'
            )
    return {"eos_id": specials[eos], "bos_id": None if bos is None else specials[bos]}


def _parse_ranks(path: Path, data: bytes) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line:
            try:
                token, rank = line.split()
                ranks[base64.b64decode(token, validate=True)] = int(rank)
            except (ValueError, binascii.Error) as error:
                raise ConfigError(
                    f"{path}, line {number}: must be a base64 token and its rank, got {line[:40]!r}. Copy it again."
                ) from error
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise ConfigError(
            f"{path} must have a token for each byte, got none for {missing[0]:#04x}. Use a byte-level vocabulary."
        )
    return ranks


def _rank_lines(ranks: Mapping[bytes, int]) -> bytes:
    ordered = sorted(ranks.items(), key=lambda item: item[1])
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ordered)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} must be a readable file, got {error.strerror}. Correct tokenizer.name.") from error
