"""`dataproc verify RUN`: is every file what its manifest says, and does every sidecar belong to its documents?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from dataproc.errors import ShardError
from dataproc.shards import Dataset, File, description_name, read_description
from dataproc.storage import CHECK_BLOCK_BYTES, Folder, block_checksums
from dataproc.tables import part_name, read_aligned
from dataproc.tokens.verify import verify_bucket

SIDECARS = {"signatures": ["text_hash"], "dedup": ["duplicate_of"], "scores": ["doc_id"], "buckets": ["bucket"]}
CHECKED = ("documents", "dropped", "signatures", "dedup", "scores", "buckets", "tokens")
"""Folders in which every file must be known."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with a file; the sentence names it, and the rows where that can be said."""

    file: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.file}: {self.sentence}"


def verify_run(folder: Folder) -> Iterator[Problem]:
    """Yield every problem: names, sizes and checksums, then sidecars row by row, then token shards."""
    known: set[str] = set()
    damaged: set[str] = set()
    for name in _datasets(folder):
        description = read_description(folder, name)
        assert description is not None
        dataset = Dataset(folder, name, description["made_from"], description["parts"])
        done = dataset.done()
        for part in sorted(set(range(dataset.parts or 0)) - done):
            yield Problem(f"manifests/{name}", f"part {part} must be done, got no entry. Run `dataproc resume`.")
        for entry in dataset.entries():
            for file in entry.files:
                known.add(file.name)
                for problem in _verify_file(folder, file):
                    damaged.add(file.name)
                    yield problem
    for top in CHECKED:
        for name in folder.files(top):
            if name not in known:
                yield Problem(name, "the file must belong to a manifest, got a file that none names. Remove it.")
    yield from _verify_sidecars(folder, damaged)
    for bucket in _buckets(folder):
        for found in verify_bucket(Folder(f"{folder.url}/tokens/{bucket}")):
            yield Problem(f"tokens/{bucket}", str(found))


def _datasets(folder: Folder) -> list[str]:
    end = description_name("")[len("manifests/") :]
    names = folder.files("manifests")
    return [name.removeprefix("manifests/").removesuffix(end) for name in names if name.endswith(end)]


def _buckets(folder: Folder) -> list[str]:
    return sorted(name.split("/")[1] for name in folder.files("tokens") if name.endswith("/manifest.json"))


def _verify_file(folder: Folder, file: File) -> Iterator[Problem]:
    if not folder.exists(file.name):
        yield Problem(
            file.name,
            f"the file must exist with {_rows(file)}, got none. Rebuild it with --redo {file.name.split('/')[0]}.",
        )
        return
    size = folder.size(file.name)
    if size != file.bytes:
        yield Problem(file.name, f"the file must have {file.bytes} bytes ({_rows(file)}), got {size}.")
        return
    with folder.open(file.name) as opened:
        found = block_checksums(opened)
    for block, (want, got) in enumerate(zip(file.blocks, found, strict=True)):
        if want != got:
            start, stop = block * CHECK_BLOCK_BYTES, min(size, (block + 1) * CHECK_BLOCK_BYTES)
            where = f"bytes {start}-{stop - 1}"
            if file.name.endswith(".parquet"):
                where += f", {_rows_at(folder, file, start, stop)}"
            yield Problem(
                file.name, f"{where} must have checksum {want}, got {got}: the file was changed after it was written."
            )


def _rows(file: File) -> str:
    return f"rows 0-{file.rows - 1}" if file.rows > 0 else "no rows" if file.rows == 0 else f"{file.bytes} bytes"


def _rows_at(folder: Folder, file: File, start: int, stop: int) -> str:
    """Say which rows and columns lie in a range of bytes of a Parquet file."""
    try:
        with folder.open(file.name) as opened:
            metadata = pq.ParquetFile(opened).metadata
    except (pa.ArrowException, OSError):
        return f"the footer of {_rows(file)}"
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
        return f"the footer of {_rows(file)}"
    named = list(dict.fromkeys(columns))
    return f"rows {found[0][0]}-{found[-1][1]}, column{'s' if len(named) > 1 else ''} {', '.join(named)}"


def _verify_sidecars(folder: Folder, damaged: set[str]) -> Iterator[Problem]:
    """Compare every doc_id of every sidecar with its document's; files known to be damaged are left out."""
    description = read_description(folder, "documents")
    for part in range((description or {}).get("parts") or 0):
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
