"""Text to token ids, an end-of-document token after each text."""

from __future__ import annotations

from functools import partial

import numpy as np
import pyarrow as pa

from dataproc.errors import ConfigError
from dataproc.stage import Contract, Stage, Transform, with_columns
from dataproc.tokens.shards import TokenizerInfo
from dataproc.tokens.tokenizers import Tokenizer, TokenizerConfig


class TokenizeText(Stage):
    """Encode the text of each document; special-token strings in it are ordinary text."""

    tokenizer: TokenizerConfig = TokenizerConfig()
    """Which vocabulary and backend."""
    bos: bool = False
    """Put the begin-of-document token first."""

    def info(self) -> TokenizerInfo:
        """Return what token shards record of the tokenizer; raise ConfigError when `bos` is on and there is none."""
        vocabulary = self.tokenizer.vocabulary()
        if self.bos and vocabulary.bos_id is None:
            raise ConfigError(
                f"tokenize_text.bos needs a token of {vocabulary.name}, got null. Name one in tokenizer.bos."
            )
        return vocabulary.info(bos=self.bos)

    def contract(self) -> Contract:
        """Return the columns read and written; `tokens` holds little-endian ids of the shards' dtype."""
        self.info()  # raises when bos is on and there is none
        return Contract(
            reads=("doc_id", "text"),
            writes={"tokens": pa.large_binary(), "num_tokens": pa.int64()},
            assets=self.tokenizer.vocabulary().checksums(),
            libraries=self.tokenizer.libraries(),
        )

    def build(self) -> Transform:
        """Return the pure function; opens the tokenizer."""
        return partial(tokenize_text, tokenizer=self.tokenizer.load(), info=self.info())


def tokenize_text(batch: pa.RecordBatch, tokenizer: Tokenizer, info: TokenizerInfo) -> pa.RecordBatch:
    """Add `tokens` (large_binary: little-endian ids of `info.dtype`) and `num_tokens` (int64, EOS and BOS included).

    batch: N rows, needs `doc_id` and `text`. Raises ShardError when the sampled check against the reference fails.
    Example: an empty text -> the two bytes of EOS and num_tokens 1.
    """
    flat, offsets = tokenizer.encode_batch(batch["text"])
    tokenizer.check(batch["text"], batch["doc_id"], flat, offsets)
    added = 1 + int(info.bos_id is not None)
    lengths = np.diff(offsets) + added
    starts = offsets + added * np.arange(len(offsets))  # of each document among all ids, EOS and BOS counted
    ids = np.empty(int(starts[-1]), dtype=np.dtype(info.dtype).newbyteorder("<"))
    ordinary = np.ones(len(ids), dtype=bool)
    if info.bos_id is not None:
        ids[starts[:-1]] = info.bos_id
        ordinary[starts[:-1]] = False
    ids[starts[1:] - 1] = info.eos_id
    ordinary[starts[1:] - 1] = False
    ids[ordinary] = flat
    byte_offsets = pa.py_buffer((starts * ids.itemsize).astype(np.int64).tobytes())
    tokens = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(lengths), [None, byte_offsets, pa.py_buffer(ids)])
    return with_columns(batch, {"tokens": tokens, "num_tokens": lengths})
