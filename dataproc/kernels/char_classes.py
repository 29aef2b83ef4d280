"""A class and a case folding for every code point, the same under every Python version.

Python's unicodedata changes with Python, so the tables are made once (`python -m dataproc.kernels.char_classes`) and
shipped as `char_classes.txt`, plain ranges that show in a diff what a new Unicode version changes. At run time they
are flat arrays, one byte a code point: a text touches few of its cache lines, and one load finds the class.
"""

from __future__ import annotations

import sys
import unicodedata
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

UNIDATA_VERSION = "14.0.0"
TABLE = Path(__file__).with_name("char_classes.txt")

OTHER, LETTER, ALONE, NUMBER, MARK, FORMAT, SPACE, PUNCTUATION, SYMBOL = range(9)
"""Classes. LETTER and ALONE are letters; ALONE ones never join others to a word, see `ALONE_NAMES`. FORMAT characters
(soft hyphen, joiners, direction marks) are invisible; SPACE is what `str.isspace` says, and the zero-width space."""

_LETTERS = ".LANMFZPS"  # how char_classes.txt writes the classes, in their order

ALONE_NAMES = (
    # UAX #14 classes ID and CJ: a line may break between any two characters.
    *("CJK ", "IDEOGRAPHIC ", "VERTICAL IDEOGRAPHIC ", "HANGZHOU ", "NUSHU ", "KHITAN SMALL SCRIPT "),
    *("HIRAGANA ", "KATAKANA", "HALFWIDTH KATAKANA", "HENTAIGANA ", "VERTICAL KANA ", "MASU MARK", "BOPOMOFO ", "YI "),
    # UAX #14 class SA: words are not marked at all.
    *("THAI ", "LAO ", "KHMER ", "MYANMAR ", "TAI LE ", "NEW TAI LUE ", "TAI THAM ", "TAI VIET ", "AHOM "),
)
"""Starts of the Unicode names of letters that are written without spaces between words."""


class Tables(NamedTuple):
    """Both tables as arrays indexed by code point; read-only."""

    classes: npt.NDArray[np.uint8]  # [0x110000]
    fold: npt.NDArray[np.int32]  # [0x20000] the code point that stands for all cases; those above stand for themselves


@cache
def tables() -> Tables:
    """Read the shipped tables.

    Example: tables().classes[ord("a")] == LETTER; tables().fold[ord("A")] == ord("a").
    """
    classes = np.zeros(0x110000, np.uint8)
    fold = np.arange(0x20000, dtype=np.int32)
    for line in TABLE.read_text(encoding="ascii").splitlines():
        if line.startswith("#"):
            continue
        span, value = line.split()
        first, _, last = span.partition("-")
        if len(value) == 1:
            classes[int(first, 16) : int(last or first, 16) + 1] = _LETTERS.index(value)
        else:
            fold[int(first, 16)] = int(value, 16)
    classes.flags.writeable = False
    fold.flags.writeable = False
    return Tables(classes, fold)


def generate() -> str:
    """Return the text of `char_classes.txt` under this Python's Unicode version."""
    lines = [
        f"# Character classes and simple case folding of Unicode {unicodedata.unidata_version}.",
        "# Made by `python -m dataproc.kernels.char_classes`, which documents it; do not edit.",
        "# Derived from the Unicode Character Database, (c) Unicode, Inc., under the Unicode License V3",
        "# (https://www.unicode.org/license.txt).",
        "# FIRST-LAST CLASS: L letter, A letter standing alone, N number, M mark, F format, Z space, P punctuation,",
        "# S symbol",
    ]
    for value, group in groupby(range(0x110000), _class_of):
        span = list(group)
        if value != OTHER:
            lines.append(f"{span[0]:04X}-{span[-1]:04X} {_LETTERS[value]}")
    lines.append("# UPPER FOLDED")
    lines += [f"{code:04X} {folded:04X}" for code in range(0x110000) if (folded := _fold_of(code)) != code]
    return "\n".join(lines) + "\n"


def _class_of(code: int) -> int:
    char = chr(code)
    category = unicodedata.category(char)
    if char.isspace() or char == "\u200b":
        return SPACE
    tangut = 0x17000 <= code < 0x18D80  # also class ID; Python names none of its ideographs
    if (category[0] == "L" or category == "Nl") and (tangut or unicodedata.name(char, "").startswith(ALONE_NAMES)):
        return ALONE
    by_category = {"L": LETTER, "N": NUMBER, "M": MARK, "P": PUNCTUATION, "S": SYMBOL}
    return FORMAT if category == "Cf" else by_category.get(category[0], OTHER)


def _fold_of(code: int) -> int:
    """Simple case folding (statuses C and S of CaseFolding.txt): one code point to one, the same in any word."""
    for folded in (chr(code).casefold(), chr(code).lower()):
        if len(folded) == 1:
            return ord(folded)
    return code


if __name__ == "__main__":
    if (ours := unicodedata.unidata_version) != UNIDATA_VERSION:
        sys.exit(f"UNIDATA_VERSION must be this Python's, {ours}, got {UNIDATA_VERSION}. Change it first.")
    TABLE.write_text(generate(), encoding="ascii")
