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
        (b'<p id=a class="b > c"><b>x<b>y</b><p>', (4, 2, 0, 2, 1)),
        (b"", (0, 0, 0, 0, 0)),
        (b"a < b <1 </ > < p>", (0, 0, 0, 0, 0)),
        (b"<", (0, 0, 0, 0, 0)),
        (b"<p", (1, 0, 0, 0, 0)),
        (b"<!-- <p> -- > <b> --><p><!doctype <i>><?x <u>", (2, 0, 0, 1, 0)),
        (b"<!-- <p>", (0, 0, 0, 0, 0)),
        (b"<script>if (a<b) '<b><b>' </scrip </SCRIPT><b>", (2, 0, 0, 1, 0)),
        (b"<style><b></style><textarea><b></textarea><title><b></title><title><b>", (4, 0, 0, 0, 0)),
        (b"<a b c=d e = 'f g' h=\"i>j\" k=l/m n/o =p>", (1, 7, 0, 0, 0)),
        (b"<a =b =c>", (1, 1, 0, 0, 0)),
        (b"<a\tb\nc\x0cd/><a  ><a/b/c>", (3, 3, 0, 0, 0)),
        (b"<a b='<i><i><i>", (1, 1, 0, 0, 0)),
        (b"<SELECT><Option><OPTION a=1>x</option><option></select><select><option>", (6, 1, 4, 0, 0)),
        (b"<ruby><rb>a<rp>(<rt>b<rp>)</ruby>" * 3, (15, 0, 12, 0, 0)),
        (b"<select><optgroup><option><option><optgroup><option></select>", (6, 0, 3, 0, 0)),
        (b"<b><i></i></b></b></b><FONT a=1><font a=2>", (4, 1, 0, 2, 0)),
        (b"<b><p><i><p></i><p></b><p>", (6, 0, 0, 2, 1 + 2 + 1)),
        (b"<b><br><!-- x --!><br><!--!><br>--><br>", (4, 0, 0, 1, 3)),
        (b"<font></b><font></i><p>", (3, 0, 0, 2, 2)),  # end tags of other elements close nothing
        (b"<b><td></b><p><b></b><p>", (5, 0, 0, 2, 1 + 1 + 1)),  # nor do those in a cell what is open around it
        (b"<b><svg></svg></b><p>", (3, 0, 0, 1, 1)),
        (b"<b><svg><![CDATA[></b>]]></svg><p>", (3, 0, 0, 1, 2)),
        (b"<svg><title><i></title></svg><title><i>", (4, 0, 0, 1, 1)),  # no plain text in <svg>
        (b"<svg><svg></svg><title><i></title></svg><title><i></title>", (5, 0, 0, 1, 1)),
        (b"<select/><title><i></select><title><i>", (4, 0, 0, 1, 1)),
        (b"<select><style><option></select><option></optgroup><option>", (5, 0, 3, 0, 0)),
        (b"<strongest><emb><ba><u1></i>", (4, 0, 0, 0, 0)),
    ],
)
def test_counts(page: bytes, shape: tuple[int, int, int, int, int]) -> None:
    assert html_shape(page) == shape


class Oracle(HTMLParser):
    """Tags and formatting elements as the standard library counts them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=False)
        self.tags = self.attributes = self.unclosed = self.reopened = 0
        self.open: list[str] = []
        self.closable: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags += 1
        self.attributes = max(self.attributes, len(attrs))
        if tag in FORMATTING:
            self.open.append(tag)
            self.closable.append(tag)
        else:
            self.reopened += len(self.open)
        self.unclosed = max(self.unclosed, len(self.open))
        if tag == "td":
            self.closable.clear()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.closable:
            self.closable.remove(tag)
            self.open.remove(tag)


pieces = st.sampled_from(
    [
        "<p>",
        "<td>",
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
    assert html_shape(page.encode()) == (oracle.tags, oracle.attributes, 0, oracle.unclosed, oracle.reopened)


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
