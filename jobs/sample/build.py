"""Build the sample crawl from free documentation and a few real captures.

    python -m jobs.sample.build --debian DEBIAN --packs PACKS

Run once; its output is committed. README.md in this folder says what the crawl holds, where it comes from, and its
licences. The same inputs (and the same zlib) give the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import html
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import xxhash

from jobs.sample.records import USER_AGENT, Capture, damage, page, warcinfo
from jobs.sample.sources import DEBIAN_SOURCES, PACK_SOURCES, Source

HERE = Path(__file__).parent
FILE_SHARES = (30, 24, 18, 13, 9, 6)  # percent of the pages in each file: unequal, as work units are
START = datetime(2024, 6, 3, tzinfo=UTC)
CRAWL_SECONDS = 12 * 24 * 3600
TRUNCATE_BYTES = 1 << 20  # Common Crawl's limit until 2025

CAPTURED = (
    "chatnoir-eu+chatnoir-resiliparse/warcfile.warc.gz",
    "commoncrawl+whirlwind-python/whirlwind.warc.gz",
    "allenai+dolma/sample-0000.warc.gz",
    "allenai+dolma/sample-0001.warc.gz",
    "allenai+dolma/0.warc.gz",
    "allenai+dolma/1.warc.gz",
    "allenai+dolma/8af1b64b.1.warc.gz",
)
LEFT_OUT = ("http://0513mt.com/", "http://05925.net/", "http://096355.com/")  # pornographic pages of the first file
MEDIA_TYPES = {".png": "image/png", ".gif": "image/gif", ".css": "text/css", ".txt": "text/plain"}
DAMAGED_SHARE = 1  # the file that holds the damaged record


def build(debian: Path, packs: Path, out: Path) -> None:
    """Write sample-0000k.warc.gz and captured-00000.warc.gz to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    files: list[list[Capture]] = [[] for _ in FILE_SHARES]
    for capture in _captures(debian, packs):
        files[_file_of(capture.url)].append(capture)
    for index, captures in enumerate(files):
        name = f"sample-{index:05d}.warc.gz"
        captures.sort(key=lambda capture: (capture.date, capture.url))
        members = [warcinfo(name, _date(0), _INFO)]
        for number, capture in enumerate(captures):
            request, response, metadata = page(capture, name)
            if index == DAMAGED_SHARE and number == len(captures) // 2:
                response = damage(response)
            members += [request, response, metadata]
        (out / name).write_bytes(b"".join(members))
    (out / "captured-00000.warc.gz").write_bytes(b"".join(_captured(packs / "warc")))


_INFO = {
    "software": USER_AGENT,
    "format": "WARC File Format 1.0",
    "description": "Pages of free documentation under their publishers' URLs; HTTP headers and dates are made up.",
    "isPartOf": "SAMPLE-2024-23",
}


def _captures(debian: Path, packs: Path) -> Iterator[Capture]:
    for base, sources in ((debian, DEBIAN_SOURCES), (packs, PACK_SOURCES)):
        for source in sources:
            for path in source.pages(base):
                yield from _page_captures(source, path, base / source.root / path)
            for path in source.other_files(base):
                yield _capture(source, path, (base / source.root / path).read_bytes(), MEDIA_TYPES[Path(path).suffix])
    yield from _special(debian)


def _page_captures(source: Source, path: str, file: Path) -> Iterator[Capture]:
    """The page itself and, for some pages, what a crawler meets around it: a second URL, a redirect, a dead link."""
    body = gzip.decompress(file.read_bytes()) if path.endswith(".gz") else file.read_bytes()
    first = _capture(source, path.removesuffix(".gz"), body, source.content_type)
    yield first
    draw = _draw(first.url)
    for prefix, other in source.aliases:
        if draw < 4 and first.url.startswith(prefix):
            yield _again(first, first.url.replace(prefix, other, 1))
    plain = first.url.replace("https://", "http://", 1)
    if draw in (10, 11):
        yield _message(plain, 301, {"Location": first.url})
    elif draw == 12:
        yield _message(re.sub(r"(\.html)?$", "-old.html", first.url, count=1), 404)
    elif draw == 13 and len(body) < 12_000:
        yield _message(plain + "?print=1", 403 if len(body) % 2 else 503)


def _capture(source: Source, path: str, body: bytes, content_type: str) -> Capture:
    url = source.url_of(path)
    headers = {}
    if source.content_encoding == "gzip":
        body, headers = gzip.compress(body, 9, mtime=0), {"Content-Encoding": "gzip"}
    return Capture(
        url=url,
        date=date_of(url),
        body=body,
        content_type=None if _draw(url) == 20 and content_type == "text/html" else content_type,
        http_headers=headers,
        notes={"sample-source": source.name, "sample-licence": source.licence},
    )


def _again(first: Capture, url: str) -> Capture:
    """The same page under another URL, crawled at another time."""
    return replace(first, url=url, date=date_of(url))


