"""What every stage promises, tried with made-up documents: rows stay, and nothing but the input decides the bytes.

A new stage is tested here as soon as it stands in `stages.registry`. It may have to be given a config (`CONFIGS`) and,
when it reads a column that no stage here reads yet, values for it (`COLUMNS`).
"""

from __future__ import annotations

import importlib.metadata
import json
import pickle
from functools import cache
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataproc.config import canonical_json, validate
from dataproc.errors import ConfigError
from dataproc.schema import DROP_COLUMNS, RAW
from dataproc.stage import BuiltStage, Stage, Transform, run_stages
from dataproc.text import clean_text
from stages.registry import STAGES

CONFIGS: dict[str, dict[str, Any]] = {
    "assign_bucket": {"parts": {"language": {"values": ["eng", "deu"]}, "domain": {"values": ["news", "forum"]}}},
    "score": {"model": "quality", "label": "high", "column": "quality_score"},
    "threshold": {"column": "quality_score", "min": 0.3, "max": 0.9, "languages": {"de": 0.5}},
}
"""Fields of stages that cannot do without, or whose defaults would not meet the values below."""

# Half of the texts are prose, so that not every document falls to the first rule; the other half is anything at all.
PROSE = (
    "The harbour was quiet that morning, and the two of them walked along the quay to look at the boats.",
    "Es war einmal ein K\u00f6nig, der hatte drei S\u00f6hne, und er wusste nicht, wem er das Reich geben sollte.",
    "\u041e\u043d\u0430 \u0432\u044b\u0448\u043b\u0430 \u0438\u0437 \u0434\u043e\u043c\u0430.",
    "\u543e\u8f29\u306f\u732b\u3067\u3042\u308b\u3002\u540d\u524d\u306f\u307e\u3060\u7121\u3044\u3002",
    "- Buy now! ### ... $$$ 100% http://example.org/?a=1&b=2 {lorem ipsum};",
    "\n\n",
)
UNICODE = st.text(max_size=60)
TEXT = st.one_of(
    st.lists(st.sampled_from(PROSE), min_size=1, max_size=12).map(" ".join),
    st.lists(st.one_of(st.sampled_from(PROSE), UNICODE), max_size=4).map("\n".join),
).map(clean_text)
HTML = st.one_of(
    TEXT.map(
        lambda text: f"<html><head><title>t</title></head><body><p>{text}</p><pre> {text}</pre></body></html>".encode()
    ),
    st.tuples(TEXT, st.sampled_from(["utf-16", "windows-1252", "shift_jis"])).map(
        lambda pair: f"<meta charset={pair[1]}><div>{pair[0]}".encode(pair[1], "replace")
    ),
    st.binary(max_size=200),
)
HOSTS = ["https://example.org/a?b=c#d", "http://User@WWW.Example.org:8080/", "https://[::1", "ftp:", "", "\u4f8b.jp"]
COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "url": (pa.string(), st.one_of(st.none(), st.sampled_from(HOSTS), UNICODE)),
    "host": (pa.string(), st.one_of(st.none(), st.sampled_from(["example.org", "a.b.example.co.uk"]))),
    "date": (pa.string(), st.sampled_from([None, "2024-12-01T00:00:00Z", "1996-01-01T23:59:59Z"])),
    "input": (pa.string(), st.sampled_from(["a.warc.gz", "b.jsonl"])),
    "position": (pa.int64(), st.integers(0, 2**40)),
    "length": (pa.int64(), st.integers(-1, 2**40)),
    "http_status": (pa.int32(), st.sampled_from([None, 200, 203, 301, 404, 500])),
    "content_type": (pa.string(), st.sampled_from([None, "text/html", "application/xhtml+xml", "image/png", ""])),
    "charset": (pa.string(), st.sampled_from([None, "utf-8", "utf-16", "windows-1252", "shift_jis", "none-such"])),
    "truncated": (pa.string(), st.sampled_from([None, "length", "cut"])),
    "html": (pa.large_binary(), st.one_of(st.none(), HTML, HTML)),
    "text": (pa.large_string(), st.one_of(st.none(), TEXT, TEXT, TEXT)),
    "language": (pa.string(), st.sampled_from(["eng", "deu", "rus", "jpn", "tha", "und"])),
    "domain": (pa.string(), st.sampled_from([None, "news", "forum", "fiction"])),
    "quality_score": (pa.float32(), st.one_of(st.none(), st.floats(0, 1, width=32))),
}

few_examples = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
every_stage = pytest.mark.parametrize("name", STAGES)


@cache
def config(name: str) -> Stage:
    return validate(STAGES[name], CONFIGS.get(name, {}), name)


@cache
def transform(name: str) -> Transform:
    return config(name).build()


@st.composite
def batches(draw: st.DrawFn, name: str) -> pa.RecordBatch:
    """Return 1-6 documents with the columns that the stage says it reads, and one that it does not know."""
    reads = sorted({*config(name).contract().reads} - {"doc_id"})
    missing = [column for column in reads if column not in COLUMNS]
    assert not missing, f"give values for {missing} in COLUMNS"
    rows = draw(st.integers(1, 6))
    drawn = {column: draw(st.lists(COLUMNS[column][1], min_size=rows, max_size=rows)) for column in reads}
    arrays = {"doc_id": pa.array([bytes([row]) * 16 for row in range(rows)], pa.binary())}
    arrays |= {column: pa.array(values, COLUMNS[column][0]) for column, values in drawn.items()}
    return pa.RecordBatch.from_pydict({**arrays, "unknown_to_all": pa.array(range(rows))})


