from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import figures
from benchmarks.figures import Figure, seconds, write


def test_ratio_and_goal() -> None:
    assert Figure("a", 30, "MB/s", "b", 10, 3).ratio == 3
    assert Figure("a", 30, "MB/s", "b", 10, 3).reached
    assert not Figure("a", 29, "MB/s", "b", 10, 3).reached
    assert not Figure("a", 2, "MB/s", goal=2.5).reached
    assert Figure("a", 2, "MB/s").reached


def test_one_line_for_each_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "results")
    write("speed", [Figure("encode", 123.456, "MB/s", "tiktoken", 10.0, 5), Figure("rows", 7, "1/s")])
    first, second = map(json.loads, (tmp_path / "results" / "speed.jsonl").read_text().splitlines())
    assert first == {
        "name": "encode",
        "value": 123.5,
        "unit": "MB/s",
        "peer": "tiktoken",
        "peer_value": 10.0,
        "goal": 5,
        "ratio": 12.35,
    }
    assert second["ratio"] is None
    assert "tiktoken" in capsys.readouterr().out


def test_functions_take_turns() -> None:
    calls: list[str] = []
    taken = seconds(lambda: calls.append("a"), lambda: calls.append("b"), repeats=2)
    assert calls == ["a", "b", "a", "b", "a", "b"]
    assert len(taken) == 2
