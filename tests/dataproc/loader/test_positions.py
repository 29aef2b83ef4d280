"""The position algebra against a walk, sample by sample, that knows no closed form."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dataproc.loader.interleave import Interleave
from dataproc.loader.mixture import Mixture, Source, TrainingStage
from dataproc.loader.permutation import derive_key, permute
from dataproc.loader.positions import Positions, source_key
from tests.dataproc.tokens.synthetic import SMALL

BLOCK_LEN = 8


class Walk:
    """One source read window after window; `epoch` and `at` stand in the order in which tokens are given."""

    def __init__(self, name: str, tokens: int, seed: int) -> None:
        self.name, self.tokens, self.seed = name, tokens, seed
        self.epoch = self.at = self.read = self.passed = 0
        self.order = self._order()

    def _order(self) -> list[int]:
        """Return the epoch's tokens in the order given: its blocks permuted, the rest of the stream last."""
        blocks = self.tokens // BLOCK_LEN
        key = derive_key(source_key(self.seed, self.name), self.epoch)
        places = [int(permute(block, blocks, key)[0]) for block in range(blocks)]
        inside = [place * BLOCK_LEN + token for place in places for token in range(BLOCK_LEN)]
        return [*inside, *range(blocks * BLOCK_LEN, self.tokens)]

    def next_window(self, seq_len: int) -> tuple[int, int]:
        """Read one window; return its epoch and first token. A cursor off the grid of windows moves up to it first."""
        while self.at % seq_len and self.at < self.tokens:
            self.at += 1
            self.passed += 1
        self._turn()
        tokens = self.order[self.at : self.at + seq_len]
        assert tokens == list(range(tokens[0], tokens[0] + len(tokens))), "a window lies in one piece"
        epoch = self.epoch
        self.at += len(tokens)
        self.read += len(tokens)
        self._turn()
        return epoch, tokens[0]

    def _turn(self) -> None:
        if self.at == self.tokens:
            self.epoch, self.at = self.epoch + 1, 0
            self.order = self._order()


STAGE = st.tuples(st.integers(1, 12), st.integers(1, 5), st.sampled_from([1, 2, 4, 8]), st.integers(0, 3))


@given(
    sizes=st.lists(st.integers(1, 70), min_size=1, max_size=3),
    shapes=st.lists(STAGE, min_size=1, max_size=4),
    seed=st.integers(0, 5),
)
def test_every_row_of_a_long_run_is_where_the_walk_is(
    sizes: list[int], shapes: list[tuple[int, int, int, int]], seed: int
) -> None:
    names = [f"s{number}" for number in range(len(sizes))]
    stages = []
    for number, (steps, batch_size, seq_len, first) in enumerate(shapes):
        samples = [0] * len(sizes)
        samples[first % len(sizes)] = steps * batch_size - (share := steps * batch_size // 3)
        samples[(first + number) % len(sizes)] += share
        stages.append(
            TrainingStage(name=str(number), steps=steps, batch_size=batch_size, seq_len=seq_len, samples=tuple(samples))
        )
    sources = tuple(
        Source(name=name, tokens=size, documents=1, manifest_xxh3="0") for name, size in zip(names, sizes, strict=True)
    )
    mixture = Mixture(
        mix="test", seed=seed, block_len=BLOCK_LEN, tokenizer=SMALL, sources=sources, stages=tuple(stages)
    )
    positions = Positions(mixture)
    walks = [Walk(name, size, seed) for name, size in zip(names, sizes, strict=True)]
    step = 0
    for stage in stages:
        interleave = Interleave(stage.samples)
        for batch in range(stage.steps):
            numbers = np.arange(batch * stage.batch_size, (batch + 1) * stage.batch_size)
            owners = interleave.locate(numbers)[0].tolist()
            want = [(owner, *walks[owner].next_window(stage.seq_len)) for owner in owners]
            rows = positions.rows(step, 0, stage.batch_size)
            assert list(zip(rows.source.tolist(), rows.epoch.tolist(), rows.token.tolist(), strict=True)) == want
            step += 1
            for row, walk in zip(positions.ledger(step), walks, strict=True):
                assert (row.tokens, row.passed_tokens) == (walk.read, walk.passed)
                assert (row.epoch, row.offset) == (walk.epoch, walk.at)
