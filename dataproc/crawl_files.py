"""The files of a crawl: a file, a folder, a glob, or a list of paths, local or on any fsspec URL.

`input`, the name of a file in ids and datasets, is its path below the crawl root, so that a crawl that moves keeps
its ids: below the folder; below the last folder of a glob before its first wildcard; the name alone of a single file;
the line without scheme and host in a list of paths.
"""

from __future__ import annotations

import gzip
import posixpath
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import fsspec
from fsspec.core import has_magic
from fsspec.implementations.local import LocalFileSystem

from dataproc.errors import InputError

# Formats by the end of a name; the compressions are those of dataproc.members.codec_of.
FORMATS = {
    **dict.fromkeys((".warc", ".warc.gz", ".warc.zst", ".warc.lz4"), "warc"),
    **dict.fromkeys((".jsonl", ".jsonl.gz", ".jsonl.zst"), "jsonl"),
}
LISTS = (".txt", ".paths", ".txt.gz", ".paths.gz")


@dataclass(frozen=True)
class CrawlFile:
    """A file of a known format."""

    input: str
    location: str
    bytes: int = -1  # -1 while, or where, the size is unknown

    @property
    def format(self) -> str:
        """Return the name of the file's format."""
        return FORMATS[_suffix(self.input)]


def find_files(crawl: str) -> list[CrawlFile]:
    """Return the files of a crawl; their sizes may still be unknown."""
    if not crawl:
        raise InputError("crawl must name a file, a folder, a glob, or a list of paths, got nothing. Give one.")
    fs, path = _open_fs(crawl)
    path = path.rstrip("/") or "/"
    if crawl.lower().endswith(LISTS) and not fs.isdir(path):
        return _listed(crawl)
    if fs.isfile(path):
        if not _suffix(path):
            raise InputError(f"{crawl} must end in one of {_formats()}, or be a list of paths in {', '.join(LISTS)}.")
        return [CrawlFile(posixpath.basename(path), _location(fs, path))]
    if fs.isdir(path):
        root, found = path, fs.find(path, detail=True)
    elif has_magic(path):
        root, found = posixpath.dirname(path[: _first_wildcard(path)]), fs.glob(path, detail=True)
        found = {name: info for name, info in found.items() if info["type"] == "file"}
        if not found:
            raise InputError(
                f"{crawl} must match a file, got none. Quote the pattern so that the shell leaves it alone."
            )
    else:
        raise InputError(f"{crawl} must exist. Give a file, a folder, a glob, or a list of paths that does.")
    names = {posixpath.relpath(name, root): name for name in found}
    known = [below for below in names if _suffix(below) and not _hidden(below)]
    if not known:
        others = Counter(posixpath.splitext(below)[1] or "no suffix" for below in names)
        seen = ", ".join(f"{count} x {suffix}" for suffix, count in others.most_common(5)) or "no file"
        raise InputError(f"{crawl} must hold files that end in one of {_formats()}, got {seen}. Give another folder.")
    return [CrawlFile(below, _location(fs, names[below]), found[names[below]].get("size", -1)) for below in known]


def _listed(crawl: str) -> list[CrawlFile]:
    """Return the files named by the lines of a list."""
    fs, path = _open_fs(crawl)
    try:
        with fs.open(path, "rb", compression="infer") as file:
            lines = file.read().decode().splitlines()
    except (FileNotFoundError, PermissionError) as error:
        raise InputError(f"{crawl} must exist. Give a file, a folder, a glob, or a list of paths that does.") from error
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{crawl} must be a list of paths in UTF-8, one a line, got {error}.") from error
    folder = posixpath.dirname(_location(fs, path))
    files = []
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line.startswith("#"):
            continue
        if not _suffix(line):
            raise InputError(f"{crawl}: line {number} must end in one of {_formats()}, got {line!r}. Correct the list.")
        _, scheme, after = line.partition("://")
        name = after.partition("/")[2] if scheme else line
        location = line if scheme or line.startswith("/") else posixpath.join(folder, line)
        files.append(CrawlFile(posixpath.normpath(name.lstrip("/")), location))
    if not files:
        raise InputError(f"{crawl} must name a file, got {len(lines)} lines without one. Write one path or URL a line.")
    return files


def with_sizes(files: Sequence[CrawlFile]) -> Iterator[CrawlFile]:
    """Yield the files with their sizes, asked of a store all at once; raises InputError for one that is not there."""
    stores: dict[int, tuple[Any, list[tuple[CrawlFile, str]]]] = {}
    for file in files:
        if file.bytes < 0:
            fs, path = _open_fs(file.location)
            stores.setdefault(id(fs), (fs, []))[1].append((file, path))
    sizes: dict[str, int] = {}
    for fs, wanted in stores.values():
        try:
            found = fs.sizes([path for _, path in wanted])
        except FileNotFoundError as error:
            raise InputError(f"{error.filename or error} must exist. Correct the list of paths.") from error
        sizes.update({file.input: size for (file, _), size in zip(wanted, found, strict=True)})
    for file in files:
        size = sizes.get(file.input, file.bytes)
        yield file if size is None else replace(file, bytes=size)


def _open_fs(url: str) -> tuple[Any, str]:
    try:
        fs, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise InputError(
            f"{url}: {error}. Install what this kind of URL needs, e.g. pip install 'dataproc-llm[s3]'."
        ) from error
    except ValueError as error:
        raise InputError(f"{url} must be a path or a URL that fsspec knows, got: {error}.") from error
    return fs, path


def _location(fs: Any, path: str) -> str:
    return path if isinstance(fs, LocalFileSystem) else str(fs.unstrip_protocol(path))


def _suffix(name: str) -> str:
    """Return the suffix of FORMATS that a name ends in, empty for none."""
    name = name.lower()
    return next((suffix for suffix in FORMATS if name.endswith(suffix)), "")


def _formats() -> str:
    return ", ".join(FORMATS)


def _hidden(below: str) -> bool:
    return any(part.startswith(".") for part in below.split("/"))


def _first_wildcard(path: str) -> int:
    return min(path.index(sign) for sign in "*?[" if sign in path)
