from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from dataproc.raw import ReadReport
from dataproc.storage import Folder
from dataproc.warc import read_warc
from jobs.funnel import read_funnel
from jobs.sample.build import FILE_SHARES
from jobs.sample.records import Capture, damage, gzip_member, page, warcinfo
from jobs.sample.sources import DEBIAN_SOURCES, PACK_SOURCES, Source

SAMPLE = Path(__file__).parents[2] / "jobs" / "sample"
FILES = sorted((SAMPLE / "crawl").glob("*.warc.gz"))


@cache
def crawl() -> tuple[pa.Table, dict[str, ReadReport]]:
    """All documents of the crawl, bodies left out, and the report of each file."""
    batches, reports = [], {}
    for file in FILES:
        reports[file.name] = ReadReport()
        with file.open("rb") as opened:
            for batch in read_warc(
                opened, file.name, reports[file.name], batch_bytes=1 << 24, max_record_bytes=1 << 24
            ):
                batches.append(batch.drop_columns(["html"]))
    return pa.Table.from_batches(batches), reports


def test_files_are_many_and_unequal_and_as_the_readme_says() -> None:
    readme = (SAMPLE / "README.md").read_text(encoding="utf-8")
    table, reports = crawl()
    rows = Counter(table["input"].to_pylist())
    assert len(FILES) == len(FILE_SHARES) + 1
    for file in FILES:
        documents = rows[file.name] + len(reports[file.name].failures)
        assert re.search(rf"^\| `{file.name}` \| {documents}\b.* \| {file.stat().st_size:,} \|$", readme, re.MULTILINE)
    sizes = [file.stat().st_size for file in FILES]
    assert 10_000_000 < sum(sizes) < 20_000_000
    assert max(sizes) > 5 * min(sizes)


def test_one_record_is_damaged_in_the_middle_of_a_file() -> None:
    table, reports = crawl()
    assert table.num_rows == 2_028
    failures = {name: report.failures for name, report in reports.items() if report.failures}
    assert list(failures) == ["sample-00001.warc.gz"]
    (failure,) = failures["sample-00001.warc.gz"]
    size = (SAMPLE / "crawl/sample-00001.warc.gz").stat().st_size
    assert 0.2 < failure.position / size < 0.8
    assert reports["sample-00001.warc.gz"].records["response"] == reports["sample-00001.warc.gz"].records["request"] - 1


def test_what_a_crawler_meets() -> None:
    table, _ = crawl()
    statuses = Counter(table["http_status"].to_pylist())
    assert statuses == {200: 1_967, 301: 35, 404: 17, 503: 3, 403: 2, None: 4}  # None: wget's own notes
    types = Counter(table["content_type"].to_pylist())
    assert {"text/html", "application/xhtml+xml", "image/png", "image/gif", "text/css", "text/plain", None} <= set(
        types
    )
    assert types["text/html"] + types["application/xhtml+xml"] > 1_000
    cut = {row["url"]: row["truncated"] for row in table.select(["url", "truncated"]).to_pylist() if row["truncated"]}
    assert cut == {
        "https://docs.python.org/3.11/genindex-all.html": "length",
        "https://docs.python.org/3.11/library/os.html": "disconnect",
        "https://docs.python.org/3.11/library/stdtypes.html": "cut",  # told by nothing but its Content-Length
    }
    urls = Counter(table["url"].to_pylist())
    assert {"https://docs.python.org/3.11/whatsnew/changelog.html", "https://primer.example/ox"} <= set(urls)
    assert len(set(table["doc_id"].to_pylist())) == table.num_rows


def test_every_source_has_its_licence() -> None:
    readme = (SAMPLE / "README.md").read_text(encoding="utf-8")
    texts = {path.stem for path in (SAMPLE / "licenses").glob("*.txt")}
    for source in (*DEBIAN_SOURCES, *PACK_SOURCES):
        assert source.licence in readme
        assert source.licence == "Apache-2.0" or any(source.licence.startswith(text) for text in texts), source.licence


def test_each_constructed_page_breaks_the_rule_it_is_for(sample_run: Path) -> None:
    readme = (SAMPLE / "README.md").read_text(encoding="utf-8")
    told = {
        page if "://" in page else "https://{}.example/{}".format(*page.partition("/")[::2]): rule
        for pages, rule in re.findall(r"^\| (`.*`) \| .* \| `(\w+\.\w+)` \|$", readme, re.MULTILINE)
        for page in re.findall("`(.*?)`", pages)
    }
    dropped = pq.read_table(sample_run / "dropped" / "documents", columns=["url", "reason"]).to_pylist()
    made = {row["url"]: row["reason"] for row in dropped if row["url"] in told or ".example/" in (row["url"] or "")}
    assert made == told


def test_each_rule_of_the_default_recipe_drops_something_and_none_over_half(sample_run: Path) -> None:
    funnel = read_funnel(Folder(str(sample_run)))
    dropped = {f"{stage.name}.{rule.name}": rule.dropped for _, stage, rule in funnel.rules()}
    assert dropped.pop("extract_text.extractor_error") == 0  # an accident of a library, not a rule
    assert not [rule for rule, count in dropped.items() if not 0 < count < funnel.rows_in / 2]


