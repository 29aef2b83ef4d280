from __future__ import annotations

import pickle
from typing import Any, get_args

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataproc.config import validate
from dataproc.errors import ConfigError
from dataproc.raw import RawRows
from dataproc.stage import check_plan
from dataproc.text import clean_text
from stages.extract_text import ExtractText, extract_text
from stages.extractors import Extracted, ExtractorName

EXTRACTORS = get_args(ExtractorName)
ARTICLE = (
    "<html><head><title> A\n title </title></head><body><nav><a href=/>Home</a><a href=/b>About</a></nav>"
    "<article><h1>Heading</h1>"
    + "<p>The lion and the mouse became friends in the wood, and this sentence is long enough.</p>" * 4
    + "</article><footer>Copyright</footer></body></html>"
)


def rows(*pages: dict[str, Any]) -> pa.RecordBatch:
    collected = RawRows("a.warc", 1 << 30)
    for position, columns in enumerate(pages):
        collected.add(position=position, **columns)
    return collected.take()


TRANSFORM = ExtractText().build()


def read(html: bytes | str, charset: str | None = None, **limits: Any) -> dict[str, Any]:
    data = html.encode() if isinstance(html, str) else html
    transform = ExtractText(**limits).build() if limits else TRANSFORM
    row: dict[str, Any] = transform(rows({"html": data, "charset": charset})).to_pylist()[0]
    assert row["text"] is None or row["text"] == clean_text(row["text"]).strip()
    return row


def outcome(html: bytes | str, **limits: Any) -> tuple[str | None, float | None, float | None]:
    row = read(html, **limits)
    return row["drop_reason"], row["drop_value"], row["drop_limit"]


KEPT = (None, None, None)


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_main_text_and_title(extractor: str) -> None:
    row = read(ARTICLE, extractor=extractor)
    assert "The lion and the mouse became friends in the wood, and this sentence is long enough." in row["text"]
    assert "Home" not in row["text"]
    assert "Copyright" not in row["text"]
    assert (row["title"], row["encoding"]) == ("A title", "utf-8")
    assert row["drop_reason"] is None


def test_blocks_lists_tables_and_code_keep_their_lines() -> None:
    page = (
        "<main><div><div><p>one</p><p>two<br>three</p><ul><li>a</li><li>b</li></ul>"
        "<table><tr><td>c</td><td>d</td></tr><tr><td>e</td></tr></table>"
        "<pre>def f():\n    return 1</pre><p>&lt;end&gt;</p></div></div></main>"
    )
    text = read(page)["text"]
    assert text.startswith("one\n\ntwo\nthree")
    assert "\u2022 a\n" in text
    assert "c\t\td\ne" in text or "c\td\ne" in text
    assert "def f():\n    return 1" in text
    assert text.endswith("<end>")


@pytest.mark.parametrize(
    ("html", "charset", "text", "encoding"),
    [
        (b"<title>T</title><p>caf\xe9", "latin1", "caf\u00e9", "cp1252"),
        ("<p>caf\u00e9".encode(), "iso-8859-1", "caf\u00e9", "utf-8"),
        ("<p>caf\u00e9".encode("utf-16"), None, "caf\u00e9", "utf-16-le"),
        ("<html><p>caf\u00e9</p></html>".encode("utf-16-be"), "utf-8", "caf\u00e9", "utf-16-be"),
        (
            b"<meta charset=windows-1251><p>\xcf\xf0\xe8\xe2\xe5\xf2",
            None,
            "\u041f\u0440\u0438\u0432\u0435\u0442",
            "cp1251",
        ),
        (b"<p>\x82\xa0\x82\xa2", "shift_jis", "\u3042\u3044", "cp932"),
        (b"<p>a\x00b\x01\x1fc\x7fd\r\ne", None, "abcd e", "utf-8"),
        (b"<p>a&#0;b&#xd800;&#128;", None, "a\ufffdb\ufffd\u20ac", "utf-8"),
    ],
)
def test_encodings_and_controls(html: bytes, charset: str | None, text: str, encoding: str) -> None:
    row = read(html, charset)
    assert (row["text"], row["encoding"]) == (text, encoding)


def test_text_inputs_keep_their_text() -> None:
    batch = rows({"text": " kept\n as it is "}, {"text": ""}, {"html": b"<p>page", "text": None}, {})
    result = TRANSFORM(batch)
    assert result["text"].to_pylist() == [" kept\n as it is ", "", "page", None]
    assert result["title"].to_pylist() == [None] * 4
    assert result["encoding"].to_pylist() == [None, None, "utf-8", None]
    assert result["drop_reason"].to_pylist() == [None, "min_chars", None, "min_chars"]


