"""Position algebra: from a step to the tokens of its samples, as a pure function, with no index and no memory.

    step -> sample of the stage -> (source, its k-th sample) -> (epoch, block, window) -> first token in the source

A source is one stream of tokens. It is cut into blocks of `block_len` tokens and each block into windows of `seq_len`;
a window is one sample. An epoch goes through the whole blocks in an order of its own (a keyed permutation), then
through the rest of the stream, which is shorter than a block; the order inside a block is kept. The last window of the
stream may be short: it is padded. So an epoch reads each token exactly once, at any sequence length.

A stage continues where the source's cursor stands. The cursor counts tokens: where a stage with a longer window begins
inside a block, the cursor first moves up to a multiple of that length, and the ledger counts the tokens passed over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from dataproc.loader.interleave import Interleave
from dataproc.loader.mixture import Mixture, Source, TrainingStage
from dataproc.loader.permutation import derive_key, permute

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Samples of one stage: row r reads `seq_len` tokens from `token[r]` of source `source[r]`; all int64 [N]."""

    stage: TrainingStage
    source: I64
    epoch: I64
    token: I64


@dataclass(frozen=True)
class SourceLedger:
    """What one source has given after some steps.

    tokens: input tokens read, padding left out. passed_tokens: skipped when a stage with longer windows began.
    The cursor stands at `epoch` whole epochs and `offset` tokens: tokens + passed_tokens == epoch * size + offset.
    """

    source: str
    size: int
    samples: int
    tokens: int
    padding_tokens: int
    passed_tokens: int
    epoch: int
    offset: int

    @property
    def epochs(self) -> float:
        """Return the cursor as one number."""
        return self.epoch + self.offset / self.size


