"""Language codes: what a model's label is in ISO 639-3, and what a recipe's code means.

The table languages.tsv names the rule it follows and covers the labels of lid.176. Labels of the form `eng_Latn`
(GlotLID, OpenLID) carry their ISO 639-3 code themselves.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from dataproc.errors import ConfigError

UNDETERMINED = "und"
"""ISO 639-3 for a text whose language can't be told: it has no letters."""

_WITH_SCRIPT = re.compile("([a-z]{3})_[A-Z][a-z]{3}")


@cache
def _table() -> tuple[dict[str, str], dict[str, str]]:
    """Return (label -> ISO 639-3, code a recipe may write -> ISO 639-3)."""
    labels, aliases = {}, {}
    for line in Path(__file__).with_name("languages.tsv").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            label, code, others, _name = line.split("\t")
            labels[label] = code
            aliases.update(dict.fromkeys(filter(None, others.split(",")), code))
            if len(label) == 2:
                aliases[label] = code
    aliases.update({code: code for code in labels.values()})
    return labels, aliases


def label_language(label: str) -> str:
    """Return the ISO 639-3 code of a model's label; raises ConfigError for a label of neither kind.

    Example: label_language("zh") == "cmn", label_language("als") == "gsw", label_language("als_Latn") == "als"
    """
    if match := _WITH_SCRIPT.fullmatch(label):
        return match[1]
    labels, _ = _table()
    if label not in labels:
        raise ConfigError(f'language label must be in languages.tsv or like eng_Latn, got "{label}". Add it.')
    return labels[label]


def parse_language(code: str) -> str:
    """Return the ISO 639-3 code that a recipe's code means; three-letter codes we don't know stay as they are.

    Raises ConfigError for what is no code. Example: parse_language("en") == "eng", parse_language("zho") == "cmn"
    """
    _, aliases = _table()
    if code in aliases:
        return aliases[code]
    if not re.fullmatch("[a-z]{3}", code):
        raise ConfigError(
            f'language must be an ISO 639-1 or 639-3 code such as en or eng, got "{code}". See languages.tsv.'
        )
    return code
