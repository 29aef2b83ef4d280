"""What the sample crawl is made of: free documentation, where it lies, where it is published, and how much is taken.

Pages are taken by the hash of their path, never by hand, so that the choice is repeatable and not picked for its
result; the pages named in `always` are there because each trips a rule that few pages trip (the reason is beside them).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import xxhash


@dataclass(frozen=True, kw_only=True)
class Source:
    """One body of pages below DEBIAN (packages unpacked with dpkg -x) or PACKS (the page packs)."""

    name: str
    licence: str
    root: str
    url: tuple[str, str]  # regular expression over the path below root, and what it becomes
    take: Mapping[str, int]  # glob below root -> how many of its pages
    always: tuple[str, ...] = ()
    content_type: str = "text/html"
    aliases: tuple[tuple[str, str], ...] = ()  # a second URL that serves the same page: prefix -> prefix
    content_encoding: str | None = None
    flattened: bool = False  # the pack writes "__" for "/"
    others: Mapping[str, int] = field(default_factory=dict)  # files that are not pages: images, style sheets, sources

    def pages(self, base: Path) -> list[str]:
        """Return the paths below root of the pages taken, sorted."""
        return self._pick(base, self.take, self.always)

    def other_files(self, base: Path) -> list[str]:
        """Return the paths below root of the files taken that are not pages, sorted."""
        return self._pick(base, self.others, ())

    def url_of(self, path: str) -> str:
        """Return the URL under which the page is published."""
        pattern, replacement = self.url
        return re.sub(pattern, replacement, path.replace("__", "/") if self.flattened else path)

    def _pick(self, base: Path, take: Mapping[str, int], always: tuple[str, ...]) -> list[str]:
        root = base / self.root
        picked = set(always)
        for glob, count in take.items():
            paths = (path.relative_to(root).as_posix() for path in root.glob(glob) if path.is_file())
            picked.update(sorted(paths, key=lambda path: xxhash.xxh3_64_digest(path.encode()))[:count])
        if take and len(picked) == len(always):
            raise FileNotFoundError(f"{root} must hold the pages of {self.name}, got none. See jobs/sample/README.md.")
        return sorted(picked)


def _each(pattern: str, counts: Mapping[str, int]) -> dict[str, int]:
    return {pattern.format(name): count for name, count in counts.items()}


def _words(text: str) -> list[str]:
    return text.split()


_TRANSLATED = _words(
    "fr-FR de-DE es-ES it-IT pt-BR ru-RU ja-JP zh-CN ar-MA fa-IR nb-NO id-ID ca-ES vi-VN pl-PL cs-CZ sv-SE"
)
_UNTRANSLATED = _words("hr-HR nl-NL ko-KR tr-TR el-GR da-DK")  # mostly English inside: natural duplicates of en-US
_GUIDE = _words("ca cs da de el es fr id it ja ko nl pt ro ru sv vi zh_CN")
_HELP = _words("cs da de el es et eu fi fr hi hu id it ja km ko nl pl ru sl sv tr vi zh-CN zh-TW")
_HELP_PAIRS = _words("en-US en-GB ca ca-valencia pt pt-BR")  # the same pages twice: near-duplicates by nature
_WONDERLAND = _words(
    """
    af am ar az be bn bo br ceb co cy dz en eo fa fo fon fy ga gu ha haw ht hy ig is iw jam ka kk kri ku ky la lb lo lv
    mi mk ml mn mt my ne new oc om or pa pap ps qu rom sa sd si sm so sq su sw ta te tg th ti tk tl tt ug ur uz wo xh yi
    yo yue zu
    """
)

DEBIAN_SOURCES = (
    Source(
        name="debian-handbook",
        licence="CC-BY-SA-3.0",
        root="usr/share/doc/debian-handbook/html",
        url=(r"^([^/]+)/(?:index\.html$)?", r"https://debian-handbook.info/browse/\1/stable/"),
        take={
            "en-US/*.html": 127,
            **_each("{}/*.html", dict.fromkeys(_TRANSLATED, 9)),
            **_each("{}/*.html", dict.fromkeys(_UNTRANSLATED, 4)),
        },
        aliases=(("https://debian-handbook.info/browse/en-US/", "http://debian-handbook.info/browse/en-US/"),),
        others={"en-US/images/*.png": 12, "en-US/Common_Content/css/*.css": 4},
    ),
    Source(
        name="installation-guide-amd64",
        licence="GPL-2.0-only",
        root="usr/share/doc/installation-guide-amd64",
        url=(r"^([^/]+)/(.*)\.html$", r"https://www.debian.org/releases/bookworm/amd64/\2.\1.html"),
        take={"en/*.html": 84, **_each("{}/*.html", dict.fromkeys(_GUIDE, 7))},
        always=(
            *(f"{language}/apas05.html" for language in ("en", "de", "fr")),  # every third line ends in an ellipsis
            *(f"{language}/apds03.html" for language in ("en", "fr", "ru")),  # shell listings full of "#"
            "ko/ch01s06.html",  # Korean words shorter than three letters on average
        ),
    ),
    Source(
        name="apache2-doc",
        licence="Apache-2.0",
        root="usr/share/doc/apache2-doc/manual",
        url=(r"^", "https://httpd.apache.org/docs/2.4/"),
        take={
            "en/**/*.html": 125,
            **_each(
                "{}/**/*.html",
                {"fr": 14, "ja": 12, "es": 10, "ko": 12, "tr": 9, "de": 6, "zh-cn": 6, "pt-br": 5, "da": 3, "ru": 3},
            ),
        },
        aliases=(("https://httpd.apache.org/docs/2.4/en/", "https://httpd.apache.org/docs/current/en/"),),
        others={"images/*.gif": 6, "style/css/*.css": 3},
    ),
    Source(
        name="python3.11-doc",
        licence="PSF-2.0",
        root="usr/share/doc/python3.11/html",
        url=(r"^", "https://docs.python.org/3.11/"),
        take={
            "tutorial/*.html": 17,
            "howto/*.html": 20,
            "faq/*.html": 9,
            "reference/*.html": 8,
            "using/*.html": 6,
            "extending/*.html": 6,
            "library/*.html": 96,
            "c-api/*.html": 32,
            "genindex-*.html": 6,
            "whatsnew/2*.html": 3,
        },
        always=("whatsnew/changelog.html.gz",),  # one page of 176,837 words
        aliases=(("https://docs.python.org/3.11/", "https://docs.python.org/3/"),),
        others={"_sources/howto/*.txt": 6, "_sources/library/*.txt": 6},
    ),
    Source(
        name="postgresql-doc-15",
        licence="PostgreSQL",
        root="usr/share/doc/postgresql-doc-15/html",
        url=(r"^", "https://www.postgresql.org/docs/15/"),
        take={"*.html": 195},
        aliases=(("https://www.postgresql.org/docs/15/", "https://www.postgresql.org/docs/current/"),),
        content_encoding="gzip",
    ),
    Source(
        name="cppreference-doc-en-html",
        licence="CC-BY-SA-3.0",
        root="usr/share/cppreference/doc/html/en",
        url=(r"^(.*)\.html$", r"https://en.cppreference.com/w/\1"),
        take={"c/**/*.html": 30, "cpp/**/*.html": 70},
        always=(
            "c/preprocessor/conditional.html",  # more than one "#" in ten words
            "cpp/preprocessor/conditional.html",
            "c/language/ascii.html",  # a table of single characters
            "cpp/header/tuple.html",  # parameter packs: "..." in every declaration
        ),
        content_type="text/html; charset=UTF-8",
    ),
)

PACK_SOURCES = (
    Source(
        name="libreoffice-help",
        licence="MPL-2.0",
        root="html_multi/libreoffice-help",
        url=(r"^([^/]+)/(.*)$", r"https://help.libreoffice.org/7.4/\1/\2"),
        flattened=True,
        take={**_each("{}/*.html", dict.fromkeys(_HELP_PAIRS, 45)), **_each("{}/*.html", dict.fromkeys(_HELP, 10))},
    ),
    Source(
        name="unicode-test-corpora",
        licence="Unicode-3.0",
        root="html_multi/unicode_test_corpora",
        url=(r"^([^/]+)/Carroll-11/(.*)$", r"https://unicode-org.github.io/test-corpora/gutenberg/Carroll-11/\1/\2"),
        flattened=True,
        content_type="application/xhtml+xml",
        take=_each("{}/*.html", dict.fromkeys(_WONDERLAND, 1)),
    ),
)
