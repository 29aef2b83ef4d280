from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from dataproc.kernels import char_classes as cc
from dataproc.kernels.char_classes import ALONE, FORMAT, LETTER, MARK, NUMBER, OTHER, PUNCTUATION, SPACE, SYMBOL

CLASSES, FOLD = cc.tables()


@pytest.mark.parametrize(
    ("kind", "chars"),
    [
        (LETTER, "azA\u00e9\u0431\u05d0\u0628\u0915\u1100\ud55c\uff21\U00010400"),
        (
            ALONE,
            "\u4e2d\u3042\u30a2\u30fc\uff71\u3005\u3007\u3105\ua000\u0e01\u0e40\u0e81\u1780\u1000\U00020000\U00017000",
        ),
        (NUMBER, "09\u00b2\u00bd\u2167\u0e50\u0967"),
        (MARK, "\u0301\u093f\u0e34\u17d2\u3099\ufe0f\u20e3"),
        (FORMAT, "\u00ad\u200c\u200d\u200e\ufeff"),
        (SPACE, " \t\n\r\x0b\u0085\u00a0\u2003\u2028\u3000\u200b"),
        (PUNCTUATION, ".,'\"-_#%&*@\u2019\u2026\u2022\u3002\u0964"),
        (SYMBOL, "$+<=>^`|~\u00a9\u20ac\ufffd\U0001f600"),
        (OTHER, "\x00\x7f\ue000\u0378\U0010ffff"),
    ],
)
def test_class_of(kind: int, chars: str) -> None:
    assert {char: int(CLASSES[ord(char)]) for char in chars} == dict.fromkeys(chars, kind)


def test_shipped_table_is_what_this_module_generates() -> None:
    if unicodedata.unidata_version == cc.UNIDATA_VERSION:
        assert cc.generate() == cc.TABLE.read_text(encoding="ascii")
    assert cc.TABLE.read_text(encoding="ascii").startswith(
        f"# Character classes and simple case folding of Unicode {cc.UNIDATA_VERSION}."
    )


def test_classes_follow_the_general_category() -> None:
    """Unicode never takes a letter or number out of its category, so this holds under every later Python as well."""
    for code in np.flatnonzero(CLASSES).tolist():
        char, kind = chr(code), CLASSES[code]
        assert char.isspace() == (kind == SPACE) or char == "\u200b"
        if kind in (LETTER, ALONE):
            assert unicodedata.category(char)[0] == "L" or unicodedata.category(char) == "Nl"


@pytest.mark.parametrize(
    ("char", "folded"),
    [
        *[("A", "a"), ("a", "a"), ("\u00c9", "\u00e9"), ("\u0416", "\u0436"), ("\U00010400", "\U00010428")],
        *[("\u03a3", "\u03c3"), ("\u03c2", "\u03c3"), ("\u212a", "k"), ("\u1e9e", "\u00df"), ("\u00df", "\u00df")],
        *[("\u0130", "\u0130"), ("I", "i"), ("\u0131", "\u0131"), ("\u4e2d", "\u4e2d")],
    ],
)
def test_fold_is_one_to_one_and_knows_no_context(char: str, folded: str) -> None:
    assert chr(FOLD[ord(char)]) == folded


def test_fold_is_stable_and_grows_no_text_by_more_than_half() -> None:
    """The room that the shingle kernel sets aside rests on this."""
    assert (FOLD[FOLD] == FOLD).all()
    changed = [code for code in range(len(FOLD)) if FOLD[code] != code]
    assert len(changed) == 1454
    assert max(len(chr(FOLD[code]).encode()) / len(chr(code).encode()) for code in changed) == 1.5
    assert all(chr(code).lower() == chr(code) for code in range(len(FOLD), 0x110000))


def test_folding_changes_no_class_but_that_of_the_iota_subscript() -> None:
    """So a folded word is a word again. The mark U+0345 folds to a Greek letter."""
    cased = np.flatnonzero(np.arange(len(FOLD)) != FOLD)
    assert cased[CLASSES[cased] != CLASSES[FOLD[cased]]].tolist() == [0x345]
