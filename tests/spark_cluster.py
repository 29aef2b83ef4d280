"""A Spark for a test: settings of its own with an event log, and a standalone master with two workers of one core."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def spark_env(folder: Path, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return `env` for drivers and clusters whose settings, logs and spills lie in a new folder."""
    (folder / "events").mkdir(parents=True)
    settings = {
        "spark.authenticate": "true",  # else anyone on this machine could run code as us
        "spark.authenticate.secret": secrets.token_hex(32),
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.eventLog.compress": "false",
        "spark.eventLog.dir": f"file://{folder}/events",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.rolling.enabled": "false",
        "spark.executorEnv.PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "spark.ui.enabled": "false",
    }
    lines = (f"{name} {value}\n" for name, value in settings.items())
    (folder / "spark-defaults.conf").write_text("".join(lines), encoding="utf-8")
    (folder / "spark-defaults.conf").chmod(0o600)
    places = {"SPARK_CONF_DIR": str(folder), "SPARK_LOCAL_DIRS": str(folder / "spills")}
    return {**env, **places, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}


@contextmanager
def standalone(folder: Path) -> Iterator[dict[str, str]]:
    """Give the environment for drivers of a master with two workers, each a process of its own."""
    env = spark_env(folder)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    master = f"spark://127.0.0.1:{port}"
    words = {"master": ["master.Master", "--port", str(port)]}
    for name in ("first", "second"):
        words[name] = ["worker.Worker", "--cores", "1", "--memory", "1g", "--work-dir", str(folder / name), master]
    running: list[subprocess.Popen[bytes]] = []
    try:
        for name, (kind, *options) in words.items():
            running.append(_start(folder / f"{name}.log", env, kind, *options))
        yield {**env, "SPARK_MASTER": master}
    finally:
        for process in reversed(running):  # a worker ends its executors
            process.terminate()
            process.wait(30)


def _start(log: Path, env: dict[str, str], kind: str, *options: str) -> subprocess.Popen[bytes]:
    import pyspark

    start = [str(Path(pyspark.__file__).parent / "bin" / "spark-class"), f"org.apache.spark.deploy.{kind}"]
    with open(log, "w", encoding="utf-8") as file:
        words = [*start, "--host", "127.0.0.1", "--webui-port", "0", *options]
        process = subprocess.Popen(words, stdout=file, stderr=file, env=env)
    ready = "I have been elected leader" if kind.startswith("master") else "Successfully registered with master"
    while ready not in (told := log.read_text(encoding="utf-8")):
        if process.poll() is not None:
            raise AssertionError(told)
        time.sleep(0.1)
    return process


def event_log(env: dict[str, str]) -> list[dict[str, Any]]:
    """Return the events of the one application that has ended with this environment."""
    (log,) = (Path(env["SPARK_CONF_DIR"]) / "events").iterdir()
    assert not log.name.endswith(".inprogress")
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def jobs_and_shuffles(events: list[dict[str, Any]]) -> dict[str, int]:
    """Return, for each description of Spark's jobs, the bytes that the tasks of such jobs wrote to shuffles."""
    stages: dict[int, str] = {}
    written = Counter[str]()
    for event in events:
        if event["Event"] == "SparkListenerJobStart":
            name = event["Properties"]["spark.job.description"]
            stages.update(dict.fromkeys(event["Stage IDs"], name))
            written[name] += 0
        elif event["Event"] == "SparkListenerTaskEnd" and event.get("Task Metrics"):
            bytes_written = event["Task Metrics"]["Shuffle Write Metrics"]["Shuffle Bytes Written"]
            written[stages[event["Stage ID"]]] += bytes_written
    return dict(written)
