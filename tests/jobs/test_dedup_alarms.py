"""Documents of a source are counted by what tells the host of their URLs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.urls import host_of
from jobs.dedup_alarms import _site

pieces = st.sampled_from(
    ["http://", "https://", "HTTP://", "ftp:", "//", "/", "?", "#", "@", ":80", "[", "]", "\t", "a.b"]
)


@given(url=st.none() | st.lists(pieces | st.text(max_size=3), max_size=6).map("".join))
def test_a_site_has_the_host_of_the_url(url: str | None) -> None:
    assert host_of(_site(url)) == host_of(url)


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://a.example/b/c", "https://a.example"),
        ("http://a/b", "http://a"),
        ("https://a.example", "https://a.example"),
        ("https://a.example?x=/b", "https://a.example?x="),
        ("ftp://a.example/b", "ftp://a.example/b"),
    ],
)
def test_as_much_as_comes_before_the_path(url: str, site: str) -> None:
    assert _site(url) == site
