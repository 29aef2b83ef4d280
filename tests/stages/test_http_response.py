from __future__ import annotations

import pickle
from typing import Any

import pyarrow as pa
import pytest

from dataproc.config import validate
from dataproc.errors import ConfigError
from dataproc.raw import RawRows
from stages.http_response import HttpResponse

PAGE = b"<p>hi</p>"


def outcome(config: HttpResponse | None = None, **columns: Any) -> tuple[str | None, float | None]:
    rows = RawRows("a.warc", 1 << 20)
    rows.add(position=0, **{"html": PAGE, "http_status": 200, "content_type": "text/html", **columns})
    batch = rows.take()
    result = (config or HttpResponse()).build()(batch)
    assert result.drop_columns(["drop_reason", "drop_value", "drop_limit"]).equals(batch)
    row = result.to_pylist()[0]
    return row["drop_reason"], row["drop_value"]


KEPT = (None, None)


def test_whole_page_is_kept() -> None:
    assert outcome() == KEPT
    assert outcome(content_type="application/xhtml+xml") == KEPT


def test_status() -> None:
    assert outcome(http_status=404) == ("statuses", 404.0)
    assert outcome(http_status=206) == ("statuses", 206.0)
    assert outcome(HttpResponse(statuses=(200, 206)), http_status=206) == KEPT
    assert outcome(HttpResponse(statuses=None), http_status=500) == KEPT
    assert outcome(http_status=None) == KEPT


def test_content_type() -> None:
    assert outcome(content_type="application/pdf") == ("content_types", None)
    assert outcome(HttpResponse(content_types=("Text/Plain ",)), content_type="text/plain") == KEPT
    assert outcome(HttpResponse(content_types=("text/plain",))) == ("content_types", None)
    assert outcome(HttpResponse(content_types=None), content_type="application/pdf") == KEPT


@pytest.mark.parametrize(
    ("html", "kept"),
    [
        (b"<!DOCTYPE html><p>", True),
        (b"\xef\xbb\xbf\r\n <HTML\nlang=en>", True),
        (b'<?xml version="1.0"?>\n<html xmlns="x">', True),
        (b"<!-- a --><!-- <pre> --> <head>", True),
        (b"<p>hi", True),
        (b"<a href=x>", True),
        (b"<pre>", False),
        (b"<!doctype svg>", False),
        (b'<?xml version="1.0"?><rss>', False),
        (b"<!-- <html>", False),
        (b"%PDF-1.4 <html>", False),
        (b"hello <p>", False),
        (b"<!---->" * 200 + b"x", False),
        (b" " * 1445 + b"<p>", False),
    ],
)
def test_missing_type_is_sniffed(html: bytes, kept: bool) -> None:
    assert outcome(content_type=None, html=html) == (KEPT if kept else ("content_types", None))


def test_truncated() -> None:
    assert outcome(truncated="length") == ("drop_truncated", 9.0)
    assert outcome(truncated="cut") == ("drop_truncated", 9.0)
    assert outcome(HttpResponse(drop_truncated=False), truncated="length") == KEPT


def test_empty() -> None:
    assert outcome(html=b"") == ("empty", 0.0)
    assert outcome(html=b"", content_type=None) == ("empty", 0.0)
    assert outcome(html=b"x") == KEPT


def test_first_rule_is_the_reason() -> None:
    assert outcome(http_status=404, content_type="image/png", truncated="cut", html=b"") == ("statuses", 404.0)
    assert outcome(content_type="image/png", truncated="cut", html=b"") == ("content_types", None)
    assert outcome(truncated="cut", html=b"") == ("drop_truncated", 0.0)


def test_text_inputs_pass() -> None:
    assert outcome(html=None, text="hi", http_status=None, content_type=None) == KEPT
    assert outcome(html=None, text="hi", http_status=404, content_type="image/png") == KEPT


def test_texts_that_lack_their_end_are_dropped() -> None:
    assert outcome(html=None, text="hi", http_status=None, content_type=None, truncated="cut") == ("drop_truncated", 2)


def test_rows_are_judged_alone_and_slices_are_read_right() -> None:
    rows = RawRows("a.warc", 1 << 20)
    htmls = [b"<p>a", b"nothing", b"", None, b"<html>"]
    for position, html in enumerate(htmls):
        rows.add(position=position, html=html, http_status=200)
    batch = rows.take()
    transform = HttpResponse().build()
    expected = [None, "content_types", "empty", None, None]
    assert transform(batch)["drop_reason"].to_pylist() == expected
    assert transform(batch.slice(1, 3))["drop_reason"].to_pylist() == expected[1:4]
    assert transform(batch.slice(0, 0)).num_rows == 0


def test_contract_and_pickle() -> None:
    assert HttpResponse().contract().rules == ("statuses", "content_types", "drop_truncated", "empty")
    assert HttpResponse(statuses=None, drop_truncated=False).contract().rules == ("content_types", "empty")
    config = HttpResponse(content_types=("text/plain",))
    assert pickle.loads(pickle.dumps(config)) == config
    assert HttpResponse.model_validate_json(config.model_dump_json()) == config
    assert isinstance(pickle.loads(pickle.dumps(config.build()))(RawRows("a", 1).take()), pa.RecordBatch)


def test_unknown_key() -> None:
    with pytest.raises(
        ConfigError, match=r'r: status is not a key of HttpResponse\. Did you mean "statuses"\?|r\.status'
    ):
        validate(HttpResponse, {"status": [200]}, "r")
