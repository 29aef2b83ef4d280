"""What `text` means everywhere: valid UTF-8, lines end in one newline, no control characters but tab and newline.

Nothing else is changed: no Unicode normalisation, no repair, no trimming inside lines.
"""

from __future__ import annotations

# C0 controls, minus tab and newline, plus DEL. They are single bytes of UTF-8, and a table of bytes drops them far
# faster than one of code points.
_CONTROLS = bytes((*range(0, 9), 11, 12, *range(14, 32), 127))


def clean_text(text: str) -> str:
    r"""Return the text under the contract of this module; lone surrogates become U+FFFD.

    Example: clean_text("a\r\nb\rc\x00d") == "a\nb\ncd"
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    try:
        data = text.encode()
    except UnicodeEncodeError:
        plain = text.translate(dict.fromkeys(_CONTROLS))  # first: it may bring two halves of a pair together
        data = plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    return data.translate(None, _CONTROLS).decode()
