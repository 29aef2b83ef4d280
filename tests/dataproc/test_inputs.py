from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from dataproc.columns import InputColumns
from dataproc.errors import InputError
from dataproc.inputs import UNITS, InputConfig, Inputs, ReadReport, Unit, plan_units, read_unit
from tests.dataproc.warc_files import members, page_record


def put(folder: Path, *names: str, data: bytes = b"x") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def planned(crawl: object, **options: Any) -> list[tuple[str, str]]:
    inputs = plan_units(str(crawl), InputConfig(unit_bytes=1 << 20), **options)
    assert inputs.units.schema == UNITS
    return list(zip(inputs.units["input"].to_pylist(), inputs.locations.to_pylist(), strict=True))


def units(inputs: Inputs) -> list[Unit]:
    return [Unit(**row) for row in inputs.units.to_pylist()]


def test_folder_is_searched_to_its_depth(tmp_path: Path) -> None:
    put(
        tmp_path,
        "b.warc.gz",
        "a/z.WARC",
        "a/b/c.jsonl.zst",
        "B.jsonl",
        "readme.txt",
        "x.csv",
        ".hidden/a.warc",
        "._b.warc.gz",
    )
    names = ["B.jsonl", "a/b/c.jsonl.zst", "a/z.WARC", "b.warc.gz"]
    assert planned(tmp_path) == [(name, str(tmp_path / name)) for name in names]
    assert planned(f"{tmp_path}/", limit_files=2) == planned(tmp_path)[:2]


def test_a_folder_that_cannot_be_read_is_an_error_and_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "a.warc", "shut/b.warc")
    scandir = os.scandir

    def refusing(path: Any = ".") -> Any:
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(InputError) as error:
        planned(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}/shut must be readable, got Permission denied. Check the permissions, or give another folder."
    )


def test_linked_folders_are_searched(tmp_path: Path) -> None:
    put(tmp_path, "crawl/a.warc", "elsewhere/b.warc")
    (tmp_path / "crawl" / "link").symlink_to(tmp_path / "elsewhere")
    assert [name for name, _ in planned(tmp_path / "crawl")] == ["a.warc", "link/b.warc"]


@pytest.mark.parametrize("name", ["c4-train.00000-of-01024.json.gz", "a.ndjson", "a.ndjson.zst", "a.json.zst"])
def test_lines_of_json_under_other_names(tmp_path: Path, name: str) -> None:
    packs: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstandard.compress}
    pack = packs.get(Path(name).suffix, bytes)
    put(tmp_path, name, "dataset_info.json", data=pack(b'{"text": "hi"}\n'))
    inputs = plan_units(str(tmp_path), InputConfig())
    (unit,), (location,) = units(inputs), inputs.locations.to_pylist()
    assert (unit.input, unit.format) == (name, "jsonl")
    (batch,) = read_unit(unit, location, ReadReport(), InputConfig())
    assert batch["text"].to_pylist() == ["hi"]


def test_single_file_is_named_by_itself(tmp_path: Path) -> None:
    put(tmp_path, "in/a[1].warc.gz", data=b"12345")
    inputs = plan_units(str(tmp_path / "in/a[1].warc.gz"), InputConfig(unit_bytes=1))
    assert units(inputs) == [Unit(0, "a[1].warc.gz", "warc", 0, -1, 0, 5)]


def test_glob_is_named_below_its_fixed_part(tmp_path: Path) -> None:
    put(tmp_path, "x1/a.warc", "x2/b.jsonl", "x2/c.csv", "y/d.warc")
    assert [name for name, _ in planned(tmp_path / "x*/*")] == ["x1/a.warc", "x2/b.jsonl"]
    assert [name for name, _ in planned(tmp_path / "x1/*.warc")] == ["a.warc"]
    assert [name for name, _ in planned(tmp_path / "**/*.warc")] == ["x1/a.warc", "y/d.warc"]


