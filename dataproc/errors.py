"""The errors a user can meet, each with the exit code that the command line returns for it.

A message reads `Where.what must be <rule>, got <value>. <What to do>.` and names file, part and doc_id when data is at
fault.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DataprocError(Exception):
    """Base of errors that are the user's, the input's or the machine's fault; the shell sees `exit_code`."""

    exit_code = 1


class ConfigError(DataprocError):
    """A recipe, mix, option or environment is wrong; nothing was started."""

    exit_code = 2


class InputError(DataprocError):
    """The input is missing, empty or unreadable."""

    exit_code = 3


class SchemaError(DataprocError):
    """A stage or dataset does not have the columns or types it must have."""

    exit_code = 4


class ShardError(DataprocError):
    """A unit, part or token shard failed or does not hold what its manifest says."""

    exit_code = 5


class ResumeError(DataprocError):
    """The output folder holds a run that differs from the one asked for."""

    exit_code = 6


class StorageError(DataprocError):
    """A file cannot be stored: a full or read-only disk, a refused permission; no unit can, so the run stops."""

    exit_code = 7


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ` Did you mean "x"?` for the nearest known name, or the list of names when none is near.

    Example: suggest("min_word", ["min_words", "max_words"]) -> ' Did you mean "min_words"?'
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f' Did you mean "{near[0]}"?'
    return f" Known: {', '.join(known)}." if known else ""
