"""Lists for the URL filter: domains, URLs and words, one entry a line, from files, fsspec URLs or the recipe itself.

Blank lines and lines that begin with # are passed over. A list of millions is read in pieces and becomes hashes. A
line that cannot be what the list is of is an error, so that a moved list, an HTML page in its place or a list of
another kind stops a run before it starts. Shipped lists lie in stages/block_lists/ with their notice.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast

import fsspec
import numpy as np
import numpy.typing as npt

from dataproc.config import Config
from dataproc.errors import ConfigError, suggest
from dataproc.kernels.buffers import TextBuffers, frozen
from dataproc.urls import with_ascii_host

SHIPPED = Path(__file__).with_name("block_lists")
PIECE_BYTES = 16 << 20

_WORD = re.compile("[a-z0-9 _'-]+")  # others are none of a word: a domain, a URL or HTML is another kind of list
_NOT_WORD = re.compile("[^a-z0-9]+")

Kind = Literal["a domain", "a URL", "a domain or URL"]


class UrlList(Config):
    """A list that is not written out in the recipe."""

    list: str
    """Name of a shipped list (ut1_domains, refinedweb_hard, ...) or the path or URL of a text file, compressed or not;
    `tar://domains::lists.tar.gz` is a file in an archive. A process reads a list once."""


Entries = tuple[str | UrlList, ...]
"""What a field of the filter takes: entries and lists in any order."""


@dataclass(frozen=True)
class Sites:
    """Domains and addresses as hashes."""

    hashes: npt.NDArray[np.uint64]
    max_slashes: int
    """Greatest number of / and ? in one of them."""
    sha256: str
    """Of the lists' content, uncompressed, in order."""


@dataclass(frozen=True)
class Words:
    """Words in lower case, of ASCII letters and digits alone, with their weights."""

    weights: dict[str, float]
    sha256: str


def load_sites(field: str, entries: Entries, kind: Kind) -> Sites:
    """Return what the entries of a field of the filter name.

    Raises ConfigError with field, list and line for a list that cannot be read, is empty, or holds what is not `kind`.
    """
    parts = [_sites(field, name, kind) for name in _sources(entries)]
    hashes = np.concatenate([np.zeros(0, np.uint64), *(part.hashes for part in parts)])
    return Sites(hashes, max((part.max_slashes for part in parts), default=0), _joined(parts))


def load_words(field: str, entries: Entries, *, weighted: bool = False) -> Words:
    """Return words and their weights: what follows a word on its line if the field is `weighted`, else 1.

    Raises ConfigError as `load_sites` does, and for a word with two weights. Example: ("G-Spot 2",) is {"gspot": 2}.
    """
    parts = [_words(field, name, weighted) for name in _sources(entries)]
    weights: dict[str, float] = {}
    for part in parts:
        for word, weight in part.weights.items():
            if weights.setdefault(word, weight) != weight:
                raise ConfigError(
                    f"url_filter.{field}: {word} must have one weight, got {weights[word]:g} and {weight:g}."
                    " Take one out."
                )
    return Words(weights, _joined(parts))


def _sources(entries: Entries) -> Iterator[str | tuple[str, ...]]:
    """Yield the entries that the recipe itself has, together, then the lists that it names."""
    own = tuple(entry for entry in entries if isinstance(entry, str))
    if own:
        yield own
    yield from (entry.list for entry in entries if isinstance(entry, UrlList))


def _joined(parts: Sequence[Sites] | Sequence[Words]) -> str:
    return hashlib.sha256("".join(part.sha256 for part in parts).encode()).hexdigest()


def _content(field: str, source: str | tuple[str, ...]) -> bytes:
    """Return the lines of a source. Raises ConfigError when there is no such list."""
    if isinstance(source, tuple):
        return "\n".join(source).encode()
    place = source
    if not re.search(r"[/\\.]", source):
        shipped = {path.name.split(".")[0]: path for path in SHIPPED.glob("*.txt*")}
        if source not in shipped:
            raise ConfigError(
                f'url_filter.{field}: list must be shipped or the path of a file, got "{source}".'
                f"{suggest(source, shipped)}"
            )
        place = str(shipped[source])
    compression = fsspec.utils.infer_compression(place.split("::")[0])  # of the file in an archive, not of the archive
    try:
        with fsspec.open(place, "rb", compression=compression) as file:
            return cast(bytes, file.read())
    except Exception as error:  # each store has its own errors; whatever it is, the run must not start without the list
        raise ConfigError(
            f"url_filter.{field}: list {source} must be readable, got {type(error).__name__}: {error}. Check the path."
        ) from error


