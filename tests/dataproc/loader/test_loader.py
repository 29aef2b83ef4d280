"""The loader's promises: exact batches, exact resume on any world size, each token once an epoch, damage located."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataproc.errors import ConfigError, InputError, ResumeError, ShardError
from dataproc.loader import StreamingLoader
from dataproc.loader.mixture import Earlier, read_mixture
from dataproc.loader.positions import simulate
from tests.dataproc.loader.worlds import joined, read_tokens, same, stage, write_stages, write_world

LENGTHS = {"a": [5, 9, 3, 40, 7, 11], "b": [30, 2, 2, 25], "c": [6, 6]}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three sources of 75, 59 and 12 tokens; the second stage changes weights, length and batch size."""
    folder = write_world(tmp_path_factory.mktemp("world"), LENGTHS)
    return write_stages(
        folder, [stage("main", 15, 4, 4, [40, 14, 6]), stage("long", 10, 8, 8, [20, 50, 10])], block_len=8
    )


def test_one_batch_by_eye(tmp_path: Path) -> None:
    """Documents 1 2 E | 4 E | 6 7 8 E: nine tokens, two windows of four and a short one."""
    path = write_stages(write_world(tmp_path, {"a": [3, 2, 4]}), [stage("main", 1, 3, 4, [3])], block_len=16)
    batch = StreamingLoader(path)[0]
    assert batch.input_ids.tolist() == [[1, 2, 0, 4], [0, 6, 7, 8], [0, 0, 0, 0]]
    assert batch.labels.tolist() == [[2, 0, 4, 0], [6, 7, 8, 0], [0, 0, 0, 0]]
    assert batch.loss_mask.tolist() == [[1, 1, 0, 1], [0, 1, 1, 1], [0, 0, 0, 0]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 0], [0, 0, 1, 2], [0, 0, 1, 2]]
    assert batch.cu_seqlens.tolist() == [0, 3, 4, 5, 8, 9, 12]
    assert batch.documents.tolist() == [0, 1, 1, 2, 2, -1]
    assert batch.sources.tolist() == [0, 0, 0]
    assert [array.dtype.name for array in (batch.input_ids, batch.labels, batch.loss_mask)] == [
        "uint32",
        "uint32",
        "bool",
    ]
    assert [a.dtype.name for a in (batch.position_ids, batch.cu_seqlens, batch.sources)] == ["int32"] * 3


@pytest.mark.parametrize("prefetch", [0, 3])
def test_stop_anywhere_and_go_on(world: str, prefetch: int) -> None:
    whole = list(StreamingLoader(world, prefetch=0))
    assert len(whole) == 25
    for stop in range(20):
        first = StreamingLoader(world, prefetch=prefetch)
        batches = iter(first)
        head = [next(batches) for _ in range(stop)]
        state = json.loads(json.dumps(first.state_dict()))
        batches.close()  # type: ignore[attr-defined]
        second = StreamingLoader(world, prefetch=prefetch)
        second.load_state_dict(state)
        resumed = head + list(second)
        assert len(resumed) == 25
        assert all(same(one, other) for one, other in zip(resumed, whole, strict=True))


@pytest.mark.parametrize("sizes", [(1, 2), (2, 4), (4, 1), (4, 2)])
def test_ranks_changed_on_resume_are_one_rank(world: str, sizes: tuple[int, int]) -> None:
    whole = list(StreamingLoader(world))
    got, state = [], StreamingLoader(world).state_dict()
    for size, steps in zip(sizes, (7, 18), strict=True):
        loaders = [StreamingLoader(world, rank=rank, world_size=size, prefetch=0) for rank in range(size)]
        for loader in loaders:
            loader.load_state_dict(state)
        streams = [iter(loader) for loader in loaders]
        got += [joined([next(stream) for stream in streams]) for _ in range(steps)]
        state = loaders[-1].state_dict()
    assert state["step"] == 25
    assert all(same(one, other) for one, other in zip(got, whole, strict=True))


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=12),
    seq_len=st.sampled_from([1, 2, 4, 8]),
    seed=st.integers(0, 9),
)
def test_an_epoch_has_every_token_once(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], seq_len: int, seed: int
) -> None:
    folder = write_world(tmp_path_factory.mktemp("epoch"), {"a": lengths})
    tokens = sum(lengths)
    samples = tokens // 8 * (8 // seq_len) + -(-(tokens % 8) // seq_len)
    path = write_stages(folder, [stage("main", 2 * samples, 1, seq_len, [2 * samples])], block_len=8, seed=seed)
    loader = StreamingLoader(path, prefetch=0)
    seen = [token for step in range(2 * samples) for _, token in read_tokens(loader, loader[step])]
    assert sorted(seen[:tokens]) == list(range(tokens))
    assert sorted(seen[tokens:]) == list(range(tokens))
    # The other half of the promise: every token but the first of a window is a label, once.
    assert loader.ledger(samples)[0].epochs == 1


