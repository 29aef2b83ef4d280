"""The text contract: valid UTF-8, newlines only, no control characters but tab and newline."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.text import clean_text

ANY = st.text(alphabet=st.characters(codec=None, exclude_categories=[]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\rc\n\rd", "a\nb\nc\n\nd"),
        ("a\tb\nc", "a\tb\nc"),
        ("".join(map(chr, range(32))), "\t\n\n"),
        ("a\x7fb\x1fc\x00d", "abcd"),
        ("\x80\x9f\xa0", "\x80\x9f\xa0"),  # C1 controls are outside the contract
        ("\ud800", "\ufffd"),
        ("a\udc80b", "a\ufffdb"),
        ("\ud83d\ude00", "\U0001f600"),  # two surrogates that make a character, as JSON writes them
        ("e\u0301 \ufb01 \u2028", "e\u0301 \ufb01 \u2028"),  # no normalisation, no other line ends
        ("", ""),
        ("  a  \n\n\n b ", "  a  \n\n\n b "),
    ],
)
def test_clean_text(text: str, expected: str) -> None:
    assert clean_text(text) == expected


@given(ANY)
def test_contract(text: str) -> None:
    cleaned = clean_text(text)
    assert cleaned.encode().decode() == cleaned
    assert {char for char in cleaned if unicodedata.category(char) == "Cc" and ord(char) < 0x80} <= {"\t", "\n"}
    assert clean_text(cleaned) == cleaned
