"""What every reader fills: batches of `schema.RAW`, bounded by bytes, and the report of what was read and lost."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from dataproc.ids import doc_id
from dataproc.schema import RAW

MAX_FAILURES = 1 << 16


@dataclass(frozen=True, slots=True)
class Failure:
    """A place of the input that could not be read; it becomes a row of dropped/ with reason `failed.<cause>`."""

    position: int  # as a document's: byte offset or row number; unlike that of any document of the file
    cause: str  # snake_case, one of the few that the reader's module names
    lost_bytes: int  # stored bytes of the file that nothing was read from


@dataclass
class ReadReport:
    """Counts of one unit. `sum(record_bytes.values()) + lost_bytes == input_bytes` once the unit is read to its end."""

    records: Counter[str] = field(default_factory=Counter)  # records (WARC, by type) or lines met
    record_bytes: Counter[str] = field(default_factory=Counter)  # their stored bytes
    failures: list[Failure] = field(default_factory=list)  # those not taken yet
    lost_bytes: int = 0  # stored bytes that nothing was read from
    input_bytes: int = 0

    def count_bytes(self, kind: str, stored_bytes: int) -> None:
        """Add the stored bytes of records that were counted one by one."""
        self.record_bytes[kind] += stored_bytes

    def stop(self) -> None:
        """Take what was read so far as the whole input: the reader has all the documents it was asked for."""
        self.input_bytes = sum(self.record_bytes.values()) + self.lost_bytes

    @property
    def full(self) -> bool:
        """Tell whether the failures should be taken before more of the unit is read: some files are nothing else."""
        return len(self.failures) >= MAX_FAILURES

    def fail(self, position: int, cause: str, lost_bytes: int) -> None:
        """Add a failure."""
        self.failures.append(Failure(position, cause, lost_bytes))
        self.lost_bytes += lost_bytes

    def take_failures(self) -> list[Failure]:
        """Return the failures since the last call."""
        taken, self.failures = self.failures, []
        return taken

    def count(self, kind: str, stored_bytes: int) -> None:
        """Add one record of a kind."""
        self.records[kind] += 1
        self.record_bytes[kind] += stored_bytes


class RawRows:
    """Collects documents of one input until they weigh `batch_bytes`, and at most `max_docs` (-1 = all).

    Example: rows = RawRows("a.jsonl", 1 << 20); rows.add(position=0, text="hi"); rows.full -> False; rows.take() -> 1
    row
    """

    def __init__(self, input_name: str, batch_bytes: int, max_docs: int = -1) -> None:
        self._input = input_name
        self._batch_bytes = batch_bytes
        self._left = max_docs
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0

    @property
    def full(self) -> bool:
        """Tell whether the rows are to be taken: they weigh a batch, or one document more, or are the last."""
        return self._bytes >= self._batch_bytes or self.done

    @property
    def done(self) -> bool:
        """Tell whether the reader may stop: the input has given as many documents as it was asked for."""
        return self._left == 0

    def add(self, *, position: int, length: int = -1, **columns: Any) -> None:
        """Add one document: any of the columns of RAW; those left out are null."""
        row = {"doc_id": doc_id(self._input, position), "input": self._input, "position": position, "length": length}
        self._rows.append({**row, **columns})
        self._left -= 1
        self._bytes += len(columns.get("html") or columns.get("text") or "") + 256

    def take(self) -> pa.RecordBatch:
        """Return the rows collected, which may be none, and start anew."""
        rows, self._rows, self._bytes = self._rows, [], 0
        columns = [pa.array([row.get(column.name) for row in rows], column.type) for column in RAW]
        return pa.RecordBatch.from_arrays(columns, schema=RAW)


_TIME = re.compile(
    r"(?P<year>\d{4})(?:-?(?P<month>\d\d)(?:-?(?P<day>\d\d)"
    r"(?:[T ]?(?P<hour>\d\d):?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?)?)?)?"
    r"\s*(?P<zone>Z|UTC|[+-]\d\d(?::?\d\d)?)?",
    re.IGNORECASE,
)


def utc_time(text: str | None) -> str | None:
    """Return a time as RFC 3339 in UTC, or null when it is none; what a shorter form leaves out is taken as its start.

    A time without a zone is taken as UTC. Examples: "2008-04-30T20:48:25Z" -> the same; "20080430204825" -> the same;
    "2008-04" -> "2008-04-01T00:00:00Z"; "2008-04-30 22:48:25.5+02:00" -> "2008-04-30T20:48:25.5Z".
    """
    match = _TIME.fullmatch(text.strip()) if text else None
    if match is None:
        return None
    parts = [int(match[name] or default) for name, default in _PARTS.items()]
    zone = match["zone"] or "Z"
    iso_zone = "+00:00" if zone.upper() in ("Z", "UTC") else f"{zone[:3]}:{zone[3:].lstrip(':') or '00'}"
    try:
        parts[5] = min(parts[5], 59)  # a leap second
        date = "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(*parts)
        moment = datetime.fromisoformat(date + iso_zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    fraction = f".{match['fraction']}" if match["fraction"] else ""
    return moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + fraction + "Z"


_PARTS = {"year": 0, "month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0}
