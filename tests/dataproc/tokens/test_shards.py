"""Token shards: exact bytes on disk, the stream across shard ends, damage located, verify."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataproc.errors import ConfigError, SchemaError, ShardError
from dataproc.ids import doc_id
from dataproc.storage import Folder
from dataproc.tokens.ranges import Cache
from dataproc.tokens.reader import ReadCache, TokenReader
from dataproc.tokens.shards import ShardReport, TokenizerInfo, read_manifest, write_manifest, write_shard
from dataproc.tokens.verify import verify_bucket
from tests.dataproc.tokens.synthetic import EOS, LARGE, SMALL, consecutive, rows, write_bucket, write_lengths


@pytest.fixture
def run(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def bucket_path(run: Folder, name: str) -> Path:
    return run.local_path(f"tokens/eng/{name}")


def problems(run: Folder) -> list[str]:
    return [str(problem) for problem in verify_bucket(Folder(run.local_path("tokens/eng")))]


def test_the_bytes_of_a_shard(run: Folder) -> None:
    manifest = write_bucket(run, "eng", [[[1, 2, EOS], [4, EOS]]])
    data = bucket_path(run, "shard-00000.bin").read_bytes()
    assert data == b"\x01\x00\x02\x00\x00\x00\x04\x00\x00\x00"
    assert bucket_path(run, "shard-00000.xxh3").read_bytes() == xxhash.xxh3_64_intdigest(data).to_bytes(8, "little")
    table = pq.read_table(bucket_path(run, "shard-00000.docs.parquet"))
    assert table.column_names == ["doc_id", "offset", "length", "url", "language", "input", "position"]
    assert table["doc_id"].to_pylist() == [doc_id("eng", 0), doc_id("eng", 1)]
    assert table["offset"].to_pylist() == [0, 3]
    assert table["length"].to_pylist() == [3, 2]
    assert (manifest.tokens, manifest.documents, manifest.dtype) == (5, 2, "uint16")
    assert sorted(path.name for path in bucket_path(run, "").iterdir()) == [
        "manifest.json",
        "shard-00000.bin",
        "shard-00000.docs.parquet",
        "shard-00000.xxh3",
    ]


def test_manifest_is_sorted_json_without_times_or_paths(run: Folder) -> None:
    written = write_bucket(run, "eng", [[[1, EOS]], [[7, EOS]]])
    text = bucket_path(run, "manifest.json").read_text()
    values = json.loads(text)
    assert text == json.dumps(values, indent=1, sort_keys=True) + "\n"
    assert sorted(values) == ["bucket", "documents", "dtype", "format", "shards", "tokenizer", "tokens", "version"]
    assert values["bucket"] == "eng"
    assert read_manifest(Folder(bucket_path(run, ""))) == written
    assert ShardReport.model_validate(values["shards"][1]) == written.shards[1]


def test_dtype_is_uint16_exactly_when_every_id_fits() -> None:
    info = TokenizerInfo(name="t", sha256="0", vocab_size=65_536, max_id=65_535, eos_id=0)
    assert info.dtype == "uint16"
    assert info.model_copy(update={"max_id": 65_536}).dtype == "uint32"


def test_equal_rows_give_equal_bytes_however_they_are_batched(tmp_path: Path) -> None:
    documents = consecutive([3, 9, 2, 40, 5, 1])
    files = []
    for size in (1, 2, 100):
        folder = Folder(tmp_path / str(size))
        report = write_shard(folder, "b", 0, rows("b", documents, batch_rows=size), SMALL, block_bytes=16)
        write_manifest(folder, "b", SMALL, [report])
        files.append({name: folder.local_path(name).read_bytes() for name in folder.files()})
    assert len(files[0]) == 4
    assert files[0] == files[1] == files[2]


def test_sliced_and_narrow_binary_columns_are_read_as_they_stand(run: Folder) -> None:
    (batch,) = rows("eng", [[9, EOS], [1, 2, EOS], [4, EOS], [8, EOS]])
    narrow = batch.set_column(1, "tokens", batch["tokens"].cast(pa.binary()))
    for number, given_ in enumerate((batch, narrow)):
        write_shard(run, "tokens/eng", number, [given_.slice(1, 2)], SMALL)
        assert bucket_path(run, f"shard-{number:05d}.bin").read_bytes() == b"\x01\x00\x02\x00\x00\x00\x04\x00\x00\x00"


def test_a_shard_without_rows_is_empty_but_there(run: Folder) -> None:
    manifest = write_bucket(run, "eng", [[], [[5, EOS]], []])
    assert [shard.tokens for shard in manifest.shards] == [0, 2, 0]
    reader = TokenReader(run.local_path("tokens/eng"))
    assert reader.read(0, 2).tolist() == [5, EOS]
    assert reader.locate(1) == 0
    assert problems(run) == []


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], "bytes of tokens must be whole and not empty, got 0"),
        ([3, 4], "last token must be EOS 0, got 4"),
        ([60_000, EOS], "largest token must be at most 59999, got 60000"),
    ],
)
def test_a_wrong_document_is_named_and_nothing_is_left(run: Folder, document: list[int], sentence: str) -> None:
    with pytest.raises(ShardError) as caught:
        write_bucket(run, "eng", [[[1, EOS], document]])
    assert str(caught.value) == (
        f"tokens/eng/shard-00000, doc_id {doc_id('eng', 1).hex()}: {sentence}."
        " Encode documents with the tokenizer digits, EOS on."
    )
    assert run.files() == []


def test_the_largest_id_itself_is_kept(run: Folder) -> None:
    assert write_bucket(run, "eng", [[[59_999, EOS]]]).tokens == 2


def test_wrong_columns_are_schema_errors(run: Folder) -> None:
    (batch,) = rows("eng", [[1, EOS]])
    with pytest.raises(SchemaError, match=r"batch.tokens must be there in every row"):
        write_shard(run, "tokens/eng", 0, [batch.drop_columns(["tokens"])], SMALL)
    with pytest.raises(SchemaError, match=r"batch.url must be there"):
        write_shard(run, "tokens/eng", 0, [batch.drop_columns(["url"])], SMALL)
    with pytest.raises(SchemaError, match=r"batch.tokens must be binary or large_binary, got list<item: int64>"):
        write_shard(run, "tokens/eng", 0, [batch.set_column(1, "tokens", pa.array([[1, 0]]))], SMALL)
    with pytest.raises(ConfigError, match=r"write_shard.block_bytes must be a multiple of 2 above 0, got 3"):
        write_shard(run, "tokens/eng", 0, [batch], SMALL, block_bytes=3)


def test_two_shards_of_one_index_are_an_error(run: Folder) -> None:
    report = write_shard(run, "tokens/eng", 4, rows("eng", [[1, EOS]]), SMALL)
    with pytest.raises(ShardError, match=r"tokens/eng: shard indices must differ, got 4 twice"):
        write_manifest(run, "tokens/eng", SMALL, [report, report])


def test_a_killed_writer_leaves_no_shard(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from tests.dataproc.tokens.synthetic import *
def dying():
    yield from rows("eng", [[1, EOS]])
    os.kill(os.getpid(), signal.SIGKILL)
write_shard(Folder(sys.argv[1]), "tokens/eng", 0, dying(), SMALL)
"""
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[3]).returncode == -9
    assert Folder(tmp_path).files() == []


