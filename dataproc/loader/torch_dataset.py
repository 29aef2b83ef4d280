"""The streaming loader as a torch dataset: arrays become tensors, and the order stays the loader's.

Workers need not be told apart by the trainer: each computes every n-th step, and a DataLoader hands them out in turn,
so the batches are the same with any number of workers. Needs torch: `pip install 'dataproc-llm[torch]'`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from dataproc.loader.batch import Batch
from dataproc.loader.loader import StreamingLoader

IGNORE_INDEX = -100
"""What torch's cross entropy leaves out by default."""


class TokenDataset(IterableDataset[dict[str, torch.Tensor]]):
    """Yields the batches of a mixture.json as dicts of tensors; give it to a DataLoader with `batch_size=None`.

    mixture, options: as for StreamingLoader. `labels` are IGNORE_INDEX where the loss mask is off. The state is the
    loader's, and either takes the other's; since DataLoader workers run ahead, take it from the batch that was trained
    on: `dataset.state_after(batch)`.

    Example:
        for batch in DataLoader(TokenDataset("runs/x/mixture.json", rank=0, world_size=8), batch_size=None):
            loss = cross_entropy(model(batch["input_ids"]).flatten(0, 1), batch["labels"].flatten())
    """

    def __init__(self, mixture: str | os.PathLike[str], **options: Any) -> None:
        super().__init__()
        self._mixture, self._options = os.fspath(mixture), options
        self.loader = StreamingLoader(mixture, **options)

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker process opens files of its own.
        return _open, (self._mixture, self._options, self.loader.step)

    def __len__(self) -> int:
        """Return the number of steps that are left."""
        return len(self.loader) - self.loader.step

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        """Yield the batches from the current step on."""
        worker = get_worker_info()
        if worker is None:
            yield from map(tensors, self.loader)
            return
        # A forked worker would share open files, connections and locks with its parent.
        loader = StreamingLoader(self._mixture, **self._options)
        for step in range(self.loader.step + worker.id, len(loader), worker.num_workers):
            yield tensors(loader[step])

    def state_after(self, batch: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """Return the state from which training goes on with the batch after this one."""
        return {**self.loader.state_dict(), "step": int(batch["step"]) + 1}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; raises ResumeError as StreamingLoader.load_state_dict does."""
        self.loader.load_state_dict(state)


def _open(mixture: str, options: Mapping[str, Any], step: int) -> TokenDataset:
    dataset = TokenDataset(mixture, **options)
    dataset.loader.seek(step)
    return dataset


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    """Return a batch as tensors: ids and labels int64 [B, L], the rest in the batch's own types, `step` a scalar."""
    labels = batch.labels.astype(np.int64)
    labels[~batch.loss_mask] = IGNORE_INDEX
    arrays = {
        "input_ids": batch.input_ids.astype(np.int64),
        "labels": labels,
        "loss_mask": batch.loss_mask,
        "position_ids": batch.position_ids,
        "cu_seqlens": batch.cu_seqlens,
        "documents": batch.documents,
        "sources": batch.sources,
    }
    return {"step": torch.tensor(batch.step), **{name: torch.from_numpy(array) for name, array in arrays.items()}}
