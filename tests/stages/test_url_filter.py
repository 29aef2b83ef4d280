"""The URL filter: the hand-checked documents of tests/data/conformance, lists, and what is wrong with a list."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dataproc.config import validate
from dataproc.errors import ConfigError
from dataproc.shards import stages_made_from
from stages.url_filter import UrlFilter

VECTORS = Path(__file__).parents[1] / "data" / "conformance" / "url_filter.jsonl"
OFF: dict[str, Any] = {"domains": [], "urls": [], "hard_words": [], "soft_words": [], "subwords": []}


def run(urls: Sequence[str | None], config: UrlFilter) -> pa.RecordBatch:
    ids = pa.array([bytes([row]) for row in range(len(urls))])
    return config.build()(pa.RecordBatch.from_pydict({"doc_id": ids, "url": pa.array(urls, pa.string())}))


def only(**lists: Any) -> UrlFilter:
    return validate(UrlFilter, {**OFF, **lists}, "test")


@pytest.mark.parametrize(
    "line", VECTORS.read_text(encoding="utf-8").splitlines(), ids=lambda line: json.loads(line)["id"]
)
def test_conformance(line: str) -> None:
    vector = json.loads(line)
    result = run([vector["document"]["url"]], validate(UrlFilter, vector["config"], vector["id"]))
    assert result["drop_reason"].to_pylist() == [vector["drop_reason"]]
    assert result["drop_value"].to_pylist() == [vector.get("drop_value")]
    for column, value in vector.get("columns", {}).items():
        assert result[column].to_pylist() == [value]


def test_rules_are_those_with_a_list() -> None:
    assert only().contract().rules == ()
    assert only(soft_words=["a"], max_soft_score=None).contract().rules == ()
    assert only(opt_out=["a.example"], soft_words=["a"]).contract().rules == ("opt_out", "max_soft_score")
    shipped = ("domains", "urls", "hard_words", "max_soft_score", "subwords")
    assert UrlFilter().contract().rules == shipped


def test_shipped_lists() -> None:
    urls = [
        "http://pages.0-casino.info/",
        "https://www.020sextoy.com/sk",
        "http://a.example/hentai",
        "http://a.example/",
    ]
    reasons = run([*urls, "http://a.example/topless-panties", "http://meetup.com/big-black"], UrlFilter())[
        "drop_reason"
    ]
    assert reasons.to_pylist() == ["domains", "urls", "hard_words", None, "max_soft_score", "subwords"]
    dating = only(domains=[{"list": "ut1_dating"}])
    assert run(["http://meetup.com/"], dating)["drop_reason"].to_pylist() == ["domains"]


def test_non_ascii_hosts_beside_others() -> None:
    config = only(domains=["b\u00fccher.example", "plain.example", "\u4f8b.example"])
    urls = [
        "http://plain.example/\u00fc",
        None,
        "http://B\u00fccher.example/",
        "http://\u4f8b.example",
        "http://other.example/",
    ]
    assert run(urls, config)["drop_reason"].to_pylist() == ["domains", None, "domains", "domains", None]


def test_lists_by_path_compressed_and_in_archives(tmp_path: Path) -> None:
    """All give the same filter with the same checksum, one per list; datatrove's archive is read as it is."""
    content = b"# comment\n\na.example\r\n  B.EXAMPLE\nhttp://www.c.example/\nlast.example"
    (tmp_path / "domains").write_bytes(content)
    (tmp_path / "domains.txt.gz").write_bytes(gzip.compress(content))
    with tarfile.open(tmp_path / "lists.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "domains", "domains")
    urls = [f"http://{name}.example/" for name in ("a", "b", "c", "last", "other")]
    assets = set()
    for place in (f"{tmp_path}/domains", f"{tmp_path}/domains.txt.gz", f"tar://domains::{tmp_path}/lists.tar.gz"):
        config = only(domains=[{"list": place}])
        assert run(urls, config)["drop_reason"].to_pylist() == [*["domains"] * 4, None]
        assets.add(config.contract().assets["domains"])
    (asset,) = assets
    assert asset == hashlib.sha256(hashlib.sha256(content).hexdigest().encode()).hexdigest()


def test_the_fingerprint_knows_what_lists_hold_and_not_where_they_lie(tmp_path: Path) -> None:
    for name, content in (("one", "a.example\n"), ("two", "a.example\n"), ("three", "b.example\n")):
        (tmp_path / name).write_text(content)
    one, two, three = (only(domains=[{"list": f"{tmp_path}/{name}"}]) for name in ("one", "two", "three"))
    assert stages_made_from({"f": one}) == stages_made_from({"f": two})
    assert stages_made_from({"f": one}) != stages_made_from({"f": three})
    assert str(tmp_path) not in json.dumps(stages_made_from({"f": one}))
    assert stages_made_from({"f": one}) != stages_made_from({"f": one.model_copy(update={"max_soft_score": 2})})


def test_lists_longer_than_a_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.url_lists.PIECE_BYTES", 40)
    names = [f"n{number}.example" for number in range(50)] + ["\u00fc.example", "x" * 60 + ".example", "last.example"]
    (tmp_path / "list").write_text("\n".join(names), encoding="utf-8")
    config = only(domains=[{"list": f"{tmp_path}/list"}])
    assert run([f"http://{name}/" for name in names], config)["drop_reason"].null_count == 0
    (tmp_path / "bad").write_text("\n".join([*names, "a b"]), encoding="utf-8")
    with pytest.raises(ConfigError, match="line 54 must be a domain, got 'a b'"):
        only(domains=[{"list": f"{tmp_path}/bad"}]).contract()


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"domains": ["a.example/b"]}, "domains: OWN line 1 must be a domain, got 'a.example/b'."),
        ({"domains": ["ok.example", "*.a.example"]}, "domains: OWN line 2 must be a domain, got '*.a.e"),
        ({"urls": ["a.example/b", "/b"]}, "urls: OWN line 2 must be a URL, got '/b'."),
        ({"opt_out": ["<html>"]}, "opt_out: OWN line 1 must be a domain or URL, got '<html>'."),
        ({"hard_words": ["a", "\U0001f595"]}, "hard_words: OWN line 2 must be a word of ASCII letters"),
        ({"hard_words": ["ok", "casino.example"]}, "hard_words: OWN line 2 must be a word of ASCII letters"),
        ({"subwords": ["<!DOCTYPE html>"]}, "subwords: OWN line 1 must be a word of ASCII letters and digits,"),
        ({"soft_words": ["a b c"]}, "soft_words: OWN line 1 must be a word of ASCII letters and digits,"),
        ({"soft_words": ["a 0"]}, "and a weight above 0 if any, got 'a 0'."),
        ({"soft_words": ["a 1", "a 2"]}, "the same on each line, got 'a 2'. Correct the list."),
        ({"domains": ["# nothing"]}, "domains: the recipe's own list must have entries, got none."),
        ({"domains": [{"list": "ut1_domain"}]}, 'got "ut1_domain". Did you mean "ut1_domains"?'),
        ({"domains": [{"list": "no/such"}]}, "domains: list no/such must be readable, got FileNotFoundError"),
        ({"domains": [{"list": "what://ever"}]}, "list what://ever must be readable, got ValueError: Protocol"),
    ],
)  # fmt: skip
def test_a_bad_list_is_an_error_before_anything_starts(lists: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        only(**lists).contract()
    assert str(caught.value).startswith("url_filter.")
    assert message.replace("OWN", "the recipe's own list,") in str(caught.value)


def test_two_lists_with_two_weights(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("sex 2\n")
    with pytest.raises(ConfigError, match="soft_words: sex must have one weight, got 1 and 2"):
        only(soft_words=["sex", {"list": f"{tmp_path}/words"}]).contract()


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(gzip.compress(b"a.example\n"))
    with pytest.raises(ConfigError, match=r"list.txt, line 1 must be a domain, got"):
        only(domains=[{"list": f"{tmp_path}/list.txt"}]).contract()