def samples_per_epoch(tokens: int, seq_len: int, block_len: int) -> int:
    """Return the number of windows in an epoch, the short one included.

    Example: 10 tokens in blocks of 4 and windows of 2 give 2 + 2 + 1 = 5; 11 tokens give 6.
    """
    blocks, rest = divmod(tokens, block_len)
    return blocks * (block_len // seq_len) + -(-rest // seq_len)


class Leg:
    """How one source goes through one stage, from the cursor (epoch, offset) on."""

    def __init__(self, source: Source, epoch: int, offset: int, seq_len: int, block_len: int) -> None:
        self.source, self.seq_len = source, seq_len
        self.per_epoch = samples_per_epoch(source.tokens, seq_len, block_len)
        self.padding = -(source.tokens % block_len) % seq_len  # of each epoch, in its last window
        number = -(-offset // seq_len)
        self.first = epoch * self.per_epoch + number  # counted from the source's very first window of this length
        self.passed = min(number * seq_len, source.tokens) - offset

    def after(self, samples: int) -> tuple[int, int]:
        """Return the cursor after that many samples; at least one."""
        epoch, number = divmod(self.first + samples, self.per_epoch)
        return epoch, number * self.seq_len

    def padding_in(self, samples: int) -> int:
        """Return how many of the tokens of the first samples are padding."""
        ends = (self.first + samples) // self.per_epoch - self.first // self.per_epoch
        return ends * self.padding


class Positions:
    """The position algebra of a mixture."""

    def __init__(self, mixture: Mixture) -> None:
        self.mixture = mixture
        self.num_steps = sum(stage.steps for stage in mixture.stages)
        sizes = [source.tokens for source in mixture.sources]
        self._blocks = np.array([size // mixture.block_len for size in sizes], dtype=np.int64)
        self._keys = np.array([source_key(mixture.seed, source.name) for source in mixture.sources], dtype=np.uint64)
        self._first_step = np.cumsum([0, *(stage.steps for stage in mixture.stages)])
        self._interleaves = [Interleave(stage.samples) for stage in mixture.stages]
        self._legs: list[list[Leg]] = []
        cursors = [(0, 0)] * len(sizes)
        for stage, interleave in zip(mixture.stages, self._interleaves, strict=True):
            legs = self.legs(cursors, stage.seq_len)
            counts = interleave.counts(stage.steps * stage.batch_size)
            cursors = [
                leg.after(count) if count else cursor for leg, count, cursor in zip(legs, counts, cursors, strict=True)
            ]
            self._legs.append(legs)
        self._first = [np.array([leg.first for leg in legs], dtype=np.int64) for legs in self._legs]
        self._per_epoch = [np.array([leg.per_epoch for leg in legs], dtype=np.int64) for legs in self._legs]

    def legs(self, cursors: list[tuple[int, int]], seq_len: int) -> list[Leg]:
        """Return how each source would go on from its cursor."""
        return [
            Leg(source, epoch, offset, seq_len, self.mixture.block_len)
            for source, (epoch, offset) in zip(self.mixture.sources, cursors, strict=True)
        ]

    def stage_of(self, step: int) -> int:
        """Return the number of the stage that a step belongs to; raises IndexError outside [0, num_steps)."""
        if not 0 <= step < self.num_steps:
            raise IndexError(f"step must be in [0, {self.num_steps}), got {step}.")
        return int(np.searchsorted(self._first_step, step, side="right")) - 1

    def rows(self, step: int, start: int, stop: int) -> Rows:
        """Return where rows [start, stop) of the global batch of a step are read."""
        number = self.stage_of(step)
        stage, block_len = self.mixture.stages[number], self.mixture.block_len
        first = (step - int(self._first_step[number])) * stage.batch_size
        source, sample = self._interleaves[number].locate(np.arange(first + start, first + stop, dtype=np.int64))
        epoch, window = np.divmod(self._first[number][source] + sample, self._per_epoch[number][source])
        block, window = np.divmod(window, block_len // stage.seq_len)
        whole = np.flatnonzero(block < self._blocks[source])  # the others are in the rest of the stream, read last
        keys = derive_key(self._keys[source[whole]], epoch[whole])
        block[whole] = permute(block[whole], self._blocks[source[whole]], keys)
        return Rows(stage, source, epoch, block * block_len + window * stage.seq_len)

    def ledger(self, step: int) -> list[SourceLedger]:
        """Return what each source has given after the first `step` steps, without running them.

        O(stages * sources), whatever the number of steps. Raises IndexError outside [0, num_steps].
        """
        if not 0 <= step <= self.num_steps:
            raise IndexError(f"step must be in [0, {self.num_steps}], got {step}.")
        sources = self.mixture.sources
        samples, tokens, padding, passed = ([0] * len(sources) for _ in range(4))
        cursors = [(0, 0)] * len(sources)
        for number, stage in enumerate(self.mixture.stages):
            steps = min(stage.steps, step - int(self._first_step[number]))
            if steps <= 0:
                break
            for i, count in enumerate(self._interleaves[number].counts(steps * stage.batch_size)):
                leg = self._legs[number][i]
                if count:
                    samples[i] += count
                    padding[i] += leg.padding_in(count)
                    tokens[i] += count * stage.seq_len - leg.padding_in(count)
                    passed[i] += leg.passed
                    cursors[i] = leg.after(count)
        return [
            SourceLedger(source.name, source.tokens, samples[i], tokens[i], padding[i], passed[i], *cursors[i])
            for i, source in enumerate(sources)
        ]


def source_key(seed: int, name: str) -> int:
    """Return the key of a source's permutations: its own, whatever other sources the mixture has."""
    return xxhash.xxh3_64_intdigest(f"{seed}\0{name}".encode())


def simulate(mixture: Mixture) -> list[tuple[TrainingStage, list[SourceLedger]]]:
    """Return the ledger at the end of each stage: tokens and epochs of every source, before anything runs."""
    positions = Positions(mixture)
    ends = np.cumsum([stage.steps for stage in mixture.stages])
    return [(stage, positions.ledger(int(end))) for stage, end in zip(mixture.stages, ends, strict=True)]
