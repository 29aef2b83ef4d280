"""How texts are prepared for a fastText model; each way has a name that the model's card records.

Training and prediction call the same function, so both see the same words. The result is one line of words separated by
single spaces: fastText refuses newlines, and reads a word `</s>` as the end of the text and a word `__label__x` as a
label, so neither may come from a document.
"""

from __future__ import annotations

import re
from collections.abc import Callable


def fold(text: str) -> str:
    r"""Return the words as they are, one space between them; for models trained on raw text such as lid.176.

    Example: fold("Bonjour\n\n le  </s> monde") == "Bonjour le monde"
    """
    words = text.replace("\0", " ").split()
    return " ".join(word for word in words if word != "</s>" and not word.startswith("__label__"))


# Scripts written without spaces, one character a word: Thai, Lao, Myanmar, Khmer, kana, Han.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
# Punctuation and symbols, also one character a word: ASCII, Latin-1, general punctuation to dingbats, CJK, full width.
_MARKS = (
    "!-/:-@\\[-`{-~\u00a1-\u00bf\u00d7\u00f7\u2010-\u2bff"
    "\u3001-\u303f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
)
_ALONE = re.compile(f"[{_UNSPACED}{_MARKS}]")
_DIGIT = re.compile(r"\d")
# Marks that do the same in every script become one, so what is learnt from them holds in every language.
_SAME_MARK = {
    ".": "\u3002\uff0e\uff61\u0964\u06d4\u0589\u1362",
    ",": "\u3001\uff0c\uff64\u060c\u1363",
    "?": "\uff1f\u061f\u037e",
    "!": "\uff01",
    ":": "\uff1a",
    ";": "\uff1b\u061b",
    '"': "\u201c\u201d\u201e\u201f\u00ab\u00bb\u300c\u300d\u300e\u300f",
    "'": "\u2018\u2019\u201a\u201b",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212",
    "(": "\uff08",
    ")": "\uff09",
}
_UNIFY = {ord(mark): plain for plain, marks in _SAME_MARK.items() for mark in marks}


def words(text: str) -> str:
    """Return lower-cased words, digits as 0, each punctuation mark and each Han, kana or Thai character a word.

    Case, the numbers themselves and how marks are spaced tell where a text was taken from more than what it is, so they
    go.
    Example: words("In 1984, (see p.5)") == "in 0000 , ( see p . 0 )"
    """
    plain = _DIGIT.sub("0", text.replace("\0", " ").lower().translate(_UNIFY))
    return " ".join(_ALONE.sub(r" \g<0> ", plain).split())


NORMALIZERS: dict[str, Callable[[str], str]] = {"fold": fold, "words": words}
"""The names a card can give."""
