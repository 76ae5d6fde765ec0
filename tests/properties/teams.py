"""Datasets of any shape, and teams of readers that read one together, stop, and go on."""

import atexit
import json
import pickle
import shutil
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

import atdata
from atdata import Dataset, SampleBatch
from atdata.pipeline.stream import SampleStream
from atdata.pipeline.world import World

type State = dict[str, Any]

FOLDER = Path(tempfile.mkdtemp(prefix="atdata-teams-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


@atdata.packable
class Item:
    """What is stored."""

    n: int
    x: NDArray[np.int32]


def item(n: int) -> Item:
    """A sample whose array's shape depends on its number."""
    return Item(n, np.arange(n % 4, dtype=np.int32))


@cache
def shard(first: int, size: int) -> Path:
    """A shard of some samples; an empty one is an archive without members."""
    path = FOLDER / f"{first}-{size}.tar"
    if size:
        atdata.write_samples([item(first + i) for i in range(size)], path)
    else:
        tarfile.open(path, "w").close()
    return path


def dataset(sizes: Sequence[int], first: int = 0) -> Dataset[Item]:
    """Numbered samples in shards of some sizes, each below ten; each shard begins a ten."""
    paths = [shard(first + 10 * number, size) for number, size in enumerate(sizes)]
    return Dataset(paths, sample_type=Item)


def odd(s: Item) -> bool:
    """Half of them."""
    return s.n % 2 == 1


def few(s: Item) -> bool:
    """Two in seven."""
    return s.n % 7 in (2, 3)


def none(s: Item) -> bool:
    """None of them."""
    return s.n < 0


def every(s: Item) -> bool:
    """All of them, which nobody knows before."""
    return s.n >= 0


def moved(s: Item) -> Item:
    """Another sample from each."""
    return Item(s.n + 1, s.x)


FILTERS: dict[str, Callable[[Item], bool]] = {
    "odd": odd, "few": few, "none": none, "every": every,
}  # fmt: skip


@dataclass(frozen=True)
class Description:
    """How a dataset is made, so that it can be made again."""

    sizes: tuple[int, ...]
    ops: tuple[tuple[str, Any], ...] = ()
    first: int = 0

    def open(self) -> Dataset[Item]:
        """The dataset, made anew."""
        return done_to(dataset(self.sizes, self.first), self.ops)


@dataclass(frozen=True)
class Mixture:
    """How a mixture is made."""

    members: tuple["Description | Mixture", ...]
    weights: tuple[float, ...]
    stop: str = "all"
    seed: int = 0
    changes: tuple[tuple[int, tuple[float, ...]], ...] = ()
    ops: tuple[tuple[str, Any], ...] = ()

    def open(self) -> Dataset[Item]:
        """The dataset, made anew."""
        pairs = [(m.open(), w) for m, w in zip(self.members, self.weights, strict=True)]
        ds: Dataset[Item] = atdata.mix(pairs, seed=self.seed, stop=self.stop)  # type: ignore[call-overload]
        for at, weights in self.changes:
            ds = ds.reweight(weights, at=at)
        return done_to(ds, self.ops)


def done_to(ds: Dataset[Item], ops: Sequence[tuple[str, Any]]) -> Dataset[Item]:
    """A dataset behind some operations."""
    for name, value in ops:
        match name:
            case "filter":
                ds = ds.filter(FILTERS[value])
            case "map":
                ds = ds.map(moved)
            case "take":
                ds = ds.take(value)
            case "skip":
                ds = ds.skip(value)
            case "repeat":
                ds = ds.repeat(value)
            case _:
                ds = ds.concat(dataset(value, 1000))
    return ds


SIZES = st.lists(st.integers(0, 9), min_size=1, max_size=7).map(tuple)

OPS = st.one_of(
    st.tuples(st.just("filter"), st.sampled_from(sorted(FILTERS))),
    st.tuples(st.just("map"), st.none()),
    st.tuples(st.sampled_from(["take", "skip"]), st.integers(0, 30)),
    st.tuples(st.just("repeat"), st.integers(0, 3)),
    st.tuples(st.just("concat"), st.sampled_from([(3,), (0, 5, 2)])),
)

DESCRIPTIONS = st.builds(Description, SIZES, st.lists(OPS, max_size=3).map(tuple))


def _member(number: int) -> st.SearchStrategy[Description]:
    """Samples that no other member has, and never none of them."""
    sizes = st.lists(st.integers(0, 9), max_size=3).map(lambda some: (*some, 8))
    lasting = st.one_of(
        st.tuples(st.just("filter"), st.sampled_from(["odd", "few", "every"])),
        st.tuples(st.just("map"), st.none()),
        st.tuples(st.just("take"), st.integers(3, 12)),
        st.tuples(st.just("repeat"), st.integers(1, 2)),
    )
    ops = st.lists(lasting, max_size=1).map(tuple)
    return st.builds(Description, sizes, ops, st.just(100 * number))


@st.composite
def mixtures(draw: st.DrawFn, *, nested: bool = True) -> Mixture:
    """Mixtures that end, of two to four members, some of them mixtures themselves."""
    n = draw(st.integers(2, 4))
    numbers = range(n) if nested else range(20, 20 + n)
    members: list[Description | Mixture] = [draw(_member(number)) for number in numbers]
    if nested and draw(st.booleans()):
        members[0] = draw(mixtures(nested=False))
    weights = st.tuples(*[st.integers(0, 5)] * n).filter(any)
    starts = sorted(draw(st.lists(st.integers(0, 60), max_size=2)))
    stop = draw(st.sampled_from(["first", "all", "never"]))
    ops = draw(st.lists(OPS, max_size=2 * nested).map(tuple))
    return Mixture(
        members=tuple(members),
        weights=draw(weights),
        stop=stop,
        seed=draw(st.integers(0, 9)),
        changes=tuple((at, draw(weights)) for at in starts),
        ops=(("take", draw(st.integers(0, 60) if nested else st.just(20))), *ops)
        if stop == "never"
        else ops,
    )


@dataclass(frozen=True)
class Order:
    """Which order is read, and what becomes of its end."""

    shuffle: str = "none"
    buffer_shards: int = 2
    buffer_samples: int = 100
    seed: int = 0
    epoch: int = 0
    tail: str = "keep"
    drop_last: bool = False

    def stream(
        self, ds: Dataset[Any], world: World, unit: int | None, ahead: int | None = None
    ) -> SampleStream[Any]:
        """A stream of it."""
        reading: dict[str, Any] = {
            "epoch": self.epoch, "world": world, "tail": self.tail, "drop_last": self.drop_last,
            "prefetch_bytes": ahead,
        }  # fmt: skip
        if self.shuffle == "none":
            return ds.ordered(unit, **reading)  # type: ignore[call-overload,no-any-return]
        return ds.shuffled(  # type: ignore[call-overload,no-any-return]
            self.buffer_shards, self.buffer_samples, unit,
            seed=self.seed, shuffle=self.shuffle, **reading,
        )  # fmt: skip


ORDERS = st.builds(
    Order,
    shuffle=st.sampled_from(["none", "window", "window", "global"]),
    buffer_shards=st.sampled_from([0, 1, 2, 3, 100]),
    buffer_samples=st.sampled_from([0, 1, 100]),
    seed=st.integers(0, 2**63 - 1),
    epoch=st.integers(0, 3),
)


@dataclass(frozen=True)
class Crew:
    """How many read together, and how much at once.

    Attributes:
        readers: How many.
        workers: Loader workers of each; 0 for none.
        unit: The batch size; None for single samples.
        ahead: How many bytes are read ahead; None for what a stream does by itself.
    """

    readers: int = 1
    workers: int = 0
    unit: int | None = None
    ahead: int | None = None

    def worlds(self) -> list[list[World]]:
        """The place of each worker of each reader."""
        workers = max(1, self.workers)
        return [
            [World(reader, self.readers, worker, workers) for worker in range(workers)]
            for reader in range(self.readers)
        ]


CREWS = st.builds(
    Crew,
    readers=st.integers(1, 16),
    workers=st.sampled_from([0, 0, 1, 2, 3, 8]),
    unit=st.sampled_from([None, 1, 2, 3, 5, 16]),
).filter(lambda crew: crew.readers * crew.workers <= 48)


@dataclass
class Reader:
    """One reader, whose workers deliver in turn as those of a `DataLoader` do."""

    streams: list[SampleStream[Any]]
    iterators: list[Any] = field(default_factory=list)
    given: list[int] = field(default_factory=list)
    done: set[int] = field(default_factory=set)
    turn: int = 0

    def next(self) -> list[Any] | None:
        """What it delivers next, or None at its end."""
        if not self.iterators:
            self.iterators = [iter(stream) for stream in self.streams]
            self.given = [0] * len(self.streams)
        while len(self.done) < len(self.iterators):
            worker, self.turn = self.turn, (self.turn + 1) % len(self.iterators)
            if worker in self.done:
                continue
            for found in self.iterators[worker]:
                self.given[worker] += 1
                return list(found) if isinstance(found, SampleBatch) else [found]
            self.done.add(worker)
        return None

    def states(self) -> list[State]:
        """Where its workers stand, as a file would hold it."""
        return [through_json(stream.state_dict()) for stream in self.streams]


class Team:
    """Readers that read one order together.

    Args:
        ds: What they read.
        order: In which order.
        crew: Who they are.
        states: Where an earlier team stopped; all of it for each, or each its own.
        own: Each worker of each reader is given its own state alone.
        pickled: Streams are sent to another process before they are read.
    """

    def __init__(
        self,
        ds: Dataset[Any],
        order: Order,
        crew: Crew,
        states: Sequence[Sequence[State]] = (),
        *,
        own: bool = False,
        pickled: bool = False,
    ) -> None:
        self.readers: list[Reader] = []
        flat = [state for some in states for state in some]
        for reader, worlds in enumerate(crew.worlds()):
            streams = [order.stream(ds, world, crew.unit, crew.ahead) for world in worlds]
            for worker, stream in enumerate(streams):
                if states:
                    stream.load_state_dict(states[reader][worker] if own else flat)
            if pickled:
                streams = pickle.loads(pickle.dumps(streams))
            self.readers.append(Reader(streams))

    def lengths(self) -> list[list[int]]:
        """What each stream says that it will deliver."""
        return [list(map(len, reader.streams)) for reader in self.readers]

    def given(self) -> list[list[int]]:
        """How much each stream has delivered: samples, or batches."""
        return [reader.given or [0] * len(reader.streams) for reader in self.readers]

    def step(self) -> list[list[Any] | None]:
        """What all readers deliver next."""
        return [reader.next() for reader in self.readers]

    def rest(self) -> list[list[Any]]:
        """What each reader delivers up to its end."""
        return [rest_of(reader) for reader in self.readers]

    def all(self) -> list[Any]:
        """What all readers deliver up to their ends."""
        return [sample for some in self.rest() for sample in some]

    def states(self) -> list[list[State]]:
        """The states of all workers of all readers."""
        return [reader.states() for reader in self.readers]


def rest_of(reader: Reader) -> list[Any]:
    """All that a reader still delivers."""
    found: list[Any] = []
    while (some := reader.next()) is not None:
        found += some
    return found


def through_json(state: State) -> State:
    """A state as it comes back from a file."""
    text = json.dumps(state)
    found: State = json.loads(text)
    return found


def bits(samples: Sequence[Item]) -> list[tuple[int, str, bytes]]:
    """Samples as values that can be compared bit for bit."""
    return [(s.n, str(s.x.dtype), s.x.tobytes()) for s in samples]


def counted(samples: Sequence[Item]) -> Counter[tuple[int, str, bytes]]:
    """Samples as a multiset."""
    return Counter(bits(samples))
