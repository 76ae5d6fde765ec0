"""Datasets for torch: what its `DataLoader` reads, in one order however many workers read it.

Each worker of a loader takes every n-th batch of its rank's share, and a loader takes batches from
its workers in turn; so what it delivers, and in which order, is the same for any number of them.
"""

import dataclasses
import secrets
from collections.abc import Iterator, Mapping, Sequence
from operator import index
from typing import Any, Literal, Unpack

import msgspec
import numpy as np

from atdata._exceptions import StateError
from atdata._lazy import require
from atdata.dataset import Dataset
from atdata.model.shard import SkippedSample
from atdata.pipeline.access import Positions
from atdata.pipeline.passes import Pass, Settings
from atdata.pipeline.plan import ENDLESS, Shuffle
from atdata.pipeline.state import State
from atdata.pipeline.stream import Reading, SampleStream
from atdata.pipeline.world import World, loader_worker
from atdata.sample.batch import SampleBatch
from atdata.sample.dynamic import DictSample

torch: Any = require("torch", extra="torch")
data: Any = require("torch.utils.data", extra="torch")
MapDataset: Any = data.Dataset
IterableDataset: Any = data.IterableDataset

# What the processes of a loader tell each other, in one shared tensor: the epoch that was asked
# for, which loader's workers went on from a state, and whether workers read rather than the main
# process.
_EPOCH, _TAKEN_BY, _IN_WORKERS = range(3)

type _Turn = tuple[int, list[SkippedSample], list[Any]]
"""How far the reader is behind a value, what was left out since the last one, and the value."""


def as_tensors(value: Any, fields: Sequence[str] | None = None) -> Any:
    """A sample, a batch or any other value with tensors for its arrays.

    Samples, batches and mappings become dicts; lists and tuples stay what they are. A tensor
    shares memory with its array, unless that is read-only, not aligned, in the other byte order,
    or strided as no tensor can be; then it is a copy. In a batch, numbers are tensors as well. All
    else stays as it is: text, bytes, None, single Python numbers, and arrays of a dtype that torch
    does not have.

    Args:
        value: What to convert.
        fields: Only these fields of it.

    Examples:
        >>> from atdata import DictSample, SampleBatch
        >>> as_tensors(DictSample(x=np.arange(2), name="a", n=7))
        {'x': tensor([0, 1]), 'name': 'a', 'n': 7}
        >>> as_tensors(SampleBatch([DictSample(n=1, name="a"), DictSample(n=2, name="b")]))
        {'n': tensor([1, 2]), 'name': ['a', 'b']}
    """
    if isinstance(value, np.ndarray):
        return _tensor(value)
    if isinstance(value, np.generic):
        made = _tensor(np.asarray(value))
        return made if isinstance(made, torch.Tensor) else value
    if isinstance(value, SampleBatch):
        return _of_batch(value, fields)
    found = _named(value)
    if found is not None:
        return {name: as_tensors(found[name]) for name in (found if fields is None else fields)}
    if isinstance(value, list):
        return [as_tensors(one) for one in value]
    if isinstance(value, tuple):
        made = [as_tensors(one) for one in value]
        return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
    return value


def collate(samples: Sequence[Any]) -> Any:
    """Samples as one batch of tensors, as streams of batches give it.

    For loaders that make batches themselves. Unlike torch's own function it takes fields with None
    and arrays of several shapes, which become lists.

    Examples:
        >>> from atdata import DictSample
        >>> collate([DictSample(n=1, name="a"), DictSample(n=2, name=None)])
        {'n': tensor([1, 2]), 'name': ['a', None]}
    """
    return _of_batch(SampleBatch(samples), None)


def _named(value: Any) -> Mapping[str, Any] | None:
    """The fields of a sample by name; None of what has none."""
    if isinstance(value, DictSample):
        return value.to_dict()
    if isinstance(value, Mapping):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def _of_batch(batch: SampleBatch[Any], fields: Sequence[str] | None) -> Any:
    names = batch.column_names() if fields is None else fields
    if not names and len(batch):  # results of a `map` that have no fields
        return data.default_collate([as_tensors(sample) for sample in batch.samples])
    hidden = any(name.startswith("_") or hasattr(SampleBatch, name) for name in names)
    found = batch.to_dict() if hidden else {name: getattr(batch, name) for name in names}
    return {name: _stacked(as_tensors(found[name])) for name in names}


