"""Decoded bytes of a file made of compressed members, and how to go on after a damaged one.

A WARC file is meant to hold one record in each gzip member, so a damaged member need not cost more than its record:
the reader looks for the next member that decodes and holds a record. Works the same for zstd frames, lz4 frames and,
as one undamaged member, for files without compression.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from dataproc.errors import InputError

BLOCK_BYTES = 1 << 20
PROBE_BYTES = 1 << 16
FIRST_STEP_BYTES = 256  # most places that only look like the start of a member show it soon
SURE_BYTES = 8
GZIP_MAGIC = b"\x1f\x8b\x08"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ZSTD_SKIPPED = tuple(bytes([first, 0x2A, 0x4D, 0x18]) for first in range(0x50, 0x60))
ZSTD_DICTIONARY = ZSTD_SKIPPED[0xD]
LZ4_MAGIC = b"\x04\x22\x4d\x18"
RECORD_START = re.compile(rb"(?:\A|\n)WARC/\d", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some decoded bytes of a member, or the news that the rest of it cannot be decoded."""

    data: bytes
    start: int  # stored offset of the member
    end: int  # stored offset behind the bytes that gave `data`; in a broken piece, where decoding failed
    first: bool = False  # opens its member
    last: bool = False  # ends its member, checksum right
    broken: str | None = None  # the cause
    resume: int = -1  # of a broken piece: where the next piece starts


@dataclass(frozen=True)
class Codec:
    """A compression whose members can be found again by their first bytes."""

    name: str
    magic: bytes
    errors: tuple[type[Exception], ...]
    open: Callable[[bytes], Any]  # dictionary -> object with decompress(), eof and unused_data
    skipped: tuple[bytes, ...] = ()  # magics of frames that hold no data, followed by a 32-bit length
    feed_bytes: int = 1 << 15  # stored bytes decoded at once, so that what they can grow to is bounded by some 32 MB
    blind_bytes: int = 1 << 23  # stored bytes that may come before the first that is decoded: header and a block


def _open_zstd(dictionary: bytes) -> Any:
    import zstandard

    known = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
    return zstandard.ZstdDecompressor(dict_data=known).decompressobj()


def codec_of(name: str, head: bytes = b"") -> Codec | None:
    """Return the codec that a file name ends in, else the one that the file's first bytes are of, else None.

    Raises InputError when the library for it is missing. Example: codec_of("a.warc.gz").name == "gzip"
    """
    name = name.lower()
    if name.endswith(".gz") or (head.startswith(GZIP_MAGIC) and not name.endswith((".zst", ".lz4"))):
        return Codec("gzip", GZIP_MAGIC, (zlib.error,), lambda _: zlib.decompressobj(31), blind_bytes=1 << 12)
    if name.endswith(".zst") or (head.startswith(ZSTD_MAGIC) and not name.endswith(".lz4")):
        import zstandard

        # Four bytes of zstd can stand for 128 KB.
        return Codec("zstd", ZSTD_MAGIC, (zstandard.ZstdError,), _open_zstd, ZSTD_SKIPPED, 1 << 10, 1 << 18)
    if name.endswith(".lz4"):
        try:
            import lz4.frame
        except ImportError as error:
            raise InputError(f"{name} needs the package lz4. Install it: pip install lz4.") from error
        return Codec("lz4", LZ4_MAGIC, (RuntimeError,), lambda _: lz4.frame.LZ4FrameDecompressor())
    return None


class Window:
    """Reads of a seekable file at any offset through one block of memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, 2)
        self._block = b""
        self._offset = 0

    def at(self, offset: int, num_bytes: int) -> memoryview:
        """Return up to `num_bytes` at `offset`, at least one before the file's end."""
        if not self._offset <= offset < self.read_bytes:
            self._load(offset)
        skip = offset - self._offset
        return memoryview(self._block)[skip : skip + num_bytes]

    def _load(self, offset: int) -> None:
        self._file.seek(offset)
        self._block, self._offset = self._file.read(BLOCK_BYTES), offset

    @property
    def read_bytes(self) -> int:
        """Return the offset behind the last byte read from the file."""
        return self._offset + len(self._block)

    def exactly(self, offset: int, num_bytes: int) -> bytes:
        """Return the bytes at `offset`, fewer only at the file's end."""
        data = b""
        while len(data) < num_bytes and (more := self.at(offset + len(data), num_bytes - len(data))):
            data += more
        return data

    def find(self, pattern: bytes, offset: int) -> int:
        """Return the first offset of the pattern from `offset` on, or -1."""
        self.at(offset, 1)
        while (found := self._block.find(pattern, offset - self._offset)) < 0:
            if self.read_bytes >= self.size:
                return -1
            offset = max(offset, self.read_bytes - len(pattern) + 1)
            self._load(offset)
        return self._offset + found


