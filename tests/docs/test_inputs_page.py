"""docs/inputs.md names the fields, formats and causes of failure that the code has."""

from __future__ import annotations

import re
from pathlib import Path

from dataproc.columns import InputColumns
from dataproc.crawl_files import FORMATS

PAGE = (Path(__file__).parents[2] / "docs" / "inputs.md").read_text(encoding="utf-8")


def test_fields_are_those_of_the_code() -> None:
    told = {
        name: tuple(re.findall("`([^`]+)`", row)) for name, row in re.findall(r"^\| (\w+) \| (`.*) \|$", PAGE, re.M)
    }
    assert {name: told[name] for name in ("text", "url", "date")} == InputColumns().model_dump()


def test_formats_are_those_of_the_code() -> None:
    told = set(re.findall(r"`(\.[\w.]+)`", PAGE)) - {".warc.wet.gz"}
    assert told == {name for name in FORMATS if name not in (".wet.zst", ".wet.lz4", ".ndjson.gz", ".ndjson.zst")}