def _message(url: str, status: int, headers: dict[str, str] | None = None) -> Capture:
    """A short page such as servers send with a status that is not 200."""
    title = {301: "301 Moved Permanently", 403: "403 Forbidden", 404: "404 Not Found", 503: "503 Service Unavailable"}[
        status
    ]
    body = f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>\r\n"
    return Capture(
        url=url,
        date=date_of(url),
        body=body.encode(),
        status=status,
        http_headers=headers or {},
        notes={"sample-source": "constructed", "sample-licence": "CC0-1.0"},
    )


_CUT = (  # big pages, where they end, WARC-Truncated
    ("genindex-all.html", TRUNCATE_BYTES, "length"),
    ("library/os.html", 100_000, "disconnect"),
    ("library/stdtypes.html", 200_000, None),  # the crawler did not notice: only Content-Length tells
)


def _special(debian: Path) -> Iterator[Capture]:
    """Pages that a real crawl has and these sources lack; each is named in README.md."""
    handbook, python = (
        next(source for source in DEBIAN_SOURCES if source.name == name)
        for name in ("debian-handbook", "python3.11-doc")
    )
    for path, end, why in _CUT:
        whole = _capture(python, path, (debian / python.root / path).read_bytes(), python.content_type)
        yield replace(whole, body=whole.body[:end], truncated=why, claimed_length=len(whole.body))
    for number in range(3):
        yield _constructed(f"https://empty-{number}.example/", "CC0-1.0", "")
    yield _constructed("https://app.example/", "CC0-1.0", _SCRIPT_ONLY)
    yield _constructed("https://monitor.example/year", "CC0-1.0", f"<table>{'<tr><td>ok</td></tr>' * 525_600}</table>")
    yield _constructed("https://mosaic.example/600x600", "CC0-1.0", f"<table>{f'<tr>{_PIXEL * 600}' * 600}</table>")
    state = " ".join(f'data-{number}=""' for number in range(1_200))
    yield _constructed("https://widget.example/", "CC0-1.0", _main("A widget", f"<div {state}>Loading</div>"))
    parts = "".join(f"<option>Part {number:05d}" for number in range(12_000))
    yield _constructed("https://shop.example/order", "CC0-1.0", _main("Order", f"<select>{parts}</select>"))
    entries = "".join(f"<p><b>Guest {number}: I was here." for number in range(600))
    yield _constructed("https://guestbook.example/", "CC0-1.0", _main("Guest book", entries))
    signs = "<font>" * 450 + "<p>I sign." * 500
    yield _constructed("https://petition.example/", "CC0-1.0", _main("Petition", signs))
    yield _constructed("https://forum.example/thread", "CC0-1.0", "<blockquote>" * 3_000 + "Me too.")
    for url, (title, text) in _BLOCKED.items():
        yield _constructed(url, "CC0-1.0", _main(title, f"<p>{text}</p>"))
    song = "".join(f"<p>{'<br>'.join([*stanza, _REFRAIN])}</p>" for stanza in _STANZAS)
    yield _constructed("https://songs.example/ferry", "CC0-1.0", _main("The ferry", song))
    pool = "".join(f"<p>{paragraph}</p>" for paragraph in (_POOL[0] + _NOTICE, *_POOL[1:-1], _NOTICE + _POOL[-1]))
    yield _constructed("https://pool.example/hours", "CC0-1.0", _main("Opening hours", pool))
    yield _constructed("https://primer.example/ox", "CC0-1.0", _main("An ox", f"<p>{_PRIMER}</p>"))
    yield _constructed("https://ministry.example/circular", "CC0-1.0", _main("Circular", f"<p>{_CIRCULAR}</p>"))
    results = _search_results(debian / handbook.root / "en-US")
    yield _constructed("https://search.example/?q=package", handbook.licence, _main("Results", results))
    changes = _one_release(debian / python.root)
    yield _constructed("https://changes.example/3.11.0a1", python.licence, _main("Changes", changes))