class Members:
    """The pieces of a file, in order; every stored byte is in one member or in one broken piece.

    Damage is skipped up to the next member that decodes and holds the start of a record. The causes are `corrupt` (a
    member does not decode), `garbage` (no member starts where one should) and `cut` (the file ends inside a member).
    """

    def __init__(self, window: Window, codec: Codec | None) -> None:
        self._window = window
        self._codec = codec
        self._dictionary = b""

    def __iter__(self) -> Iterator[Piece]:
        if self._codec is None:
            yield from self._uncompressed()
            return
        start = 0
        while start < self._window.size:
            cause = None
            for piece in self._member(start, self._codec):
                if piece.broken:
                    cause, resume = piece.broken, self._resume(start + 1, self._codec)
                    cause = "corrupt" if cause == "cut" and resume < self._window.size else cause
                    yield replace(piece, broken=cause, resume=resume)
                    start = resume
                else:
                    yield piece
                    start = piece.end if piece.last else start

    def _uncompressed(self) -> Iterator[Piece]:
        position = 0
        while data := self._window.at(position, BLOCK_BYTES):
            end = position + len(data)
            yield Piece(bytes(data), 0, end, first=position == 0, last=end == self._window.size)
            position = end

    def _member(self, start: int, codec: Codec) -> Iterator[Piece]:
        """Yield the pieces of one member; the last one says how it ended."""
        head = self._window.exactly(start, 4)
        if head in codec.skipped:
            yield self._skipped(start, head)
            return
        if not (head.startswith(codec.magic) or codec.magic.startswith(head)):
            yield Piece(b"", start, start, first=True, broken="garbage")
            return
        decoder, position, data, first = codec.open(self._dictionary), start, b"", True
        while True:
            chunk = self._window.at(position, codec.feed_bytes)
            decoded, used, healthy = _decode(decoder, chunk, codec.errors)
            position += used
            data += decoded
            if healthy and decoder.eof:
                yield Piece(data, start, position, first, last=True)
                return
            ended = not healthy or not chunk
            if len(data) >= SURE_BYTES or (data and ended):  # enough to tell whether the member starts with a record
                yield Piece(data, start, position, first)
                data, first = b"", False
            if ended:
                yield Piece(b"", start, position, first, broken="cut" if healthy else "corrupt")
                return

    def _skipped(self, start: int, head: bytes) -> Piece:
        """Pass over a frame without data; the first of a .warc.zst may be the dictionary of all others."""
        size = int.from_bytes(self._window.exactly(start + 4, 4), "little")
        end = start + 8 + size
        if end > self._window.size:
            return Piece(b"", start, start, first=True, broken="cut")
        if start == 0 and head == ZSTD_DICTIONARY:
            self._dictionary = self._window.exactly(8, size)
            if self._dictionary.startswith(ZSTD_MAGIC):
                import zstandard

                self._dictionary = zstandard.ZstdDecompressor().decompressobj().decompress(self._dictionary)
        return Piece(b"", start, end, first=True, last=True)

    def _resume(self, offset: int, codec: Codec) -> int:
        """Return where the next healthy member with the start of a record begins, or the size of the file."""
        while (found := self._window.find(codec.magic, offset)) >= 0:
            decoder, position, data = codec.open(self._dictionary), found, b""
            healthy, step = True, FIRST_STEP_BYTES
            while (
                healthy
                and not decoder.eof
                and len(data) < PROBE_BYTES
                and (data or position - found < codec.blind_bytes)
                and (chunk := self._window.at(position, min(step, codec.feed_bytes)))
            ):
                decoded, used, healthy = _decode(decoder, chunk, codec.errors)
                position += used
                data += decoded
                step *= 2
            if RECORD_START.search(data):
                return found
            offset = found + 1
        return self._window.size


def _decode(decoder: Any, chunk: memoryview, errors: tuple[type[Exception], ...]) -> tuple[bytes, int, bool]:
    """Return the bytes decoded, how much of the chunk they took, and whether all is well.

    Decoders keep what they decoded before an error to themselves, so such a chunk is fed again byte by byte where the
    decoder can be copied.
    """
    saved = decoder.copy() if hasattr(decoder, "copy") else None
    try:
        data = decoder.decompress(chunk)
        return data, len(chunk) - len(decoder.unused_data or b""), True
    except errors:
        if saved is None:
            return b"", 0, False
    parts = []
    for used in range(len(chunk)):
        try:
            parts.append(saved.decompress(chunk[used : used + 1]))
        except errors:
            return b"".join(parts), used, False
    return b"".join(parts), len(chunk), False
