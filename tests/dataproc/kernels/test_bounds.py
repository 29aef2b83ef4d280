"""No kernel reads or writes outside its arrays: their tests once more, with numba's bounds checks on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.slow
def test_kernels_stay_inside_their_arrays(tmp_path: Path) -> None:
    # A cache of its own: numba's does not tell code with checks from code without.
    checked = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    options = ["-q", "-m", "not slow", "-p", "no:cacheprovider"]
    done = subprocess.run([sys.executable, "-m", "pytest", HERE, *options], env=checked, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
