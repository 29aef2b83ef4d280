"""Settings that differ by language: keys as recipes write them, and one limit per row.

A key is an ISO 639-1 or 639-3 code (`en` = `eng`); the column `language` holds ISO 639-3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from classifiers.languages import parse_language
from dataproc.errors import ConfigError

V = TypeVar("V")

CHARACTERS_ARE_WORDS = ("cmn", "jpn", "khm", "lao", "mya", "tha", "wuu", "yue")
"""Languages written without spaces, whose characters are words to `dataproc.kernels.words`."""


def by_code(settings: Mapping[str, V]) -> dict[str, V]:
    """Return the settings under ISO 639-3 codes, ascending; for validators.

    Raises ValueError for a wrong or doubled code. Example: by_code({"en": 1}) == {"eng": 1}
    """
    try:
        codes = {key: parse_language(key) for key in settings}
    except ConfigError as error:
        raise ValueError(str(error)) from error
    if len(set(codes.values())) < len(codes):
        raise ValueError(f"languages must be named once each, got {sorted(codes)}. Keep one code of each.")
    return {codes[key]: settings[key] for key in sorted(settings, key=codes.__getitem__)}


def limits(languages: pa.Array, default: float | None, single: Mapping[str, float | None]) -> npt.NDArray[np.float64]:
    """Return the limit of each row, float64 [N]: that of its language if it has one, else the default; NaN = off.

    Example: limits(["eng", "deu", None], 3, {"deu": None}) == [3, NaN, 3]
    """
    encoded = languages.dictionary_encode()
    names = [*encoded.dictionary.to_pylist(), None]
    values = [single.get(name, default) if name else default for name in names]
    of_name = np.array([np.nan if value is None else value for value in values], np.float64)
    index: npt.NDArray[np.int32] = encoded.indices.fill_null(len(names) - 1).to_numpy(zero_copy_only=False)
    return of_name[index]
