"""`verify` finds flipped bytes, missing parts, swapped sidecars and extra files, and names file and rows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dataproc.errors import InputError
from dataproc.storage import CHECK_BLOCK_BYTES, Folder
from jobs.verify import verify_run
from tests.jobs.runs import dataproc


@pytest.fixture
def run(sample_run: Path, tmp_path: Path) -> Path:
    """A copy of the sample run to damage."""
    return Path(shutil.copytree(sample_run, tmp_path / "run"))


def problems(run: Path) -> list[str]:
    return [str(problem) for problem in verify_run(Folder(run))]


def test_a_whole_run_has_no_problem(sample_run: Path) -> None:
    assert problems(sample_run) == []
    assert dataproc("verify", sample_run).stdout == "Every file is what its manifest says.\n"


@pytest.mark.parametrize(
    "dataset",
    ["documents", "dropped/documents", "signatures", "dedup", "dropped/dedup", "scores", "buckets", "dropped/tokens"],
)
def test_a_flipped_byte_is_found_with_file_and_rows(run: Path, dataset: str) -> None:
    path = max((run / dataset).glob("part-*.parquet"), key=lambda path: path.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    (found,) = problems(run)
    assert found.startswith(f"{dataset}/{path.name}: bytes ")
    assert ", rows 0-" in found
    assert "must have checksum" in found
    assert dataproc("verify", run, ok=False).returncode == 1


def test_a_flipped_token_is_found_with_file_and_row(run: Path) -> None:
    path = max((run / "tokens").rglob("*.bin"), key=lambda path: path.stat().st_size)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    found = problems(run)
    assert any(str(path.relative_to(run)) in problem for problem in found)
    assert any("row" in problem for problem in found)


def test_a_missing_part_is_found(run: Path) -> None:
    (run / "scores" / "part-00000001.parquet").unlink()
    (found,) = problems(run)
    assert found.startswith("scores/part-00000001.parquet: the file must exist with rows 0-")


def test_a_part_without_entry_is_found(run: Path) -> None:
    (run / "manifests" / "scores" / "part-00000001.json").unlink()
    found = problems(run)
    assert found[0].startswith("manifests/scores: part 1 must be done, got no entry.")


def test_swapped_sidecars_are_found_with_the_row(run: Path) -> None:
    """Swap two parts with their entries, so that every checksum is right and only doc_id tells."""
    for folder, end in (("scores", "parquet"), ("manifests/scores", "json")):
        one, two = (run / folder / f"part-0000000{part}.{end}" for part in (1, 2))
        spare = one.with_suffix(".spare")
        one.rename(spare)
        two.rename(one)
        spare.rename(two)
    for part in (1, 2):
        entry = run / "manifests" / "scores" / f"part-0000000{part}.json"
        entry.write_text(entry.read_text().replace(f"part-0000000{3 - part}", f"part-0000000{part}"))
    found = problems(run)
    assert [problem.split(": ")[0] for problem in found] == [
        "scores/part-00000001.parquet",
        "scores/part-00000002.parquet",
    ]
    assert all("row 0 must hold doc_id" in problem for problem in found)


def test_an_extra_file_is_found(run: Path) -> None:
    (run / "documents" / "part-00000099.parquet").write_bytes(b"PAR1")
    (run / "tokens" / "notes.txt").write_text("hi")
    found = problems(run)
    assert [problem.split(": ")[0] for problem in found[:2]] == ["documents/part-00000099.parquet", "tokens/notes.txt"]


def flip(path: Path, at: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 0x40
    path.write_bytes(data)


@pytest.mark.parametrize("at", [0.001, 0.5, 0.9, 0.97, 0.99, 0.999])
def test_a_byte_of_a_footer_is_found_too(run: Path, at: float) -> None:
    """Arrow may abort the process on a damaged footer, so it must not be read."""
    path = run / "dedup" / "part-00000000.parquet"
    assert path.stat().st_size < CHECK_BLOCK_BYTES
    flip(path, at)
    (found,) = problems(run)
    assert found.startswith(f"dedup/part-00000000.parquet: bytes 0-{path.stat().st_size - 1}, rows 0-")


def test_a_damaged_token_table_is_found_without_reading_it(run: Path) -> None:
    path = min((run / "tokens").rglob("*.docs.parquet"))
    flip(path, 0.9)
    (found,) = problems(run)
    assert found.startswith(f"{path.relative_to(run)}: bytes 0-")
    assert ", rows 0-" in found


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("manifests/documents/dataset.json", "the manifest must be as it was written, got"),
        ("manifests/scores/part-00000002.json", "the manifest must be as it was written, got"),
        ("run.json", "the record of the run must be readable, got ShardError"),
    ],
)
def test_a_damaged_manifest_is_found(run: Path, name: str, sentence: str) -> None:
    (run / name).write_text((run / name).read_text()[:-20])
    assert problems(run)[0].startswith(f"{name}: {sentence}")


def test_an_entry_beyond_the_parts_is_found(run: Path) -> None:
    shutil.copy(run / "manifests/scores/part-00000000.json", run / "manifests/scores/part-00000009.json")
    assert problems(run) == ["manifests/scores: part 9 must not exist, got an entry beyond the 7 parts. Remove it."]


def test_a_missing_dataset_is_found(run: Path) -> None:
    shutil.rmtree(run / "manifests" / "scores")
    shutil.rmtree(run / "scores")
    assert problems(run)[0] == "manifests/scores: the dataset must be made, got none. Run `dataproc resume`."


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("dropped/tokens/part-00000000.parquet", "Rebuild it with --redo buckets."),
        ("mixture.json", "Rebuild it with --redo mixture."),
        ("units.parquet", "Run `dataproc resume`."),
    ],
)
def test_what_is_missing_names_the_step_that_writes_it(run: Path, name: str, mend: str) -> None:
    (run / name).unlink()
    (found,) = problems(run)
    assert found.startswith(f"{name}: the file must exist with ")
    assert found.endswith(mend)


def test_a_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must hold a run, got no manifests"):
        problems(tmp_path)
    assert dataproc("verify", tmp_path, ok=False).returncode == 3


def test_a_changed_mixture_is_found(run: Path) -> None:
    path = run / "mixture.json"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert any(problem.startswith("mixture.json: ") for problem in problems(run))