def test_epochs_differ_in_order(tmp_path: Path) -> None:
    folder = write_world(tmp_path, {"a": [80] * 4})
    loader = StreamingLoader(write_stages(folder, [stage("main", 80, 1, 8, [80])]))
    seen = [batch.input_ids[0].tolist() for batch in loader]
    assert seen[:40] != seen[40:]
    assert sorted(seen[:40]) == sorted(seen[40:])


def test_a_longer_window_goes_on_at_its_next_multiple(tmp_path: Path) -> None:
    """Three windows of 2 leave the cursor at 6; a window of 4 begins at 8 and two tokens are passed over."""
    folder = write_world(tmp_path, {"a": [32]})
    stages = [stage("short", 3, 1, 2, [3]), stage("long", 6, 1, 4, [6])]
    loader = StreamingLoader(write_stages(folder, stages, block_len=32))
    starts = [batch.input_ids[0, 0] for batch in loader]
    assert starts == [1, 3, 5, 9, 13, 17, 21, 25, 29]
    (row,) = loader.ledger(9)
    assert (row.tokens, row.passed_tokens, row.padding_tokens, row.epoch, row.offset) == (30, 2, 0, 1, 0)


def test_the_ledger_counts_what_is_read(world: str) -> None:
    loader = StreamingLoader(world)
    read, samples = Counter[int](), Counter[int]()
    for step in range(len(loader) + 1):
        for number, row in enumerate(loader.ledger(step)):
            assert (row.tokens, row.samples) == (read[number], samples[number])
            assert row.tokens + row.passed_tokens == row.epoch * row.size + row.offset
        if step < len(loader):
            read.update(source for source, _ in read_tokens(loader, loader[step]))
            samples.update(loader[step].sources.tolist())
    assert [samples[n] for n in range(3)] == [60, 64, 16]
    main, end = simulate(loader.mixture)
    assert main[1] == loader.ledger(15)
    assert end[1] == loader.ledger(25)


def test_trace_names_the_documents_of_a_batch(world: str) -> None:
    loader = StreamingLoader(world, rank=1, world_size=2)
    for step in (0, 14, 15, 24):
        batch, table = loader[step], loader.trace(step).to_pylist()
        tokens = {"a": 1, "b": 10_001, "c": 20_001}
        for row in table:
            ids = batch.input_ids[row["row"], row["row_start"] : row["row_start"] + row["last"] - row["first"]]
            want = np.arange(row["first"], row["last"]) + row["start"] + tokens[row["source"]]
            want[np.arange(row["first"], row["last"]) == row["stop"] - row["start"] - 1] = 0
            assert ids.tolist() == want.tolist()
            assert row["url"].startswith(f"https://{row['source']}.example/")
        assert len(table) == np.count_nonzero(batch.documents >= 0)
    both = loader.trace(3, every_rank=True)
    assert sorted(set(both["row"].to_pylist())) == [0, 1, 2, 3]


def test_a_flipped_byte_is_named(tmp_path: Path) -> None:
    path = write_stages(write_world(tmp_path, LENGTHS), [stage("main", 18, 1, 4, [18, 0, 0])])
    shard = tmp_path / "tokens" / "a" / "shard-00000.bin"
    data = bytearray(shard.read_bytes())
    data[20] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ShardError, match=r"a/shard-00000.bin block 0 \(bytes 0-34, tokens 0-17\) must have xxh3"):
        list(StreamingLoader(path))


