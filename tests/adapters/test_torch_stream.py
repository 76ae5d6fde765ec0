"""What a torch `DataLoader` reads: the same for any number of workers, forked or spawned."""

import copy
import pickle
from collections.abc import Callable
from itertools import chain, islice
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import atdata
from atdata.pipeline.world import World

torch = pytest.importorskip("torch", reason="the torch extra is not installed")
pytest.importorskip("torch.utils.data")
adapter = pytest.importorskip("atdata.adapters.torch")
DataLoader = torch.utils.data.DataLoader

# More workers than processors are what some of these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


@atdata.packable
class Item:
    """What is stored."""

    n: int
    x: NDArray[np.float32]


@pytest.fixture(scope="module")
def ds(tmp_path_factory: pytest.TempPathFactory) -> atdata.Dataset[Item]:
    """Numbered samples in shards of seven."""
    path = tmp_path_factory.mktemp("items") / "items.tar"
    return atdata.write_samples(
        [Item(i, np.full(3, i, "f4")) for i in range(61)], path, maxcount=7
    )


def odd(item: Item) -> bool:
    """Half of them."""
    return item.n % 2 == 1


def doubled(item: Item) -> Item:
    """What a `map` makes of a sample."""
    return Item(item.n * 2, item.x)


def numbers(loader: Any) -> list[Any]:
    """What a loader delivers, as lists of numbers."""
    return [values(one) for one in loader]


def values(batch: Any) -> Any:
    """The numbers of a batch or of a sample."""
    return batch["n"].tolist() if hasattr(batch["n"], "tolist") else batch["n"]


