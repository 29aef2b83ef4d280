"""What several stages need together."""

from __future__ import annotations

from dataproc.resources import ANY, Resources, most


def test_the_most_of_each_kind() -> None:
    assert most([]) == ANY
    assert most([Resources(cpus=0.5)]) == ANY, "a unit of cheap stages takes a core"
    one, other = Resources(cpus=4, memory_bytes=1 << 30), Resources(gpus=0.5, memory_bytes=1 << 20)
    assert most([one, other]) == most([other, one]) == Resources(cpus=4, memory_bytes=1 << 30, gpus=0.5)
