"""Which fields of JSON Lines and Parquet are a document's text, address and capture time: one mapping for both.

The defaults are the names of public corpora, the first that is there wins: FineWeb, C4, Dolma, DCLM, OSCAR,
RedPajama-V2, HPLT. A recipe names others.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from dataproc.config import Config


def _as_names(value: object) -> object:
    return (value,) if isinstance(value, str) else () if value is None else value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_names)]
"""One name, or several in order of preference; null for none."""


class InputColumns(Config):
    """Names of fields, the first that is there is taken; "a.b" is field b of the object or struct a."""

    text: Annotated[Names, Field(min_length=1)] = ("text", "content", "raw_content")
    """The document's text, a string."""

    url: Names = ("url", "metadata.url", "metadata.WARC-Target-URI", "warc_headers.warc-target-uri", "source_url", "u")
    """Its address; anything but a string reads as null."""

    date: Names = (
        "date",
        "timestamp",
        "metadata.date",
        "metadata.WARC-Date",
        "warc_headers.warc-date",
        "date_download",
        "ts",
    )
    """Its capture time, in any usual form of ISO 8601 or, in Parquet, a date or timestamp; anything else is null."""


def first_string(document: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """Return the first of the named values that is a string.

    Example: first_string({"a": 1, "b": {"c": "x"}}, ("a", "b.c")) == "x"
    """
    values = (_value(document, name) for name in names)
    return next((value for value in values if isinstance(value, str)), None)


def _value(document: dict[str, Any], name: str) -> Any:
    if name in document:
        return document[name]
    head, dot, rest = name.partition(".")
    inner = document.get(head)
    return _value(inner, rest) if dot and isinstance(inner, dict) else None