def to_bytes(batch: pa.RecordBatch) -> bytes:
    """Return the rows as an IPC stream, compacted: equal rows are equal bytes, whatever they were cut from."""
    whole = batch.take(pa.array(range(batch.num_rows), pa.int64()))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, whole.schema) as writer:
        writer.write_batch(whole)
    return bytes(sink.getvalue())


@every_stage
@few_examples
@given(data=st.data())
def test_contract(name: str, data: st.DataObject) -> None:
    """It needs the columns it reads, adds those it writes, with their types, and keeps rows, order, other columns."""
    batch = data.draw(batches(name))
    contract = config(name).contract()
    result = transform(name)(batch)
    assert result["doc_id"].equals(batch["doc_id"])
    for column in batch.schema.names:
        if column not in contract.writes:
            assert result[column].equals(batch[column])
    drops = {field.name: field.type for field in DROP_COLUMNS} if contract.rules else {}
    before = {field.name: field.type for field in batch.schema}
    assert {field.name: field.type for field in result.schema} == {**before, **contract.writes, **drops}
    if contract.rules:
        assert {*result["drop_reason"].to_pylist()} <= {None, *contract.rules}
        for row in result.select(DROP_COLUMNS.names).to_pylist():
            assert row["drop_reason"] is not None or (row["drop_value"], row["drop_limit"]) == (None, None)


@every_stage
@few_examples
@given(data=st.data())
def test_rows_do_not_see_each_other(name: str, data: st.DataObject) -> None:
    """Any split of a batch gives the same rows."""
    batch = data.draw(batches(name))
    cut = data.draw(st.integers(0, batch.num_rows))
    pieces = [piece for piece in (batch.slice(0, cut), batch.slice(cut)) if piece.num_rows]
    together = pa.Table.from_batches([transform(name)(piece) for piece in pieces]).combine_chunks().to_batches()[0]
    assert to_bytes(together) == to_bytes(transform(name)(batch))


@every_stage
@few_examples
@given(data=st.data())
def test_same_input_same_bytes(name: str, data: st.DataObject) -> None:
    """Called again, or built again from a pickled config, it gives the same bytes and leaves its input as it was."""
    batch = data.draw(batches(name))
    before = to_bytes(batch)
    first = to_bytes(transform(name)(batch))
    assert to_bytes(batch) == before
    assert to_bytes(transform(name)(batch)) == first
    assert to_bytes(_rebuilt(name)(batch)) == first


@cache
def _rebuilt(name: str) -> Transform:
    again: Stage = pickle.loads(pickle.dumps(config(name)))
    return again.build()


@every_stage
@few_examples
@given(data=st.data())
def test_text_written_keeps_the_text_contract(name: str, data: st.DataObject) -> None:
    if "text" in config(name).contract().writes:
        for text in transform(name)(data.draw(batches(name)))["text"].to_pylist():
            assert text is None or text == clean_text(text)


@every_stage
@few_examples
@given(data=st.data())
def test_annotating_drops_nothing(name: str, data: st.DataObject) -> None:
    batch = data.draw(batches(name))
    kept, dropped = run_stages([BuiltStage("s", transform(name))], batch, {})
    flagged, none = run_stages([BuiltStage("s", transform(name), annotate=True)], batch, {})
    assert (none, flagged.num_rows) == ([], batch.num_rows)
    reasons = {row["doc_id"]: row["drop_reason"] for lost in dropped for row in lost.to_pylist()}
    assert kept.num_rows + len(reasons) == batch.num_rows
    if config(name).contract().rules:
        flags = [[reasons[doc]] if doc in reasons else [] for doc in batch["doc_id"].to_pylist()]
        assert flagged["flags"].to_pylist() == flags


@every_stage
def test_config_is_a_value(name: str) -> None:
    """It pickles, and its JSON gives it back; so does YAML, which has JSON's types."""
    stage = config(name)
    assert pickle.loads(pickle.dumps(stage)) == stage
    values = json.loads(stage.model_dump_json())
    assert type(stage).model_validate(values) == stage
    assert canonical_json(stage.model_dump(mode="json")) == canonical_json(values)


@every_stage
def test_contract_is_a_constant(name: str) -> None:
    contract = config(name).contract()
    assert contract == config(name).contract()
    assert not {*contract.writes} & {*DROP_COLUMNS.names, "doc_id", "flags", "input", "position"}
    assert len({*contract.rules}) == len(contract.rules)
    assert all(checksum for checksum in contract.assets.values())
    for library in contract.libraries:
        assert importlib.metadata.version(library)
    assert type(config(name)).version() >= 1


@every_stage
def test_unknown_keys_are_refused_with_a_suggestion(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(STAGES[name], {**CONFIGS.get(name, {}), "anotate": True}, f"r.yaml: documents.{name}")
    assert str(caught.value) == (
        f'r.yaml: documents.{name}.anotate is not a key of {STAGES[name].__name__}. Did you mean "annotate"?'
    )


@every_stage
def test_config_is_documented(name: str) -> None:
    kind = STAGES[name]
    assert kind.__doc__, f"{kind.__name__} needs a docstring"
    undocumented = [field for field, info in kind.model_fields.items() if not info.description]
    assert not undocumented, f"{kind.__name__}: each field needs a string under it, not so: {undocumented}"


def test_names() -> None:
    """One name everywhere: `gopher_quality` in recipes is GopherQuality in stages/gopher_quality.py."""
    for name, kind in STAGES.items():
        assert kind.__name__ == name.title().replace("_", "")
        assert kind.__module__ == f"stages.{name}"
    assert list(STAGES) == sorted(STAGES)


def test_values_have_the_types_of_the_input() -> None:
    for field in RAW:
        if field.name != "doc_id":
            assert COLUMNS[field.name][0] == field.type, field.name
