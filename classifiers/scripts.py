"""The script most letters of a text are written in, as an ISO 15924 code.

Japanese mixes three scripts and Chinese uses one of them: Han with at least one kana in twenty is `Jpan`, Han alone
`Hani`. Digits, punctuation and spaces belong to no script.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from dataproc.kernels.windows import Spans

NO_SCRIPT = "Zyyy"
"""ISO 15924 for a text without letters."""

_KANA_SHARE = 0.05


@cache
def _table() -> tuple[npt.NDArray[np.uint8], list[str]]:
    """Return the index of each code point's script, uint8 [0x110000], and the codes; index 0 is no script."""
    rows = Path(__file__).with_name("scripts.tsv").read_text(encoding="utf-8").splitlines()
    ranges = [line.split("\t") for line in rows if not line.startswith("#")]
    codes = [NO_SCRIPT, *sorted({"Jpan", *(code for _, _, code in ranges)})]
    script = np.zeros(0x110000, dtype=np.uint8)
    for first, last, code in ranges:
        script[int(first, 16) : int(last, 16) + 1] = codes.index(code)
    script.flags.writeable = False
    return script, codes


def main_scripts(spans: Spans) -> list[str]:
    """Return the code of the script that most letters of each document have; of equals the first in alphabetical order.

    Example: "Hello, world 2024!" has Latn, "42" has Zyyy.
    """
    from dataproc.kernels.windows import count_values

    table, codes = _table()
    counts = count_values(spans, table, len(codes))
    kana, han = counts[:, codes.index("Hira")] + counts[:, codes.index("Kana")], counts[:, codes.index("Hani")]
    is_japanese = (kana > 0) & (kana >= _KANA_SHARE * (kana + han))
    counts[:, codes.index("Jpan")] = np.where(is_japanese, kana + han, 0)
    counts[:, codes.index("Hani")] = np.where(is_japanese, 0, han)
    counts[:, [0, codes.index("Hira"), codes.index("Kana")]] = 0
    # The first code is that of no script, and stays at 0.
    return [codes[k] for k in counts.argmax(axis=1)]