LENGTHS = st.lists(st.integers(1, 20), min_size=1, max_size=30)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(data=st.data(), lengths=LENGTHS, num_shards=st.integers(1, 5), block_bytes=st.sampled_from([2, 6, 64]))
def test_the_stream_is_the_documents_in_shard_order(
    tmp_path: Path, data: st.DataObject, lengths: list[int], num_shards: int, block_bytes: int
) -> None:
    run = Folder(tmp_path / str(len(list(tmp_path.iterdir()))))
    write_lengths(run, "eng", lengths, num_shards=num_shards, block_bytes=block_bytes)
    stream = np.concatenate(consecutive(lengths))
    begins = np.cumsum([0, *lengths[:-1]])
    reader = TokenReader(run.local_path("tokens/eng"), ReadCache(block_bytes=100, table_bytes=1, open_files=1))
    assert (reader.tokens, reader.documents) == (len(stream), len(lengths))
    for _ in range(4):
        start = data.draw(st.integers(0, len(stream) - 1))
        stop = data.draw(st.integers(start + 1, len(stream)))
        assert reader.read(start, stop).tolist() == stream[start:stop].tolist()
        row, starts = reader.document_starts(start, stop)
        assert row == np.searchsorted(begins, start, side="right") - 1
        assert starts.tolist() == [begin for begin in begins if start < begin < stop]
        table = reader.document_table(np.array([row, 0]))
        assert table["doc_id"].to_pylist() == [doc_id("eng", row), doc_id("eng", 0)]
        assert table["start"].to_pylist() == [begins[row], 0]
        assert table["stop"].to_pylist() == [begins[row] + lengths[row], lengths[0]]
        assert reader.find(doc_id("eng", row)) == row
    assert problems(run) == []


