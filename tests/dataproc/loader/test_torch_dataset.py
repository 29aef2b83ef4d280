"""The torch dataset: the loader's batches, in the loader's order, with any number of workers."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest

from dataproc.errors import ResumeError
from dataproc.loader import StreamingLoader
from tests.dataproc.loader.worlds import stage, write_stages, write_world

pytestmark = pytest.mark.needs("torch")


@pytest.fixture
def world(tmp_path: Path) -> str:
    folder = write_world(tmp_path, {"a": [5, 9, 3, 40, 7, 11], "b": [30, 2, 2, 25]})
    return write_stages(folder, [stage("main", 9, 2, 4, [12, 6]), stage("long", 4, 4, 8, [6, 10])])


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches_are_the_loaders(world: str, workers: int) -> None:
    import torch
    from torch.utils.data import DataLoader

    from dataproc.loader.torch_dataset import TokenDataset

    data = DataLoader(TokenDataset(world), batch_size=None, num_workers=workers)
    batches = list(data)
    assert [int(batch["step"]) for batch in batches] == list(range(13))
    for batch, want in zip(batches, StreamingLoader(world), strict=True):
        assert batch["input_ids"].dtype == torch.int64
        assert batch["input_ids"].tolist() == want.input_ids.tolist()
        assert batch["labels"].masked_select(batch["loss_mask"]).tolist() == want.labels[want.loss_mask].tolist()
        assert set(batch["labels"].masked_select(~batch["loss_mask"]).tolist()) <= {-100}
        for name in ("position_ids", "cu_seqlens", "documents", "sources"):
            assert batch[name].tolist() == getattr(want, name).tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_state_goes_on_after_the_batch_trained_on(world: str, workers: int) -> None:
    from torch.utils.data import DataLoader

    from dataproc.loader.torch_dataset import TokenDataset

    first = TokenDataset(world)
    batches = iter(DataLoader(first, batch_size=None, num_workers=workers))
    trained = [next(batches) for _ in range(5)]
    state = first.state_after(trained[-1])
    second = TokenDataset(world)
    second.load_state_dict(state)
    assert len(second) == 8
    rest = list(DataLoader(second, batch_size=None, num_workers=workers))
    assert [int(batch["step"]) for batch in trained + rest] == list(range(13))
    with pytest.raises(ResumeError, match="must get a state of mixture"):
        second.load_state_dict({**state, "mixture": "other"})


def test_a_worker_process_may_be_spawned(world: str) -> None:
    from dataproc.loader.torch_dataset import TokenDataset

    dataset = TokenDataset(world, prefetch=0)
    dataset.loader.seek(7)
    copy = pickle.loads(pickle.dumps(dataset))
    assert [int(batch["step"]) for batch in copy] == list(range(7, 13))


def test_a_worker_opens_its_own_files(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forked one would share locks and connections that a thread of the parent may be holding."""
    from dataproc.loader import torch_dataset

    dataset = torch_dataset.TokenDataset(world)
    monkeypatch.setattr(dataset.loader, "_readers", {})
    monkeypatch.setattr(torch_dataset, "get_worker_info", lambda: SimpleNamespace(id=1, num_workers=2))
    assert [int(batch["step"]) for batch in dataset] == [1, 3, 5, 7, 9, 11]
