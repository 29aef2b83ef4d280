from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproc.decoding import codec_of_label, decode_page, page_encoding

FRENCH = (
    "<p>Le caf\u00e9 co\u00fbte 5 \u20ac \u00e0 l'h\u00f4tel, voil\u00e0 ce que disait le gar\u00e7on"
    " tr\u00e8s press\u00e9.</p>"
)
RUSSIAN = (
    "<p>\u0412\u0441\u0435 \u0441\u0447\u0430\u0441\u0442\u043b\u0438\u0432\u044b\u0435 \u0441\u0435\u043c\u044c\u0438"
    " \u043f\u043e\u0445\u043e\u0436\u0438 \u0434\u0440\u0443\u0433 \u043d\u0430 \u0434\u0440\u0443\u0433\u0430,"
    " \u043a\u0430\u0436\u0434\u0430\u044f \u043d\u0435\u0441\u0447\u0430\u0441\u0442\u043b\u0438\u0432\u0430\u044f"
    " \u0441\u0435\u043c\u044c\u044f \u043d\u0435\u0441\u0447\u0430\u0441\u0442\u043b\u0438\u0432\u0430 \u043f\u043e-"
    "\u0441\u0432\u043e\u0435\u043c\u0443.</p>"
)
JAPANESE = (
    "<p>\u543e\u8f29\u306f\u732b\u3067\u3042\u308b\u3002\u540d\u524d\u306f\u307e\u3060\u7121\u3044\u3002\u3069\u3053"
    "\u3067\u751f\u308c\u305f\u304b\u3068\u3093\u3068\u898b\u5f53\u304c\u3064\u304b\u306c\u3002</p>"
)
KOREAN = "<p>\ub098\ub77c\uc758 \ub9d0\uc774 \uc911\uad6d\uacfc \ub2ec\ub77c \ubb38\uc790\uc640 \uc11c\ub85c</p>"
CHINESE = (
    "<p>\u5b66\u800c\u65f6\u4e60\u4e4b\uff0c\u4e0d\u4ea6\u8bf4\u4e4e\u3002\u6709\u670b\u81ea\u8fdc\u65b9\u6765</p>"
)


@pytest.mark.parametrize(
    ("text", "codec", "label"),
    [
        (FRENCH, "utf-8", "UTF8"),
        (FRENCH, "cp1252", "iso-8859-1"),
        (FRENCH, "cp1252", "us-ascii"),
        (FRENCH, "iso8859-15", "l9"),
        (RUSSIAN, "cp1251", "windows-1251"),
        (RUSSIAN, "koi8-r", " KOI8-R "),
        (RUSSIAN, "iso8859-5", "cyrillic"),
        (JAPANESE, "cp932", "x-sjis"),
        (JAPANESE, "euc_jp", "x-euc-jp"),
        (JAPANESE, "iso2022_jp_2", "iso-2022-jp"),
        (KOREAN, "cp949", "ks_c_5601-1987"),
        (KOREAN, "iso2022_kr", "iso-2022-kr"),
        (CHINESE, "gb18030", "GB2312"),
        (CHINESE, "hz", "hz-gb-2312"),
    ],
)
def test_declared_in_header_or_in_the_page(text: str, codec: str, label: str) -> None:
    data = text.encode(codec)
    assert decode_page(data, label) == (text, codec)
    for declaration in (
        f'<html><head><meta http-equiv="Content-Type" content="text/html; charset={label.strip()}">',
        f"<META CHARSET='{label.strip()}'/>",
        f'<?xml version="1.0" encoding="{label.strip()}"?>',
    ):
        page = declaration + text
        assert decode_page(page.encode(codec)) == (page, codec)


