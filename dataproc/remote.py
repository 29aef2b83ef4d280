"""Files of the crawl on any store, read so that weak networks and busy servers cost time and never bytes.

A remote file is fetched in blocks; a block that breaks off is continued at the byte where it stopped. Busy answers
(408, 425, 429, 5xx) and broken connections are tried again after 1, 2, 4 ... 60 s, or as long as Retry-After asks, and
no process tries again more than once a second, as Common Crawl asks of its users. Nothing else is tried again: 403 and
404 are errors at once. Only times depend on any of this: the bytes are those of the file, or there is an InputError.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import fsspec
import fsspec.asyn
import fsspec.config
from fsspec.implementations.local import LocalFileSystem
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from dataproc.errors import InputError

BLOCK_BYTES = 16 << 20
TRIES = 8
LEAST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
CONNECT_S = 30.0
SILENCE_S = 60.0
"""Seconds without a byte after which a connection counts as broken."""

BUSY = (408, 425, 429)

log = logging.getLogger(__name__)
T = TypeVar("T")


def open_store(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a path or URL, and the path in it.

    Raises InputError for an unknown kind of URL, and for one whose client is not installed.
    """
    scheme = url.partition("://")[0]
    try:
        fs, path = fsspec.core.url_to_fs(url, **_store_options(scheme))
    except ImportError as error:
        raise InputError(
            f"{url}: {error}. Install what this kind of URL needs, e.g. pip install 'dataproc-llm[s3]'."
        ) from error
    except ValueError as error:
        raise InputError(f"{url} must be a path or a URL that fsspec knows, got: {error}.") from error
    if scheme in ("s3", "s3a"):
        fs.retries = 1  # one place decides when to try again
    return fs, path


def _store_options(scheme: str) -> dict[str, Any]:
    """Return what we ask of a store's client; what fsspec's own configuration says beside it stays."""
    name, ours = "", dict[str, Any]()
    if scheme in ("http", "https"):
        from aiohttp import ClientTimeout

        # Files are taken as they are stored, also where a server calls a .gz a gzip-encoded something.
        timeout = ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
        name, ours = "client_kwargs", {"timeout": timeout, "auto_decompress": False, "trust_env": True}
    elif scheme in ("s3", "s3a"):
        name, ours = "config_kwargs", {"retries": {"total_max_attempts": 1}, "read_timeout": SILENCE_S}
    return {name: {**fsspec.config.conf.get(scheme, {}).get(name, {}), **ours}} if name else {}


def is_local(fs: Any) -> bool:
    """Tell whether a file system is this machine's own."""
    return isinstance(fs, LocalFileSystem)


def open_input(location: str, *, block_bytes: int = BLOCK_BYTES) -> BinaryIO:
    """Open a file of the crawl for reading; the result seeks.

    `block_bytes` are fetched at a time, and held, of a remote file; 1 fetches no more than each read asks for.
    Raises InputError when the file is not there or not readable, here or at any read.
    Example: open_input("https://host/a.warc.gz").read(2) == bytes([31, 139])
    """
    fs, path = open_store(location)
    if not is_local(fs):
        return cast(BinaryIO, RemoteFile(fs, path, location, block_bytes))
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise _as_input_error(location, error) from error


def file_size(location: str) -> int:
    """Return the bytes of a file; raises InputError as `open_input` does."""
    fs, path = open_store(location)
    if _is_http(fs):
        return RemoteFile(fs, path, location, 1).size
    return int(retried(location, lambda: fs.size(path)))


