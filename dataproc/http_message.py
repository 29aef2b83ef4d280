"""An HTTP response as a crawler stored it: status, media type, and the body with its codings undone.

Archives keep responses as they came, or with the codings already undone and the header left as it was, or cut. So
every coding is undone as far as the bytes allow, and a body that visibly is not coded is taken as it stands.

A body that lacks its end is `cut`. The decoder of its coding tells; without a coding, Content-Length does. It is not
held against a body with a coding, which the archive may have undone (Common Crawl then writes X-Crawl-Content-Length).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_HEADER_BYTES = 1 << 16
STEP_BYTES = 1024
LOST_BYTES = 4  # short by no more is whole: archives lose final newlines (66 of 153 in Common Crawl's files of 2008)
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

Headers = dict[str, list[str]]  # lower-case name -> values in order

_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?!\d)")
_CHARSET = re.compile(r"""charset\s*=\s*["']?\s*([^\s"';,]+)""", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")


@dataclass(frozen=True, slots=True)
class HttpMessage:
    """A response.

    `cut` tells that the body lacks its end, `over` that it was cut at the limit.
    """

    status: int | None
    content_type: str | None
    charset: str | None
    body: bytes
    cut: bool = False
    over: bool = False


def header_end(data: bytes | bytearray, start: int = 0) -> tuple[int, int] | None:
    """Return where a header's lines end and what follows its blank line begins; None without a blank line."""
    match = _BLANK_LINE.search(data, start, start + MAX_HEADER_BYTES)
    return match.span() if match else None


def parse_fields(block: bytes) -> Headers:
    r"""Return the fields of header lines, folded lines joined; what is no field is passed over.

    Example: parse_fields(b"A: b\r\n c\r\na: d") == {"a": ["b c", "d"]}
    """
    fields: Headers = {}
    name = ""
    for line in block.decode("utf-8", "replace").replace("\r\n", "\n").split("\n"):
        if line[:1] in (" ", "\t") and name:
            fields[name][-1] = f"{fields[name][-1]} {line.strip()}".strip()
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if colon and name:
            fields.setdefault(name, []).append(value.strip())
        else:
            name = ""
    return fields


def media_type(value: str | None) -> tuple[str | None, str | None]:
    """Return the lower-case media type and the charset of a Content-Type.

    Example: media_type('Text/HTML; charset="UTF-8"') == ("text/html", "UTF-8")
    """
    if not value:
        return None, None
    charset = _CHARSET.search(value)
    return value.partition(";")[0].strip().lower() or None, charset[1] if charset else None


def parse_response(block: bytes, max_bytes: int) -> HttpMessage:
    """Return the response in `block`; one without a status line is all body.

    The body is at most `max_bytes` long.
    """
    status = _STATUS.match(block)
    if status is None:
        return HttpMessage(None, None, None, block)
    span = header_end(block)
    lines, body = (block[: span[0]], block[span[1] :]) if span else (block, b"")
    fields = parse_fields(lines.partition(b"\n")[2])
    content_type, charset = media_type(next(reversed(fields.get("content-type", [])), None))
    cut = span is None
    chunked = "chunked" in ",".join(fields.get("transfer-encoding", [])).lower()
    if chunked:
        body, broken = undo_chunks(body)
        cut = cut or broken
    codings = ",".join(fields.get("content-encoding", [])).lower().replace(" ", "").split(",")
    if not chunked and _UNDO.keys().isdisjoint(codings):
        cut = cut or len(body) + LOST_BYTES < declared_length(fields)
    for coding in reversed(codings):
        if coding in _UNDO and body:
            body, broken = _UNDO[coding](body, max_bytes)
            cut = cut or broken
    return HttpMessage(int(status[1]), content_type, charset, body[:max_bytes], cut, len(body) > max_bytes)


def declared_length(fields: Headers) -> int:
    """Return the Content-Length; 0, which no body is shorter than, when there is none or it is no one number.

    Repeated equal values are one, as in RFC 9112, section 6.3.
    Example: declared_length({"content-length": ["5", "5"]}) == 5
    """
    values = {value.strip() for value in ",".join(fields.get("content-length", [])).split(",")}
    value = values.pop()
    return int(value) if not values and _LENGTH.fullmatch(value) else 0


def undo_chunks(body: bytes) -> tuple[bytes, bool]:
    r"""Return a chunked body in one piece and whether it is cut; a body that does not start with a chunk is left alone.

    Example: undo_chunks(b"5;ext\r\nhello\r\n0\r\n\r\n") == (b"hello", False)
    """
    parts: list[bytes] = []
    position = 0
    while size := _CHUNK_SIZE.match(body, position):
        length = int(size[1], 16)
        if length == 0:
            return b"".join(parts), False
        parts.append(body[size.end() : size.end() + length])
        position = size.end() + length
        while body[position : position + 1] in (b"\r", b"\n"):
            position += 1
    return (b"".join(parts), True) if parts else (body, False)


def _undo(open_decoder: Callable[[], Any], body: bytes, max_bytes: int, magic: bytes = b"") -> tuple[bytes, bool]:
    """Return what a decoder makes of the body, a little over `max_bytes` at most, and whether the body is cut.

    With `magic`, what follows the end of a member and begins like another one is decoded too.
    """
    parts: list[bytes] = []
    decoder, position, size = open_decoder(), 0, 0
    try:
        while position < len(body) and size <= max_bytes:
            step = body[position : position + STEP_BYTES]  # small: what an error interrupts is lost
            parts.append(decoder.decompress(step))
            size += len(parts[-1])
            position += len(step)
            if decoder.eof:
                position -= len(decoder.unused_data)
                if not magic or not body.startswith(magic, position):
                    return b"".join(parts), False
                decoder = open_decoder()
    except _decoder_errors():
        return b"".join(parts), True
    return b"".join(parts), size <= max_bytes


def _undo_gzip(body: bytes, max_bytes: int) -> tuple[bytes, bool]:
    if not body.startswith(GZIP_MAGIC):
        return body, False
    return _undo(lambda: zlib.decompressobj(31), body, max_bytes, GZIP_MAGIC)


def _undo_deflate(body: bytes, max_bytes: int) -> tuple[bytes, bool]:
    """Undo a zlib stream, which the standard means, or a bare deflate stream, which many servers send."""
    for window_bits in (15, -15):
        data, cut = _undo(lambda bits=window_bits: zlib.decompressobj(bits), body, max_bytes)  # type: ignore[misc]
        if data or not cut:
            return data, cut
    return _not_coded(body)


def _undo_brotli(body: bytes, max_bytes: int) -> tuple[bytes, bool]:
    data, cut = _undo(lambda: _Brotli(max_bytes), body, max_bytes)
    return (data, cut) if data else _not_coded(body)


def _undo_zstd(body: bytes, max_bytes: int) -> tuple[bytes, bool]:
    if not body.startswith(ZSTD_MAGIC):
        return body, False
    import zstandard

    return _undo(zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj, body, max_bytes, ZSTD_MAGIC)


class _Brotli:
    """A brotli decoder asked like zlib's; a few bytes can stand for gigabytes, so it stops at `max_bytes` by itself."""

    unused_data = b""

    def __init__(self, max_bytes: int) -> None:
        import brotli

        self._decoder = brotli.Decompressor()
        self._left = max_bytes

    def decompress(self, data: bytes) -> bytes:
        parts: list[bytes] = []
        while not parts or (self._left >= 0 and not self._decoder.can_accept_more_data() and not self.eof):
            parts.append(self._decoder.process(b"" if parts else data, output_buffer_limit=1 << 16))
            self._left -= len(parts[-1])
        return b"".join(parts)

    @property
    def eof(self) -> bool:
        return bool(self._decoder.is_finished())


def _decoder_errors() -> tuple[type[Exception], ...]:
    import brotli
    import zstandard

    return zlib.error, brotli.error, zstandard.ZstdError


def _not_coded(body: bytes) -> tuple[bytes, bool]:
    """Return a body that its decoder refuses at once: itself when it looks like a page, else nothing."""
    return (body, False) if body.lstrip()[:1] in (b"<", b"{") else (b"", True)


_UNDO: dict[str, Callable[[bytes, int], tuple[bytes, bool]]] = {
    "gzip": _undo_gzip,
    "x-gzip": _undo_gzip,
    "deflate": _undo_deflate,
    "br": _undo_brotli,
    "zstd": _undo_zstd,
}