def test_read_into_widens_and_reads_outside_are_index_errors(run: Folder) -> None:
    write_lengths(run, "eng", [4, 4], num_shards=2)
    reader = TokenReader(run.local_path("tokens/eng"))
    out = np.full(6, 99, dtype=np.uint32)
    assert reader.read(2, 8, out) is out
    assert out.tolist() == [3, EOS, 5, 6, 7, EOS]
    assert reader.read(8, 8).tolist() == []
    assert reader.find(doc_id("other", 0)) is None
    with pytest.raises(IndexError, match=r"a range must lie in \[0, 8\], got \[7, 9\)"):
        reader.read(7, 9)


def test_32_bit_ids(run: Folder) -> None:
    write_bucket(run, "eng", [[[1 << 19, EOS]]], LARGE)
    assert bucket_path(run, "shard-00000.bin").read_bytes() == b"\x00\x00\x08\x00\x00\x00\x00\x00"
    assert TokenReader(run.local_path("tokens/eng")).read(0, 2).tolist() == [1 << 19, 0]


def test_a_remote_folder_reads_the_same(run: Folder) -> None:
    remote = Folder("memory://test-shards")
    lengths = [3, 5, 2, 8]
    write_lengths(remote, "eng", lengths, num_shards=2, block_bytes=4)
    reader = TokenReader("memory://test-shards/tokens/eng")
    assert reader.read(0, 18).tolist() == np.concatenate(consecutive(lengths)).tolist()
    assert list(verify_bucket(Folder("memory://test-shards/tokens/eng"))) == []


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_flipped_byte_is_found_on_read_and_by_verify(run: Folder) -> None:
    write_lengths(run, "eng", [4, 4, 4], block_bytes=8)
    flip(bucket_path(run, "shard-00000.bin"), 9)
    reader = TokenReader(run.local_path("tokens/eng"))
    assert reader.read(0, 4).tolist() == [1, 2, 3, EOS]
    with pytest.raises(ShardError) as caught:
        reader.read(3, 6)
    assert "shard-00000.bin block 1 (bytes 8-16, tokens 4-8) must have xxh3 " in str(caught.value)
    assert str(caught.value).endswith("Restore the file from a copy, or rebuild the tokens with --redo tokens.")
    assert problems(run) == [
        "shard-00000.bin row 1: block 1 (tokens 4-8) must have the checksum in shard-00000.xxh3, got other bytes."
    ]


def test_a_cut_or_missing_file_is_found_on_read_and_by_verify(run: Folder) -> None:
    write_lengths(run, "eng", [4, 4, 4], block_bytes=8)
    path = bucket_path(run, "shard-00000.bin")
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ShardError, match=r"shard-00000.bin must have 24 bytes, got 22"):
        TokenReader(run.local_path("tokens/eng")).read(0, 12)
    assert problems(run)[-1] == "shard-00000.bin: must hold 12 tokens in 24 bytes, got 11 tokens."
    path.unlink()
    with pytest.raises(ShardError, match=r"shard-00000.bin must exist, got no such file"):
        TokenReader(run.local_path("tokens/eng")).read(0, 12)
    assert problems(run) == ["shard-00000.bin: must exist, got no such file."]


def test_a_flipped_checksum_is_not_blamed_on_the_tokens(run: Folder) -> None:
    write_lengths(run, "eng", [4, 4])
    flip(bucket_path(run, "shard-00000.xxh3"), 0)
    with pytest.raises(ShardError, match=r"shard-00000.xxh3 must have xxh3 [0-9a-f]{16}, got other bytes"):
        TokenReader(run.local_path("tokens/eng")).read(0, 1)
    assert "shard-00000.xxh3: must have 8 bytes and xxh3 " in problems(run)[0]


