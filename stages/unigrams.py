"""Unigrams of a language: how often each word comes in texts that are taken as the measure of others.

A file of them (.tsv.gz) begins with a line of JSON behind "# ": the language, what was counted, and quantiles of the
divergence of the very texts, from which a limit can be chosen. Then a word and its count a line, most frequent first.
`dataproc build-unigrams` writes such files; the shipped ones lie in stages/unigram_counts/.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dataproc.errors import ConfigError, suggest

if TYPE_CHECKING:
    from dataproc.kernels.hash_table import HashTable
    from dataproc.kernels.words import Words

SHIPPED = Path(__file__).with_name("unigram_counts")
FORMAT = 1
QUANTILES = (0.5, 0.9, 0.99, 0.995, 0.999)


class Unigrams(NamedTuple):
    """What a file holds."""

    language: str  # ISO 639-3
    documents: int
    total: int  # words counted, those not listed included
    words: tuple[str, ...]  # most frequent first
    counts: npt.NDArray[np.int64]  # [W] of each
    divergence: dict[str, float]  # quantile -> divergence of the texts that were counted


def unigrams_path(name: str) -> Path:
    """Return the file of a shipped name or a path; raises ConfigError for an unknown name."""
    if name.endswith((".tsv", ".tsv.gz")):
        return Path(name)
    shipped = {path.name.partition(".")[0]: path for path in SHIPPED.glob("*.tsv.gz")}
    if name not in shipped:
        raise ConfigError(
            f'unigrams must be shipped or the path of a .tsv or .tsv.gz file, got "{name}".{suggest(name, shipped)}'
        )
    return shipped[name]


@lru_cache(maxsize=8)
def read_unigrams(name: str) -> Unigrams:
    """Return the unigrams of a shipped name or a path; raises ConfigError for a file that is missing or no such file.

    Example: read_unigrams("eng").words[0] == "the"
    """
    path = unigrams_path(name)
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ConfigError(f"unigrams {path} must be a readable file, got: {error}. Build it again.") from error
    head, _, rest = text.partition("\n")
    try:
        about = json.loads(head.removeprefix("# "))
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']}")
        pairs = [line.split("\t") for line in rest.splitlines()]
        words, counts = tuple(word for word, _ in pairs), np.array([int(count) for _, count in pairs], np.int64)
        return Unigrams(about["language"], about["documents"], about["words"], words, counts, dict(about["divergence"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"unigrams {path} must be as `dataproc build-unigrams` writes them, got: {error!r}. Build it again."
        ) from error


def write_unigrams(unigrams: Unigrams, path: Path) -> None:
    """Write the file; equal unigrams give equal bytes."""
    about = {
        "format": FORMAT,
        "language": unigrams.language,
        "documents": unigrams.documents,
        "words": unigrams.total,
        "divergence": unigrams.divergence,
    }
    lines = [f"# {json.dumps(about)}"]
    lines += [f"{word}\t{count}" for word, count in zip(unigrams.words, unigrams.counts.tolist(), strict=True)]
    data = ("\n".join(lines) + "\n").encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, 9, mtime=0) if path.suffix == ".gz" else data)


def unigram_model(unigrams: Unigrams, smoothing: float) -> tuple[HashTable, npt.NDArray[np.float64]]:
    """Return what `dataproc.kernels.divergence` takes: places of words, and their log probability behind an unknown's.

    The probability of a word is its share of all words counted, plus `smoothing`; an unknown word has `smoothing`.
    """
    from dataproc.kernels.hash_table import build_table
    from dataproc.kernels.shingles import word_hashes
    from dataproc.kernels.words import split_words

    hashes = word_hashes(split_words(pa.array(unigrams.words, pa.large_string())))
    if len(hashes) != len(unigrams.words) or len(np.unique(hashes)) != len(hashes):
        raise ConfigError(f"unigrams of {unigrams.language} must be single words, each once. Build them again.")
    table = build_table(hashes, np.arange(1, len(hashes) + 1, dtype=np.int32))
    shares = np.concatenate((np.zeros(1), unigrams.counts / max(unigrams.total, 1)))
    return table, np.log(shares + smoothing)


class UnigramCounter:
    """Counts words batch by batch; memory is some 50 bytes for each different word."""

    def __init__(self) -> None:
        self._hashes = np.zeros(0, np.uint64)  # ascending
        self._counts = np.zeros(0, np.int64)
        self._words = np.zeros(0, object)
        self.documents = 0

    def add(self, text: pa.Array) -> None:
        """Count the words of a text column; case does not matter."""
        from dataproc.kernels.shingles import word_hashes
        from dataproc.kernels.words import split_words

        words = split_words(text)
        found, first, counts = np.unique(word_hashes(words), return_index=True, return_counts=True)
        self.documents += len(text)
        new = ~np.isin(found, self._hashes, assume_unique=True)
        hashes = np.concatenate((self._hashes, found[new]))
        order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[order]
        self._words = np.concatenate((self._words, _spelled(words, first[new])))[order]
        self._counts = np.concatenate((self._counts, np.zeros(int(new.sum()), np.int64)))[order]
        self._counts[np.searchsorted(self._hashes, found)] += counts

    def unigrams(self, language: str, max_words: int) -> Unigrams:
        """Return the most frequent words; of equally frequent ones, the first in order of code points stay."""
        ranked = sorted(range(len(self._words)), key=lambda k: (-self._counts[k], self._words[k]))[:max_words]
        words = tuple(str(self._words[k]) for k in ranked)
        return Unigrams(language, self.documents, int(self._counts.sum()), words, self._counts[ranked], {})


def _spelled(words: Words, places: Iterable[int]) -> npt.NDArray[np.object_]:
    """Return these words, in small letters where that is the same word to `word_hashes`."""
    from dataproc.kernels.shingles import word_hashes
    from dataproc.kernels.words import split_words

    found = [words.data[words.starts[k] : words.ends[k]].tobytes().decode() for k in places]
    small = [word.lower() for word in found]
    split = split_words(pa.array(small, pa.large_string()))
    hashes, lowered = word_hashes(split_words(pa.array(found, pa.large_string()))), word_hashes(split)
    same = (np.diff(split.offsets) == 1) & (lowered == hashes if len(lowered) == len(hashes) else False)
    spelled = np.empty(len(found), object)
    spelled[:] = [low if equal else word for word, low, equal in zip(found, small, same, strict=True)]
    return spelled
