"""A Ray cluster of two nodes for a test: separate raylet processes on this machine, ended with the block."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

RAY = (sys.executable, "-m", "ray.scripts.scripts")


@contextmanager
def _running(words: list[str], log: Path, env: dict[str, str]) -> Iterator[None]:
    with open(log, "w", encoding="utf-8") as file:
        process = subprocess.Popen(words, stdout=file, stderr=file, start_new_session=True, env=env)
    try:
        while "Ray runtime started" not in (told := log.read_text(encoding="utf-8")):
            assert process.poll() is None, told
            time.sleep(0.1)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def two_nodes(logs: Path, second: Callable[..., list[str]] = lambda *words: [*words]) -> Iterator[dict[str, str]]:
    """Give the environment for drivers of a cluster: a node with one core, and one with a core and a GPU in name only.

    `second` may put the words that start the second node into others, such as those of a namespace. Drivers have to be
    processes of their own: Ray reads its token once.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    env = {**os.environ, **token, "RAY_ADDRESS": f"127.0.0.1:{port}"}
    options = ["--node-ip-address=127.0.0.1", "--num-cpus=1", f"--object-store-memory={100 << 20}", "--block"]
    options.append("--disable-usage-stats")
    head = [*RAY, "start", "--head", f"--port={port}", "--include-dashboard=false", *options]
    other = second(*RAY, "start", f"--address=127.0.0.1:{port}", "--num-gpus=1", *options)
    with _running(head, logs / "head.log", env), _running(other, logs / "second.log", env):
        yield env


LIST_TASKS = """
import json, ray
from ray._private.state import state  # list_tasks, which is public, asks a dashboard
ray.init(logging_level="ERROR")
events = state._get_all_task_events()
nodes = {event.task_id: event.state_updates.node_id.hex() for event in events if event.state_updates.node_id}
print(json.dumps([(event.task_info.name, nodes.get(event.task_id, "")) for event in events if event.task_info.name]))
"""


def tasks(env: dict[str, str]) -> set[tuple[str, str]]:
    """Return the name of every task that a cluster has run, with the id of the node that ran it."""
    done = subprocess.run([sys.executable, "-c", LIST_TASKS], env=env, capture_output=True, text=True, check=True)
    return {(name, node) for name, node in json.loads(done.stdout)}
