from __future__ import annotations

import errno
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest

from dataproc import remote
from dataproc.errors import InputError
from dataproc.remote import file_size, open_input, open_store, retried
from tests.stores import Web, serve

DATA = random.Random(0).randbytes(300_000)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits asked for, none of which is waited."""
    waits: list[float] = []
    monkeypatch.setattr(remote._pace, "sleep", waits.append)
    return waits


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    (tmp_path / "a.warc.gz").write_bytes(DATA)
    (tmp_path / "empty.jsonl").write_bytes(b"")
    with serve(Web(tmp_path)) as running:
        yield running


def read_all(location: str, step: int = 7_000, block_bytes: int = 20_000) -> bytes:
    with open_input(location, block_bytes=block_bytes) as file:
        return b"".join(iter(lambda: file.read(step), b""))


def test_blocks_are_fetched_once_and_in_order(web: Web) -> None:
    assert read_all(f"{web.url}/a.warc.gz", block_bytes=100_000, step=10_000) == DATA
    assert [asked for _, asked, _ in web.answers] == [
        "bytes=0-99999",
        "bytes=100000-199999",
        "bytes=200000-299999",
    ]
    assert file_size(f"{web.url}/a.warc.gz") == len(DATA)


def test_ten_percent_busy_and_ten_percent_cut_give_the_same_bytes(web: Web, slept: list[float]) -> None:
    web.busy_every = web.cut_every = 10
    assert read_all(f"{web.url}/a.warc.gz", step=1_000, block_bytes=3_000) == DATA
    statuses = [status for *_, status in web.answers]
    assert 0.08 < statuses.count(503) / len(statuses) < 0.12
    assert len(slept) >= statuses.count(503) + 8, "a broken connection waits for its turn too"


def test_a_cut_connection_is_continued_at_its_byte(web: Web, slept: list[float]) -> None:
    web.cut_every = 2  # the first of two
    assert read_all(f"{web.url}/a.warc.gz", block_bytes=400_000) == DATA
    (_, first, _), (_, second, _) = web.answers
    assert first == "bytes=0-399999"
    start = int((second or "").removeprefix("bytes=").partition("-")[0])
    assert 0 < start <= 150_000
    assert slept == [0]


def test_waits_grow_and_obey_retry_after(web: Web, slept: list[float]) -> None:
    web.busy_every = 1
    with pytest.raises(InputError) as error:
        file_size(f"{web.url}/a.warc.gz")
    assert slept == [1, 2, 4, 8, 16, 32, 60]
    assert len(web.answers) == remote.TRIES
    assert str(error.value) == (
        f"{web.url}/a.warc.gz must be readable, got 503 Service Unavailable. Go on later: finished parts stay."
    )
    web.retry_after = "20"
    slept.clear()
    with pytest.raises(InputError):
        file_size(f"{web.url}/a.warc.gz")
    assert slept == [20, 20, 20, 20, 20, 32, 60]


def test_one_try_again_a_second_however_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    pace, slept = remote._Pace(), list[float]()
    clock = SimpleNamespace(monotonic=lambda: 100.0, sleep=slept.append)  # they all ask at the same moment
    monkeypatch.setattr(remote, "time", clock)
    threads = [threading.Thread(target=pace.sleep, args=(0.5,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(slept) == [0.5 + turn * remote.LEAST_WAIT_S for turn in range(4)]


def test_missing_and_refused_files_are_not_tried_again(web: Web, slept: list[float]) -> None:
    web.refused = ("/a.warc.gz",)
    with pytest.raises(InputError) as missing:
        open_input(f"{web.url}/gone.warc.gz")
    assert str(missing.value) == (
        f"{web.url}/gone.warc.gz must exist, got 404 Not Found. Correct the path, or put the file back."
    )
    with pytest.raises(InputError) as refused:
        open_input(f"{web.url}/a.warc.gz")
    assert str(refused.value) == (
        f"{web.url}/a.warc.gz must be readable, got 403 Forbidden. Check the permissions and credentials."
    )
    assert slept == []


def test_servers_without_ranges_give_what_fits_a_block(web: Web) -> None:
    """Each block of a larger file would cost the whole of it."""
    web.ranges = False
    assert read_all(f"{web.url}/a.warc.gz", block_bytes=300_000) == DATA
    with pytest.raises(InputError) as error:
        read_all(f"{web.url}/a.warc.gz", block_bytes=299_999)
    assert str(error.value) == (
        f"{web.url}/a.warc.gz must be on a server that knows byte ranges, got all of it for a part."
        " Copy it to this machine first."
    )


def test_empty_file(web: Web) -> None:
    assert read_all(f"{web.url}/empty.jsonl") == b""
    assert file_size(f"{web.url}/empty.jsonl") == 0


def test_file_that_changes_is_an_error(web: Web) -> None:
    with open_input(f"{web.url}/a.warc.gz", block_bytes=1000) as file:
        file.read(1000)
        (web.folder / "a.warc.gz").write_bytes(DATA[:-1])
        with pytest.raises(InputError) as error:
            file.read(1000)
    assert str(error.value) == (
        f"{web.url}/a.warc.gz must stay as it is, got 299999 bytes after 300000. Run again, once it does."
    )


@pytest.mark.parametrize("block_bytes", [1, 5_000, 1 << 20])
def test_reads_anywhere(web: Web, block_bytes: int) -> None:
    fsspec.filesystem("memory").pipe("/bucket/a", DATA)
    draw = random.Random(1)
    for location in (f"{web.url}/a.warc.gz", "memory://bucket/a"):
        with open_input(location, block_bytes=block_bytes) as file:
            assert file.seek(-10, 2) == len(DATA) - 10
            assert file.read() == DATA[-10:]
            assert file.read(1) == b""
            for _ in range(10):
                start, size = draw.randrange(len(DATA)), draw.randrange(10_000)
                assert file.seek(start) == file.tell()
                assert file.read(size) == DATA[start : start + size]


def test_local_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert read_all(str(tmp_path / "a")) == b"abc"
    assert file_size(str(tmp_path / "a")) == 3
    with pytest.raises(InputError):
        open_input(str(tmp_path / "b"))
    with pytest.raises(InputError, match=r" must be readable, got Is a directory\. Check the file\.$"):
        open_input(str(tmp_path))


def test_local_files_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError) as error:
        open_input(str(tmp_path / "a"))
    assert str(error.value) == (
        f"{tmp_path}/a must be readable, got Permission denied. Check the permissions and credentials."
    )


def test_stores_that_are_busy(slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 and the like raise OSErrors: s3fs gives EBUSY for SlowDown, PermissionError for AccessDenied."""
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/a", DATA)
    errors: list[OSError] = [OSError(errno.EBUSY, "SlowDown"), ConnectionResetError()]
    cat_file = type(memory).cat_file

    def fail_first(*args: Any, **options: Any) -> Any:
        if errors:
            raise errors.pop()
        return cat_file(*args, **options)

    monkeypatch.setattr(type(memory), "cat_file", fail_first)
    assert read_all("memory://bucket/a") == DATA
    assert slept == [1, 2]
    errors.append(PermissionError(errno.EACCES, "Access Denied"))
    with pytest.raises(InputError, match=r" must be readable, got Access Denied\. Check the permissions and cred"):
        read_all("memory://bucket/a")


def test_clients_that_are_not_installed() -> None:
    with pytest.raises(InputError, match=r"^abfs://x: .*Install what this kind of URL needs, e\.g\. pip install"):
        open_store("abfs://x")


def test_errors_of_the_code_itself_are_not_tried_again(slept: list[float]) -> None:
    def wrong() -> None:
        raise KeyError("x")

    with pytest.raises(InputError, match=r"^here must be readable, got 'x'\. Check the file\.$"):
        retried("here", wrong)
    assert slept == []
