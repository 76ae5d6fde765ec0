"""Stopping in the middle of an epoch and going on, through every kind of loader."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import atdata
from atdata import StateError
from atdata.pipeline.world import World

torch = pytest.importorskip("torch", reason="the torch extra is not installed")
adapter = pytest.importorskip("atdata.adapters.torch")
DataLoader = torch.utils.data.DataLoader

pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    # torchdata 0.11 calls what torch 2.15 has no use for.
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),
]


@atdata.packable
class Item:
    """What is stored."""

    n: int
    x: NDArray[np.float32]


def items(n: int) -> list[Item]:
    """Numbered samples."""
    return [Item(i, np.full(3, i, "f4")) for i in range(n)]


@pytest.fixture(scope="module")
def ds(tmp_path_factory: pytest.TempPathFactory) -> atdata.Dataset[Item]:
    """Numbered samples in shards of seven."""
    path = tmp_path_factory.mktemp("items") / "items.tar"
    return atdata.write_samples(items(61), path, maxcount=7)


def shuffled(ds: atdata.Dataset[Item], batch_size: int = 4, **reading: Any) -> Any:
    """The dataset that most tests stop and resume."""
    return adapter.to_torch(ds, batch_size, shuffle=True, seed=3, **reading)


def numbers(loader: Any) -> list[int]:
    """All that a loader delivers."""
    return [n for batch in loader for n in batch["n"].tolist()]


def some(loader: Any, n: int) -> tuple[list[int], Any]:
    """What the first batches hold, and the loader's state behind them, as a file would keep it."""
    found: list[int] = []
    if n:
        for number, batch in enumerate(loader, 1):
            found += batch["n"].tolist()
            if number == n:
                break
    return found, json.loads(json.dumps(loader.state_dict()))


def stateful(dataset: Any, workers: int, **options: Any) -> Any:
    """Torchdata's loader."""
    stateful = pytest.importorskip(
        "torchdata.stateful_dataloader", reason="torchdata is not installed"
    )
    return stateful.StatefulDataLoader(dataset, batch_size=None, num_workers=workers, **options)


# -- the loader of this library