def test_verify_goes_on_after_a_file_that_is_none(run: Folder) -> None:
    """A cut checksum file and a table without its columns are two problems, and end nothing."""
    write_lengths(run, "eng", [4, 4], block_bytes=8)
    path = bucket_path(run, "shard-00000.xxh3")
    path.write_bytes(path.read_bytes()[:-3])
    pq.write_table(pa.table({"a": [1, 2]}), bucket_path(run, "shard-00000.docs.parquet"))
    found = problems(run)
    assert [problem.split(":")[0] for problem in found] == [
        "shard-00000.docs.parquet",
        "shard-00000.docs.parquet",
        "shard-00000.xxh3",
        "shard-00000.bin",
    ]
    assert "must be a document table, got: " in found[1]
    assert "block 1 (tokens 4-8) must have the checksum" in found[3]


def test_tables_of_two_shards_swapped(run: Folder) -> None:
    write_lengths(run, "eng", [4, 4, 5, 5], num_shards=2)
    one, two = (bucket_path(run, f"shard-0000{k}.docs.parquet") for k in (0, 1))
    first = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(first)
    with pytest.raises(ShardError, match=r"shard-00000.docs.parquet must cover the shard's 8 tokens without gaps"):
        TokenReader(run.local_path("tokens/eng")).locate(0)
    found = problems(run)
    assert any(
        problem.startswith("shard-00000.docs.parquet: lengths must add up to 8 tokens, got 10") for problem in found
    )
    assert any(problem.startswith("shard-00001.docs.parquet: must have ") for problem in found)


def test_unreadable_tables_and_extra_files(run: Folder) -> None:
    write_lengths(run, "eng", [4, 4])
    bucket_path(run, "shard-00009.bin").write_bytes(b"")
    bucket_path(run, "shard-00000.docs.parquet").write_bytes(b"PAR1")
    with pytest.raises(ShardError, match=r"shard-00000.docs.parquet must be readable, got: "):
        TokenReader(run.local_path("tokens/eng")).locate(0)
    found = problems(run)
    assert found[0] == "shard-00009.bin: must not exist: the manifest does not name it."
    assert found[2].startswith("shard-00000.docs.parquet: must be a document table, got: ")


def test_verify_knows_what_checksums_cannot(run: Folder) -> None:
    """Shards that were written wrong, with checksums that agree: documents without EOS, ids beyond the vocabulary."""
    write_lengths(run, "eng", [4, 4])
    manifest_path = bucket_path(run, "manifest.json")
    text = manifest_path.read_text()
    manifest_path.write_text(text.replace('"eos_id": 0', '"eos_id": 3'))
    assert problems(run) == ["shard-00000.bin row 0: the document must end with EOS 3."]
    manifest_path.write_text(text.replace('"max_id": 59999', '"max_id": 6'))
    assert problems(run) == ["shard-00000.bin row 0: block 0 (tokens 0-8) must hold ids up to 6, got 7."]
    manifest_path.write_text(
        text.replace('"tokens": 8\n', '"tokens": 8').replace('"documents": 2,\n "dtype"', '"documents": 3,\n "dtype"')
    )
    assert problems(run) == ["manifest.json: documents must be the sum over the shards, 2, got 3."]


def test_manifests_that_are_none(run: Folder) -> None:
    write_lengths(run, "eng", [4])
    path = bucket_path(run, "manifest.json")
    path.write_text("{}")
    with pytest.raises(
        ShardError, match=r"manifest.json must be a manifest of token shards, got: .*bucket must be given"
    ):
        TokenReader(run.local_path("tokens/eng"))
    path.unlink()
    with pytest.raises(
        ShardError, match=r"manifest.json must exist, got no such file. Run the tokens step to its end."
    ):
        TokenReader(run.local_path("tokens/eng"))
    assert problems(run)[0].startswith("manifest.json: ")


def test_a_cache_forgets_what_was_used_longest_ago() -> None:
    cache: Cache[str, bytes] = Cache(5, len)
    loads: list[str] = []

    def get(key: str, size: int) -> int:
        def load() -> bytes:
            loads.append(key)
            return bytes(size)

        return len(cache.get(key, load))

    assert [get("a", 2), get("b", 2), get("a", 2), get("c", 2), get("a", 2), get("b", 2)] == [2] * 6
    assert loads == ["a", "b", "c", "b"]
    assert get("big", 9) == 9
    assert get("big", 9) == 9
    assert loads[-1] == "big"
    assert loads.count("big") == 1