def test_list_of_paths(tmp_path: Path) -> None:
    put(tmp_path, "crawl/a.warc.gz", "crawl/b.jsonl")
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/deep/c.warc.gz", b"123")
    lines = ["# two files", "", "./crawl/b.jsonl ", f"{tmp_path}/crawl/a.warc.gz", "memory://bucket/deep/c.warc.gz"]
    put(tmp_path, "list.paths", data="\r\n".join(lines).encode())
    put(tmp_path, "list.txt.gz", data=gzip.compress("\n".join(lines).encode()))
    absolute = f"{tmp_path}/crawl/a.warc.gz".lstrip("/")
    for name in ("list.paths", "list.txt.gz"):
        inputs = plan_units(str(tmp_path / name), InputConfig(unit_bytes=1 << 20))
        found = dict(zip(inputs.units["input"].to_pylist(), inputs.units["bytes"].to_pylist(), strict=True))
        assert found == {"crawl/b.jsonl": 1, absolute: 1, "deep/c.warc.gz": -1}


def test_remote_folder() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/remote/x/a.warc.gz", b"123")
    memory.pipe("/remote/b.jsonl", b"{}")
    assert planned("memory://remote") == [
        ("b.jsonl", "memory:///remote/b.jsonl"),
        ("x/a.warc.gz", "memory:///remote/x/a.warc.gz"),
    ]


def test_only_lines_of_plain_jsonl_are_split(tmp_path: Path) -> None:
    lines = [json.dumps({"text": "x" * number}).encode() + b"\n" for number in range(40)]
    put(tmp_path, "b.jsonl", data=b"".join(lines))
    put(tmp_path, "a.jsonl.gz", data=gzip.compress(b"".join(lines)))
    put(tmp_path, "c.warc", data=b"x" * 5000)
    plan = plan_units(str(tmp_path), InputConfig(unit_bytes=100))
    assert [(unit.input, unit.unit) for unit in units(plan) if unit.input != "b.jsonl"] == [
        ("a.jsonl.gz", 0),
        ("c.warc", plan.units.num_rows - 1),
    ]
    parts = [unit for unit in units(plan) if unit.input == "b.jsonl"]
    size = sum(map(len, lines))
    assert [unit.start for unit in parts] == list(range(0, size, 100))
    assert sum(unit.bytes for unit in parts) == size
    rows = []
    for unit in parts:
        for batch in read_unit(unit, str(tmp_path / "b.jsonl"), ReadReport(), InputConfig()):
            rows += batch.to_pylist()
    assert [row["position"] for row in rows] == list(range(40))
    assert [row["text"] for row in rows] == ["x" * number for number in range(40)]


def test_units_are_read_by_format(tmp_path: Path) -> None:
    put(tmp_path, "a.warc.gz", data=members([page_record(1, b"<p>hi</p>")]))
    put(tmp_path, "b.jsonl", data=b'{"text": "hi"}\n')
    plan = plan_units(str(tmp_path), InputConfig(unit_bytes=1 << 20))
    report = ReadReport()
    rows = []
    for unit, location in zip(units(plan), plan.locations.to_pylist(), strict=True):
        for batch in read_unit(unit, location, report, InputConfig()):
            rows += batch.to_pylist()
    assert [(row["input"], row["html"], row["text"]) for row in rows] == [
        ("a.warc.gz", b"<p>hi</p>", None),
        ("b.jsonl", None, "hi"),
    ]
    assert report.records == {"response": 1, "line": 1}


def test_a_list_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    put(tmp_path, "a.warc")
    put(tmp_path, "list.txt", data=b"\xef\xbb\xbfa.warc\r\n")
    assert planned(tmp_path / "list.txt") == [("a.warc", f"{tmp_path}/a.warc")]


def test_same_name_twice_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, "a.warc")
    put(tmp_path, "list.txt", data=b"a.warc\n./a.warc\n")
    with pytest.raises(InputError) as error:
        planned(tmp_path / "list.txt")
    assert str(error.value) == (
        f"{tmp_path}/list.txt: the name of each input must be unlike the others, got a.warc twice."
        " Rename one, or take it off the list."
    )


