"""How much work a page is for an HTML parser, told in one pass over its bytes before it is parsed.

For some pages a parser takes time and memory out of proportion: each attribute of a tag is compared with the others,
each <option> with those before it, and each paragraph opens every <font> again that was not closed. The counts are
those of a tokenizer that builds no tree, so they bound the work without being the tree's own. Cost: 1 GB/s.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dataproc.kernels.buffers import frozen
from dataproc.kernels.jit import kernel

EXCLAMATION, QUOTE, APOSTROPHE, HYPHEN, SLASH = 0x21, 0x22, 0x27, 0x2D, 0x2F
LESS, EQUALS, GREATER = 0x3C, 0x3D, 0x3E


class HtmlShape(NamedTuple):
    """Counts of one page."""

    tags: int  # start tags
    attributes: int  # most in one tag
    siblings: int  # most <option>s, or parts of a <ruby>, in one parent
    unclosed: int  # most formatting elements (<b>, <font>, ...) open at once


def html_shape(page: bytes) -> HtmlShape:
    """Measure a page in UTF-8 or any encoding that keeps ASCII.

    Tags inside comments, scripts, styles and other elements of plain text are none.
    Example: html_shape(b'<p id=a class="b > c"><b>x<b>y</b>') == HtmlShape(tags=3, attributes=2, siblings=0,
    unclosed=2)
    """
    counts = _html_shape(np.frombuffer(page, np.uint8), _PLAIN, _FORMATTING, _SIBLINGS, _PARENTS)
    return HtmlShape(*counts.tolist())


def _packed(*names: str) -> npt.NDArray[np.int64]:
    """Return tag names of at most seven bytes as integers, as `_name` reads them."""
    return frozen(np.array([int.from_bytes(name.encode(), "big") for name in names], np.int64))


# Longer names are cut to seven bytes: no other element starts with any of these.
_PLAIN = _packed("script", "style", "textare", "title", "xmp", "iframe", "noembed", "noframe")
_FORMATTING = _packed("b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u")
_SIBLINGS = _packed("option", "rb", "rp", "rt", "rtc")
_PARENTS = _packed("select", "optgrou", "ruby", "datalis")


@kernel
def _html_shape(
    page: npt.NDArray[np.uint8],
    plain: npt.NDArray[np.int64],
    formatting: npt.NDArray[np.int64],
    siblings: npt.NDArray[np.int64],
    parents: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    most = np.zeros(4, np.int64)
    row = unclosed = 0
    at, stop = 0, len(page)
    while at < stop - 1:
        if page[at] != LESS:
            at += 1
        elif page[at + 1] == EXCLAMATION:
            at = _after_markup(page, at)
        elif page[at + 1] == SLASH and at + 2 < stop and _is_letter(page[at + 2]):
            name, at = _name(page, at + 2)
            unclosed -= unclosed > 0 and _among(name, formatting)
            if _among(name, parents):
                row = 0
            at, _ = _after_attributes(page, at)
        elif _is_letter(page[at + 1]):
            begin = at + 1
            name, at = _name(page, begin)
            at, attributes = _after_attributes(page, at)
            unclosed += _among(name, formatting)
            if _among(name, siblings):
                row += 1
            elif _among(name, parents):
                row = 0
            most[0] += 1
            most[1] = max(most[1], attributes)
            most[2] = max(most[2], row)
            most[3] = max(most[3], unclosed)
            if _among(name, plain):
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
def _among(name: int, names: npt.NDArray[np.int64]) -> bool:
    for known in names:  # noqa: SIM110 (numba has no any())
        if name == known:
            return True
    return False


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
        while at < len(page):
            if page[at] == GREATER and page[at - 1] == HYPHEN and page[at - 2] == HYPHEN:
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