@pytest.mark.parametrize(
    ("text", "codec"),
    [(FRENCH, "utf-8"), (RUSSIAN, "cp1251"), (RUSSIAN, "koi8-r"), (JAPANESE, "cp932"), (JAPANESE, "euc_jp")],
)
def test_undeclared(text: str, codec: str) -> None:
    assert decode_page(text.encode(codec) * 3) == (text * 3, codec)


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_byte_order_mark_beats_every_declaration(codec: str) -> None:
    page = '<meta charset="koi8-r">' + FRENCH
    assert decode_page(("\ufeff" + page).encode(codec), "windows-1251") == (page, codec)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf16_without_mark(codec: str) -> None:
    page = "<html><head><title>T</title></head>" + RUSSIAN
    assert decode_page(page.encode(codec), "utf-8") == (page, codec)


@pytest.mark.parametrize("label", ["iso-8859-1", "windows-1251", "gb2312", "utf-16", "nonsense", None])
def test_utf8_that_says_otherwise(label: str | None) -> None:
    assert decode_page((FRENCH + RUSSIAN).encode(), label) == (FRENCH + RUSSIAN, "utf-8")


def test_utf8_with_some_wrong_bytes_stays_utf8() -> None:
    data = FRENCH.encode() * 3 + b"\xe9 \xff"
    assert decode_page(data, "utf-8") == (FRENCH * 3 + "\ufffd \ufffd", "utf-8")
    assert page_encoding(FRENCH.encode()[:-20] + b"\xc3") == "utf-8"
    assert page_encoding("\ufffd \ufffd \ufffd \u00e9".encode()) == "utf-8"


def test_western_label_on_other_scripts_is_doubted() -> None:
    assert decode_page(RUSSIAN.encode("cp1251") * 3, "iso-8859-1") == (RUSSIAN * 3, "cp1251")
    assert decode_page(JAPANESE.encode("euc_jp") * 3, "windows-1252") == (JAPANESE * 3, "euc_jp")


def test_utf8_label_on_another_encoding() -> None:
    assert decode_page(FRENCH.encode("cp1252") * 3, "utf-8") == (FRENCH * 3, "cp1252")
    assert decode_page(b"caf\xe9", "utf-8") == ("caf\u00e9", "cp1252")


def test_header_beats_meta_unless_the_bytes_refuse_it() -> None:
    page = '<meta charset="koi8-r">' + RUSSIAN
    assert decode_page(page.encode("cp1251"), "windows-1251") == (page, "cp1251")
    assert decode_page(page.encode("koi8-r"), "big5")[1] == "koi8-r"


def test_example_of_the_docstring() -> None:
    assert decode_page(b"prix : 5 \x80", "ISO-8859-1") == ("prix : 5 \u20ac", "cp1252")


# The encodings of the WHATWG standard, but `replacement` and `x-user-defined`.
NAMES = [
    *("utf-8", "ibm866", "koi8-r", "koi8-u", "macintosh", "windows-874", "x-mac-cyrillic", "gbk", "gb18030", "big5"),
    *("euc-jp", "iso-2022-jp", "shift_jis", "euc-kr", "utf-16be", "utf-16le", "iso-8859-8-i"),
    *(f"iso-8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)),
    *(f"windows-125{part}" for part in range(9)),
]


@pytest.mark.parametrize("name", NAMES)
def test_every_web_encoding_has_a_codec(name: str) -> None:
    codec = codec_of_label(name)
    assert codec is not None
    assert b"<p>a".decode(codec if not codec.startswith("utf-16") else "utf-8") == "<p>a"


@pytest.mark.parametrize("label", ["", "x", "rot13", "base64", "unicode_escape", "utf-7", "idna", "\u0131"])
def test_labels_that_are_no_web_encoding(label: str) -> None:
    assert codec_of_label(label) is None


LABELS = [*NAMES, "hz-gb-2312", "iso-2022-kr", "nonsense"]


@given(st.binary(max_size=300), st.sampled_from(LABELS), st.sampled_from([b"", b"\x00<\x00p", b"\xfe\xff", b"\x1b$B"]))
def test_any_bytes_decode(data: bytes, label: str, head: bytes) -> None:
    text, encoding = decode_page(head + data, label)
    assert text == (head + data).decode(encoding, "replace").removeprefix("\ufeff")
    assert text.encode().decode() == text
