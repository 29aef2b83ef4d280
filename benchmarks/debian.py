"""A crawl of 2 GB of real pages, made of documentation packages of Debian 12: free to fetch, too much to ship.

LibreOffice's help in 34 languages, the handbook and the installation guide in some 20, the API of Java, LilyPond's
manuals (pages of up to 7 MB among them), C++, PostgreSQL, Python, Apache, SQLite. Menus come back on page after page
and translations are often unfinished, so that near-duplicates are far more than on the web: good for volume, not a
sample of it. Pages are spread over the files by the hash of their URL, as the hosts of a crawl are over its files. The
same packages (and the same zlib) give the same bytes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

import xxhash

from jobs.sample.build import date_of
from jobs.sample.records import Capture, page, warcinfo
from jobs.sample.sources import DEBIAN_SOURCES, Source

NUM_FILES = 16
ALL = {"**/*.html": 1 << 30}
HELP_LANGUAGES = """
    ca cs da de dz el en-gb en-us es et eu fi fr gl hi hu id it ja km ko nl om pl pt pt-br ru sl sv tr vi zh-cn zh-tw
"""
LILYPOND_LANGUAGES = "ca cs de es fr hu it ja nl pt zh"

SOURCES = (
    *(replace(source, take=ALL, always=()) for source in DEBIAN_SOURCES),
    Source(
        name="libreoffice-help",
        licence="MPL-2.0",
        root="usr/share/libreoffice/help",
        url=("^", "https://help.libreoffice.org/7.4/"),
        take=ALL,
    ),
    Source(
        name="openjdk-17-doc",
        licence="GPL-2.0-only WITH Classpath-exception-2.0",
        root="usr/share/doc/openjdk-17-jre-headless",
        url=("^", "https://docs.oracle.com/en/java/javase/17/docs/"),
        take=ALL,
    ),
    Source(
        name="lilypond-doc-html",
        licence="GFDL-1.3-or-later",
        root="usr/share/doc/lilypond/html/Documentation",
        url=("^", "https://lilypond.org/doc/v2.24/Documentation/"),
        take=ALL,
    ),
    Source(
        name="sqlite3-doc",
        licence="public domain",
        root="usr/share/doc/sqlite3",
        url=("^", "https://www.sqlite.org/"),
        take=ALL,
    ),
)
"""Packages of these names, and the translations below."""

PACKAGES = (
    *(source.name for source in SOURCES if source.name != "libreoffice-help"),
    *(f"libreoffice-help-{language}" for language in HELP_LANGUAGES.split()),
    *(f"lilypond-doc-html-{language}" for language in LILYPOND_LANGUAGES.split()),
)


@dataclass(frozen=True)
class Crawl:
    """A crawl on disk: WARC files, what their pages hold, and what they were made of."""

    folder: Path
    pages: int
    page_bytes: int
    packages: dict[str, str]

    @property
    def files(self) -> list[Path]:
        """Return the WARC files in order of name."""
        return sorted(self.folder.glob("*.warc.gz"))


def debian_crawl(cache: Path, limit: int | None = None) -> Crawl:
    """Return the crawl in `cache`, fetched and built the first time; `limit` takes the pages whose URLs hash least.

    Raises SystemExit with one sentence when a program, the network or a package is missing.
    """
    folder = cache / ("crawl" if limit is None else f"crawl-{limit}")
    about = folder / "crawl.json"
    if not about.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        packages = _fetch(cache / "packages")
        told: dict[str, object] = dict(_build(_unpack(packages, cache / "unpacked"), folder, limit))
        told["packages"] = dict(unquote(package.name).split("_")[:2] for package in packages)
        about.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return Crawl(folder, **json.loads(about.read_text(encoding="utf-8")))


def _fetch(folder: Path) -> list[Path]:
    """Return the packages in the folder, after apt-get has fetched those that are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    if missing := [name for name in PACKAGES if not list(folder.glob(f"{name}_*.deb"))]:
        if not (shutil.which("apt-get") and shutil.which("dpkg")):
            raise _missing(missing, folder, "no apt-get")
        print(f"Fetching {len(missing)} packages into {folder} ...", flush=True)
        done = subprocess.run(
            ["apt-get", "download", *missing], cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            told = next((line for line in done.stderr.splitlines() if line.startswith("E:")), "an apt-get that failed")
            raise _missing(missing, folder, f'"{told}"')
    return [min(folder.glob(f"{name}_*.deb")) for name in PACKAGES]


def _missing(names: list[str], folder: Path, got: str) -> SystemExit:
    return SystemExit(
        f"The crawl must be made of {len(PACKAGES)} packages of Debian 12, got {got} to fetch {names[0]} and others."
        f" Put them into {folder}, or run this on Debian 12."
    )


def _unpack(packages: list[Path], folder: Path) -> Path:
    """Unpack the packages into the folder, which appears when it is whole, and return it."""
    if not folder.exists():
        print(f"Unpacking {len(packages)} packages into {folder} ...", flush=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as making:
            for package in packages:
                subprocess.run(["dpkg", "-x", package, f"{making}/all"], check=True)
            Path(f"{making}/all").rename(folder)
    return folder


def _build(unpacked: Path, folder: Path, limit: int | None) -> dict[str, int]:
    """Write the WARC files and return how many pages they hold, of how many bytes."""
    print(f"Building {NUM_FILES} WARC files in {folder} ...", flush=True)
    found = [
        (xxhash.xxh3_64_intdigest(url.encode()), url, source, unpacked / source.root / path)
        for source in SOURCES
        for path in source.pages(unpacked)
        for url in [source.url_of(path)]
    ]
    found.sort(key=lambda one: one[:2])
    files: list[list[tuple[str, str, Source, Path]]] = [[] for _ in range(NUM_FILES)]
    for number, (_, url, source, path) in enumerate(found[:limit]):
        files[number % NUM_FILES].append((date_of(url), url, source, path))
    page_bytes = 0
    for index, pages in enumerate(files):
        name = f"debian-{index:05d}.warc.gz"
        with open(folder / name, "wb") as file:
            file.write(warcinfo(name, min(pages)[0], {"isPartOf": "DEBIAN-12-DOC"}))
            for date, url, source, path in sorted(pages, key=lambda one: one[:2]):
                body = path.read_bytes()
                page_bytes += len(body)
                notes = {"source": source.name, "licence": source.licence}
                capture = Capture(url=url, date=date, body=body, content_type=source.content_type, notes=notes)
                file.writelines(page(capture, name))
    return {"pages": len(found[:limit]), "page_bytes": page_bytes}