def _stacked(values: Any) -> Any:
    """One tensor of a list of tensors that are alike, which only a `map` gives."""
    if not isinstance(values, list) or not all(isinstance(one, torch.Tensor) for one in values):
        return values
    forms = {(one.shape, one.dtype) for one in values}
    return torch.stack(values) if len(forms) == 1 else values


def _tensor(array: np.ndarray[Any, Any]) -> Any:
    dtype = array.dtype
    foreign = dtype.isbuiltin == 2
    # Small floats are of ml_dtypes, under the names that torch gives its own.
    small = dtype.name if dtype.name.startswith(("bfloat16", "float8")) else ""
    known = foreign and hasattr(torch, small)
    if not known and (foreign or dtype.kind not in "biufc" or dtype.char in "gG"):
        return array
    if not dtype.isnative:
        array = array.astype(dtype.newbyteorder("="))
    strides = (step >= 0 and step % dtype.itemsize == 0 for step in array.strides)
    if not (array.flags.writeable and array.flags.aligned and all(strides)):
        array = array.copy(order="C")
    if foreign:
        return torch.from_numpy(array.view(f"u{dtype.itemsize}")).view(getattr(torch, small))
    return torch.from_numpy(array)


@dataclasses.dataclass(frozen=True, slots=True)
class _InTurns(Settings):
    """Single samples of which a worker delivers several in its turn.

    Attributes:
        turn: How many.
    """

    turn: int = 1

    @property
    def unit(self) -> int:
        """Samples that are handed out together."""
        return self.batch_size or self.turn