_STANDS_FOR = "Made up for the sample crawl: this stands for a page that the block lists of UT1 name, by its"
_BLOCKED = {  # pages that a rule for URLs drops, the last three of them wrongly
    "https://0009casino.com/": ("A domain", f"{_STANDS_FOR} domain, for gambling."),
    "https://632424.com/register": ("A page", f"{_STANDS_FOR} whole URL."),
    "https://birds.example/great-tit": (
        "Great tit",
        "The great tit is a common bird of woods and gardens. It eats insects in summer and seeds in winter, and takes"
        " readily to a box that is put up for it in early spring.",
    ),
    "https://motors.example/dick-brown/ford-escort": (
        "Ford Escort, 1971",
        "Dick Brown has had his car since it was new. He drove it to the coast with his children, and drives it there"
        " with theirs.",
    ),
    "https://jobs.example/second-hand/jobs": (
        "Jobs in second-hand shops",
        "Two shops in the old town look for people who like books, furniture and talk. Work is on Fridays and"
        " Saturdays, from ten to six.",
    ),
}
_REFRAIN = "And the ferryman calls to the far away shore: is there nobody, nobody there any more?"
_STANZAS = (
    ("The mist on the river was white,", "the reeds on the bank were grey,", "a lamp in the boat gave light,"),
    (
        "A trader came down with his load",
        "and asked for the price of the way,",
        "then turned and went back to the road,",
    ),
    ("A soldier came down with his drum", "too tired for a word to say,", "and slept till the morning had come,"),
    ("The bridge was finished in spring,", "they opened it early in May,", "the children crossed it to sing,"),
)
_NOTICE = (
    "Please shower with soap before you enter the water, leave your shoes at the door, and keep an eye on small"
    " children."
)
_POOL = (
    "The indoor pool opens at seven on weekdays and at nine on Sundays and holidays. The last ticket is sold an hour"
    " before we close. ",
    "A day costs five crowns for adults and two for pupils; ten tickets bought together are sold for the price of"
    " eight.",
    " Whoever feels unwell tells the attendant, who has been trained to help, and who can be reached by the red"
    " telephone beside the stairs.",
)
_SCRIPT_ONLY = '<!DOCTYPE html><title></title><script src="app.js"></script><body><div id="app"></div>'
_PIXEL = '<td bgcolor="#c0ffee">'
_PRIMER = (
    "Is it so? It is so. Am I to go? Go up to it, if he is in. We do as he is to do. He is in it, or is he on it? I am"
    " at it. So am I. Do as I do, or go. If I am to be in it, so be it. Of us, he is up; I am no ox, he is no ox. It is"
    " my ox, by me. Oh no! Is my ox in it? He is. Go, ox, go!"
)
_CIRCULAR = (
    "Notwithstanding administrative simplifications, interdepartmental correspondence concerning organisational"
    " responsibilities necessitates comprehensive documentation. Departmental representatives are consequently"
    " requested to communicate anticipated discrepancies immediately. Authorisations granted retrospectively"
    " constitute irregularities; recommendations contradicting established classifications require supplementary"
    " justification. Institutional stakeholders participating in implementation, standardisation and"
    " commercialisation acknowledge confidentiality requirements. Unsatisfactory administrative performance"
    " automatically disqualifies subcontractors. Clarifications concerning interpretation will be published"
    " electronically, accompanied by corresponding translations."
)


def _main(title: str, content: str) -> str:
    return f"<html><head><title>{title}</title></head><body><main><h1>{title}</h1>{content}</main></body></html>"


def _search_results(folder: Path) -> str:
    """A page of search results: snippets between ellipses, as search engines of sites show them."""
    items = []
    for file in sorted(folder.glob("sect.*.html"))[:40]:
        text = html.unescape(re.sub(r"<[^>]+>", " ", file.read_text(encoding="utf-8").split("</h1>")[-1]))
        words = [word for word in text.split() if word.isalpha()]
        if len(words) > 60:
            items.append(
                f"<p>... {' '.join(words[30:36])} ... {' '.join(words[46:53])} ... in the section {file.stem[5:]}</p>"
            )
    return "".join(items)


def _one_release(folder: Path) -> str:
    """The list of changes of one release, cut out of the page of all releases: almost every line is a bullet."""
    text = gzip.decompress((folder / "whatsnew/changelog.html.gz").read_bytes()).decode()
    start, end = (text.index(f'<section id="python-3-{release}">') for release in ("11-0-alpha-1", "10-0-beta-1"))
    return text[start:end]


def _constructed(url: str, licence: str, text: str) -> Capture:
    return Capture(
        url=url,
        date=date_of(url),
        body=text.encode(),
        content_type="text/html; charset=utf-8",
        notes={"sample-source": "constructed", "sample-licence": licence},
    )


def _captured(warc: Path) -> Iterator[bytes]:
    """The real captures, gzip member by gzip member as they were captured."""
    for name in CAPTURED:
        data = (warc / name).read_bytes()
        while data:
            inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
            text = inflate.decompress(data)
            member, data = data[: len(data) - len(inflate.unused_data)], inflate.unused_data
            target = re.search(rb"^WARC-Target-URI: (.*)\r$", text, flags=re.MULTILINE)
            if not (target and target[1].decode().startswith(LEFT_OUT)):
                yield member


def _draw(url: str) -> int:
    """A number in [0, 100) that depends on the URL alone."""
    return xxhash.xxh3_64_intdigest(url.encode()) % 100


def _file_of(url: str) -> int:
    point = xxhash.xxh3_64_intdigest(url.encode(), seed=1) % 100
    for index, share in enumerate(FILE_SHARES):
        point -= share
        if point < 0:
            return index
    raise AssertionError("FILE_SHARES must add up to 100")


def date_of(url: str) -> str:
    """Return when a page was captured, RFC 3339: a time of the twelve days that depends on the URL alone."""
    return _date(xxhash.xxh3_64_intdigest(url.encode(), seed=2) % CRAWL_SECONDS)


def _date(seconds: int) -> str:
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def main() -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--debian", type=Path, required=True, help="folder into which the packages were unpacked with dpkg -x"
    )
    parser.add_argument("--packs", type=Path, required=True, help="folder with html_multi/ and warc/")
    parser.add_argument(
        "--out", type=Path, default=HERE / "crawl", help="folder to write to (default: this sample's own)"
    )
    args = parser.parse_args()
    build(args.debian, args.packs, args.out)


if __name__ == "__main__":
    main()