def test_slices_are_read_right() -> None:
    batch = rows(*({"html": b"<p>page %d" % number} for number in range(5)))
    assert TRANSFORM(batch.slice(2, 2))["text"].to_pylist() == ["page 2", "page 3"]
    assert TRANSFORM(batch.slice(0, 0)).num_rows == 0


# rule, limit, a page just inside, one just outside, and what the latter measures
LIMITS: list[tuple[str, int, str, str, float | None]] = [
    ("max_html_bytes", 5, "<p>hi", "<p>hi!", 6),
    ("max_tags", 3, "<p>a<p>b<p>c", "<p>a<p>b<p>c<p>d", 4),
    ("max_attributes", 2, "<p a b>x", "<p a b c>x", 3),
    ("max_siblings", 2, "x<select><option><option></select>", "x<select><option><option><option></select>", 3),
    ("max_unclosed", 2, "<b><b>x", "<b><b><b>x", 3),
    ("max_reopened", 2, "<p><b><i>x<p>y", "<p><b><i>x<p>y<b><p>z", 5),
    ("max_depth", 5, "<div><div><div>x", "<div><div><div><div>x", None),  # <html> and <body> are two
    ("min_chars", 3, "<p> abc ", "<p> ab ", 2),
]


@pytest.mark.parametrize(("rule", "limit", "inside", "outside", "value"), LIMITS)
def test_limits(rule: str, limit: int, inside: str, outside: str, value: float | None) -> None:
    assert outcome(inside, **{rule: limit}) == KEPT
    assert outcome(outside, **{rule: limit}) == (rule, value, limit)
    assert outcome(outside, **{rule: None}) == KEPT


def test_text_of_a_dropped_page_is_null_and_of_a_short_one_kept() -> None:
    assert read("<p>hello", max_tags=None, max_html_bytes=3)["text"] is None
    assert read("<p>ab", min_chars=3)["text"] == "ab"
    assert outcome("<p></p>") == ("min_chars", 0, 1)
    assert outcome("<p></p>", min_chars=None) == KEPT
    assert outcome(b"") == ("min_chars", 0, 1)


@pytest.mark.parametrize("extractor", EXTRACTORS)
@pytest.mark.parametrize(
    ("page", "rule"),
    [
        ("<div>" * 100_000 + "x", "max_depth"),
        ("<a><div>" * 2_000 + "x", "max_depth"),
        ("<select>" + "<option>x" * 100_000, "max_siblings"),
        ("".join(f"<font a{number}=1><p>x" for number in range(20_000)), "max_unclosed"),
        ("".join(f"<font a{number}=1></b><p>x" for number in range(20_000)), "max_unclosed"),
        ("<p>" + "".join(f"<font a={number}>" for number in range(490)) + "<p>x" * 20_000, "max_reopened"),
        ("<select>" + "<option>x</optgroup>" * 100_000, "max_siblings"),
        ("<a " + " ".join(f"a{number}" for number in range(100_000)) + ">x", "max_attributes"),
        ("<p>x" * 400_000, "max_tags"),
        ("<p>" + "word " * 2_200_000, "max_html_bytes"),
        ("<frameset><frame src=a><noframes>Frames</noframes></frameset>", "min_chars"),
        ("<p " + "x" * 9_000_000 + ">", "min_chars"),
        ("<" * 100_000, None),
        ("</p>" * 100_000 + "text", None),
        ("<!--" + "x" * 1_000_000, "min_chars"),
    ],
)
def test_pages_made_to_hurt(extractor: str, page: str, rule: str | None) -> None:
    reason = outcome(page, extractor=extractor)[0]
    assert reason == rule or (extractor != "resiliparse" and reason in (None, "min_chars"))


def test_title_is_bounded() -> None:
    assert read("<p>a", min_chars=None)["title"] is None
    assert read("<title> \n</title><p>a")["title"] is None
    assert len(read("<title>" + "long " * 10_000)["title"] or "") == 1_000


def test_failing_extractor_costs_its_page() -> None:
    def extractor(page: str) -> Extracted:
        if "bad" in page:
            raise RecursionError("deep inside")
        return Extracted(page, None)

    batch = rows({"html": b"good"}, {"html": b"bad"}, {"html": b"good too"})
    result = extract_text(batch, extractor, ExtractText())
    assert result["drop_reason"].to_pylist() == [None, "extractor_error", None]
    assert result["text"].to_pylist() == ["good", None, "good too"]


MARKUP = (
    *(
        "<p>",
        "</p>",
        "<div class=nav>",
        "</div>",
        "<table><tr><td>",
        "<b>",
        "<select><option>",
        "<svg><path/>",
        "<title>",
    ),
    *(
        "<!--",
        "-->",
        "<script>",
        "</script>",
        "<pre>\n",
        "&amp;",
        "&#x110000;",
        "\x00",
        "\ufffd",
        "\u4e2d",
        "text ",
        "\r\n",
    ),
)


