"""How much work a page is for an HTML parser, told in one pass over its bytes before it is parsed.

For some pages a parser takes time and memory out of proportion: each attribute of a tag is compared with the others,
each <option> with those before it, and each paragraph opens every <font> again that was not closed. The counts are
those of a tokenizer that builds no tree, so they are not the tree's own. Where the two may differ, they are rather too
great: an end tag counts only for an element of its name with no cell or the like begun in between, for a parser passes
over the others. A page made to deceive this very tokenizer can still be more work than it says. Cost: 1 GB/s.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dataproc.kernels.buffers import frozen
from dataproc.kernels.jit import kernel

EXCLAMATION, QUOTE, APOSTROPHE, HYPHEN, SLASH = 0x21, 0x22, 0x27, 0x2D, 0x2F
LESS, EQUALS, GREATER, BRACKET = 0x3C, 0x3D, 0x3E, 0x5B


class HtmlShape(NamedTuple):
    """Counts of one page."""

    tags: int  # start tags
    attributes: int  # most in one tag
    siblings: int  # <option>s and parts of <ruby>s
    unclosed: int  # most formatting elements (<b>, <font>, ...) open at once
    reopened: int  # of formatting elements those open at each other start tag, added up: a parser may open them again


def html_shape(page: bytes) -> HtmlShape:
    """Measure a page in UTF-8 or any encoding that keeps ASCII.

    Tags inside comments, scripts, styles and other elements of plain text are none.
    Example: html_shape(b'<p id=a class="b > c"><b>x<b>y</b><p>') == HtmlShape(tags=4, attributes=2, siblings=0,
    unclosed=2, reopened=1)
    """
    counts = _html_shape(np.frombuffer(page, np.uint8), _PLAIN, _FORMATTING, _SIBLINGS, _BARRIERS, _NO_PLAIN)
    return HtmlShape(*counts.tolist())


def _packed(*names: str) -> npt.NDArray[np.int64]:
    """Return tag names of at most seven bytes as integers, as `_name` reads them."""
    return frozen(np.array([int.from_bytes(name.encode(), "big") for name in names], np.int64))


# Longer names are cut to seven bytes: no other element starts with any of these.
_PLAIN = _packed("script", "style", "textare", "title", "xmp", "iframe", "noembed", "noframe")
_FORMATTING = _packed("b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u")
_SIBLINGS = _packed("option", "rb", "rp", "rt", "rtc")
_BARRIERS = _packed(  # an end tag behind one of these closes nothing before it
    *("table", "td", "th", "caption", "applet", "object", "marquee", "templat", "select", "noscrip")
)
_NO_PLAIN = _packed("select", "svg", "math")  # a <title> or <style> in these is no plain text


@kernel
def _html_shape(
    page: npt.NDArray[np.uint8],
    plain: npt.NDArray[np.int64],
    formatting: npt.NDArray[np.int64],
    siblings: npt.NDArray[np.int64],
    barriers: npt.NDArray[np.int64],
    no_plain: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    most = np.zeros(5, np.int64)
    unclosed = 0
    closable = np.zeros(len(formatting), np.int64)  # by name, those that an end tag here would close
    inside = np.zeros(len(no_plain), np.int64)
    at, stop = 0, len(page)
    while at < stop - 1:
        if page[at] != LESS:
            at += 1
        elif page[at + 1] == EXCLAMATION:
            if at + 2 < stop and page[at + 2] == BRACKET:  # CDATA: its tags are none to a parser in an <svg>
                closable[:] = 0
            at = _after_markup(page, at)
        elif page[at + 1] == SLASH and at + 2 < stop and _is_letter(page[at + 2]):
            name, at = _name(page, at + 2)
            at, _ = _after_attributes(page, at)
            kind = _index(name, formatting)
            if kind >= 0 and closable[kind] > 0:
                closable[kind] -= 1
                unclosed -= 1
            kind = _index(name, no_plain)
            if kind >= 0 and inside[kind] > 0:
                inside[kind] -= 1
        elif _is_letter(page[at + 1]):
            begin = at + 1
            name, at = _name(page, begin)
            at, attributes = _after_attributes(page, at)
            kind = _index(name, formatting)
            if kind >= 0:
                closable[kind] += 1
                unclosed += 1
            else:
                most[4] += unclosed
            if _index(name, barriers) >= 0:
                closable[:] = 0
            kind = _index(name, no_plain)
            if kind >= 0:
                inside[kind] += 1
            most[0] += 1
            most[1] = max(most[1], attributes)
            most[2] += _index(name, siblings) >= 0
            most[3] = max(most[3], unclosed)
            if _index(name, plain) >= 0 and not inside.any():
                at = _after_plain_text(page, at, begin)
        else:
            at += 1
    return most


@kernel
def _is_letter(byte: int) -> bool:
    return 0x61 <= (byte | 0x20) <= 0x7A


@kernel
def _is_space(byte: int) -> bool:
    return byte == 0x20 or 0x09 <= byte <= 0x0D


@kernel
def _index(name: int, names: npt.NDArray[np.int64]) -> int:
    """Return where the name stands among the names, -1 if it does not."""
    for k in range(len(names)):
        if name == names[k]:
            return k
    return -1


@kernel
def _name(page: npt.NDArray[np.uint8], at: int) -> tuple[int, int]:
    """Return the first seven bytes of a tag name, lower-case, as an integer, and where the name ends."""
    name, begin = 0, at
    while at < len(page) and page[at] != GREATER and page[at] != SLASH and not _is_space(page[at]):
        if at - begin < 7:
            name = name << 8 | (page[at] | 0x20 if _is_letter(page[at]) else page[at])
        at += 1
    return name, at


@kernel
def _after_markup(page: npt.NDArray[np.uint8], at: int) -> int:
    """Return where a comment or declaration ends."""
    if at + 3 < len(page) and page[at + 2] == HYPHEN and page[at + 3] == HYPHEN:
        at += 4
        begin = at
        while at < len(page):
            if page[at] == GREATER:
                bang = page[at - 1] == EXCLAMATION and at - 3 >= begin  # "--!>" ends a comment, "<!--!>" does not
                if page[at - 1 - bang] == HYPHEN and page[at - 2 - bang] == HYPHEN:
                    return at + 1
            at += 1
        return at
    while at < len(page) and page[at] != GREATER:
        at += 1
    return at + 1


@kernel
def _after_attributes(page: npt.NDArray[np.uint8], at: int) -> tuple[int, int]:
    """Return where a tag ends and how many attributes it has."""
    count = 0
    stop = len(page)
    while True:
        while at < stop and (_is_space(page[at]) or page[at] == SLASH):
            at += 1
        if at >= stop or page[at] == GREATER:
            return min(at + 1, stop), count
        count += 1
        at += 1  # a name may start with any byte, "=" too
        while (
            at < stop and page[at] != EQUALS and page[at] != GREATER and page[at] != SLASH and not _is_space(page[at])
        ):
            at += 1
        after = at
        while after < stop and _is_space(page[after]):
            after += 1
        if after < stop and page[after] == EQUALS:
            at = _after_value(page, after + 1)


@kernel
def _after_value(page: npt.NDArray[np.uint8], at: int) -> int:
    """Return where an attribute's value ends."""
    stop = len(page)
    while at < stop and _is_space(page[at]):
        at += 1
    if at < stop and (page[at] == QUOTE or page[at] == APOSTROPHE):
        quote = page[at]
        at += 1
        while at < stop and page[at] != quote:
            at += 1
        return at + 1
    while at < stop and page[at] != GREATER and not _is_space(page[at]):
        at += 1
    return at


@kernel
def _after_plain_text(page: npt.NDArray[np.uint8], at: int, name: int) -> int:
    """Return where the text of a script or the like ends: at the end tag with the name that starts at `name`."""
    stop = len(page)
    length = 0
    while name + length < stop and _is_letter(page[name + length]):
        length += 1
    while at + 2 + length <= stop:
        if page[at] == LESS and page[at + 1] == SLASH:
            k = 0
            while k < length and (page[at + 2 + k] | 0x20) == (page[name + k] | 0x20):
                k += 1
            if k == length:
                return at
        at += 1
    return stop
