"""Reading a dataset: an order, a place among readers and a batch size make a stream."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict, cast

from atdata._exceptions import StateError
from atdata._logging import get_logger
from atdata.model.shard import SkippedSample
from atdata.pipeline.layout import Layout
from atdata.pipeline.passes import Pass, Settings
from atdata.pipeline.plan import ENDLESS, Shuffle
from atdata.pipeline.quality import ShuffleQuality, quality_of
from atdata.pipeline.share import Tail, left_of
from atdata.pipeline.state import Stopped, differences, read_states, stopped
from atdata.pipeline.world import World, detect, in_loader, loader_worker

_FAR = 1 << 61
"""More positions than any order has."""


@dataclass(frozen=True, slots=True)
class StreamStats:
    """What the last pass did.

    Attributes:
        delivered: Samples that this reader has been given so far.
        skipped: Samples, blocks or shards left out because they cannot be read.
        dropped: Samples at the epoch's end that no reader gets, so that all get equally many, or
            so that no batch is short.
        repeated: Samples at the epoch's end that some reader gets although another has had them.
    """

    delivered: int = 0
    skipped: int = 0
    dropped: int = 0
    repeated: int = 0


class Reading(TypedDict, total=False):
    """How a stream is read, as keyword arguments of `ordered` and `shuffled`.

    Attributes:
        epoch: Each epoch of a seed has an order of its own.
        world: This reader's place among all that read together. Without it, it is found out from
            torch.distributed, the environment, Ray Train or JAX, and the loader's worker.
        tail: What becomes of samples that do not go round among readers: `"keep"`, `"drop"` or
            `"pad"`.
        drop_last: Leave out a last batch that is not full.
        prefetch_bytes: How much to read ahead, in threads. Without it, up to 64 MiB are read ahead
            of shards that are elsewhere. With it, samples and batches are made ahead too, which
            helps where what is done with them leaves a processor idle. 0 reads nothing ahead.
        workers: Processes that read samples and run what `map` and `filter` were given; results
            come back in order. They are started as `multiprocessing` is set to.
    """

    epoch: int
    world: World | None
    tail: Tail
    drop_last: bool
    prefetch_bytes: int | None
    workers: int


class SampleStream[S]:
    """Samples or batches in an order; each `iter()` begins a pass of its own.

    Attributes:
        batch_size: Samples in a batch, or None for single samples.
        epoch: The epoch that the next pass reads; set it before each pass over shuffled data.

    Examples:
        >>> import atdata
        >>> ds = atdata.write_samples([atdata.DictSample(n=i) for i in range(5)], tmp / "n.tar")
        >>> stream = ds.ordered(batch_size=2)
        >>> [batch.n.tolist() for batch in stream], len(stream)
        ([[0, 1], [2, 3], [4]], 3)

        A pass that stopped goes on from its state, with other batches or readers if need be:

        >>> batches = iter(stream)
        >>> next(batches).n.tolist(), stream.state_dict()["delivered"]
        ([0, 1], 2)
        >>> resumed = ds.ordered(batch_size=3)
        >>> resumed.load_state_dict(stream.state_dict())
        >>> [batch.n.tolist() for batch in resumed]
        [[2, 3, 4]]
    """

    def __init__(
        self, layout: Layout, settings: Settings, *, count: Callable[[], int], label: str
    ) -> None:
        self._layout = layout
        self._settings = settings
        self._count = count
        self._label = label
        self._made_in_loader = loader_worker() is not None
        self._sent_from: World | None = None
        self._stopped: Stopped | None = None
        self._pass: Pass | None = None
        self.epoch = settings.epoch
        self.batch_size = settings.batch_size

    # -- what it gives

    def __iter__(self) -> Iterator[S]:
        current = self._begin()
        given = current.samples() if self.batch_size is None else current.batches()
        return cast("Iterator[S]", given)

    def items(self) -> Iterator[tuple[str, S]]:
        """Each sample with its key; not for batches.

        Examples:
            >>> import atdata
            >>> ds = atdata.write_samples([atdata.DictSample(n=7)], tmp / "one.tar")
            >>> [(key, sample.n) for key, sample in ds.ordered().items()]
            [('000000000', 7)]
        """
        if self.batch_size is not None:
            raise TypeError("items() gives single samples; leave batch_size out")
        return cast("Iterator[tuple[str, S]]", self._begin().items())

    def _begin(self) -> "Pass":
        current = self._pass = self._made(self._stopped)
        self._stopped = None  # not before: a state that is refused has to be refused again
        share = current.share
        if share.world.readers > 1 and share.tail != "keep":
            get_logger().info(
                "%s: tail=%r leaves out %d samples and repeats %d, of all readers together",
                share.world, share.tail, share.left_out, share.repeated,
            )  # fmt: skip
        return current

    def _made(self, resumed: Stopped | None) -> "Pass":
        world = self._world()
        settings = self._settings
        if resumed is not None:
            self.epoch = resumed.epoch
        shuffle = self._shuffle(world)
        settings = replace(settings, shuffle=shuffle, epoch=self.epoch)
        return Pass(self._layout, settings, world, resumed)

    def _world(self) -> World:
        """This reader's place: as given, else as it is found out now.

        A loader's worker may not know which of several ranks started it, so it takes what was
        found out when the stream was sent to it.
        """
        given = self._settings.world
        if given is not None:
            return given if self._made_in_loader else in_loader(given)
        found = detect()
        if self._sent_from is None or loader_worker() is None:
            return found
        return in_loader(self._sent_from)

    def _shuffle(self, world: World) -> Shuffle | None:
        shuffle = self._settings.shuffle
        if shuffle is None or self._settings.seeded:
            return shuffle
        if world.readers * world.workers > 1:
            raise ValueError(
                f"{world} has to shuffle as the others do\n"
                "  Give all of them the same seed: ds.shuffled(seed=...)"
            )
        return replace(shuffle, seed=secrets.randbits(63))

    def __len__(self) -> int:
        """How many samples or batches this reader gets: of an epoch, or of what is left of one.

        Raises:
            TypeError: The stream has no end.
        """
        world = self._world()
        settings = self._settings
        alone = world.readers * world.workers == 1
        if self._stopped is None and alone and not self._layout.chain.is_mixed:
            n = self._count()
        else:
            settings = replace(settings, epoch=self.epoch)
            n = Pass(self._layout, settings, world, self._stopped).count()
            if n == ENDLESS:
                raise TypeError("this stream has no end; take(n) gives it one")
        size = self.batch_size
        if size is None:
            return n
        return n // size if self._settings.drop_last else -(-n // size)

    # -- how it goes

    def state_dict(self) -> dict[str, Any]:
        """Where the last pass stands: JSON values, under 1 KB, and a line for each skipped sample.

        What was handed out is delivered; what was read ahead is not. The data is known again by
        its digests, the seed, the order, and the names of the types and functions it goes through.

        Examples:
            >>> import atdata, json
            >>> samples = [atdata.DictSample(n=i) for i in range(5)]
            >>> ds = atdata.write_samples(samples, tmp / "s.tar")
            >>> stream = ds.shuffled(seed=1)
            >>> some = iter(stream)
            >>> first = [next(some).n for _ in range(3)]
            >>> state = json.dumps(stream.state_dict())
            >>> resumed = ds.shuffled(seed=1)
            >>> resumed.load_state_dict(json.loads(state))
            >>> first + [sample.n for sample in resumed] == [s.n for s in ds.shuffled(seed=1)]
            True
        """
        current = self._pass
        if self._stopped is not None or current is None:
            current = self._made(self._stopped)
        return current.state().to_dict()

    def load_state_dict(self, state: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """Make the next pass go on from a state.

        Args:
            state: A state of any reader, if all are in step, as ranks of a training are; otherwise
                the states of all readers, and of all their workers if they had any.

        Raises:
            StateError: It is of other data, or of another reading of it; the error shows what
                differs.
        """
        states = read_states(state)
        found = stopped(states)
        settings, shuffle = self._settings, self._settings.shuffle
        if shuffle is not None and not settings.seeded:
            seed = states[0].data.get("seed")
            if isinstance(seed, int):
                shuffle = replace(shuffle, seed=seed)
        wanted = dict(states[0].data)
        here = self._layout.facts(shuffle)
        reach = left_of(_FAR, found.start, found.all_eras(())).tail
        # Weights that change later on had no say in what was delivered.
        for facts in (wanted, here):
            facts["weights"] = [one for one in facts.get("weights", ()) if one[0] < max(reach, 1)]
        differ = differences(wanted, here)
        if differ:
            raise StateError("it is the state of another reading", differ)
        if shuffle is not None:
            self._settings = replace(settings, shuffle=shuffle, seeded=True)
        self.epoch = found.epoch
        self._stopped = found
        self._pass = None

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass read an epoch from its start.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(n=i) for i in range(9)]
            >>> ds = atdata.write_samples(samples, tmp / "e.tar")
            >>> stream = ds.shuffled(seed=1)
            >>> first = [sample.n for sample in stream]
            >>> stream.set_epoch(1)
            >>> first == [sample.n for sample in stream]
            False
        """
        if epoch < 0:
            raise ValueError(f"epoch is {epoch}; epochs count from 0")
        if self._stopped is not None and self._stopped.epoch == epoch:
            return
        self.epoch = epoch
        self._stopped = None

    @property
    def stats(self) -> StreamStats:
        """What the last pass has done so far."""
        if self._pass is None:
            return StreamStats()
        share, ledger = self._pass.share, self._pass.ledger
        return StreamStats(self._pass.given, ledger.n_skipped, share.left_out, share.repeated)

    @property
    def skipped(self) -> list[SkippedSample]:
        """What the last pass left out: at most ten thousand entries."""
        return [] if self._pass is None else self._pass.ledger.skipped

    @property
    def n_skipped(self) -> int:
        """How many things the last pass left out."""
        return 0 if self._pass is None else self._pass.ledger.n_skipped

    def shuffle_quality(self) -> ShuffleQuality:
        """How well the next pass mixes the samples, measured on the order itself.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(n=i) for i in range(99)]
            >>> ds = atdata.write_samples(samples, tmp / "q.tar")
            >>> ds.shuffled(seed=1).shuffle_quality().displacement > 0.2
            True
        """
        shuffle = self._shuffle(World())
        plan = self._layout.plan(shuffle, self.epoch, sieved=False)
        return quality_of(plan, [len(one) for one in self._layout.segments])

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the description, where it goes on, and this process's place among others."""
        return self.__dict__ | {"_sent_from": detect(), "_pass": None}

    def __repr__(self) -> str:
        size = "" if self.batch_size is None else f", batch_size={self.batch_size}"
        world = self._world()
        place = "" if world.readers * world.workers == 1 else f", {world}"
        return f"{type(self).__name__}({self._label}, epoch={self.epoch}{size}{place})"
