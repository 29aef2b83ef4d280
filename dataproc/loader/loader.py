"""The streaming loader: batches as a pure function of the step, so resuming and resharding are nothing special.

There is no index to build, no shared memory and no barrier: a rank opens small manifests and computes where its rows
lie. The state is the step and the mixture's fingerprint. Rows of the global batch are split over ranks in order, so the
ranks' rows one after the other are the same global batch at any world size.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from dataproc.errors import ConfigError, ResumeError, ShardError
from dataproc.loader.batch import Batch, Window, pack
from dataproc.loader.mixture import Mixture, read_mixture, split_path
from dataproc.loader.positions import Positions, Rows, SourceLedger
from dataproc.storage import Folder
from dataproc.tokens.reader import ReadCache, TokenReader
from dataproc.tokens.shards import MANIFEST

STATE_FORMAT = "dataproc-loader"


class StreamingLoader:
    """Yields the batches of a mixture.json for one rank, from the current step to the end of the plan.

    mixture: path or URL. rank, world_size: which rows of each global batch. tokens: folder of the buckets, when they
    are not where the mixture says. prefetch: batches read ahead by a thread; 0 for none; the batches are the same.
    cache_bytes: checked blocks of tokens held in memory.

    `loader[step]` is the batch of any step, and `len(loader)` the number of steps: it is also a random-access source.
    Raises ConfigError when world_size does not divide the batches, ShardError when shards are not the mixture's.

    Example:
        loader = StreamingLoader("runs/x/mixture.json", rank=0, world_size=8)
        for batch in loader:
            train(batch.input_ids, batch.labels, batch.loss_mask)
            save(loader.state_dict())  # {"step": 17, ...}
    """

    def __init__(
        self,
        mixture: str | os.PathLike[str],
        *,
        rank: int = 0,
        world_size: int = 1,
        tokens: str | os.PathLike[str] | None = None,
        prefetch: int = 2,
        cache_bytes: int = 256 << 20,
    ) -> None:
        self.mixture = read_mixture(mixture)
        _check_ranks(self.mixture, rank, world_size)
        if prefetch < 0 or cache_bytes < 0:
            raise ConfigError(
                f"StreamingLoader.prefetch and cache_bytes must be 0 or more, got {prefetch} and {cache_bytes}."
            )
        self.rank, self.world_size, self.prefetch = rank, world_size, prefetch
        self.step = 0
        self._positions = Positions(self.mixture)
        folder = os.fspath(tokens) if tokens is not None else _tokens_folder(mixture, self.mixture.tokens)
        self._readers = _open_readers(self.mixture, folder, ReadCache(cache_bytes))

    def __len__(self) -> int:
        """Return the number of steps in the plan."""
        return self._positions.num_steps

    def __getitem__(self, step: int) -> Batch:
        """Return this rank's batch of a step. Raises IndexError past the plan's end, ShardError for damaged shards."""
        rows = self._rows(step)
        length = rows.stage.seq_len
        # Padding is EOS; no loss is taken there, and it is a segment of its own.
        tokens = np.full((len(rows.source), length + 1), self.mixture.tokenizer.eos_id, dtype=np.uint32)
        windows = []
        for row, (source, start) in enumerate(zip(rows.source.tolist(), rows.token.tolist(), strict=True)):
            reader = self._readers[source]
            stop = min(start + length + 1, reader.tokens)
            reader.read(start, stop, tokens[row, : stop - start])
            document, begins = reader.document_starts(start, stop)
            windows.append(Window(document, begins - start, stop - start))
        return pack(step, rows.stage.name, tokens, windows, rows.source)

    def _rows(self, step: int, every_rank: bool = False) -> Rows:
        size = self.mixture.stages[self._positions.stage_of(step)].batch_size
        share = size // self.world_size
        start, stop = (0, size) if every_rank else (self.rank * share, (self.rank + 1) * share)
        return self._positions.rows(step, start, stop)

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches from the current step on; the state always names the step after the last one given out."""
        ahead: dict[int, Future[Batch]] = {}
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dataproc-loader")
        try:
            while self.step < len(self):
                if self.prefetch:
                    wanted = range(self.step, min(self.step + 1 + self.prefetch, len(self)))
                    # Made anew at each step, so that a seek in the middle of a loop simply reads elsewhere.
                    ahead = {step: ahead.get(step) or pool.submit(self.__getitem__, step) for step in wanted}
                batch = ahead.pop(self.step).result() if self.prefetch else self[self.step]
                self.step += 1
                yield batch
        finally:
            pool.shutdown(cancel_futures=True)

    def seek(self, step: int) -> None:
        """Make `step` the next one. Raises IndexError outside [0, len(loader)]."""
        if not 0 <= step <= len(self):
            raise IndexError(f"StreamingLoader.step must be in [0, {len(self)}], got {step}.")
        self.step = step

    def state_dict(self) -> dict[str, Any]:
        """Return the state: JSON of about a hundred bytes, the same for every rank and world size."""
        return {"format": STATE_FORMAT, "version": 1, "mixture": self.mixture.fingerprint(), "step": self.step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state, of any rank and world size.

        A state of a mixture that this one continues is taken up to the step where they part. Raises ResumeError when
        the state is not a loader's, is of another mixture, or lies behind that step.
        """
        if (state.get("format"), state.get("version")) != (STATE_FORMAT, 1):
            raise ResumeError(
                f"StreamingLoader.load_state_dict must get a state with format {STATE_FORMAT}, version 1, got"
                f" {state.get('format')!r}, {state.get('version')!r}. Pass what state_dict() returned."
            )
        limits = {earlier.fingerprint: earlier.step for earlier in self.mixture.continues}
        limit = {**limits, self.mixture.fingerprint(): len(self)}.get(state["mixture"])
        if limit is None:
            raise ResumeError(
                f"StreamingLoader.load_state_dict must get a state of mixture {self.mixture.fingerprint()}, got one of"
                f" {state['mixture']}. Load the mixture.json that the run began with, or build one that continues it."
            )
        if not 0 <= state["step"] <= limit:
            raise ResumeError(
                f"StreamingLoader.load_state_dict must get a step in [0, {limit}], got {state['step']}. The mixture was"
                f" changed at step {limit}: continue from a checkpoint before it, or from the mixture of the state."
            )
        self.seek(state["step"])

    def ledger(self, step: int | None = None) -> list[SourceLedger]:
        """Return tokens and epochs per source after the first `step` steps (default: so far), computed, not run."""
        return self._positions.ledger(self.step if step is None else step)

    def trace(self, step: int, every_rank: bool = False) -> pa.Table:
        """Return the documents in this rank's batch of a step, or in the whole global batch.

        One row per segment, padding left out, in order: row (int32, in the batch traced), row_start (int32, of its
        first token in the row), source, epoch, `first` and `last` (its tokens [first, last) within the document),
        and the columns of the document table (doc_id, url, ...) with `start` and `stop` of the document in its source.
        """
        rows = self._rows(step, every_rank)
        pieces, order = [], []
        for source in np.unique(rows.source).tolist():
            here = np.flatnonzero(rows.source == source)
            pieces.append(self._trace_source(source, here, rows))
            order.append(pieces[-1]["row"].to_numpy())
        table = pa.concat_tables(pieces, promote_options="default")
        return table.take(np.argsort(np.concatenate(order), kind="stable"))

    def _trace_source(self, source: int, here: npt.NDArray[np.int64], rows: Rows) -> pa.Table:
        reader, length = self._readers[source], rows.stage.seq_len
        counts, documents, begins, ends = [], [], [], []
        for start in rows.token[here].tolist():
            stop = min(start + length, reader.tokens)
            document, inside = reader.document_starts(start, stop)
            counts.append(len(inside) + 1)
            documents.append(np.arange(document, document + len(inside) + 1))
            begins.append(np.concatenate([[start], inside]))
            ends.append(np.append(inside, stop))
        begin = np.concatenate(begins)
        table = reader.document_table(np.concatenate(documents))
        head = {
            "row": np.repeat(here, counts).astype(np.int32),
            "row_start": (begin - np.repeat(rows.token[here], counts)).astype(np.int32),
            "source": [self.mixture.sources[source].name] * len(begin),
            "epoch": np.repeat(rows.epoch[here], counts),
            "first": begin - table["start"].to_numpy(),
            "last": np.concatenate(ends) - table["start"].to_numpy(),
        }
        return pa.table({**head, **{name: table[name] for name in table.column_names}})


def _tokens_folder(mixture: str | os.PathLike[str], tokens: str) -> str:
    """Return where the buckets are: beside the mixture file, unless it names a URL."""
    return tokens if "://" in tokens else f"{split_path(mixture)[0]}/{tokens}"


def _check_ranks(mixture: Mixture, rank: int, world_size: int) -> None:
    if not 0 <= rank < world_size:
        raise ConfigError(f"StreamingLoader.rank must be in [0, world_size), got {rank} of {world_size}.")
    for stage in mixture.stages:
        if stage.batch_size % world_size:
            fits = [size for size in range(1, stage.batch_size + 1) if stage.batch_size % size == 0]
            near = max((size for size in fits if size < world_size), default=1)
            raise ConfigError(
                f"StreamingLoader.world_size must divide the global batch of stage {stage.name}, {stage.batch_size}"
                f" samples of {stage.seq_len} tokens, got {world_size}. Use {near} data-parallel ranks, or set"
                f" batch_tokens in the mix to a multiple of {world_size * stage.seq_len}."
            )


def _open_readers(mixture: Mixture, folder: str, cache: ReadCache) -> dict[int, TokenReader]:
    """Open the buckets that samples are drawn from, and check that they are the mixture's."""
    readers = {}
    for number, source in enumerate(mixture.sources):
        if not any(stage.samples[number] for stage in mixture.stages):
            continue
        bucket = Folder(f"{folder}/{source.name}")
        if not bucket.exists(MANIFEST):
            raise ShardError(
                f"{bucket.url}/{MANIFEST} must exist, got no such file. Point StreamingLoader(tokens=...) to the folder"
                " of the buckets."
            )
        with bucket.open(MANIFEST) as file:
            found = xxhash.xxh3_64_hexdigest(file.read())
        if found != source.manifest_xxh3:
            raise ShardError(
                f"{bucket.url}/{MANIFEST} must have xxh3 {source.manifest_xxh3}, as the mixture says, got {found}. The"
                " tokens were made anew: build the mixture anew with `dataproc mix`, or restore them."
            )
        readers[number] = TokenReader(bucket, cache)
    return readers
