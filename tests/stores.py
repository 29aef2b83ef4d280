"""Stores on the loopback: an HTTP server that can fail as the web does, and an S3 emulator."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Web:
    """Serves a folder; of the requests with a body to come, every nth fails in each of two ways.

    A request is `busy` (503) or `cut` (the connection closes after half of the body). `answers` has (path, range,
    status) of every request.
    """

    folder: Path
    busy_every: int = 0
    cut_every: int = 0
    ranges: bool = True
    refused: tuple[str, ...] = ()
    retry_after: str | None = None
    answers: list[tuple[str, str | None, int]] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    requests: int = 0

    def turn(self) -> tuple[bool, bool]:
        """Count a request, and tell whether it is to be busy and whether it is to be cut."""
        with self.lock:
            self.requests += 1
            number = self.requests
        busy = bool(self.busy_every) and number % self.busy_every == 0
        return busy, bool(self.cut_every) and number % self.cut_every == self.cut_every // 2


@contextmanager
def serve(web: Web) -> Iterator[Web]:
    """Run the server while the block does; `web.url` is its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self.answer(body=True)

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def answer(self, *, body: bool) -> None:
            asked = self.headers.get("Range") if web.ranges else None
            path = web.folder / self.path.lstrip("/")
            busy, cut = web.turn()
            if busy:
                self.reply(503, asked, {"Retry-After": web.retry_after} if web.retry_after else {})
            elif self.path in web.refused:
                self.reply(403, asked, {})
            elif not path.is_file():
                self.reply(404, asked, {})
            else:
                data = path.read_bytes()
                start, stop, headers = 0, len(data), {"Content-Type": "application/gzip", "Content-Encoding": "gzip"}
                if asked:
                    first, _, last = asked.removeprefix("bytes=").partition("-")
                    start, stop = int(first), min(int(last) + 1, len(data)) if last else len(data)
                    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
                if asked and start >= len(data):
                    self.reply(416, asked, {})
                else:
                    self.reply(206 if asked else 200, asked, headers, data[start:stop] if body else b"", cut=cut)

        def reply(
            self, status: int, asked: str | None, headers: dict[str, str], body: bytes = b"", *, cut: bool = False
        ) -> None:
            web.answers.append((self.path, asked, status))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)
            self.close_connection = self.close_connection or cut

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:  # readers hang up when they have what they want
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        web.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def s3(bucket: str, folder: Path) -> Iterator[dict[str, str]]:
    """Run an S3 emulator whose bucket holds a folder; gives the environment variables that lead there."""
    import boto3  # type: ignore[import-untyped]
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        client = boto3.client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        client.create_bucket(Bucket=bucket)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                client.upload_file(str(path), bucket, path.relative_to(folder).as_posix())
        client.close()
        yield {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        server.stop()
