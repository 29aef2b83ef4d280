from __future__ import annotations

from urllib.parse import quote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dataproc.urls import ascii_host, canonical_url, host_of, registered_domain, with_ascii_host

SAME = [
    ["https://example.org/", "http://example.org", "HTTP://Example.ORG:80/", "https://www.example.org:443/#top", "http://u:p@example.org./?"],
    ["https://a.org/~b", "https://a.org/%7eb", "https://a.org/x/../~b", "https://a.org/./~b", "https://a.org/%2e/~b"],
    ["https://a.org/?a=2&z=1", "https://a.org?z=1&a=2", "https://a.org/?utm_source=x&z=1&a=2&gclid=7&UTM_Medium="],
    ["https://a.org/x?q", "https://a.org/x;jsessionid=0A1B?q", "https://a.org/x?PHPSESSID=12&q", "https://a.org/x?q&sid=0123456789abcdef0123456789ABCDEF"],
    ["https://a.org/%C3%A4%20b", "https://a.org/\u00e4 b", "https://a.org/%c3%a4%20b"],
    ["https://xn--bcher-kva.example/", "http://B\u00fccher.example"],
    ["https://a.org/c.aspx", "https://a.org/(S(lit3py55t21z5v55vlm25s55))/c.aspx"],
]  # fmt: skip
"""Each row is one page; its first URL is the canonical one."""

DIFFERENT = [
    ("https://a.org/x", "https://a.org/x/"),
    ("https://a.org/x", "https://a.org/X"),
    ("https://a.org/?a=1", "https://a.org/?A=1"),
    ("https://a.org/?a=1&a=2", "https://a.org/?a=2&a=1"),  # the order of equal names can matter
    ("https://a.org/?sid=7", "https://a.org/"),  # too short for a session
    ("https://a.org:8080/", "https://a.org/"),
    ("https://a.org/a%2Fb", "https://a.org/a/b"),
    ("https://a.org//b", "https://a.org/b"),
    ("https://www.com/", "https://com/"),
]


@pytest.mark.parametrize("urls", SAME)
def test_one_page_has_one_form(urls: list[str]) -> None:
    assert {url: canonical_url(url) for url in urls} == dict.fromkeys(urls, urls[0])


@pytest.mark.parametrize("pair", DIFFERENT)
def test_other_pages_have_others(pair: tuple[str, str]) -> None:
    assert canonical_url(pair[0]) != canonical_url(pair[1])


@pytest.mark.parametrize("url", [None, "", "example.org", "ftp://a.org/", "http://", "http://[::1", "http://a.org:x/"])
def test_what_is_no_page_has_none(url: str | None) -> None:
    assert canonical_url(url) is None


PART = st.text("aA\u00e4%2eE7./;&=()?:+ ", max_size=12)


@given(
    st.builds("{}://{}/{}?{}#{}".format, st.sampled_from(["http", "https", "HTTP"]), PART, PART, PART, PART) | st.text()
)
@example("http://www.www.a.b/")
@example("http://a.b/;jsessioni%64=1")
@example("http://a.b/.;jsessionid=1./x")
def test_the_form_of_a_form_is_itself(url: str) -> None:
    canonical = canonical_url(url)
    if canonical is not None:
        assert canonical.isascii()
        assert canonical_url(canonical) == canonical


def test_hosts() -> None:
    assert host_of("https://User@WWW.Example.org:8080/a") == "www.example.org"
    assert (host_of(None), host_of("http://[::1"), host_of("/a")) == (None, None, None)
    assert ascii_host("B\u00fccher.Example") == "xn--bcher-kva.example"
    assert ascii_host("a..b\u00fc") == "a..b%C3%BC"


_PIECES = ["http://", "https://", "HTTP://", "//", "/", "?", "#", "@", ":80", "[", "]", "\t", "a.b", "-", "a" * 63, "."]
_MADE_UP = st.lists(st.sampled_from(_PIECES) | st.text(max_size=3), max_size=6).map("".join)


@given(url=_MADE_UP | _MADE_UP.map("https://".__add__))
def test_plain_hosts_are_those_of_the_library(url: str) -> None:
    try:
        want = urlsplit(url).hostname or None
    except ValueError:
        want = None
    assert host_of(url) == want
    if want is not None:
        try:
            assert ascii_host(want) == want.encode("idna").decode().lower()
        except UnicodeError:
            assert ascii_host(want) == quote(want.lower(), safe="[]:%", errors="replace")


def test_with_ascii_host_changes_the_host_alone() -> None:
    assert with_ascii_host("http://u@B\u00fccher.example:80/\u00fc") == "http://u@xn--bcher-kva.example:80/\u00fc"
    assert with_ascii_host("b\u00fccher.example/\u00fc") == "xn--bcher-kva.example/\u00fc"
    assert with_ascii_host("http://a.example/\u00fc") == "http://a.example/\u00fc"


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("example.org", "example.org"),
        ("a.b.example.org.", "example.org"),
        ("www.example.co.uk", "example.co.uk"),
        ("co.uk", "co.uk"),
        ("www.city.kawasaki.jp", "city.kawasaki.jp"),
        ("a.b.kawasaki.jp", "a.b.kawasaki.jp"),
        ("a.me.github.io", "me.github.io"),
        ("github.io", "github.io"),
        ("a.example.nosuchsuffix", "example.nosuchsuffix"),
        ("www.b\u00fccher.co.uk", "xn--bcher-kva.co.uk"),
        ("a..b", "a..b"),
        ("www.example.de", "example.de"),
        ("news.co.example.com", "example.com"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("localhost", "localhost"),
        ("www.b\u00fccher.example", "xn--bcher-kva.example"),
        ("a.b\x1b[31m.example", "b%1b[31m.example"),
    ],
)
def test_the_registered_part_of_a_host(host: str, domain: str) -> None:
    assert registered_domain(host) == domain
