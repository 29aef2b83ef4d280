"""What a unit of work needs of the machine that runs it: declared by stages, asked for by jobs, found by engines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Cores, memory and GPUs of one unit while it runs; `memory_bytes` None is whatever there is."""

    cpus: float = 1.0
    memory_bytes: int | None = None
    gpus: float = 0.0


ANY = Resources()
"""One core and whatever memory there is."""


def most(needs: Iterable[Resources]) -> Resources:
    """Return what is enough for each of several stages that a unit passes one after the other: the most of each kind.

    Example: most([Resources(gpus=1), Resources(cpus=2, memory_bytes=9)]) == Resources(cpus=2, memory_bytes=9, gpus=1)
    """
    every = [ANY, *needs]
    return Resources(
        cpus=max(need.cpus for need in every),
        memory_bytes=max((need.memory_bytes for need in every if need.memory_bytes is not None), default=None),
        gpus=max(need.gpus for need in every),
    )
