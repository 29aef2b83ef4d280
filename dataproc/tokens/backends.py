"""The three backends of `dataproc.tokens.tokenizers`; each imports its library when it is opened.

All run on the calling thread: the engine's processes are the parallelism.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.disk import storing
from dataproc.errors import ConfigError
from dataproc.tokens.vocabularies import JsonVocabulary, RankVocabulary, Vocabulary

Ids = npt.NDArray[np.uint32]
Offsets = npt.NDArray[np.int64]

O200K_PATTERN = "|".join(
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)

# gigatoken cuts words by hand-written code that it knows by name; these are the patterns that the code stands for.
# The two spellings of a family match the same words: the second, without possessive quantifiers, is the older one.
_FAMILIES = {
    "gpt2": (
        r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    ),
    "gpt4": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    ),
    "o200k": (O200K_PATTERN,),
}


class Backend(Protocol):
    """Encodes texts; the ids of text i are flat[offsets[i]:offsets[i + 1]]."""

    def encode_batch(self, text: pa.LargeStringArray) -> tuple[Ids, Offsets]:
        """Return (flat, offsets) of a column without nulls."""

    def decode(self, ids: Sequence[int]) -> bytes:
        """Return the bytes of ordinary ids."""


class Gigatoken:
    """gigatoken over Arrow's own buffers, opened afresh after `recycle_bytes`: its memory of words only grows."""

    def __init__(self, vocabulary: Vocabulary, recycle_bytes: int) -> None:
        self._vocabulary, self._recycle_bytes = vocabulary, recycle_bytes
        self._tokenizer, self._seen_bytes = _open_gigatoken(vocabulary), 0

    def encode_batch(self, text: pa.LargeStringArray) -> tuple[Ids, Offsets]:
        """Return (flat, offsets) of a column without nulls."""
        import awkward as ak

        _, offsets_buffer, data_buffer = text.buffers()
        offsets = (
            np.frombuffer(offsets_buffer, np.int64, len(text) + 1, text.offset * 8)
            if len(text)
            else np.zeros(1, np.int64)
        )
        data = np.frombuffer(data_buffer or b"", np.uint8)
        characters = ak.contents.NumpyArray(data, parameters={"__array__": "char"})
        strings = ak.contents.ListOffsetArray(ak.index.Index64(offsets), characters, parameters={"__array__": "string"})
        if self._seen_bytes >= self._recycle_bytes:
            self._tokenizer, self._seen_bytes = _open_gigatoken(self._vocabulary), 0
        self._seen_bytes += int(offsets[-1] - offsets[0])
        encoded = self._tokenizer.encode_batch(ak.Array(strings), parallel=False).layout
        return np.asarray(encoded.content.data, dtype=np.uint32), np.asarray(encoded.offsets.data, dtype=np.int64)

    def decode(self, ids: Sequence[int]) -> bytes:
        """Return the bytes of ordinary ids."""
        return bytes(self._tokenizer.decode(list(ids)))


def _open_gigatoken(vocabulary: Vocabulary) -> Any:
    import gigatoken

    # Without special tokens: gigatoken would find their strings in every text.
    if isinstance(vocabulary, JsonVocabulary):
        return gigatoken.Tokenizer.from_json(vocabulary.plain)
    assert isinstance(vocabulary, RankVocabulary)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ranks.tiktoken")
        with storing(path):
            path.write_bytes(vocabulary.lines)
        return gigatoken.Tokenizer.from_tiktoken(path, family_of(vocabulary), {})


class Tiktoken:
    """tiktoken, the reference for rank vocabularies."""

    def __init__(self, vocabulary: RankVocabulary) -> None:
        import tiktoken

        self._encoding = tiktoken.Encoding(
            vocabulary.name, pat_str=vocabulary.pattern, mergeable_ranks=dict(vocabulary.ranks), special_tokens={}
        )

    def encode_batch(self, text: pa.LargeStringArray) -> tuple[Ids, Offsets]:
        """Return (flat, offsets) of a column without nulls."""
        return _joined([self._encoding.encode_to_numpy(value, disallowed_special=()) for value in text.to_pylist()])

    def decode(self, ids: Sequence[int]) -> bytes:
        """Return the bytes of ordinary ids."""
        return self._encoding.decode_bytes(ids)


