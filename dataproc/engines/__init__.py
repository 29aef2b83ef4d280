"""Engines run pure functions on work units somewhere; two verbs, nothing engine-specific outside this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol, TypeVar, cast

from dataproc.errors import ConfigError, suggest
from dataproc.exchange import Exchange
from dataproc.resources import ANY, Resources

U = TypeVar("U")


@dataclass(frozen=True)
class Failed:
    """A unit that raised, or whose worker kept dying; `error` is a sentence, `trace` the traceback of a bug."""

    unit: Any
    error: str
    trace: str = field(default="", repr=False)


@dataclass(frozen=True)
class Retried:
    """A unit of a step that is run again because its worker died; what comes of it is reported later."""

    step: str
    unit: Any
    error: str


class Engine(Protocol):
    """The two verbs. Reports come in any order; a unit that fails gives `Failed` and never stops the others.

    A unit whose worker died gives `Retried` each time that it is run again, before what it ends with. Only a
    StorageError, which all others would meet too, stops them and is raised.
    """

    def map(self, name: str, fn: Callable[[U], Any], units: Sequence[U], resources: Resources = ANY) -> Iterator[Any]:
        """Run fn on each unit and yield what it returns, as units end."""
        ...

    def exchange(
        self, spec: Exchange, units: Sequence[Any], scratch: str, skip: frozenset[int] = frozenset()
    ) -> Iterator[Any]:
        """Regroup the rows of all units and yield the sink's report of each partition not in `skip`."""
        ...

    def close(self) -> None:
        """End the workers."""
        ...


ENGINES = {
    "local": "dataproc.engines.local:LocalEngine",
    "ray": "dataproc.engines.ray:RayEngine",
    "spark": "dataproc.engines.spark:SparkEngine",
    "ray+spark": "dataproc.engines.ray_spark:RaySparkEngine",
}
"""Every engine by its name: `module:class`, imported only when it is asked for; the class takes a number of workers."""


def find_engine(name: str) -> Callable[[int | None], Engine]:
    """Return the engine of that name, not yet started; raises ConfigError for an unknown name or a missing library.

    Example: engine = find_engine("local")(2)  # two workers; None is as many as there is room for
    """
    if name not in ENGINES:
        raise ConfigError(f'--engine must name an engine, got "{name}".{suggest(name, ENGINES)}')
    module, _, engine = ENGINES[name].partition(":")
    try:
        return cast(Callable[[int | None], Engine], getattr(import_module(module), engine))
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("dataproc"):
            raise
        raise ConfigError(
            f'--engine must name an engine whose libraries are installed, got "{name}" without {error.name}.'
            f" Install it: pip install 'dataproc-llm[{name.replace('+', ',')}]'."
        ) from error