@lru_cache(maxsize=32)
def _sites(field: str, source: str | tuple[str, ...], kind: Kind) -> Sites:
    from dataproc.kernels.url_match import addresses, count_slashes, hash_addresses

    content = _content(field, source)
    hashes, line, max_slashes = [np.zeros(0, np.uint64)], 1, 0
    for piece in _pieces(content):
        found = addresses(piece)
        others = np.flatnonzero(found.odd)
        if len(others) and (names := _with_ascii_hosts(piece, others)) is not None:
            found = addresses(names)
        sizes = np.diff(found.offsets)
        starts, ends = found.offsets[:-1], found.offsets[1:]
        bad = (sizes > 0) & (found.odd | (found.host_ends == starts))
        if kind == "a domain":
            bad |= found.host_ends < ends
        if bad.any():
            number = int(np.flatnonzero(bad)[0])
            text = piece.data[piece.offsets[number] : piece.offsets[number + 1]].tobytes().decode("utf-8", "replace")
            raise _bad_line(field, source, line + number, text, kind)
        hashes.append(hash_addresses(found)[sizes > 0])
        max_slashes = max(max_slashes, count_slashes(found))
        line += len(piece.offsets) - 1
    joined = np.concatenate(hashes)
    _check_entries(field, source, len(joined))
    return Sites(joined, max_slashes, hashlib.sha256(content).hexdigest())


def _pieces(content: bytes) -> Iterator[TextBuffers]:
    """Yield the lines of a list, PIECE_BYTES or one line at a time."""
    start = 0
    while start < len(content):
        stop = (
            content.rfind(b"\n", start, start + PIECE_BYTES) + 1 if len(content) > start + PIECE_BYTES else len(content)
        )
        stop = stop or content.find(b"\n", start) + 1 or len(content)
        data = np.frombuffer(content, np.uint8, stop - start, start)
        ends = np.flatnonzero(data == ord("\n")) + 1
        last = [] if len(ends) and ends[-1] == len(data) else [len(data)]
        yield TextBuffers(frozen(data), frozen(np.concatenate([[0], ends, last]).astype(np.int64)))
        start = stop


def _with_ascii_hosts(piece: TextBuffers, others: npt.NDArray[np.int64]) -> TextBuffers | None:
    """Return the piece with the hosts of some lines as DNS has them; None when they all are so already."""
    lines = [piece.data[a:b].tobytes() for a, b in zip(piece.offsets[others], piece.offsets[others + 1], strict=True)]
    named = [with_ascii_host(line.decode("utf-8", "replace")).encode() for line in lines]
    if named == lines:
        return None
    joined, at = [], 0
    sizes = np.diff(piece.offsets)
    for row, line in zip(others.tolist(), named, strict=True):
        joined += [piece.data[at : piece.offsets[row]].tobytes(), line]
        at, sizes[row] = piece.offsets[row + 1], len(line)
    data = np.frombuffer(b"".join([*joined, piece.data[at:].tobytes()]), np.uint8)
    return TextBuffers(frozen(data), frozen(np.concatenate([[0], np.cumsum(sizes)])))


@lru_cache(maxsize=32)
def _words(field: str, source: str | tuple[str, ...], weighted: bool) -> Words:
    content = _content(field, source)
    rule = "a word of ASCII letters and digits" + (", and a weight above 0 if any" if weighted else "")
    weights: dict[str, float] = {}
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            word, weight = _word(line, weighted)
            if not word or weights.setdefault(word, weight) != weight:
                raise _bad_line(field, source, number, line, rule + (", the same on each line" if word else ""))
    _check_entries(field, source, len(weights))
    return Words(weights, hashlib.sha256(content).hexdigest())


def _word(line: str, weighted: bool) -> tuple[str, float]:
    """Return the word of a line, "" if there is none, and its weight. Example: "G-Spot 2" -> ("gspot", 2)."""
    parts = line.lower().split()
    weight = 1.0
    if weighted and len(parts) > 1:
        try:
            weight = float(parts.pop())
        except ValueError:
            return "", 0.0
    if not 0 < weight < float("inf"):
        return "", 0.0
    word = " ".join(parts)
    return _NOT_WORD.sub("", word) if _WORD.fullmatch(word) else "", weight


def _check_entries(field: str, source: str | tuple[str, ...], entries: int) -> None:
    if not entries:
        raise ConfigError(f"url_filter.{field}: {_named(source)} must have entries, got none. Check the path.")


def _bad_line(field: str, source: str | tuple[str, ...], line: int, text: str, rule: str) -> ConfigError:
    return ConfigError(
        f"url_filter.{field}: {_named(source)}, line {line} must be {rule}, got {text.strip()[:80]!r}."
        " Correct the list."
    )


def _named(source: str | tuple[str, ...]) -> str:
    return "the recipe's own list" if isinstance(source, tuple) else f"list {source}"
