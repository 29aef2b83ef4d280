"""What `text` means everywhere: valid UTF-8, lines end in one newline, no control characters but tab and newline.

Nothing else is changed: no Unicode normalisation, no repair, no trimming inside lines.
"""

from __future__ import annotations

# C0 controls, minus tab and newline, plus DEL; a translate table drops them in one pass.
_CONTROLS = dict.fromkeys((*range(0, 9), 11, 12, *range(14, 32), 127))


def clean_text(text: str) -> str:
    r"""Return the text under the contract of this module; lone surrogates become U+FFFD.

    Example: clean_text("a\r\nb\rc\x00d") == "a\nb\ncd"
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROLS)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