# The writer


def capture(**changes: Any) -> Capture:
    fields: dict[str, Any] = {
        "url": "https://a.example/x?y=1",
        "date": "2024-06-03T00:00:00Z",
        "body": b"<p>hello</p>" * 90,
    }
    return Capture(**{**fields, **changes})


def read(members: list[bytes]) -> tuple[list[dict[str, Any]], ReadReport]:
    report = ReadReport()
    file = BytesIO(b"".join(members))
    rows: list[dict[str, Any]] = []
    for batch in read_warc(file, "a.warc.gz", report, batch_bytes=1 << 20, max_record_bytes=1 << 20):
        rows += batch.to_pylist()
    return rows, report


def test_gzip_member_has_no_time_and_is_right() -> None:
    member = gzip_member(b"text" * 1000)
    assert gzip.decompress(member) == b"text" * 1000
    assert member[4:8] == b"\0\0\0\0"
    assert member == gzip_member(b"text" * 1000)


def test_page_is_what_both_readers_expect() -> None:
    info = warcinfo("a.warc.gz", "2024-06-03T00:00:00Z", {"software": "test"})
    made = capture(status=404, content_type="text/html; charset=euc-kr", notes={"sample-source": "test"})
    (row,), report = read([info, *page(made, "a.warc.gz")])
    assert (row["url"], row["date"], row["http_status"]) == (made.url, made.date, 404)
    assert (row["content_type"], row["charset"], row["truncated"]) == ("text/html", "euc-kr", None)
    assert row["html"] == made.body
    assert report.records == {"warcinfo": 1, "request": 1, "response": 1, "metadata": 1}
    whole = BytesIO(b"".join(page(made, "a.warc.gz")))
    assert len(list(ArchiveIterator(whole, parse_http=False))) == 3
    whole.seek(0)
    digested = [record.record_type for record in ArchiveIterator(whole, verify_digests=True)]
    assert digested == [WarcRecordType.response]  # the one record with digests, and they are right
    assert page(made, "a.warc.gz") == page(made, "a.warc.gz")


def test_content_length_and_truncation_are_told() -> None:
    (row,), _ = read(page(capture(truncated="length", claimed_length=99_999), "f"))
    assert row["truncated"] == "length"
    (row,), _ = read(page(capture(claimed_length=99_999), "f"))
    assert row["truncated"] == "cut"
    (row,), _ = read(page(capture(content_type=None), "f"))
    assert row["content_type"] is None


def test_damage_costs_one_record() -> None:
    first, second, third = (page(capture(url=f"https://a.example/{number}"), "f") for number in range(3))
    second[1] = damage(second[1])
    with pytest.raises((zlib.error, gzip.BadGzipFile)):
        gzip.decompress(second[1])
    rows, report = read([*first, *second, *third])
    assert [row["url"] for row in rows] == ["https://a.example/0", "https://a.example/2"]
    assert len(report.failures) == 1


# The choice of pages


def source(**changes: Any) -> Source:
    fields: dict[str, Any] = {
        "name": "test",
        "licence": "CC0-1.0",
        "root": "doc",
        "url": (r"^([^/]+)/(.*)$", r"https://\1.example/\2"),
        "take": {"en/*.html": 3},
    }
    return Source(**{**fields, **changes})


def test_pages_are_taken_by_hash_and_always_kept(tmp_path: Path) -> None:
    folder = tmp_path / "doc" / "en"
    folder.mkdir(parents=True)
    for number in range(20):
        (folder / f"{number}.html").write_text("x")
    taken = source().pages(tmp_path)
    assert len(taken) == 3
    assert taken == sorted(taken)
    assert set(source(take={"en/*.html": 2}).pages(tmp_path)) < set(taken)  # a smaller share is part of a larger
    missing = next(f"en/{number}.html" for number in range(20) if f"en/{number}.html" not in taken)
    assert set(source(always=(missing,)).pages(tmp_path)) == {*taken, missing}
    assert source().other_files(tmp_path) == []
    with pytest.raises(FileNotFoundError, match=r"must hold the pages of test, got none. See jobs/sample/README.md."):
        source(take={"de/*.html": 1}).pages(tmp_path)


def test_urls() -> None:
    assert source().url_of("en/a__b.html") == "https://en.example/a__b.html"
    assert source(flattened=True).url_of("en/a__b.html") == "https://en.example/a/b.html"
    handbook = next(source for source in DEBIAN_SOURCES if source.name == "debian-handbook")
    assert handbook.url_of("fr-FR/index.html") == "https://debian-handbook.info/browse/fr-FR/stable/"
    assert handbook.url_of("fr-FR/sect.nfs.html") == "https://debian-handbook.info/browse/fr-FR/stable/sect.nfs.html"
    assert sum(FILE_SHARES) == 100