@given(st.lists(st.sampled_from(MARKUP), max_size=40).map("".join) | st.binary(max_size=200))
@settings(max_examples=50)
def test_any_page_gives_clean_text(page: str | bytes) -> None:
    for extractor in EXTRACTORS:
        row = read(page, extractor=extractor)
        assert row["drop_reason"] in (None, "min_chars")
        assert (row["title"] or "x").strip() == (row["title"] or "x")


def test_rows_do_not_depend_on_each_other() -> None:
    pages = [{"html": ARTICLE.encode()}, {"html": b"<p>x"}, {"html": ARTICLE.replace("lion", "fox").encode()}] * 3
    for extractor in EXTRACTORS:
        transform = ExtractText(extractor=extractor).build()
        alone = [transform(rows(page))["text"][0].as_py() for page in pages]
        assert transform(rows(*pages))["text"].to_pylist() == alone


def test_contract() -> None:
    contract = ExtractText().contract()
    assert contract.rules == (*(rule for rule, *_ in LIMITS), "extractor_error")
    assert "max_depth" not in ExtractText(max_depth=None).contract().rules
    assert contract.libraries == ("resiliparse",)
    assert "trafilatura" in ExtractText(extractor="trafilatura").contract().libraries
    known = {"html": pa.large_binary(), "text": pa.large_string(), "charset": pa.string()}
    columns = check_plan({"extract": ExtractText()}, known, "r")
    result = TRANSFORM(rows({"html": b"<p>x"}))
    for name in ("text", "title", "encoding"):
        assert result.schema.field(name).type == columns[name]


def test_config_round_trips() -> None:
    config = ExtractText(extractor="trafilatura", max_depth=None)
    assert pickle.loads(pickle.dumps(config)) == config
    assert ExtractText.model_validate_json(config.model_dump_json()) == config


LION = "The lion and the mouse became friends in the wood, and this sentence is long enough."
GERMAN = "Der L\u00f6we und die Maus wurden Freunde im Wald, und dieser Satz ist lang genug daf\u00fcr."


def test_justext_reads_any_language_and_with_a_stop_list_one() -> None:
    page = f"<p>{LION * 3}</p><p>{GERMAN * 3}</p><p>{LION * 3}</p>"
    text = {name: read(page, extractor="justext", justext={"stop_list": name})["text"] for name in (None, "English")}
    assert text[None].split("\n") == [LION * 3, GERMAN * 3, LION * 3]
    assert text["English"].split("\n") == [LION * 3] * 2


@pytest.mark.parametrize(
    ("settings", "inside", "outside"),
    [
        ({"length_high": 70}, "x" * 71, "x" * 70),
        ({"length_low": 20, "length_high": 0}, "x" * 20, "x" * 19),
        ({"max_link_density": 0.5}, f"{'x' * 50}<a href=/>{'x' * 50}</a>", f"{'x' * 50}<a href=/>{'x' * 51}</a>"),
        ({"stop_list": "English", "stopwords_high": 0.5}, "the xxxxx " * 20, "the xxxxx " * 19 + "xxxxx xxxxx"),
    ],
)
def test_justext_settings(settings: dict[str, Any], inside: str, outside: str) -> None:
    config = {"extractor": "justext", "justext": {"stopwords_low": 0.5, **settings}}
    assert outcome(f"<div>{inside}</div>", **config) == KEPT
    assert outcome(f"<div>{outside}</div>", **config) == ("min_chars", 0, 1)


@pytest.mark.parametrize("page", ["", "<!-- -->", "<?xml version='1.0'?>"])
def test_justext_of_an_empty_page_is_empty(page: str) -> None:
    assert outcome(page, extractor="justext")[0] == "min_chars"


def test_justext_decodes_once() -> None:
    page = f"<?xml version='1.0' encoding='latin1'?>\n<html><p>{GERMAN * 3}</p></html>"
    assert read(page, "utf-8", extractor="justext")["text"] == GERMAN * 3


def test_unknown_stop_list() -> None:
    with pytest.raises(ConfigError) as error:
        validate(ExtractText, {"justext": {"stop_list": "Englsh"}}, "r")
    assert str(error.value) == (
        'r.justext.stop_list: stop_list must be a list that justext has, got "Englsh". Did you mean "English"?'
    )


def test_unknown_extractor() -> None:
    with pytest.raises(ConfigError) as error:
        validate(ExtractText, {"extractor": "goose"}, "r")
    assert (
        str(error.value)
        == "r.extractor must be 'resiliparse', 'trafilatura' or 'justext', got 'goose'. Correct it in the config."
    )