SUFFIXES = (
    ".warc, .warc.gz, .warc.zst, .warc.lz4, .wet, .wet.gz, .wet.zst, .wet.lz4, .jsonl, .jsonl.gz, .jsonl.zst,"
    " .json.gz, .json.zst, .ndjson, .ndjson.gz, .ndjson.zst, .parquet"
)


@pytest.mark.parametrize(
    ("crawl", "message"),
    [
        (
            "gone",
            "{}/gone must exist. Give a file, a folder, a glob, a list of paths, or a Common Crawl id such as"
            " CC-MAIN-2024-51.",
        ),
        (
            "gone.txt",
            "{}/gone.txt must exist, got No such file or directory. Correct the path, or put the file back.",
        ),
        ("nothing*", "{}/nothing* must match a file, got none. Quote the pattern so that the shell leaves it alone."),
        ("empty", f"{{}}/empty must hold files that end in one of {SUFFIXES}, got no file. Give another folder."),
        (
            "others",
            f"{{}}/others must hold files that end in one of {SUFFIXES}, got 2 x .csv, 1 x no suffix."
            " Give another folder.",
        ),
        (
            "others/a.csv",
            f"{{}}/others/a.csv must end in one of {SUFFIXES},"
            " or be a list of paths in .txt, .paths, .txt.gz, .paths.gz.",
        ),
        ("none.txt", "{}/none.txt must name a file, got 2 lines without one. Write one path or URL a line."),
        ("wrong.txt", f"{{}}/wrong.txt: line 2 must end in one of {SUFFIXES}, got 'b.csv'. Correct the list."),
        ("lost.txt", "{}/lost.warc must exist, got No such file or directory. Correct the path, or put the file back."),
    ],
)
def test_errors(tmp_path: Path, crawl: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    put(tmp_path, "others/a.csv", "others/b.csv", "others/c", "a.warc")
    put(tmp_path, "none.txt", data=b"# nothing\n\n")
    put(tmp_path, "wrong.txt", data=b"a.warc\nb.csv\n")
    put(tmp_path, "lost.txt", data=b"a.warc\nlost.warc\n")
    with pytest.raises(InputError) as error:
        planned(tmp_path / crawl)
    assert str(error.value) == message.format(tmp_path)


def test_urls_that_cannot_be_opened() -> None:
    with pytest.raises(InputError) as error:
        planned("nosuch://x/y")
    assert (
        str(error.value) == "nosuch://x/y must be a path or a URL that fsspec knows, got: Protocol not known: nosuch."
    )


def test_list_that_is_no_text(tmp_path: Path) -> None:
    put(tmp_path, "a.txt", data=b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"a\.txt must be a list of paths in UTF-8, one a line, got 'utf-8' codec"):
        planned(tmp_path / "a.txt")


def test_unit_whose_file_is_gone(tmp_path: Path) -> None:
    put(tmp_path, "a.warc")
    (unit,) = units(plan_units(str(tmp_path), InputConfig(unit_bytes=1)))
    location = str(tmp_path / "a.warc")
    (tmp_path / "a.warc").unlink()
    with pytest.raises(InputError) as error:
        list(read_unit(unit, location, ReadReport(), InputConfig()))
    assert str(error.value) == (
        f"{location} must exist, got No such file or directory. Correct the path, or put the file back."
    )
    put(tmp_path, "a.warc")
    with pytest.raises(
        InputError, match=r"^a\.warc: format must be one of warc, jsonl, parquet, got arc\. Plan the run again\.$"
    ):
        list(read_unit(replace(unit, format="arc"), location, ReadReport(), InputConfig()))


def test_no_crawl_is_an_error_and_not_this_folder() -> None:
    with pytest.raises(InputError, match=r"^crawl must name a file, a folder, .* got nothing\. Give one\.$"):
        planned("")


def test_a_folder_named_like_a_list_is_a_folder(tmp_path: Path) -> None:
    put(tmp_path, "crawl.txt/a.warc")
    assert planned(tmp_path / "crawl.txt") == [("a.warc", f"{tmp_path}/crawl.txt/a.warc")]


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_list_is_an_error(tmp_path: Path, damage: str) -> None:
    packed = gzip.compress(b"a.warc.gz\n" * 1000)
    middle = len(packed) // 2
    put(tmp_path, "x.paths.gz", data=packed[:middle] if damage == "cut" else packed[:20] + b"\xff" * 9 + packed[29:])
    with pytest.raises(InputError, match=r"x\.paths\.gz must be a list of paths in UTF-8, one a line, got "):
        planned(tmp_path / "x.paths.gz")


def test_a_name_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"\xff.warc.gz")).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(InputError, match=r"names of files must be UTF-8, got '\\udcff\.warc\.gz'\. Rename it\."):
        planned(tmp_path)


