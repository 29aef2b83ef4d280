"""The files of a crawl: a file, a folder, a glob, a list of paths or a Common Crawl id, local or on any fsspec URL.

`input`, the name of a file in ids and datasets, is its path below the crawl root, so that a crawl that moves keeps
its ids: below the folder; below the last folder of a glob before its first wildcard; the name alone of a single file;
the line without scheme and host in a list of paths, as which a Common Crawl id is taken.
"""

from __future__ import annotations

import gzip
import os
import posixpath
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from fsspec.core import has_magic

from dataproc.errors import InputError
from dataproc.remote import file_size, is_local, is_missing, open_input, open_store, retried

# Formats by the end of a name; the compressions are those of dataproc.members.codec_of.
FORMATS = {
    **dict.fromkeys((".warc", ".warc.gz", ".warc.zst", ".warc.lz4"), "warc"),
    **dict.fromkeys((".wet", ".wet.gz", ".wet.zst", ".wet.lz4"), "warc"),
    **dict.fromkeys((".jsonl", ".jsonl.gz", ".jsonl.zst"), "jsonl"),
    # As C4, Dolma and RedPajama name theirs; .json alone is more often one value than lines of them.
    **dict.fromkeys((".json.gz", ".json.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst"), "jsonl"),
    ".parquet": "parquet",
}
SPLITTABLE = (".jsonl", ".ndjson", ".parquet")  # compressed files and WARC have no places where a reader could start
LISTS = (".txt", ".paths", ".txt.gz", ".paths.gz")

SIZE_THREADS = 16
SIZE_WINDOW = 64

COMMON_CRAWL = "https://data.commoncrawl.org"
COMMON_CRAWL_ID = re.compile(r"CC-MAIN-\d{4}(-\d{2,4})?")


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


def find_files(crawl: str, root: str | None = None) -> list[CrawlFile]:
    """Return the files of a crawl; their sizes may still be unknown.

    `root` is where the lines of a list start: by default its own folder, of a Common Crawl id COMMON_CRAWL.
    """
    if not crawl:
        raise InputError("crawl must name a file, a folder, a glob, or a list of paths, got nothing. Give one.")
    if COMMON_CRAWL_ID.fullmatch(crawl):
        return _common_crawl(crawl, (root or COMMON_CRAWL).rstrip("/"))
    fs, path = open_store(crawl)
    path = path.rstrip("/") or "/"
    if crawl.lower().endswith(LISTS) and not (is_local(fs) and fs.isdir(path)):
        return _listed(crawl, root)
    # A store is not asked whether a path with a known ending is a file; reading it will tell.
    if fs.isfile(path) if is_local(fs) else _suffix(path) and not has_magic(path):
        if not _suffix(path):
            raise InputError(f"{crawl} must end in one of {_formats()}, or be a list of paths in {', '.join(LISTS)}.")
        return [CrawlFile(posixpath.basename(path), _location(fs, path))]
    if has_magic(path) and not (is_local(fs) and fs.isdir(path)):
        base = posixpath.dirname(path[: _first_wildcard(path)])
        found = retried(crawl, lambda: fs.glob(path, detail=True))
        found = {name: info for name, info in found.items() if info["type"] == "file"}
        if not found:
            raise InputError(
                f"{crawl} must match a file, got none. Quote the pattern so that the shell leaves it alone."
            )
    elif retried(crawl, lambda: fs.isdir(path)):
        base, found = path, _below(path) if is_local(fs) else retried(crawl, lambda: fs.find(path, detail=True))
    else:
        raise InputError(
            f"{crawl} must exist. Give a file, a folder, a glob, a list of paths, or a Common Crawl id such as"
            " CC-MAIN-2024-51."
        )
    names = {posixpath.relpath(name, base): name for name in found}
    known = [below for below in names if _suffix(below) and not _hidden(below)]
    if not known:
        others = Counter(posixpath.splitext(below)[1] or "no suffix" for below in names)
        seen = ", ".join(f"{count} x {suffix}" for suffix, count in others.most_common(5)) or "no file"
        raise InputError(f"{crawl} must hold files that end in one of {_formats()}, got {seen}. Give another folder.")
    return [CrawlFile(below, _location(fs, names[below]), _size(found[names[below]])) for below in known]


def _below(folder: str) -> dict[str, dict[str, Any]]:
    """Return the files below a folder of this machine; fsspec's `find` passes over folders that it cannot read."""

    def refuse(error: OSError) -> None:
        raise InputError(
            f"{error.filename} must be readable, got {error.strerror}. Check the permissions, or give another folder."
        ) from error

    tree = os.walk(folder, onerror=refuse, followlinks=True)
    return {posixpath.join(parent, name): {} for parent, _, names in tree for name in names}


def _common_crawl(crawl: str, root: str) -> list[CrawlFile]:
    """Return the WARC files of a crawl of Common Crawl, below whatever has its layout."""
    listing = f"{root}/crawl-data/{crawl}/warc.paths.gz"
    try:
        return _listed(listing, root)
    except InputError as error:
        if not is_missing(error):
            raise
        raise InputError(
            f"{crawl} must be a crawl of Common Crawl, got no {listing}."
            " The ids are listed at https://index.commoncrawl.org/."
        ) from error


def _listed(crawl: str, root: str | None) -> list[CrawlFile]:
    """Return the files named by the lines of a list."""
    try:
        with open_input(crawl) as file:
            data = file.read()
        lines = (gzip.decompress(data) if crawl.lower().endswith(".gz") else data).decode("utf-8-sig").splitlines()
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{crawl} must be a list of paths in UTF-8, one a line, got {error}.") from error
    folder = root or posixpath.dirname(_location(*open_store(crawl)))
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
    """Yield the files with their sizes; a store is asked for those of the first file and of files that can be split.

    Raises InputError for a file that is not there, when its turn comes: the first tells of a store that refuses us.
    """
    yield from map(_sized, files[:1])
    with ThreadPoolExecutor(SIZE_THREADS) as pool:
        for start in range(1, len(files), SIZE_WINDOW):
            yield from pool.map(_sized_if_needed, files[start : start + SIZE_WINDOW])


def _sized(file: CrawlFile) -> CrawlFile:
    return file if file.bytes >= 0 else replace(file, bytes=file_size(file.location))


def _sized_if_needed(file: CrawlFile) -> CrawlFile:
    needed = file.input.lower().endswith(SPLITTABLE) or is_local(open_store(file.location)[0])
    return _sized(file) if needed else file


def _location(fs: Any, path: str) -> str:
    return path if is_local(fs) else str(fs.unstrip_protocol(path))


def _size(info: dict[str, Any]) -> int:
    size = info.get("size")
    return -1 if size is None else int(size)


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
