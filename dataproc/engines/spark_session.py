"""A Spark session for the engine: what must be installed, and the settings that it needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, cast

import pyspark
from pyspark.sql import SparkSession

from dataproc.engines.worker import MAX_TRIES
from dataproc.errors import ConfigError

PYSPARK = (4, 1)  # the first with repartitionById
JAVA = 17

ATTEMPTS = MAX_TRIES + 1
"""Attempts that Spark must allow a task: the last one only reports. It is Spark's default, but not on `local[n]`."""

BATCH_BYTES = 4 << 20
"""Blocks that Spark hands to Python at once; a larger block comes alone."""

HEAP_MIB = 512
"""What Java holds for one task of a local master: a block or two of `PIECE_BYTES`, and the sort that then spills."""

LOCAL_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Of a local master, whose Java hands out tasks and moves blocks: to start soon is worth more than to run fast."""

SETTINGS = {
    "spark.sql.adaptive.enabled": "false",  # tasks are ours to count
    "spark.sql.codegen.wholeStage": "false",  # a row is a whole block: not worth a compiled loop for each query
    "spark.sql.execution.arrow.maxBytesPerBatch": str(BATCH_BYTES),
    "spark.ui.showConsoleProgress": "false",  # we show our own
    "spark.log.level": "ERROR",  # a task that is tried again is told by the engine, if it matters
}
"""None of them shows in the bytes of a run."""


def start_session(workers: int) -> SparkSession:
    """Start Spark, or join the application that spark-submit started; raises ConfigError."""
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    _check_installed(needs_java=not submitted)
    master = os.environ.get("SPARK_MASTER") or (None if submitted else f"local[{workers}]")
    settings = dict(SETTINGS)
    if master is not None and master.startswith("local"):
        if plain := re.fullmatch(r"local(?:\[([^,]+)\])?", master):  # it would try a task only once
            master = f"local[{plain[1] or 1},{ATTEMPTS}]"
        settings["spark.driver.memory"] = f"{1024 + HEAP_MIB * workers}m"  # an upper bound
        settings["spark.driver.extraJavaOptions"] = LOCAL_JAVA
        settings["spark.python.unix.domain.socket.enabled"] = "true"  # by TCP, tasks wait 40 ms for acknowledgements
        settings["spark.driver.host"] = settings["spark.driver.bindAddress"] = "127.0.0.1"
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        settings["spark.executorEnv.PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else workers are whatever `python3` is
    builder = SparkSession.builder.appName("dataproc").config(map=cast(Any, settings))
    if master is not None:
        builder = builder.master(master)
    try:
        with no_word_of_pandas():
            session = builder.getOrCreate()
    except Exception as error:
        raise ConfigError(
            f"SPARK_MASTER must name a Spark that starts, got {master}: {first_line(error)}. Look at its log."
        ) from error
    _check_attempts(session)
    return session


@contextmanager
def no_word_of_pandas() -> Iterator[None]:
    """Keep back Spark's warning of new versions of pandas, which nothing here uses."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        yield


def _check_installed(*, needs_java: bool) -> None:
    """Raise ConfigError when pyspark is too old, or pandas or Java is not there."""
    install = "Install it: pip install 'dataproc-llm[spark]'."
    if find_spec("pandas") is None:  # Spark's mapInArrow asks for it, though nothing here uses it
        raise ConfigError(f"--engine spark must have pandas beside pyspark, got none. {install}")
    if tuple(map(int, pyspark.__version__.split(".")[:2])) < PYSPARK:
        wanted = ".".join(map(str, PYSPARK))
        raise ConfigError(f"--engine spark must have pyspark {wanted} or newer, got {pyspark.__version__}. {install}")
    if not needs_java:
        return
    home = os.environ.get("JAVA_HOME")
    java = f"{home}/bin/java" if home else "java"
    found = None
    if shutil.which(java):
        told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
        found = re.search(r'version "(\d+)', told)
    if found is None or int(found[1]) < JAVA:
        raise ConfigError(
            f"--engine spark must have Java {JAVA} or newer, got {found[1] if found else 'none'} as {java}."
            f" Install one (Debian: apt install openjdk-{JAVA}-jre-headless) or set JAVA_HOME."
        )


def _check_attempts(session: SparkSession) -> None:
    """Raise ConfigError, and end Spark, when a task may not be tried as often as the death of workers asks for."""
    master = session.sparkContext.master or ""
    allowed = session.sparkContext.getConf().get("spark.task.maxFailures") or ATTEMPTS
    if local := re.fullmatch(r"local(?:\[[^,]+(?:,(.+))?\])?", master):  # which does not obey that setting
        allowed = local[1] or 1
    if int(allowed) < ATTEMPTS:
        session.stop()
        raise ConfigError(
            f"spark.task.maxFailures must be at least {ATTEMPTS}, got {allowed} with master {master}."
            f" Leave it out, or say local[N,{ATTEMPTS}]."
        )


def first_line(error: Exception) -> str:
    """Return what Java says in one line, without its trace."""
    cause = getattr(error, "java_exception", None)
    lines = str(cause.getMessage() if cause is not None else error).splitlines()
    return next((line.strip().rstrip(".") for line in lines if line.strip()), type(error).__name__)