def parquet(path: Path, columns: dict[str, Any], group_rows: int = 10) -> None:
    pq.write_table(pa.table(columns), path, row_group_size=group_rows)


def test_parquet_is_split_by_row_groups(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", {"text": [f"text {number}" for number in range(50)]})
    size = (tmp_path / "a.parquet").stat().st_size
    plan = units(plan_units(str(tmp_path), InputConfig(unit_bytes=size // 3)))
    assert 1 < len(plan) <= 4
    assert [unit.unit for unit in plan] == list(range(len(plan)))
    assert [unit.start for unit in plan[1:]] == [unit.end for unit in plan[:-1]]
    assert sum(unit.bytes for unit in plan) == size
    rows = []
    for unit in plan:
        for batch in read_unit(unit, str(tmp_path / "a.parquet"), ReadReport(), InputConfig()):
            rows += batch.to_pylist()
    assert [(row["position"], row["text"]) for row in rows] == [(number, f"text {number}") for number in range(50)]


def test_the_first_parquet_has_to_have_a_text_before_anything_starts(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", {"body": ["a"]})
    with pytest.raises(InputError, match=r"^a\.parquet must have a column of strings named text or content or raw"):
        planned(tmp_path)
    parquet(tmp_path / "0.parquet", {"text": ["a"]})
    assert [name for name, _ in planned(tmp_path)] == ["0.parquet", "a.parquet"]
    columns = InputColumns(text=("text", "body"))
    assert len(units(plan_units(str(tmp_path), InputConfig(columns=columns)))) == 2


def test_limit_of_documents_crosses_units(tmp_path: Path) -> None:
    put(tmp_path, "a.jsonl", data=b'{"text": "a"}\n{}\n{"text": "b"}\n')
    put(tmp_path, "b.jsonl", data=b'{"text": "c"}\n{"text": "d"}\n')
    put(tmp_path, "c.jsonl", data=b'{"text": "e"}\n')

    def limits(limit_docs: int) -> list[int]:
        return [unit.max_docs for unit in units(plan_units(str(tmp_path), InputConfig(), limit_docs=limit_docs))]

    assert limits(1) == [1]
    assert limits(2) == [2]
    assert limits(3) == [-1, 1]
    assert limits(4) == [-1, 2]
    assert limits(9) == [-1, -1, -1]


def test_common_crawl_id_is_a_list_of_its_own(tmp_path: Path) -> None:
    line = "crawl-data/CC-MAIN-2024-51/segments/1/warc/a.warc.gz"
    put(tmp_path, line)
    put(tmp_path, "crawl-data/CC-MAIN-2024-51/warc.paths.gz", data=gzip.compress(line.encode()))
    assert planned("CC-MAIN-2024-51", root=str(tmp_path)) == [(line, str(tmp_path / line))]
    put(tmp_path, "x/list.paths", data=line.encode())
    assert planned(tmp_path / "x/list.paths", root=str(tmp_path)) == [(line, str(tmp_path / line))]
    with pytest.raises(InputError) as error:
        planned("CC-MAIN-2099-01", root=f"{tmp_path}/")
    assert str(error.value) == (
        f"CC-MAIN-2099-01 must be a crawl of Common Crawl, got no {tmp_path}/crawl-data/CC-MAIN-2099-01/warc.paths.gz."
        " The ids are listed at https://index.commoncrawl.org/."
    )
