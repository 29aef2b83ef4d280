"""The script most letters of a text are written in, as an ISO 15924 code.

Japanese mixes three scripts and Chinese uses one of them: Han with at least one kana in twenty is `Jpan`, Han alone
`Hani`. Digits, punctuation and spaces belong to no script.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

NO_SCRIPT = "Zyyy"
"""ISO 15924 for a text without letters."""

_KANA_SHARE = 0.05


@cache
def _table() -> tuple[npt.NDArray[np.uint8], list[str]]:
    """Return the index of each code point's script, uint8 [0x110000], and the codes; index 0 is no script."""
    rows = Path(__file__).with_name("scripts.tsv").read_text(encoding="utf-8").splitlines()
    ranges = [line.split("\t") for line in rows if not line.startswith("#")]
    codes = [NO_SCRIPT, *sorted({code for _, _, code in ranges})]
    script = np.zeros(0x110000, dtype=np.uint8)
    for first, last, code in ranges:
        script[int(first, 16) : int(last, 16) + 1] = codes.index(code)
    return script, codes


def main_script(text: str) -> str:
    """Return the code of the script that most letters have; the first in alphabetical order on a tie.

    Example: main_script("Hello, world 2024!") == "Latn"; main_script("42") == "Zyyy"
    """
    table, codes = _table()
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    counts = dict(zip(codes, np.bincount(table[points], minlength=len(codes)).tolist(), strict=True))
    del counts[NO_SCRIPT]
    kana = counts.pop("Hira") + counts.pop("Kana")
    if kana and kana >= _KANA_SHARE * (kana + counts["Hani"]):
        counts["Jpan"] = kana + counts.pop("Hani")
    best = max(sorted(counts), key=lambda code: counts[code])
    return best if counts[best] else NO_SCRIPT