class HuggingFace:
    """Hugging Face's tokenizers, the reference for tokenizer.json."""

    def __init__(self, vocabulary: JsonVocabulary) -> None:
        import tokenizers

        self._tokenizer = tokenizers.Tokenizer.from_str(vocabulary.plain)

    def encode_batch(self, text: pa.LargeStringArray) -> tuple[Ids, Offsets]:
        """Return (flat, offsets) of a column without nulls."""
        encoded = (self._tokenizer.encode(value, add_special_tokens=False).ids for value in text.to_pylist())
        return _joined([np.array(ids, dtype=np.uint32) for ids in encoded])

    def decode(self, ids: Sequence[int]) -> bytes:
        """Return the bytes of ordinary ids."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False)).encode()


def _joined(rows: list[Ids]) -> tuple[Ids, Offsets]:
    offsets = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    return np.concatenate([np.zeros(0, dtype=np.uint32), *rows]), offsets


MODULES = {"gigatoken": "gigatoken", "tiktoken": "tiktoken", "hf": "tokenizers"}
"""backend -> its module, which is its distribution's name too."""


def reference_name(vocabulary: Vocabulary) -> str:
    """Return the backend whose ids are the truth for this vocabulary."""
    return "hf" if isinstance(vocabulary, JsonVocabulary) else "tiktoken"


def possible_names(vocabulary: Vocabulary) -> list[str]:
    """Return the backends that can read this form of vocabulary, gigatoken first where it knows the pattern."""
    known = not isinstance(vocabulary, RankVocabulary) or family_of(vocabulary)
    return [*(["gigatoken"] if known else []), reference_name(vocabulary)]


def is_installed(name: str) -> bool:
    """Say whether the library of a backend is there."""
    return importlib.util.find_spec(MODULES[name]) is not None


def choose(name: str, vocabulary: Vocabulary) -> str:
    """Return the backend to open: `auto` is gigatoken where it is installed and knows the pattern, else the reference.

    Raises ConfigError when a backend was asked for that cannot read this form of vocabulary.
    """
    possible = possible_names(vocabulary)
    if name == "auto":
        return possible[0] if is_installed(possible[0]) else reference_name(vocabulary)
    if name not in possible:
        raise ConfigError(
            f"tokenizer.backend must be one of {', '.join(possible)} for {vocabulary.name}, got {name}. Use auto."
        )
    return name


def family_of(vocabulary: RankVocabulary) -> str:
    """Return gigatoken's name for the vocabulary's pattern; empty when it has none, or when ranks have gaps."""
    dense = max(vocabulary.ranks.values()) == len(vocabulary.ranks) - 1
    return next((name for name, patterns in _FAMILIES.items() if dense and vocabulary.pattern in patterns), "")


def open_backend(name: str, vocabulary: Vocabulary, recycle_bytes: int = 256 << 20) -> Backend:
    """Return an opened backend; raise ConfigError when its library is missing or cannot read the vocabulary."""
    opener: dict[str, Callable[[], Backend]] = {
        "gigatoken": lambda: Gigatoken(vocabulary, recycle_bytes),
        "tiktoken": lambda: Tiktoken(vocabulary),  # type: ignore[arg-type]  # choose() lets no other form through
        "hf": lambda: HuggingFace(vocabulary),  # type: ignore[arg-type]
    }
    try:
        return opener[name]()
    except ImportError as error:
        raise ConfigError(
            f"tokenizer.backend {name} must be installed, got {error}. Run: pip install {MODULES[name]}"
        ) from error
    except Exception as error:  # tokenizers raises nothing narrower, gigatoken RuntimeError
        raise ConfigError(
            f"tokenizer.backend {name} must be able to read {vocabulary.name}, got {_first_line(error)}. Use another"
            " backend."
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).split("\n")[0].rstrip(".")
