"""Ray and Spark in one engine: which does what, and what is said when one is missing; test_parity.py runs it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataproc.engines import Engine, find_engine
from dataproc.errors import ConfigError
from dataproc.resources import Resources
from tests.dataproc.engines.units import double, spec

needs_both = pytest.mark.needs("ray", "pyspark")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Put engines that only note what they are asked in the place of the two; a Ray of 99 workers does not start."""
    from dataproc.engines import ray_spark

    noted: list[Any] = []

    def stand_in(name: str) -> Any:
        class Noting:
            def __init__(self, workers: int | None) -> None:
                noted.append((name, workers))
                if name == "ray" and workers == 99:
                    raise ConfigError("RAY_ADDRESS must name a running Ray cluster")

            def map(self, *asked: Any) -> Iterator[Any]:
                noted.append((name, *asked))
                return iter([1])

            exchange = map

            def close(self) -> None:
                noted.append((name, "closed"))

        return Noting

    monkeypatch.setattr(ray_spark, "RayEngine", stand_in("ray"))
    monkeypatch.setattr(ray_spark, "SparkEngine", stand_in("spark"))
    return noted


@needs_both
def test_maps_are_of_ray_and_exchanges_of_spark(calls: list[Any]) -> None:
    engine: Engine = find_engine("ray+spark")(2)
    assert calls == [("spark", 2), ("ray", 2)]
    calls.clear()
    asked, shuffled = Resources(gpus=1), spec()
    assert list(engine.map("score", double, [7], asked)) == [1]
    assert list(engine.exchange(shuffled, [0], "scratch", frozenset({3}))) == [1]
    assert calls == [("ray", "score", double, [7], asked), ("spark", shuffled, [0], "scratch", frozenset({3}))]
    engine.close()
    assert calls[2:] == [("ray", "closed"), ("spark", "closed")]


@needs_both
def test_when_one_does_not_start_the_other_is_ended(calls: list[Any]) -> None:
    with pytest.raises(ConfigError, match=r"^RAY_ADDRESS must name"):
        find_engine("ray+spark")(99)
    assert calls == [("spark", 99), ("ray", 99), ("spark", "closed")]


@needs_both
@pytest.mark.parametrize("missing", ["ray", "pyspark"])
def test_without_one_of_them_both_are_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    for module in ("ray", "spark", "ray_spark"):
        monkeypatch.delitem(sys.modules, f"dataproc.engines.{module}", raising=False)
    with pytest.raises(ConfigError) as told:
        find_engine("ray+spark")
    assert str(told.value) == (
        f'--engine must name an engine whose libraries are installed, got "ray+spark" without {missing}.'
        " Install it: pip install 'dataproc-llm[ray,spark]'."
    )


@needs_both
def test_without_java_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    started = ray.is_initialized()
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"must have Java 17 or newer, got none as .*java\. Install one"):
        find_engine("ray+spark")(1)
    assert ray.is_initialized() == started
