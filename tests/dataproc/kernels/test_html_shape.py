from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.kernels.html_shape import HtmlShape, html_shape

FORMATTING = {"b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"}


@pytest.mark.parametrize(
    ("page", "shape"),
    [
        (b'<p id=a class="b > c"><b>x<b>y</b>', (3, 2, 0, 2)),
        (b"", (0, 0, 0, 0)),
        (b"a < b <1 </ > < p>", (0, 0, 0, 0)),
        (b"<", (0, 0, 0, 0)),
        (b"<p", (1, 0, 0, 0)),
        (b"<!-- <p> -- > <b> --><p><!doctype <i>><?x <u>", (2, 0, 0, 1)),
        (b"<!-- <p>", (0, 0, 0, 0)),
        (b"<script>if (a<b) '<b><b>' </scrip </SCRIPT><b>", (2, 0, 0, 1)),
        (b"<style><b></style><textarea><b></textarea><title><b></title><title><b>", (4, 0, 0, 0)),
        (b"<a b c=d e = 'f g' h=\"i>j\" k=l/m n/o =p>", (1, 7, 0, 0)),
        (b"<a =b =c>", (1, 1, 0, 0)),
        (b"<a\tb\nc\x0cd/><a  ><a/b/c>", (3, 3, 0, 0)),
        (b"<a b='<i><i><i>", (1, 1, 0, 0)),
        (b"<SELECT><Option><OPTION a=1>x</option><option></select><select><option>", (6, 1, 3, 0)),
        (b"<ruby><rb>a<rp>(<rt>b<rp>)</ruby>" * 3, (15, 0, 4, 0)),
        (b"<select><optgroup><option><option><optgroup><option></select>", (6, 0, 2, 0)),
        (b"<b><i></i></b></b></b><FONT a=1><font a=2>", (4, 1, 0, 2)),
        (b"<strongest><emb><ba><u1></i>", (4, 0, 0, 0)),
    ],
)
def test_counts(page: bytes, shape: tuple[int, int, int, int]) -> None:
    assert html_shape(page) == shape


class Oracle(HTMLParser):
    """Tags and formatting elements as the standard library counts them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=False)
        self.tags = self.attributes = self.open = self.unclosed = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags += 1
        self.attributes = max(self.attributes, len(attrs))
        self.open += tag in FORMATTING
        self.unclosed = max(self.unclosed, self.open)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        self.open -= self.open > 0 and tag in FORMATTING


pieces = st.sampled_from(
    [
        "<p>",
        "<b>",
        "</b>",
        '<font color="red" size=3>',
        "</FONT>",
        "<i a b='c>d'>",
        "text",
        " & < 3 ",
        "<!-- <b> -->",
        "<br/>",
    ]
)


@given(st.lists(pieces).map("".join))
def test_equals_the_oracle(page: str) -> None:
    oracle = Oracle(page)
    assert html_shape(page.encode()) == (oracle.tags, oracle.attributes, 0, oracle.unclosed)


@given(st.binary(max_size=300))
def test_any_bytes(page: bytes) -> None:
    shape = html_shape(page)
    assert isinstance(shape, HtmlShape)
    assert 0 <= shape.tags <= page.count(b"<")
    assert max(shape.siblings, shape.unclosed) <= shape.tags


@pytest.mark.parametrize(
    "page",
    [
        b"<",
        b"<a ",
        b"<a b=",
        b"<a b='",
        b"<!",
        b"<!--",
        b"<!-- -",
        b"</",
        b"</b",
        b"<script",
        b"<script>",
        b"<script></",
        b"<script></scrip",
    ],
)
def test_pages_that_end_anywhere(page: bytes) -> None:
    assert html_shape(page).tags <= 1
