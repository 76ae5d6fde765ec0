"""Samples by position, for torch's samplers."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import atdata

torch = pytest.importorskip("torch", reason="the torch extra is not installed")
adapter = pytest.importorskip("atdata.adapters.torch")
from_torch = torch.utils.data


@atdata.packable
class Item:
    """What is stored."""

    n: int
    x: NDArray[np.float32]
    note: str | None = None


@pytest.fixture(scope="module")
def ds(tmp_path_factory: pytest.TempPathFactory) -> atdata.Dataset[Item]:
    """Numbered samples in shards of seven."""
    samples = [Item(i, np.full(3, i, "f4")) for i in range(50)]
    path = tmp_path_factory.mktemp("items") / "items.tar"
    return atdata.write_samples(samples, path, maxcount=7)


def odd(item: Item) -> bool:
    """Half of them."""
    return item.n % 2 == 1


def numbers(loader: Any) -> list[int]:
    """All that a loader delivers."""
    return [n for batch in loader for n in batch["n"].tolist()]


@pytest.mark.parametrize(("workers", "how"), [(0, None), (2, "fork"), (1, "spawn")])
def test_samplers_choose_what_is_read(
    ds: atdata.Dataset[Item], workers: int, how: str | None
) -> None:
    """In this process, in forked workers and in spawned ones."""
    samples = adapter.TorchMap(ds, fields=["n", "x"])
    options = {"batch_size": 8, "num_workers": workers, "multiprocessing_context": how}

    in_order = from_torch.DataLoader(samples, **options)

    assert isinstance(samples, from_torch.Dataset)
    assert len(in_order) == 7
    assert numbers(in_order) == list(range(50))
    if how != "spawn":
        assert sorted(numbers(from_torch.DataLoader(samples, shuffle=True, **options))) == list(
            range(50)
        )


def test_ranks_share_by_torchs_own_sampler(ds: atdata.Dataset[Item]) -> None:
    """Each gets its part of the positions."""
    samples = adapter.TorchMap(ds, fields=["n"])
    found: list[int] = []
    for rank in range(2):
        sampler = from_torch.DistributedSampler(samples, num_replicas=2, rank=rank, seed=1)
        found += numbers(from_torch.DataLoader(samples, batch_size=4, sampler=sampler))

    assert sorted(found) == list(range(50))


def test_the_samples_of_a_batch_are_read_together(ds: atdata.Dataset[Item]) -> None:
    """In the order asked for, and as often."""
    samples = adapter.TorchMap(ds)

    found = samples.__getitems__([49, 0, 49])

    assert [one["n"] for one in found] == [49, 0, 49]
    assert [one["x"].tolist() for one in found] == [[49.0] * 3, [0.0] * 3, [49.0] * 3]
    assert samples[7]["n"] == 7
    with pytest.raises(IndexError):
        samples[50]


def test_what_torch_cannot_collate_is_collated_here(ds: atdata.Dataset[Item]) -> None:
    """A None makes a list."""
    samples = adapter.TorchMap(ds.take(3))
    loader = from_torch.DataLoader(samples, batch_size=3, collate_fn=adapter.collate)

    (batch,) = loader

    assert batch["n"].tolist() == [0, 1, 2]
    assert batch["x"].shape == (3, 3)
    assert batch["note"] == [None] * 3


def test_samples_may_stay_typed(ds: atdata.Dataset[Item]) -> None:
    """And those that a filter drops have no position."""
    samples = adapter.TorchMap(ds.filter(odd), typed=True)

    assert len(samples) == 25
    assert samples[0] == Item(1, np.full(3, 1, "f4"))
    assert [one.n for one in samples.__getitems__([2, 1])] == [5, 3]
    assert repr(samples) == f"TorchMap({ds.filter(odd)})"
