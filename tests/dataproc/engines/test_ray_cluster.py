"""The Ray engine on two nodes, each with a disk of its own: what one spills, the other fetches."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from dataproc.engines import find_engine
from dataproc.exchange import Rows
from dataproc.resources import Resources
from tests.dataproc.engines.units import WANT, numbers, spec
from tests.disks import disk
from tests.ray_cluster import two_nodes

pytestmark = [pytest.mark.slow, pytest.mark.needs("ray", "unshare", "mount")]


def node(unit: int) -> str:
    import ray

    time.sleep(0.5)
    return str(ray.get_runtime_context().get_node_id())


def slow_numbers(unit: int) -> Rows:
    time.sleep(1)
    yield from numbers(unit)


def slow_rows(rows: Rows) -> Rows:
    time.sleep(1)
    yield from rows


def drive(scratch: Path, seen: Path) -> None:
    """Run in a process of its own; `seen` is where this machine finds the second node's scratch."""
    engine = find_engine("ray")(None)
    assert len(set(engine.map("node", node, range(8)))) == 2, "both nodes worked"
    assert len(set(engine.map("gpu", node, range(3), Resources(gpus=1)))) == 1, "the one that has a GPU"

    outcomes = engine.exchange(spec(slow_numbers, slow_rows), range(3), str(scratch / "x"))
    first = next(outcomes)
    here, there = (len(list((place / "x").glob("*.spill"))) for place in (scratch, seen))
    assert here + there == 3
    assert min(here, there) > 0, "each has spills that the other does not see"
    assert sorted([first, *outcomes]) == WANT
    assert not (seen / "x").exists(), "what the driver cannot see is removed by the engine"
    assert len(list((scratch / "x").glob("*.spill"))) == here
    engine.close()


def test_two_nodes_with_disks_of_their_own(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with disk(scratch, "size=16m") as second, two_nodes(tmp_path, second.enter) as env:
        code = "import sys; from pathlib import Path; from tests.dataproc.engines import test_ray_cluster as here\n"
        code += "here.drive(*map(Path, sys.argv[1:]))"
        words = [sys.executable, "-c", code, str(scratch), str(second.seen(scratch))]
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