KINDS: dict[str, Callable[[Any], Any]] = {
    "shuffled batches": lambda ds: adapter.to_torch(ds, 4, shuffle=True, seed=3),
    "ordered batches": lambda ds: adapter.to_torch(ds, 4),
    "single samples": lambda ds: adapter.to_torch(ds, shuffle="global", seed=3),
    "filtered": lambda ds: adapter.to_torch(ds.filter(odd), 4, shuffle=True, seed=3),
    "mapped in processes": lambda ds: adapter.to_torch(ds.map(doubled), 4, workers=2),
    "repeated, whole batches": lambda ds: adapter.to_torch(ds.repeat(2), 4, drop_last=True),
    "one rank of two": lambda ds: adapter.to_torch(ds, 4, world=World(1, 2), tail="drop"),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_any_number_of_workers_delivers_the_same(
    ds: atdata.Dataset[Item], make: Callable[[Any], Any]
) -> None:
    """In the same order; and the length is right in the main process."""
    dataset = make(ds)
    alone = numbers(dataset)

    for workers in range(5):
        loader = DataLoader(dataset, batch_size=None, num_workers=workers)

        assert len(loader) == len(alone)
        assert numbers(loader) == alone


def test_a_loader_may_make_the_batches(ds: atdata.Dataset[Item]) -> None:
    """It is told how large they are, so that its workers take turns of as many samples."""
    whole = numbers(adapter.to_torch(ds, 8, shuffle=True, seed=1))

    for workers in (0, 1, 2, 3):
        dataset = adapter.to_torch(ds, shuffle=True, seed=1, loader_batch_size=8)
        loader = DataLoader(dataset, batch_size=8, num_workers=workers)
        dropping = DataLoader(dataset, batch_size=8, num_workers=workers, drop_last=True)

        assert len(loader) == len(whole)
        assert numbers(loader) == whole
        assert len(dropping) == len(whole) - 1
        assert numbers(dropping) == whole[:-1]


def test_batches_are_dicts_of_tensors(ds: atdata.Dataset[Item]) -> None:
    """With their dtypes; and single samples collate to the same."""
    batch = next(iter(adapter.to_torch(ds, 4)))
    collated = next(iter(DataLoader(adapter.to_torch(ds), batch_size=4)))

    for one in (batch, collated):
        assert one["x"].dtype == torch.float32
        assert one["x"].tolist() == [[i] * 3 for i in range(4)]
        assert one["n"].dtype == torch.int64


def test_some_fields_or_typed_ones(ds: atdata.Dataset[Item]) -> None:
    """A loader's workers send batches with their types home."""
    (batch, *_) = DataLoader(adapter.to_torch(ds, 4, typed=True), batch_size=None, num_workers=1)
    few = next(iter(adapter.to_torch(ds, 4, fields=["x"])))

    assert isinstance(batch, atdata.SampleBatch)
    assert batch[1] == Item(1, np.full(3, 1, "f4"))
    assert list(few) == ["x"]
    with pytest.raises(TypeError, match="list of names"):
        adapter.to_torch(ds, fields="x")
    with pytest.raises(ValueError, match="typed"):
        adapter.to_torch(ds, fields=["x"], typed=True)


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_epochs_reach_workers_that_run_already(ds: atdata.Dataset[Item], how: str) -> None:
    """Each epoch has an order of its own, the same for all workers, and the main process's own."""
    dataset = adapter.to_torch(ds, 4, shuffle=True, seed=3)
    loader = DataLoader(
        dataset,
        batch_size=None,
        num_workers=2,
        persistent_workers=True,
        multiprocessing_context=how,
    )

    for epoch in (0, 2, 1):
        dataset.set_epoch(epoch)

        assert numbers(loader) == numbers(
            adapter.to_torch(ds, 4, shuffle=True, seed=3, epoch=epoch)
        )
        assert dataset.epoch == epoch


def test_a_copy_of_a_dataset_still_steers_its_workers(ds: atdata.Dataset[Item]) -> None:
    """A pickled or a deep copy has an epoch of its own, which its workers see."""
    dataset = adapter.to_torch(ds, 4, shuffle=True, seed=3)
    expected = numbers(adapter.to_torch(ds, 4, shuffle=True, seed=3, epoch=5))

    for one in (copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        loader = DataLoader(one, batch_size=None, num_workers=1, persistent_workers=True)
        numbers(loader)
        one.set_epoch(5)

        assert numbers(loader) == expected
        assert dataset.epoch == 0


def test_without_a_seed_workers_share_one(ds: atdata.Dataset[Item]) -> None:
    """It is drawn once, so other datasets have other orders; ranks could not share it."""
    dataset = adapter.to_torch(ds, 4, shuffle=True)
    once = numbers(dataset)

    assert sorted(chain.from_iterable(once)) == list(range(61))
    assert numbers(DataLoader(dataset, batch_size=None, num_workers=2)) == once
    assert numbers(adapter.to_torch(ds, 4, shuffle=True)) != once
    with pytest.raises(ValueError, match="same seed"):
        iter(adapter.to_torch(ds, 4, shuffle=True, world=World(0, 2)))


def test_ranks_and_workers_together_cover_the_epoch(ds: atdata.Dataset[Item]) -> None:
    """A world that was given is one of ranks; workers share a rank's part of it."""
    found: list[int] = []
    for rank in range(3):
        dataset = adapter.to_torch(ds, 4, shuffle=True, seed=1, world=World(rank, 3))
        loader = DataLoader(dataset, batch_size=None, num_workers=2)
        found += chain.from_iterable(numbers(loader))
        assert numbers(loader) == numbers(dataset)

    assert sorted(found) == list(range(61))


@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true but no:UserWarning")
def test_pinned_memory_breaks_nothing(ds: atdata.Dataset[Item]) -> None:
    """With an accelerator or without, tensors and typed batches."""
    dataset = adapter.to_torch(ds, 4)
    typed = adapter.to_torch(ds, 4, typed=True)

    assert numbers(DataLoader(dataset, batch_size=None, pin_memory=True)) == numbers(dataset)
    assert numbers(dataset.loader(1, pin_memory=True)) == numbers(dataset)
    assert [one.n.tolist() for one in typed.loader(pin_memory=True)] == numbers(dataset)


def test_it_is_an_iterable_dataset(ds: atdata.Dataset[Item]) -> None:
    """So loaders know what it is, and say what does not go with it."""
    dataset = adapter.to_torch(ds, 4)

    assert isinstance(dataset, torch.utils.data.IterableDataset)
    assert "batch_size=4" in repr(dataset)
    with pytest.raises(ValueError, match="shuffle"):
        DataLoader(dataset, shuffle=True)
    with pytest.raises(ValueError, match="shuffle=True"):
        adapter.to_torch(ds, 4, seed=1)
    with pytest.raises(TypeError, match="leave out batch_size"):
        adapter.to_torch(ds, 4, loader_batch_size=8)
    with pytest.raises(ValueError, match="at least one"):
        adapter.to_torch(ds, loader_batch_size=0)


def test_what_has_no_end_has_no_length(ds: atdata.Dataset[Item]) -> None:
    """A loader of it can be read nevertheless, by workers too."""
    endless = atdata.mix({ds: 1.0, ds.filter(odd): 1.0}, seed=1, stop="never")
    dataset = adapter.to_torch(endless, 4)
    loader = DataLoader(dataset, batch_size=None, num_workers=2)

    some, ours, alone = (
        [values(batch) for batch in islice(one, 40)]
        for one in (loader, dataset.loader(2), dataset)
    )

    assert some == ours == alone
    with pytest.raises(TypeError, match="no end"):
        len(loader)
