"""The crawl of the engines' benchmark, built of made-up packages, and the drivers that it measures."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from benchmarks import debian
from benchmarks.debian import PACKAGES, debian_crawl
from benchmarks.driver import start
from jobs.sample.sources import Source

SOURCE = Source(name="a-doc", licence="CC0-1.0", root="usr/a", url=("^", "https://a.example/"), take=debian.ALL)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache with an unpacked package of 20 pages."""
    for number in range(20):
        page = tmp_path / "unpacked" / SOURCE.root / f"{number % 3}" / f"{number}.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(f"<p>Page {number}")
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "a-doc_1%3a2.0_all.deb").touch()
    monkeypatch.setattr(debian, "SOURCES", (SOURCE,))
    monkeypatch.setattr(debian, "PACKAGES", ("a-doc",))
    return tmp_path


def test_every_page_is_in_one_file(cache: Path) -> None:
    crawl = debian_crawl(cache)
    assert (crawl.pages, crawl.page_bytes, crawl.packages) == (20, 20 * len("<p>Page 0") + 10, {"a-doc": "1:2.0"})
    urls: list[str] = []
    for file in crawl.files:
        with open(file, "rb") as stream:
            records = ArchiveIterator(stream, record_types=WarcRecordType.response)
            urls += [record.headers["WARC-Target-URI"] for record in records]
    assert sorted(urls) == sorted(f"https://a.example/{number % 3}/{number}.html" for number in range(20))
    assert len(crawl.files) == debian.NUM_FILES


def test_same_pages_same_bytes(cache: Path) -> None:
    before = [file.read_bytes() for file in debian_crawl(cache).files]
    shutil.rmtree(cache / "crawl")
    assert [file.read_bytes() for file in debian_crawl(cache).files] == before
    assert debian_crawl(cache, 16).pages == 16


def test_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SystemExit) as stopped:
        debian_crawl(tmp_path)
    assert str(stopped.value) == (
        f"The crawl must be made of {len(PACKAGES)} packages of Debian 12, got no apt-get to fetch {PACKAGES[0]} and"
        f" others. Put them into {tmp_path}/packages, or run this on Debian 12."
    )


def test_a_driver_tells_what_it_used() -> None:
    used = start("units", "map", "local", "3")()
    assert 0 < used.driver_cpu_s < used.cpu_s
    assert 20e6 < used.driver_peak_bytes < 1e9


def test_a_driver_that_fails_is_told() -> None:
    with pytest.raises(SystemExit, match='--engine must name an engine, got "locale"'):
        start("units", "map", "locale", "3")()