@settings(max_examples=15)
@given(
    workers=st.tuples(*[st.integers(0, 3)] * 2),
    sizes=st.tuples(*[st.integers(1, 9)] * 2),
    stop=st.integers(0, 8),
    epoch=st.integers(0, 2),
)
def test_a_loader_goes_on_with_any_workers_and_batches(
    ds: atdata.Dataset[Item],
    workers: tuple[int, int],
    sizes: tuple[int, int],
    stop: int,
    epoch: int,
) -> None:
    """What comes before and after is the unbroken epoch; what was made ahead is not lost."""
    before, state = some(shuffled(ds, sizes[0], epoch=epoch).loader(workers[0]), stop)
    resumed = shuffled(ds, sizes[1]).loader(workers[1])
    resumed.load_state_dict(state)

    assert len(resumed) == -(-(61 - len(before)) // sizes[1])
    assert before + numbers(resumed) == [s.n for s in ds.shuffled(seed=3, epoch=epoch)]


def test_a_loader_goes_on_with_other_ranks(ds: atdata.Dataset[Item]) -> None:
    """From the states of all ranks, which need not be in step."""
    before: list[int] = []
    states: list[Any] = []
    for rank, stop in enumerate((3, 1)):
        found, state = some(shuffled(ds, world=World(rank, 2)).loader(2), stop)
        before += found
        states.append(state)

    after: list[int] = []
    for rank in range(3):
        resumed = shuffled(ds, world=World(rank, 3)).loader(rank)
        resumed.load_state_dict(states)
        after += numbers(resumed)

    assert sorted(before + after) == list(range(61))


@pytest.mark.parametrize("persistent", [False, True])
def test_the_epochs_after_a_resumed_one_are_whole(
    ds: atdata.Dataset[Item], persistent: bool
) -> None:
    """Also where workers stay, and where a loop was left early."""
    before, state = some(shuffled(ds).loader(2, persistent_workers=persistent), 5)
    loader = shuffled(ds).loader(2, persistent_workers=persistent)
    loader.set_epoch(1)
    some(loader, 2)
    loader.load_state_dict(state)

    assert loader.epoch == 0
    assert before + numbers(loader) == [s.n for s in ds.shuffled(seed=3)]
    for epoch in (1, 2):
        loader.set_epoch(epoch)
        assert len(loader) == 16
        assert numbers(loader) == [s.n for s in ds.shuffled(seed=3, epoch=epoch)]
        assert loader.state_dict()["delivered"] == 61
    some(loader, 2)
    assert numbers(loader) == [s.n for s in ds.shuffled(seed=3, epoch=2)]


def test_a_state_of_other_data_is_refused(ds: atdata.Dataset[Item], tmp_path: Path) -> None:
    """Before any worker is started."""
    other = atdata.write_samples(items(5), tmp_path / "other.tar")
    _, state = some(shuffled(other).loader(), 1)

    with pytest.raises(StateError, match="another reading"):
        shuffled(ds).loader(2).load_state_dict(state)


def test_a_loader_refuses_what_no_state_can_describe(ds: atdata.Dataset[Item]) -> None:
    """Batches that it makes itself, and batches in the order in which they are ready."""
    with pytest.raises(ValueError, match="in_order"):
        shuffled(ds).loader(2, in_order=False)
    with pytest.raises(TypeError, match="makes no batches"):
        adapter.to_torch(ds, loader_batch_size=4).loader()
    with pytest.raises(TypeError, match="batch_size"):
        shuffled(ds).loader(batch_size=3)


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_what_cannot_be_read_is_in_the_state(tmp_path: Path, workers: int) -> None:
    """A damaged shard leaves turns empty, and the rest is delivered once, in one order."""
    ds = atdata.write_samples(items(60), tmp_path / "items.tar", maxcount=10)
    damaged = tmp_path / "items-000002.tar"
    content = bytearray(damaged.read_bytes())
    at = content.index(np.full(3, 25, "f4").tobytes())
    content[at] ^= 1
    damaged.write_bytes(content)
    ds = ds.with_options(on_error="skip")
    whole = numbers(adapter.to_torch(ds, 2).loader(workers))

    for stop in (0, 3, 10, 12, 25):
        before, state = some(adapter.to_torch(ds, 2).loader(workers), stop)
        resumed = adapter.to_torch(ds, 3).loader((workers + 1) % 3)
        resumed.load_state_dict(state)
        after = numbers(resumed)

        assert before + after == whole == [n for n in range(60) if not 20 <= n < 30]
        assert len(resumed.state_dict()["skipped"]) == 1


# -- torch's own loader


def test_torchs_loader_goes_on_once(ds: atdata.Dataset[Item]) -> None:
    """Its workers go on from a state of the dataset; those of the next epoch begin anew."""
    dataset = adapter.to_torch(ds, 4)
    before, state = some(adapter.to_torch(ds, 4).loader(2), 5)
    dataset.load_state_dict(state)
    loader = DataLoader(dataset, batch_size=None, num_workers=2)

    assert len(loader) == 11
    assert before + numbers(loader) == list(range(61))
    assert len(loader) == 16
    assert numbers(loader) == list(range(61))


def test_only_a_loader_knows_how_far_its_workers_are(ds: atdata.Dataset[Item]) -> None:
    """So the main process's dataset does not guess."""
    dataset = shuffled(ds)
    numbers(DataLoader(dataset, batch_size=None, num_workers=1))

    with pytest.raises(StateError, match="only the loader knows"):
        dataset.state_dict()
    _, state = some(dataset, 3)
    assert state["delivered"] == 12


# -- torchdata's loader


@pytest.mark.parametrize(
    ("workers", "options"),
    [(0, {}), (1, {}), (2, {}), (2, {"persistent_workers": True}), (3, {"prefetch_factor": 4})],
)
def test_a_stateful_loader_goes_on(
    ds: atdata.Dataset[Item], workers: int, options: dict[str, Any]
) -> None:
    """With as many workers as before, anywhere in an epoch; and the one after it is whole."""
    for stop in (0, 1, 7, 16):
        dataset = shuffled(ds)
        dataset.set_epoch(1)
        before, state = some(stateful(dataset, workers, **options), stop)
        dataset = shuffled(ds)
        resumed = stateful(dataset, workers, **options)
        dataset.set_epoch(1)
        resumed.load_state_dict(state)

        assert before + numbers(resumed) == [s.n for s in ds.shuffled(seed=3, epoch=1)]
        dataset.set_epoch(2)
        assert numbers(resumed) == [s.n for s in ds.shuffled(seed=3, epoch=2)]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_loader_that_had_finished_begins_the_next_epoch(
    ds: atdata.Dataset[Item], workers: int
) -> None:
    """The one that it is told of, as torchdata's loaders do."""
    _, state = some(stateful(shuffled(ds), workers), 17)
    dataset = shuffled(ds)
    resumed = stateful(dataset, workers)
    resumed.load_state_dict(state)
    dataset.set_epoch(1)

    assert numbers(resumed) == [s.n for s in ds.shuffled(seed=3, epoch=1)]


@pytest.mark.parametrize("workers", [(0, 2), (2, 0), (3, 2), (1, 3)])
def test_another_number_of_workers_goes_on_from_a_stateful_loader(
    ds: atdata.Dataset[Item], workers: tuple[int, int]
) -> None:
    """With the states that are found in its own, and with other batches."""
    before, state = some(stateful(shuffled(ds), workers[0]), 7)
    dataset = shuffled(ds, 5)
    dataset.load_state_dict(adapter.states_of(state))
    resumed = stateful(dataset, workers[1])

    after = numbers(resumed)

    assert before + after == [s.n for s in ds.shuffled(seed=3)]
    dataset.set_epoch(1)
    assert numbers(resumed) == [s.n for s in ds.shuffled(seed=3, epoch=1)]


def test_a_stateful_loader_may_make_the_batches(ds: atdata.Dataset[Item]) -> None:
    """Of single samples, in turns of as many; another number of workers goes on."""

    def loader(workers: int) -> Any:
        dataset = adapter.to_torch(ds, shuffle=True, seed=3, loader_batch_size=4)
        module = pytest.importorskip("torchdata.stateful_dataloader")
        return dataset, module.StatefulDataLoader(dataset, batch_size=4, num_workers=workers)

    _, first = loader(2)
    before, state = some(first, 5)
    _, second = loader(2)
    second.load_state_dict(state)
    dataset, third = loader(3)
    dataset.load_state_dict(adapter.states_of(state))

    expected = [s.n for s in ds.shuffled(seed=3)]
    assert before + numbers(second) == expected
    assert before + numbers(third) == expected


def test_states_that_are_none_are_refused(ds: atdata.Dataset[Item]) -> None:
    """A loader of something else, and one that tells of its workers now and then."""
    other = stateful(list(range(9)), 1)
    next(iter(other))
    rare = stateful(shuffled(ds), 1, snapshot_every_n_steps=4)
    batches = iter(rare)
    next(batches)

    with pytest.raises(StateError, match="no state"):
        adapter.states_of(other.state_dict())
    with pytest.raises(StateError, match="snapshot_every_n_steps"):
        adapter.states_of(rare.state_dict())
    with pytest.raises(StateError, match="no state"):
        adapter.states_of()