class RemoteFile(io.BufferedIOBase):
    """A file of a store, read block by block; memory is one block, or one read where that is larger."""

    def __init__(self, fs: Any, path: str, location: str, block_bytes: int) -> None:
        self._fs, self._path, self._location = fs, path, location
        self._block_bytes = block_bytes
        self._block = bytearray()
        self._start = self._position = 0
        self._known_size = -1
        if _is_http(fs):  # the first block tells the size: no request for it alone
            self._fetch(block_bytes)
        else:
            self._known_size = int(retried(location, lambda: fs.size(path)))

    @property
    def size(self) -> int:
        """Return the bytes of the file."""
        return self._known_size

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the offset of the next read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the offset of the next read, and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Return `size` bytes, fewer only at the end of the file; -1 reads to the end."""
        stop = self.size if size is None or size < 0 else min(self._position + size, self.size)
        if stop <= self._position:
            return b""
        if not self._start <= self._position <= stop <= self._start + len(self._block):
            self._fetch(max(stop - self._position, self._block_bytes))
        begin = self._position - self._start
        data = bytes(memoryview(self._block)[begin : begin + stop - self._position])
        self._position = stop
        return data

    def _fetch(self, num_bytes: int) -> None:
        """Make the block begin at the position and hold `num_bytes`, or what the file has; what is there is kept."""
        skip = self._position - self._start
        self._block = self._block[skip:] if 0 <= skip < len(self._block) else bytearray()
        self._start = self._position
        while True:
            stop = self._start + num_bytes
            stop = stop if self._known_size < 0 else min(stop, self._known_size)
            if self._known_size >= 0 and self._start + len(self._block) >= stop:
                return
            retried(self._location, partial(self._go_on, stop))

    def _go_on(self, stop: int) -> None:
        """Fetch what is missing of the block; what comes before a connection breaks stays."""
        have = len(self._block)
        try:
            self._bring(self._start + have, stop)
        except Exception as error:  # each store has exceptions of its own; `retried` tells them apart
            if len(self._block) == have or not _may_pass(error):
                raise
            log.warning("%s broke off at byte %d; going on there", self._location, self._start + len(self._block))
            _pace.sleep(0)
        if len(self._block) == have and self._start + have < self._known_size:
            raise ConnectionError("an answer without bytes")

    def _bring(self, start: int, stop: int) -> None:
        if _is_http(self._fs):
            fsspec.asyn.sync(self._fs.loop, self._get, start, stop)
        else:
            self._block += self._fs.cat_file(self._path, start=start, end=stop)

    async def _get(self, start: int, stop: int) -> None:
        """Add bytes `start` to `stop` of an HTTP file to the block as they come, and learn its size."""
        session = await self._fs.set_session()
        headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        async with session.get(self._fs.encode_url(self._path), headers=headers) as response:
            if response.status == 416 and start == 0:  # no byte can be asked of an empty file
                self._known_size = 0
                return
            response.raise_for_status()
            self._learn_size(response.status, response.headers)
            if response.status != 206 and (start > 0 or stop < self._known_size):
                raise InputError(
                    f"{self._location} must be on a server that knows byte ranges, got all of it for a part."
                    " Copy it to this machine first."
                )
            async for chunk in response.content.iter_any():
                self._block += chunk

    def _learn_size(self, status: int, headers: Any) -> None:
        told = headers.get("Content-Range", "").rpartition("/")[2] if status == 206 else headers.get("Content-Length")
        if not (told or "").isdigit():
            raise InputError(f"{self._location} must have a size, got none from the server. Copy the file first.")
        if self._known_size not in (-1, int(told)):
            raise InputError(
                f"{self._location} must stay as it is, got {told} bytes after {self._known_size}."
                " Run again, once it does."
            )
        self._known_size = int(told)


class _Pace:
    """Lets a process try again at most once every LEAST_WAIT_S, however many threads read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = -LEAST_WAIT_S

    def sleep(self, seconds: float) -> None:
        """Sleep for the seconds asked, and longer until it is this try's turn."""
        with self._lock:
            now = time.monotonic()
            at = self._last = max(now + seconds, self._last + LEAST_WAIT_S)
        time.sleep(at - now)


_pace = _Pace()


def retried(location: str, call: Callable[[], T]) -> T:
    """Return what the call returns, tried again while the store is busy or the connection breaks.

    Raises InputError that names `location` when the file is missing or refused, or after TRIES tries.
    """
    retrying = Retrying(
        retry=retry_if_exception(_may_pass),
        wait=_wait,
        stop=stop_after_attempt(TRIES),
        sleep=_pace.sleep,
        before_sleep=lambda state: log.warning("%s: got %s; trying again", location, _sentence(_outcome(state))),
        reraise=True,
    )
    try:
        return retrying(call)
    except InputError:
        raise
    except Exception as error:  # each store has exceptions of its own
        raise _as_input_error(location, error) from error


_backoff = wait_exponential(multiplier=LEAST_WAIT_S, max=LONGEST_WAIT_S)


def _wait(state: RetryCallState) -> float:
    asked = str((getattr(_outcome(state), "headers", None) or {}).get("Retry-After", ""))
    return max(_backoff(state), min(float(asked), LONGEST_WAIT_S) if asked.isdigit() else 0.0)


def _outcome(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _may_pass(error: BaseException) -> bool:
    """Tell whether the same call may succeed later."""
    status = _status(error)
    if status:
        return status in BUSY or status >= 500
    if isinstance(error, ValueError | FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
        return False
    return isinstance(error, (OSError, *_network_errors()))


def is_missing(error: BaseException | None) -> bool:
    """Tell whether an error, or what an InputError was made from, says that there is no such file."""
    if isinstance(error, InputError):
        return is_missing(error.__cause__)
    return isinstance(error, FileNotFoundError) or _status(error) == 404


def _network_errors() -> tuple[type[BaseException], ...]:
    """Return the roots of the errors of connections that are not OSErrors, of the clients that are loaded."""
    found: list[type[BaseException]] = []
    if "aiohttp" in sys.modules:
        found.append(sys.modules["aiohttp"].ClientError)
    if "botocore.exceptions" in sys.modules:
        found.append(sys.modules["botocore.exceptions"].HTTPClientError)
    return tuple(found)


def _status(error: BaseException | None) -> int:
    """Return the HTTP status that an error of any of the clients carries, 0 for none."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore
        found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:  # aiohttp, whose `code` is no longer to be read; gcsfs
        found = getattr(error, "status", None) if hasattr(error, "status") else getattr(error, "code", None)
    if isinstance(found, int | str) and str(found).isdigit():
        return int(found)
    # s3fs and fsspec give an OSError for an answer; what causes other errors are no answers.
    return _status(error.__cause__) if isinstance(error, OSError) else 0


def _as_input_error(location: str, error: Exception) -> InputError:
    status, told = _status(error), _sentence(error)
    if is_missing(error):
        return InputError(f"{location} must exist, got {told}. Correct the path, or put the file back.")
    if status in (401, 403) or isinstance(error, PermissionError):
        return InputError(f"{location} must be readable, got {told}. Check the permissions and credentials.")
    if _may_pass(error):
        return InputError(f"{location} must be readable, got {told}. Go on later: finished parts stay.")
    return InputError(f"{location} must be readable, got {told}. Check the file.")


def _sentence(error: BaseException | None) -> str:
    status, message = getattr(error, "status", 0), getattr(error, "message", "")
    if status:
        return f"{status} {message}".strip()
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.rstrip(".")


def _is_http(fs: Any) -> bool:
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    return "https" in protocols
