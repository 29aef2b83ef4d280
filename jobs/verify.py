"""`dataproc verify RUN`: is every file what its manifest says, and does every sidecar belong to its documents?"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq

from dataproc.errors import InputError, ShardError
from dataproc.shards import Dataset, File, description_name, entry_name, read_description, read_entry
from dataproc.storage import CHECK_BLOCK_BYTES, Folder, block_checksums
from dataproc.tables import open_parquet, part_name, read_aligned
from dataproc.tokens.verify import verify_bucket
from jobs.funnel import read_record

SIDECARS = {
    "signatures": ["text_hash"],
    "dedup": ["duplicate_of"],
    "lines": ["cuts"],
    "substrings": ["cuts"],
    "scores": ["doc_id"],
    "buckets": ["bucket"],
}
CHECKED = ("documents", "dropped", "signatures", "dedup", "lines", "substrings", "scores", "buckets", "tokens")
"""Folders in which every file must be known."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with a file; the sentence names it, and the rows where that can be said."""

    file: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.file}: {self.sentence}"


def verify_run(folder: Folder) -> Iterator[Problem]:
    """Yield every problem: manifests, names, sizes and checksums, then sidecars row by row, then token shards.

    Raises InputError when the folder holds no run: nothing to be found wrong is not the same as a run that is whole.
    """
    names = _datasets(folder)
    if not names:
        raise InputError(f"{folder.url} must hold a run, got no manifests. Give the OUT of `dataproc run`.")
    try:
        recorded = {name for name in read_record(folder)["fingerprints"] if "/" not in name}
    except (InputError, *_UNREADABLE) as error:
        recorded = set()
        yield Problem(
            "run.json", f"the record of the run must be readable, got {error!r}. Write it with `dataproc run`."
        )
    known: set[str] = set()
    damaged: set[str] = set()
    for name in sorted(recorded.union(names)):
        yield from _verify_entries(folder, name)
        for file in _files(folder, name):
            known.add(file.name)
            for problem in _verify_file(folder, file, name):
                damaged.add(file.name)
                yield problem
    for top in CHECKED:
        for name in folder.files(top):
            if name not in known:
                yield Problem(name, "the file must belong to a manifest, got a file that none names. Remove it.")
    yield from _verify_sidecars(folder, damaged)
    for bucket in _buckets(folder):
        if any(name.startswith(f"tokens/{bucket}/") and name.endswith(".parquet") for name in damaged):
            continue  # its table is the way to its documents, and see `_metadata`
        for found in verify_bucket(Folder(f"{folder.url}/tokens/{bucket}")):
            yield Problem(f"tokens/{bucket}", str(found))


_UNREADABLE = (ShardError, ValueError, TypeError, KeyError)  # what damaged JSON gives


def _verify_entries(folder: Folder, dataset: str) -> Iterator[Problem]:
    """Yield what is wrong with a dataset's manifest: parts that miss, or are too many, and damaged files."""
    where, done = f"manifests/{dataset}", _done(folder, dataset)
    try:
        parts = (read_description(folder, dataset) or {"parts": None})["parts"]
        if parts is None:
            yield Problem(where, "the dataset must be made, got none. Run `dataproc resume`.")
            parts = len(done)
    except _UNREADABLE as error:
        yield _unreadable(description_name(dataset), error)
        parts = len(done)
    for part in sorted(set(range(parts)) - done):
        yield Problem(where, f"part {part} must be done, got no entry. Run `dataproc resume`.")
    for part in sorted(done - set(range(parts))):
        yield Problem(where, f"part {part} must not exist, got an entry beyond the {parts} parts. Remove it.")
    for part in sorted(done):
        try:
            read_entry(folder, dataset, part)
        except _UNREADABLE as error:
            yield _unreadable(entry_name(dataset, part), error)


def _files(folder: Folder, dataset: str) -> Iterator[File]:
    """Yield the files of a dataset that its readable entries name."""
    for part in sorted(_done(folder, dataset)):
        with contextlib.suppress(*_UNREADABLE):  # told by _verify_entries
            yield from read_entry(folder, dataset, part).files


def _done(folder: Folder, dataset: str) -> set[int]:
    return Dataset(folder, dataset, {}, None).done()


