"""What spark-submit takes: the `dataproc` command, from a checkout or where the package is installed.

spark-submit puts the folder of this file on the path: there is no package `jobs` in it, but modules whose names could
hide others. The project's folder takes its place. In cluster mode this file comes alone: install the package.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

if __name__ == "__main__":
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != HERE]
    if (HERE / "cli.py").exists():
        sys.path.insert(0, str(HERE.parent))

    from jobs.cli import main

    main()