class _LoaderStream(SampleStream[Any]):
    """A stream that the workers of a loader read together, and that the main process steers.

    Args:
        stream: What is read, and how.
        turn: Single samples that a worker delivers in its turn.
    """

    def __init__(self, stream: SampleStream[Any], turn: int | None) -> None:
        settings = stream._settings
        if settings.shuffle is not None and not settings.seeded:
            # All workers need the same one. It is drawn once, so epochs tell passes apart.
            shuffle = dataclasses.replace(settings.shuffle, seed=secrets.randbits(63))
            settings = dataclasses.replace(settings, shuffle=shuffle)
        if turn is not None:
            if settings.batch_size is not None or settings.drop_last:
                raise TypeError(
                    "loader_batch_size is for single samples, of which a loader makes batches; "
                    "leave out batch_size, and give drop_last to the loader"
                )
            if turn < 1:
                raise ValueError(f"loader_batch_size is {turn}; a batch holds at least one sample")
            every = {one.name: getattr(settings, one.name) for one in dataclasses.fields(settings)}
            settings = _InTurns(**every, turn=turn)
        self.turn = turn
        super().__init__(stream._layout, settings, count=stream._count, label=stream._label)
        self._told = torch.tensor([self.epoch, 0, 0]).share_memory_()
        self._loaded_here = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._told.share_memory_()  # a copy, unless it was sent to a worker of this loader

    # -- which epoch, and from where

    def _begin(self) -> Pass:
        self._forget_what_was_taken()
        in_worker = loader_worker() is not None
        self._told[_IN_WORKERS] = in_worker
        if in_worker:  # which may start no processes of its own
            self._settings = dataclasses.replace(self._settings, workers=0)
        if self._stopped is None:
            self.epoch = int(self._told[_EPOCH])
        return super()._begin()

    def set_epoch(self, epoch: int) -> None:
        super().set_epoch(epoch)
        self._told[_EPOCH] = epoch

    def load_state_dict(self, state: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        super().load_state_dict(state)
        self._loaded_here = loader_worker() is not None
        if not self._loaded_here:
            self._told[_TAKEN_BY] = self._told[_IN_WORKERS] = 0

    def _forget_what_was_taken(self) -> None:
        """Go on from a state once, although each new worker is told of it by the main process.

        The workers of one loader know each other by the seed that torch gives them.
        """
        worker, taken_by = loader_worker(), int(self._told[_TAKEN_BY])
        if self._stopped is None or (worker is not None and self._loaded_here):
            return
        own = 0 if worker is None else worker.seed - worker.id
        if taken_by not in (0, own):
            self._stopped = None
        elif worker is not None:
            self._told[_TAKEN_BY] = own

    @property
    def is_resumed(self) -> bool:
        """Whether the next pass goes on from a state."""
        self._forget_what_was_taken()
        return self._stopped is not None

    def taken(self) -> None:
        """Say that workers that were started now have the state to go on from."""
        self._stopped = None

    def _shuffle(self, world: World) -> Shuffle | None:
        if world.readers == 1:
            return self._settings.shuffle
        return super()._shuffle(world)

    # -- how far

    def __len__(self) -> int:
        self._forget_what_was_taken()
        return super().__len__()

    def state_dict(self) -> dict[str, Any]:
        if loader_worker() is None and self._told[_IN_WORKERS]:
            raise StateError(
                "a loader's workers read this dataset, and only the loader knows how far it is\n"
                "  Ask it: dataset.loader(num_workers=...) and torchdata's StatefulDataLoader "
                "have a state_dict()."
            )
        return super().state_dict()

    def start(self, workers: int) -> State:
        """Where the next pass begins, if so many workers read it."""
        epoch = self.epoch if self.is_resumed else int(self._told[_EPOCH])
        world = dataclasses.replace(self._world(), workers=max(workers, 1))
        settings = dataclasses.replace(self._settings, shuffle=self._shuffle(world), epoch=epoch)
        return Pass(self._layout, settings, world, self._stopped).state()

    def turns(self, values: Iterator[Any]) -> Iterator[_Turn]:
        """What this worker delivers, turn by turn, with how far the reader is behind each.

        What was lost to damage leaves turns empty, so that workers stay in step. A last one tells
        what was left out at the end.
        """
        current = self._pass
        assert current is not None
        share, unit = current.share, self._settings.unit
        n_told = len(current.ledger.skipped)

        def skipped() -> list[SkippedSample]:
            nonlocal n_told
            found = current.ledger.skipped[n_told:]
            n_told += len(found)
            return found

        if share.world.workers == 1:
            counted = len(share) != ENDLESS
            for value in values:
                own = current.own()
                delivered = share.delivered(own) if counted else current.state().delivered
                yield delivered, skipped(), [value]
        else:
            turn = current.own() // unit
            for value in values:
                own = current.own()
                for lost in range(turn, (own - 1) // unit):
                    yield share.delivered((lost + 1) * unit), skipped(), []
                turn = (own - 1) // unit + 1
                yield share.delivered(own), skipped(), [value]
            for lost in range(turn, -(-len(share) // unit)):
                yield share.delivered(min((lost + 1) * unit, len(share))), skipped(), []
        yield current.state().delivered, skipped(), []


class TorchStream[S](IterableDataset):  # type: ignore[misc]  # torch is imported when this is used
    """A stream as a torch `IterableDataset`, which knows its part in each worker of a loader.

    `Dataset.to_torch` makes these; make them yourself of a stream with another order. Batches are
    made here, so the loader is told not to: `DataLoader(dataset, batch_size=None, …)`. What it
    delivers is the same for any number of workers, forked or spawned.

    Args:
        stream: What is read, and how.
        fields: Only these fields; None for all.
        typed: Give samples and batches as the stream has them, without tensors.
        loader_batch_size: The `batch_size` of the loader, where that makes batches of single
            samples.

    Attributes:
        batch_size: Samples in a batch, or None for single samples.

    Examples:
        >>> import atdata
        >>> ds = atdata.write_samples([DictSample(n=i) for i in range(5)], tmp / "t.tar")
        >>> dataset = TorchStream(ds.ordered(batch_size=2))
        >>> list(data.DataLoader(dataset, batch_size=None))
        [{'n': tensor([0, 1])}, {'n': tensor([2, 3])}, {'n': tensor([4])}]
    """

    def __init__(
        self,
        stream: SampleStream[S],
        *,
        fields: Sequence[str] | None = None,
        typed: bool = False,
        loader_batch_size: int | None = None,
    ) -> None:
        self.batch_size = stream.batch_size
        self._fields = _chosen(fields, typed=typed)
        self._typed = typed
        self.stream = _LoaderStream(stream, loader_batch_size)

    def __iter__(self) -> Iterator[Any]:
        values = iter(self.stream)
        if self._typed:
            return values
        fields = self._fields
        return (as_tensors(value, fields) for value in values)

    def __len__(self) -> int:
        """How many samples or batches this rank gets: of an epoch, or of what is left of one."""
        return len(self.stream)

    @property
    def epoch(self) -> int:
        """The epoch that is read; `set_epoch` chooses another."""
        return self.stream.epoch

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass read an epoch from its start, also in workers that run already.

        Examples:
            >>> import atdata
            >>> ds = atdata.write_samples([DictSample(n=i) for i in range(9)], tmp / "e.tar")
            >>> dataset = TorchStream(ds.shuffled(batch_size=9, seed=1))
            >>> first = [batch["n"].tolist() for batch in dataset]
            >>> dataset.set_epoch(1)
            >>> first == [batch["n"].tolist() for batch in dataset]
            False
        """
        self.stream.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Where the last pass of this process stands, as `SampleStream.state_dict` tells it.

        torchdata's `StatefulDataLoader` asks for it in each worker.

        Raises:
            StateError: The workers of a loader read, so only the loader knows.
        """
        return self.stream.state_dict()

    def load_state_dict(self, state: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """Make the next pass go on from a state, here or in workers that are started for it.

        The pass after that reads the epoch that `set_epoch` says.

        Args:
            state: As for `SampleStream.load_state_dict`: of any rank, if all are in step, or of
                all; `states_of` finds them in the states of `StatefulDataLoader`s.

        Raises:
            StateError: It is of other data, or of another reading of it.

        Examples:
            >>> import atdata
            >>> ds = atdata.write_samples([DictSample(n=i) for i in range(5)], tmp / "l.tar")
            >>> dataset = TorchStream(ds.ordered(batch_size=2))
            >>> for batch in dataset:
            ...     break
            >>> resumed = TorchStream(ds.ordered(batch_size=3))
            >>> resumed.load_state_dict(dataset.state_dict())
            >>> [batch["n"].tolist() for batch in resumed]
            [[2, 3, 4]]
        """
        self.stream.load_state_dict(state)

    def loader(self, num_workers: int = 0, **options: Any) -> "TorchLoader":
        """A torch `DataLoader` of this dataset that can stop and go on.

        Args:
            num_workers: Processes that read; 0 for this one.
            options: As for `torch.utils.data.DataLoader`: `prefetch_factor`, `pin_memory`,
                `persistent_workers`, `multiprocessing_context` and others.

        Examples:
            >>> import atdata
            >>> ds = atdata.write_samples([DictSample(n=i) for i in range(5)], tmp / "o.tar")
            >>> loader = TorchStream(ds.ordered(batch_size=2)).loader()
            >>> len(loader), [batch["n"].tolist() for batch in loader]
            (3, [[0, 1], [2, 3], [4]])
        """
        return TorchLoader(self, num_workers, **options)

    def __repr__(self) -> str:
        return f"TorchStream({self.stream})"


class TorchLoader:
    """A `DataLoader` that knows how much of its dataset it has delivered.

    Batches that workers have made but that were not asked for yet count as not delivered. A state
    can be loaded with another number of workers or of ranks.

    Args:
        dataset: What is read.
        num_workers: Processes that read; 0 for this one.
        options: As for `torch.utils.data.DataLoader`.

    Examples:
        >>> import atdata
        >>> ds = atdata.write_samples([DictSample(n=i) for i in range(5)], tmp / "d.tar")
        >>> loader = TorchLoader(TorchStream(ds.shuffled(batch_size=2, seed=1)))
        >>> first = next(iter(loader))
        >>> resumed = TorchStream(ds.shuffled(batch_size=2, seed=1)).loader()
        >>> resumed.load_state_dict(loader.state_dict())
        >>> sorted(int(n) for batch in (first, *resumed) for n in batch["n"])
        [0, 1, 2, 3, 4]
    """

    def __init__(self, dataset: TorchStream[Any], num_workers: int = 0, **options: Any) -> None:
        if dataset.stream.turn is not None:
            raise TypeError("this loader makes no batches: ds.to_torch(batch_size=...) makes them")
        if not options.get("in_order", True):
            raise ValueError("in_order=False delivers in an order that no state can describe")
        self._dataset = dataset
        self._num_workers = num_workers
        self._made = self._new(options)
        self._options = options
        self._progress: _Progress | None = None

    def _new(self, options: Mapping[str, Any]) -> Any:
        dataset = _Turns(self._dataset) if self._num_workers else self._dataset
        return data.DataLoader(
            dataset,
            batch_size=None,
            collate_fn=_as_it_is,
            num_workers=self._num_workers,
            **options,
        )

    def __iter__(self) -> Iterator[Any]:
        stream = self._dataset.stream
        if stream.is_resumed:
            self._made = self._new(self._options)  # workers that run already know of no state
        if not self._num_workers:
            return iter(self._made)
        self._progress = _Progress(stream.start(self._num_workers))
        turns = iter(self._made)
        stream.taken()
        return self._progress.values(turns)

    def __len__(self) -> int:
        """How many samples or batches it delivers: of an epoch, or of what is left of one."""
        return len(self._dataset)

    @property
    def epoch(self) -> int:
        """The epoch that is read; `set_epoch` chooses another."""
        return self._dataset.epoch

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass read an epoch from its start."""
        self._dataset.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Where the last pass stands, as JSON values: what was delivered here, and no more."""
        in_workers = self._num_workers and not self._dataset.stream.is_resumed
        if self._progress is None or not in_workers:
            return self._dataset.state_dict()
        return self._progress.state()

    def load_state_dict(self, state: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """Make the next pass go on from a state, or from the states of all ranks.

        Raises:
            StateError: It is of other data, or of another reading of it.
        """
        self._dataset.load_state_dict(state)
        self._progress = None

    def __repr__(self) -> str:
        return f"TorchLoader({self._dataset}, num_workers={self._num_workers})"


class _Turns(IterableDataset):  # type: ignore[misc]  # as above
    """What the workers of a `TorchLoader` deliver, turn by turn."""

    def __init__(self, dataset: TorchStream[Any]) -> None:
        self._dataset = dataset

    def __iter__(self) -> Iterator[_Turn]:
        values = iter(self._dataset)
        return self._dataset.stream.turns(values)


class _Progress:
    """How much of a pass was delivered to the main process.

    Args:
        start: Where the pass began.
    """

    def __init__(self, start: State) -> None:
        self._start = start
        self._delivered = start.delivered
        self._skipped = dict.fromkeys(start.skipped)

    def values(self, turns: Iterator[_Turn]) -> Iterator[Any]:
        """The values, counted as they are delivered."""
        for delivered, skipped, values in turns:
            self._delivered = max(self._delivered, delivered)
            self._skipped |= dict.fromkeys(skipped)
            yield from values

    def state(self) -> dict[str, Any]:
        """Where the pass stands."""
        skipped = tuple(self._skipped)
        return msgspec.structs.replace(
            self._start, delivered=self._delivered, worker=None, skipped=skipped
        ).to_dict()


class TorchMap[T](MapDataset):  # type: ignore[misc]  # as above
    """A dataset as a torch map-style `Dataset`, for samplers.

    A loader asks for the samples of a batch together, and they are read together. It pickles with
    what is known of the shards, so that workers need not count them again.

    Args:
        dataset: What is read. Its samples are counted now; if some are filtered out, all are read.
        fields: Only these fields; None for all.
        typed: Give samples as the dataset has them, without tensors.

    Examples:
        >>> import atdata
        >>> ds = atdata.write_samples([DictSample(n=i) for i in range(5)], tmp / "m.tar")
        >>> samples = TorchMap(ds)
        >>> len(samples), samples[3], samples.__getitems__([4, 0])
        (5, {'n': 3}, [{'n': 4}, {'n': 0}])
        >>> [batch["n"].tolist() for batch in data.DataLoader(samples, batch_size=3)]
        [[0, 1, 2], [3, 4]]
    """

    def __init__(
        self, dataset: Dataset[T], *, fields: Sequence[str] | None = None, typed: bool = False
    ) -> None:
        self._fields = _chosen(fields, typed=typed)
        self._typed = typed
        self._positions = _positions_of(dataset)
        self._shown = repr(dataset)

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, at: int) -> Any:
        """The sample at a position."""
        (sample,) = self.__getitems__([at])
        return sample

    def __getitems__(self, positions: Sequence[int]) -> list[Any]:
        """The samples at some positions, in that order."""
        samples = self._positions.many([index(at) for at in positions])
        return samples if self._typed else [as_tensors(one, self._fields) for one in samples]

    def __repr__(self) -> str:
        return f"TorchMap({self._shown})"


def to_torch(
    dataset: Dataset[Any],
    batch_size: int | None = None,
    *,
    shuffle: bool | Literal["window", "global"] = False,
    seed: int | None = None,
    buffer_shards: int = 100,
    buffer_samples: int = 10_000,
    fields: Sequence[str] | None = None,
    typed: bool = False,
    loader_batch_size: int | None = None,
    **reading: Unpack[Reading],
) -> TorchStream[Any]:
    """A dataset as a torch `IterableDataset`.

    Args:
        dataset: What is read.
        batch_size: Samples in a batch; the last one may have fewer. None: single samples.
        shuffle: True, or `"window"`, mixes within windows of shards, `"global"` all with all.
        seed: Makes the order reproducible. None: one is drawn, for all workers and epochs.
        buffer_shards: Shards in a window; see `Dataset.shuffled`.
        buffer_samples: See `Dataset.shuffled`.
        fields: Only these fields; None for all.
        typed: Give samples and batches as the dataset has them, without tensors.
        loader_batch_size: The `batch_size` of the loader, where that makes batches of single
            samples, so that their order does not depend on the number of workers.
        reading: See `Reading`; here `world` and `tail` are of use in distributed training.

    Examples:
        >>> import atdata
        >>> samples = [DictSample(x=np.full(3, i, "f4"), label=i) for i in range(10)]
        >>> ds = atdata.write_samples(samples, tmp / "d.tar")
        >>> dataset = to_torch(ds, 4, shuffle=True, seed=7)
        >>> [tuple(batch["x"].shape) for batch in dataset.loader()]
        [(4, 3), (4, 3), (2, 3)]
    """
    if not shuffle and seed is not None:
        raise ValueError("a seed is for shuffled data: to_torch(..., shuffle=True, seed=...)")
    stream: SampleStream[Any]
    if shuffle:
        stream = dataset.shuffled(
            buffer_shards,
            buffer_samples,
            batch_size,
            seed=seed,
            shuffle="window" if shuffle is True else shuffle,
            **reading,
        )
    else:
        stream = dataset.ordered(batch_size, **reading)
    return TorchStream(stream, fields=fields, typed=typed, loader_batch_size=loader_batch_size)


def states_of(*loader_states: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The states of this library in the states of torchdata's `StatefulDataLoader`s.

    Such a loader takes its own state back only with as many workers as it had. Load these into the
    dataset of a new loader, and another number of workers or of ranks goes on.

    Args:
        loader_states: What `state_dict()` of the loaders of all ranks gave, or of any if all are
            in step.

    Raises:
        StateError: They are of something else, or of batches before the last one.

    Examples:
        >>> import atdata
        >>> ds = atdata.write_samples([DictSample(n=i) for i in range(5)], tmp / "o.tar")
        >>> state = {"dataset_state": TorchStream(ds.ordered()).state_dict(), "_num_yielded": 0}
        >>> [one["delivered"] for one in states_of(state)]
        [0]
    """
    found: list[Any] = []
    for state in loader_states:
        if state.get("_steps_since_snapshot", 0):
            raise StateError(
                f"a loader's state is {state['_steps_since_snapshot']} batches old\n"
                "  Make the loader with snapshot_every_n_steps=1."
            )
        snapshot = state.get("_snapshot", {})
        workers = snapshot.get("_worker_snapshots", {"": state})
        found += [worker.get("dataset_state") for worker in workers.values()]
    if not found or not all(isinstance(one, Mapping) for one in found):
        raise StateError("this is no state of a StatefulDataLoader over a dataset of this library")
    return found


def _positions_of(dataset: Any) -> Positions:
    """The dataset's samples by position; like the dataset, but it pickles with what is known."""
    positions: Positions = dataset._located()
    len(dataset)  # refuses what has no end
    return positions


def _as_it_is(value: Any) -> Any:
    """Collate nothing."""
    return value


def _chosen(fields: Sequence[str] | None, *, typed: bool) -> tuple[str, ...] | None:
    if isinstance(fields, str):
        raise TypeError(f"fields is a list of names: fields=[{fields!r}]")
    if typed and fields is not None:
        raise ValueError("typed samples have all their fields; give fields or typed=True")
    return None if fields is None else tuple(fields)