def _unreadable(file: str, error: Exception) -> Problem:
    told = f"the manifest must be as it was written, got {type(error).__name__}: {error}"
    return Problem(file, told if isinstance(error, ShardError) else f"{told}. Rebuild its step with --redo.")


def _datasets(folder: Folder) -> list[str]:
    end = description_name("")[len("manifests/") :]
    names = folder.files("manifests")
    return [name.removeprefix("manifests/").removesuffix(end) for name in names if name.endswith(end)]


def _buckets(folder: Folder) -> list[str]:
    return sorted(name.split("/")[1] for name in folder.files("tokens") if name.endswith("/manifest.json"))


def _verify_file(folder: Folder, file: File, dataset: str) -> Iterator[Problem]:
    if not folder.exists(file.name):
        mend = "Run `dataproc resume`" if dataset == "units" else f"Rebuild it with --redo {dataset.split('/')[0]}"
        yield Problem(file.name, f"the file must exist with {_rows(file)}, got none. {mend}.")
        return
    size = folder.size(file.name)
    if size != file.bytes:
        yield Problem(file.name, f"the file must have {file.bytes} bytes ({_rows(file)}), got {size}.")
        return
    with folder.open(file.name) as opened:
        found = block_checksums(opened)
    damaged = [block for block, (want, got) in enumerate(zip(file.blocks, found, strict=True)) if want != got]
    metadata = _metadata(folder, file, damaged) if damaged and file.name.endswith(".parquet") else None
    for block in damaged:
        start, stop = block * CHECK_BLOCK_BYTES, min(size, (block + 1) * CHECK_BLOCK_BYTES)
        where = f"bytes {start}-{stop - 1}"
        if file.rows >= 0:
            where += f", {_rows(file) if metadata is None else _rows_at(metadata, start, stop)}"
        yield Problem(
            file.name,
            f"{where} must have checksum {file.blocks[block]}, got {found[block]}:"
            " the file was changed after it was written.",
        )


def _rows(file: File) -> str:
    return f"rows 0-{file.rows - 1}" if file.rows > 0 else "no rows" if file.rows == 0 else f"{file.bytes} bytes"


def _metadata(folder: Folder, file: File, damaged: Sequence[int]) -> pq.FileMetaData | None:
    """Return the footer of a Parquet file, None when it is damaged: Arrow may end the process on one, not raise."""
    if damaged[-1] == len(file.blocks) - 1:
        return None
    with folder.open(file.name) as opened:
        opened.seek(-8, os.SEEK_END)  # the footer's length, and "PAR1"
        start = file.bytes - 8 - int.from_bytes(opened.read(4), "little")
        return None if start < (damaged[-1] + 1) * CHECK_BLOCK_BYTES else open_parquet(opened).metadata


def _rows_at(metadata: pq.FileMetaData, start: int, stop: int) -> str:
    """Say which rows and columns lie in a range of bytes."""
    row, found, columns = 0, [], []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for index in range(group.num_columns):
            column = group.column(index)
            first = column.dictionary_page_offset or column.data_page_offset
            if first < stop and first + column.total_compressed_size > start:
                found.append((row, row + group.num_rows - 1))
                columns.append(column.path_in_schema.split(".")[0])
        row += group.num_rows
    if not found:
        return "between the columns"
    named = list(dict.fromkeys(columns))
    return f"rows {found[0][0]}-{found[-1][1]}, column{'s' if len(named) > 1 else ''} {', '.join(named)}"


def _verify_sidecars(folder: Folder, damaged: set[str]) -> Iterator[Problem]:
    """Compare every doc_id of every sidecar with its document's; files known to be damaged are left out."""
    for part in sorted(_done(folder, "documents")):
        documents = part_name("documents", part)
        if documents in damaged or not folder.exists(documents):
            continue
        for name, columns in SIDECARS.items():
            sidecar = part_name(name, part)
            if sidecar in damaged or not folder.exists(sidecar):
                continue
            try:
                for _ in read_aligned(folder, part, {"documents": ["doc_id"], name: columns}):
                    pass
            except ShardError as error:
                yield Problem(sidecar, str(error).removeprefix(f"{sidecar} "))