def test_other_shards_than_the_mixtures(tmp_path: Path) -> None:
    folder = write_world(tmp_path, LENGTHS)
    path = write_stages(folder, [stage("main", 5, 2, 4, [4, 3, 3])])
    write_world(tmp_path, {"a": [9, 9]})
    with pytest.raises(ShardError, match=r"tokens/a/manifest.json must have xxh3 .* build the mixture anew"):
        StreamingLoader(path)
    folder.remove("tokens/a")
    with pytest.raises(ShardError, match=r"tokens/a/manifest.json must exist, got no such file"):
        StreamingLoader(path)


def test_wrong_ranks(world: str) -> None:
    with pytest.raises(ConfigError, match=r"rank must be in \[0, world_size\), got 2 of 2"):
        StreamingLoader(world, rank=2, world_size=2)
    with pytest.raises(ConfigError, match=r"must divide the global batch of stage main, 4 samples.* Use 2 data-par"):
        StreamingLoader(world, world_size=3)


def test_options_below_zero(world: str) -> None:
    with pytest.raises(ConfigError, match=r"prefetch and cache_bytes must be 0 or more, got -1 and 268435456"):
        StreamingLoader(world, prefetch=-1)


def test_states_that_do_not_fit(world: str) -> None:
    loader = StreamingLoader(world)
    state = loader.state_dict()
    assert len(json.dumps(state)) < 200
    with pytest.raises(ResumeError, match="must get a state with format dataproc-loader, version 1, got None, None"):
        loader.load_state_dict({})
    with pytest.raises(ResumeError, match=r"must get a state of mixture .*, got one of other"):
        loader.load_state_dict({**state, "mixture": "other"})
    with pytest.raises(ResumeError, match=r"must get a step in \[0, 25\], got 26"):
        loader.load_state_dict({**state, "step": 26})
    with pytest.raises(IndexError, match=r"step must be in \[0, 25\), got 25"):
        loader[25]
    with pytest.raises(IndexError, match=r"must be in \[0, 25\], got 26"):
        loader.seek(26)


def test_a_state_of_the_mixture_that_this_one_continues(tmp_path: Path) -> None:
    """Cut after 5 of 10 steps, then other weights: the first steps and their states stay good."""
    folder = write_world(tmp_path, LENGTHS)
    old = StreamingLoader(write_stages(folder, [stage("main", 10, 2, 4, [14, 3, 3])]))
    early, late = [{**old.state_dict(), "step": step} for step in (3, 6)]
    path = write_stages(folder, [stage("main", 5, 2, 4, [14, 3, 3]), stage("then", 5, 2, 4, [2, 4, 4])])
    cut = read_mixture(path).model_copy(update={"continues": (Earlier(fingerprint=early["mixture"], step=5),)})
    folder.write_text("mixture.json", cut.dump())
    new = StreamingLoader(path)
    assert all(same(old[step], new[step]) for step in range(5))
    new.load_state_dict(early)
    assert new.step == 3
    with pytest.raises(ResumeError, match=r"must get a step in \[0, 5\], got 6"):
        new.load_state_dict(late)


def test_seek_in_the_middle_of_a_loop(world: str) -> None:
    loader = StreamingLoader(world)
    steps = []
    for batch in loader:
        steps.append(batch.step)
        if batch.step == 2:
            loader.seek(20)
    assert steps == [0, 1, 2, 20, 21, 22, 23, 24]


def test_files_that_are_no_mixture(tmp_path: Path, world: str) -> None:
    with pytest.raises(InputError, match=r"mixture.json must exist, got no such file. Write it with `dataproc mix`"):
        read_mixture(tmp_path / "mixture.json")
    (tmp_path / "mixture.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mixture.json must be a mixture.json, got:"):
        read_mixture(tmp_path / "mixture.json")
    values = json.loads(Path(world).read_text(encoding="utf-8"))
    for change, sentence in [
        ({"block_len": 12}, "block_len must be a multiple of every seq_len, got 12 and 8 in stage long"),
        ({"sources": values["sources"][::-1]}, "sources must be sorted by name"),
        ({"stages": [{**values["stages"][0], "samples": [1, 2, 3]}]}, "add up to at least 60, got 3 that add up to 6"),
        ({"block": 1}, "block is not a key of Mixture"),
    ]:
        (tmp_path / "mixture.json").write_text(json.dumps({**values, **change}), encoding="utf-8")
        with pytest.raises(ConfigError, match=sentence):
            read_mixture(tmp_path / "mixture.json")
