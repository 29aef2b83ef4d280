"""Tokenizers: a text column to token ids, fast and checked.

`gigatoken` is fast: it reads the Arrow buffers in place and remembers the words that it has met. `tiktoken` and
Hugging Face's `tokenizers` (`hf`) are the references. Trust is earned while running: documents picked by the hash of
their id are encoded again by the reference, and decoded, and the first difference stops the shard. Special tokens are
never found in a text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from dataproc.config import Config
from dataproc.errors import ConfigError, ShardError
from dataproc.ids import hash64
from dataproc.tokens.backends import (
    MODULES,
    Backend,
    Ids,
    Offsets,
    choose,
    is_installed,
    open_backend,
    possible_names,
    reference_name,
)
from dataproc.tokens.vocabularies import JsonVocabulary, Vocabulary, load_vocabulary

Text: TypeAlias = "pa.LargeStringArray | pa.StringArray | pa.ChunkedArray"


class TokenizerConfig(Config):
    """Which tokenizer, and how its work is checked."""

    name: str = "web32k"
    """A shipped vocabulary (web32k), one that tiktoken knows (gpt2, cl100k_base, o200k_base: from its cache or the
    network), or a file: tokenizer.json, or rank lines (.tiktoken, .model) with a description in .json beside them."""
    eos: str | None = None
    """The special token that ends a document, where the vocabulary does not say."""
    bos: str | None = None
    """The special token that opens a document, where the vocabulary does not say."""
    backend: Literal["auto", "gigatoken", "tiktoken", "hf"] = "auto"
    """`auto` is gigatoken where it can read the vocabulary, else the reference; all give the same ids."""
    check_one_in: int = Field(default=200, ge=0)
    """Check one document in so many (by the hash of doc_id), at least one of each batch; 0 checks none."""
    recycle_bytes: int = Field(default=256 << 20, gt=0)
    """Open gigatoken afresh after so many bytes of text: it keeps every different word that it meets."""

    def vocabulary(self) -> Vocabulary:
        """Return the vocabulary, loaded once per process. Raises ConfigError when there is none."""
        return load_vocabulary(self.name, self.eos, self.bos)

    def libraries(self) -> tuple[str, ...]:
        """Return the distributions whose version can change the ids (their tables of Unicode classes differ).

        All that could have been used: `backend` only says which of them is, and must not look like another tokenizer.
        """
        return tuple(sorted(MODULES[name] for name in possible_names(self.vocabulary()) if is_installed(name)))

    def load(self) -> Tokenizer:
        """Return the tokenizer. Raises ConfigError when the backend is not installed or cannot read the vocabulary."""
        return Tokenizer(self)


class Tokenizer:
    """A vocabulary, the backend that encodes with it, and the reference that checks the backend.

    Example: TokenizerConfig().load().encode_batch(pa.array(["ab", ""])) -> (array([...], uint32), array([0, 1, 1]))
    """

    def __init__(self, config: TokenizerConfig) -> None:
        self.config = config
        self.vocabulary = config.vocabulary()
        self.backend, self._backend = _open(config, self.vocabulary)
        self._reference: Backend | None = None
        self._special = {number: token.encode() for token, number in self.vocabulary.special_tokens.items()}

    def encode_batch(self, text: Text) -> tuple[Ids, Offsets]:
        """Return flat uint32 and offsets int64: text i has the ids flat[offsets[i]:offsets[i + 1]], a null none."""
        try:
            return self._backend.encode_batch(_plain(text))
        except ValueError as error:  # tiktoken's pattern overflows its stack at a million white-space characters
            raise ShardError(
                f"{self.backend} must be able to encode every text, got {error}. Set tokenizer.backend to auto, or drop"
                " texts with a million white-space characters in a row."
            ) from error

    def decode(self, ids: Sequence[int] | npt.NDArray[Any]) -> str:
        """Return the text of the ids; special tokens show as their strings, parts of a character as U+FFFD."""
        return b"".join(self._decode_parts([int(number) for number in ids])).decode(errors="replace")

    def _decode_parts(self, ids: list[int]) -> Iterator[bytes]:
        """Yield the bytes of runs of ordinary ids, and the strings of the special tokens between them."""
        start = 0
        for at, number in enumerate(ids):
            if number in self._special:
                yield self._backend.decode(ids[start:at])
                yield self._special[number]
                start = at + 1
        yield self._backend.decode(ids[start:])

    def check(self, text: Text, doc_ids: pa.BinaryArray, flat: Ids, offsets: Offsets) -> int:
        """Encode and decode a sample of an encoded batch again; return how many documents were checked.

        Which ones depends on doc_id alone; a batch without any has its document of least hash checked. Of a text that
        the reference cannot encode, only the decoding is checked. Raises ShardError that names the doc_id and the first
        token that differs.
        """
        rows = _sample(doc_ids, self.config.check_one_in)
        texts = _plain(text)
        for row in rows.tolist():
            got = flat[offsets[row] : offsets[row + 1]]
            want = self._by_reference(texts.slice(row, 1))
            if want is not None and not np.array_equal(got, want):
                raise ShardError(self._difference(doc_ids[row].as_py(), got, want))
            if self._lossless and self._backend.decode(got.tolist()) != texts[row].as_py().encode():
                raise ShardError(
                    f"doc_id {doc_ids[row].as_py().hex()}: decode(encode(text)) must be the text, got another with"
                    f" {self.vocabulary.name} by {self.backend}. Report it: the vocabulary or its backend is broken."
                )
        return len(rows)

    def _by_reference(self, text: pa.LargeStringArray) -> Ids | None:
        """Return the ids of a column of one text; None when the backend is the reference, or the reference fails."""
        reference = reference_name(self.vocabulary)
        if self.backend == reference:
            return None
        if self._reference is None:
            self._reference = open_backend(reference, self.vocabulary)
        try:
            return self._reference.encode_batch(text)[0]
        except ValueError:
            return None

    @property
    def _lossless(self) -> bool:
        return not isinstance(self.vocabulary, JsonVocabulary) or self.vocabulary.lossless

    def _difference(self, doc_id: bytes, got: Ids, want: Ids) -> str:
        shared = min(len(got), len(want))
        at = next(iter(np.flatnonzero(got[:shared] != want[:shared]).tolist()), shared)
        reference = reference_name(self.vocabulary)
        ids = [str(ids[at]) if at < len(ids) else "the end" for ids in (want, got)]
        return (
            f"doc_id {doc_id.hex()}: token {at} of {self.vocabulary.name} must be {ids[0]} as by {reference},"
            f" got {ids[1]} by {self.backend}. Set tokenizer.backend to {reference}."
        )


def _open(config: TokenizerConfig, vocabulary: Vocabulary) -> tuple[str, Backend]:
    """Open the backend; `auto` falls back to the reference when a tokenizer.json has parts unknown to gigatoken."""
    name, reference = choose(config.backend, vocabulary), reference_name(vocabulary)
    try:
        return name, open_backend(name, vocabulary, config.recycle_bytes)
    except ConfigError:
        if config.backend != "auto" or name == reference:
            raise
        return reference, open_backend(reference, vocabulary)


def _plain(text: Text) -> pa.LargeStringArray:
    """Return the column as one LargeStringArray without nulls."""
    array = text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text
    array = array.cast(pa.large_string())
    return array.fill_null("") if array.null_count else array


def _sample(doc_ids: pa.BinaryArray, one_in: int) -> npt.NDArray[np.int64]:
    """Return the rows whose hash is a multiple of `one_in`, or else the row of least hash; none when it is 0."""
    if not one_in or not len(doc_ids):
        return np.zeros(0, dtype=np.int64)
    hashes = np.array([hash64(doc_id) for doc_id in doc_ids.to_pylist()], dtype=np.int64).view(np.uint64)
    rows = np.flatnonzero(hashes % np.uint64(one_in) == 0)
    return rows if len(rows) else np.array([hashes.argmin()])
