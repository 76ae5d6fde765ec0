"""`Dataset[T]`: what to read, as what, and what to do to it. Reading itself is in `pipeline`."""

import copy
import dataclasses
import inspect
import operator
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import (
    Any,
    Literal,
    TypeVar,
    Unpack,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

import numpy as np
from numpy.typing import NDArray
from typing_extensions import deprecated

from atdata._exceptions import SampleKeyError
from atdata._protocols import DataSource
from atdata.codec.compile import codec_of
from atdata.dataset import _jobs
from atdata.dataset._asking import Asking
from atdata.dataset._describe import braced, describe, shown
from atdata.dataset._outward import Outward
from atdata.lens import LensNetwork
from atdata.manifest.locations import SampleLocation
from atdata.pipeline.access import Positions, find_key, segments, survivors_at
from atdata.pipeline.chain import Chain, Part, leaves, stored_as, with_options, with_stage
from atdata.pipeline.layout import Layout
from atdata.pipeline.passes import Settings
from atdata.pipeline.plan import ENDLESS, Shuffle
from atdata.pipeline.policy import Ledger, OnError, check_on_error
from atdata.pipeline.schedule import Schedule
from atdata.pipeline.stages import Filter, Map, Stage, View, ViewAs, Window
from atdata.pipeline.stream import Reading, SampleStream
from atdata.pipeline.world import World
from atdata.predicate import Field
from atdata.sample.batch import SampleBatch
from atdata.sample.dynamic import DictSample
from atdata.shard.chunk import Verify
from atdata.sources.cache import ShardCache
from atdata.sources.registry import source_of

_VERIFY = ("auto", "proof", "damage", "off")


class Dataset[T](Asking[T], Outward[T]):
    """Samples of type `T` in shards: a description that reads nothing until it is asked to.

    `Dataset[T](source)` and `Dataset(source, sample_type=T)` mean the same; without a type,
    samples are `DictSample`. Methods that change what is read return a new dataset, and apply in
    the order in which they are written.

    Args:
        source: A path, `Path`, URL with braces, a list of those, or any `DataSource`.
        metadata_url: Where a msgpack map about the dataset can be fetched.
        sample_type: The samples' type.
        url: An older name of `source`.
        on_error: What to do with samples that cannot be read: `"raise"`, `"skip"`, or a function
            that is given the error and raises it or returns to skip. What a pass left out is in
            `stream.skipped`.
        verify: Which digests are checked before a sample is delivered: `"damage"` (XXH3-64),
            `"proof"` (BLAKE3), `"off"`, or `"auto"`: damage for local files, else proof.
        copy: Give arrays that are writable and aligned. Otherwise they are read-only views.
        max_errors: With `on_error`, how many samples, blocks or shards may be left out of a pass
            before that is an error; None for any number.
        cache_dir: Keep each shard from elsewhere in this folder when it is first read. Without
            it, what is read in order comes straight from its place, and what is shuffled or
            shared is kept in `$ATDATA_CACHE_DIR`, or the user's cache folder.
        cache_bytes: The most that the folder holds; what was used least recently is removed.
        streaming: Keep nothing: what is shuffled or shared goes into files without a name, which
            are gone when the process ends. Not with `cache_dir`.

    Examples:
        >>> import atdata
        >>> @atdata.packable
        ... class Point:
        ...     name: str
        ...     x: float
        >>> written = atdata.write_samples([Point("a", 1.0), Point("b", 2.0)], tmp / "p.tar")
        >>> ds = Dataset[Point](tmp / "p.tar")
        >>> len(ds), ds[1], [point.name for point in ds.filter(lambda point: point.x > 1)]
        (2, Point(name='b', x=2.0), ['b'])
        >>> [batch.x.tolist() for batch in ds.ordered(batch_size=2)]
        [[1.0, 2.0]]
    """

    def __init__(
        self,
        source: DataSource | str | Path | Sequence[str | Path] | None = None,
        metadata_url: str | None = None,
        *,
        sample_type: type[T] | None = None,
        url: str | None = None,
        on_error: OnError = "raise",
        verify: Verify = "auto",
        copy: bool = True,
        max_errors: int | None = None,
        cache_dir: str | Path | None = None,
        cache_bytes: int | None = None,
        streaming: bool = False,
    ) -> None:
        given = url if source is None else source
        if given is None:
            raise TypeError("missing required argument 'source': a path, a URL or a DataSource")
        if source is not None and url is not None:
            raise TypeError("give source or url, not both: they are two names of one argument")
        self._source = source_of(given)
        self.metadata_url = metadata_url
        self._options: dict[str, Any] = _checked(
            on_error=on_error, verify=verify, copy=copy, max_errors=max_errors
        ) | {"cache": _cache(cache_dir, cache_bytes, streaming)}
        self._given_type: type[T] | None = sample_type
        self._built: Chain | None = None
        self._view_type: type[Any] | None = None
        self._content_metadata: Any = None
        self._fetched: dict[str, Any] | None = None
        self._positions: Positions | None = None
        self._known: Layout | None = None

    # -- what it is

    @property
    def chain(self) -> Chain:
        """What is read and what is done to it, part by part; for those who write adapters."""
        if self._built is None:
            part = Part(self._source, self._stored_type(), **self._options)
            self._built = Chain((part,))
        return self._built

    def _stored_type(self) -> type[Any]:
        """The type that was given: as an argument, in brackets, or by a derived class."""
        if self._given_type is not None:
            return self._given_type
        found = self.__dict__.get("__orig_class__")
        bases = getattr(type(self), "__orig_bases__", ())
        for kind in ([found] if found is not None else []) + list(bases):
            if inspect.isclass(get_origin(kind)) and issubclass(get_origin(kind), Dataset):
                argument = get_args(kind)[0]
                if not isinstance(argument, TypeVar):
                    return cast("type[Any]", argument)
        return DictSample

    @property
    def sample_type(self) -> type[T]:
        """The samples' type; `object` for results of a `map` whose function does not say."""
        if self._view_type is not None:
            return self._view_type
        return self._stored_type()

    @property
    def batch_type(self) -> type[SampleBatch[T]]:
        """The type of the dataset's batches.

        Examples:
            >>> Dataset[dict]("x.tar").batch_type
            atdata.sample.batch.SampleBatch[dict]
        """
        return SampleBatch[self.sample_type]  # type: ignore[name-defined]  # known at run time only

    @property
    def source(self) -> DataSource:
        """Where the shards are."""
        return self._source

    @property
    def url(self) -> str:
        """The source as it was given, with braces for a list; the first shard of any other source.

        Examples:
            >>> Dataset(["data/a-0.tar", "data/a-1.tar"]).url
            'data/a-{0,1}.tar'
        """
        given = getattr(self._source, "url", None)
        if isinstance(given, str | Path):
            return str(given)
        shards = self._source.list_shards()
        if isinstance(given, tuple):
            return braced(shards)
        return shards[0] if shards else ""

    @property
    def shards(self) -> Iterator[str]:
        """The shards' ids, one by one."""
        return iter(self.list_shards())

    def list_shards(self) -> list[str]:
        """The shards' ids, in reading order."""
        return [s for part in leaves(self.chain) for s in part.source.list_shards()]

    @property
    @deprecated("shard_list is an older name: call list_shards()")
    def shard_list(self) -> list[str]:
        """The shards' ids; an older name of `list_shards()`."""
        return self.list_shards()

    @property
    def schema(self) -> dict[str, Any]:
        """Field names and their annotations; `{"_data": dict}` for `DictSample`."""
        if self.sample_type is DictSample:
            return {"_data": dict}
        try:
            return {plan.name: plan.annotation for plan in codec_of(self.sample_type).fields}
        except (TypeError, AttributeError):
            return {}

    @property
    def column_names(self) -> list[str]:
        """Names of the fields; empty for `DictSample`."""
        return [name for name in self.schema if self.sample_type is not DictSample]

    @property
    def metadata(self) -> dict[str, Any] | None:
        """What `metadata_url` has to say, fetched once; None if there is none."""
        if self.metadata_url is None:
            return None
        if self._fetched is None:
            self._fetched = _jobs.fetch_metadata(self.metadata_url)
        return self._fetched

    @property
    def content_metadata(self) -> Any:
        """What the writer said about the dataset: as given, or read from the first shard."""
        if self._content_metadata is None:
            self._content_metadata = _jobs.read_content_metadata(self.chain, self._ledger())
        return self._content_metadata

    @content_metadata.setter
    def content_metadata(self, value: Any) -> None:
        self._content_metadata = value

    def with_content_metadata(self, value: Any) -> "Dataset[T]":
        """The same dataset with something else said about it.

        Examples:
            >>> Dataset("x.tar").with_content_metadata({"licence": "CC0"}).content_metadata
            {'licence': 'CC0'}
        """
        new = self.derived(self.chain)
        new._content_metadata = value
        return new

    def with_options(
        self,
        *,
        on_error: OnError | None = None,
        verify: Verify | None = None,
        copy: bool | None = None,
        max_errors: int | None = None,
        cache_dir: str | Path | None = None,
        cache_bytes: int | None = None,
        streaming: bool | None = None,
    ) -> "Dataset[T]":
        """The same dataset, read with other options; those left out stay as they are.

        Examples:
            >>> Dataset("x.tar").with_options(on_error="skip")
            Dataset[DictSample]('x.tar')
        """
        options = _checked(on_error=on_error, verify=verify, copy=copy, max_errors=max_errors)
        options = {name: value for name, value in options.items() if value is not None}
        if any(option is not None for option in (cache_dir, cache_bytes, streaming)):
            before = self._options["cache"]
            options["cache"] = _cache(cache_dir, cache_bytes, streaming, before)
        new = self.derived(with_options(self.chain, options))
        new._options = self._options | options
        return new

    @property
    def options(self) -> Mapping[str, Any]:
        """How it is read; for those who write adapters."""
        return self._options

    # -- what is done to samples

    def derived(self, chain: Chain, view: type[Any] | None = None) -> "Dataset[Any]":
        """A dataset that reads something else as this one does; for those who write adapters.

        Args:
            chain: What it reads.
            view: The type of its samples; None if that stays the same.
        """
        new = copy.copy(self)
        new._built = chain
        new._view_type = self._view_type if view is None else view
        new._given_type = self._stored_type()
        new._positions = None
        new._known = None
        return new

    def _staged(self, stage: Stage, view: type[Any] | None = None) -> "Dataset[Any]":
        return self.derived(with_stage(self.chain, stage), view)

    def filter(self, predicate: Callable[[T], object]) -> "Dataset[T]":
        """Keep the samples that a predicate is true of.

        Examples:
            >>> import atdata
            >>> ds = atdata.write_samples([DictSample(n=i) for i in range(4)], tmp / "f.tar")
            >>> [s.n for s in ds.filter(lambda s: s.n % 2)]
            [1, 3]
        """
        return self._staged(Filter(predicate))

    def map[U](self, fn: Callable[[T], U]) -> "Dataset[U]":
        """Replace each sample by what a function returns for it, which may be anything.

        Examples:
            >>> import atdata
            >>> ds = atdata.write_samples([DictSample(n=i) for i in range(3)], tmp / "m.tar")
            >>> list(ds.map(lambda s: s.n * 10))
            [0, 10, 20]
        """
        return self._staged(Map(fn), _returned_type(fn))

    def as_type[V](self, other: type[V]) -> "Dataset[V]":
        """View the samples as another type, through the lens that leads there.

        Raises:
            LensNotFoundError: None does.
            AmbiguousLensError: Several do, and none is shorter.

        Examples:
            >>> import atdata
            >>> @atdata.packable
            ... class Pair:
            ...     a: int
            ...     b: int
            >>> @atdata.packable
            ... class OnlyA:
            ...     a: int
            >>> ds = atdata.write_samples([Pair(1, 2)], tmp / "pair.tar").as_type(OnlyA)
            >>> list(ds)
            [OnlyA(a=1)]
        """
        current: Any = self.sample_type
        if current is object or isinstance(current, UnionType):
            return self._staged(ViewAs(other), other)
        lens = LensNetwork().transform(current, other)
        if lens.kind == "identity":
            return self.derived(self.chain, other)
        if current is DictSample and lens.kind == "structural" and not self._is_staged():
            return self.derived(stored_as(self.chain, other), other)
        return self._staged(View(lens), other)

    def _is_staged(self) -> bool:
        return bool(self.chain.tail) or any(part.stages for part in leaves(self.chain))

    def take(self, n: int) -> "Dataset[T]":
        """The first `n` samples.

        Examples:
            >>> import atdata
            >>> ds = atdata.write_samples([DictSample(n=i) for i in range(9)], tmp / "t.tar")
            >>> [s.n for s in ds.skip(2).take(3)]
            [2, 3, 4]
        """
        return self._window(0, n)

    def skip(self, n: int) -> "Dataset[T]":
        """All but the first `n` samples.

        Examples:
            >>> import atdata
            >>> ds = atdata.write_samples([DictSample(n=i) for i in range(4)], tmp / "e.tar")
            >>> [s.n for s in ds.skip(2)]
            [2, 3]
        """
        return self._window(n, None)

    def _window(self, skip: int, take: int | None) -> "Dataset[T]":
        if skip < 0 or (take is not None and take < 0):
            raise ValueError("take and skip need a number of samples that is not negative")
        chain = self.chain
        part = chain.parts[0]
        chosen = self._window_of_chosen(skip, take) if chain.is_chosen else None
        if chosen is not None:
            return self.derived(chosen)
        simple = len(chain.parts) == 1 and chain.repeats == 1 and not chain.tail
        simple = simple and chain.mixture is None
        if simple and isinstance(part, Part) and part.keeps_count:
            rows = range(sys.maxsize) if part.rows is None else part.rows
            rows = rows[skip:] if take is None else rows[skip : skip + take]
            return self.derived(Chain((dataclasses.replace(part, rows=rows),)))
        tail = (*chain.tail, Window(skip, take))
        return self.derived(dataclasses.replace(chain, tail=tail))

    def repeat(self, n: int) -> "Dataset[T]":
        """The samples `n` times over; each time in another order where they are shuffled.

        Examples:
            >>> import atdata
            >>> ds = atdata.write_samples([DictSample(n=i) for i in range(2)], tmp / "r.tar")
            >>> [s.n for s in ds.repeat(2)]
            [0, 1, 0, 1]
        """
        if n < 0:
            raise ValueError(f"cannot repeat a dataset {n} times")
        chain = Chain((self.chain,), n)
        if not self.chain.tail:
            chain = dataclasses.replace(self.chain, repeats=self.chain.repeats * n)
        return self.derived(chain)

    def concat(self, *others: "Dataset[T]") -> "Dataset[T]":
        """These samples, then those of other datasets of the same type.

        All are read with the options of this dataset.

        Examples:
            >>> import atdata
            >>> a = atdata.write_samples([DictSample(n=1)], tmp / "a.tar")
            >>> b = atdata.write_samples([DictSample(n=2)], tmp / "b.tar")
            >>> [s.n for s in a.concat(b)]
            [1, 2]
        """
        parts: list[Part | Chain] = []
        for one in (self, *others):
            if one.sample_type != self.sample_type:
                raise TypeError(
                    f"cannot put samples of {one.sample_type.__name__} behind those of "
                    f"{self.sample_type.__name__}\n  View them as one type first: "
                    f"ds.as_type({self.sample_type.__name__})"
                )
            chain = with_options(one.chain, self._options)
            plain = chain.repeats == 1 and not chain.tail and chain.mixture is None
            parts += chain.parts if plain else [chain]
        return self.derived(Chain(tuple(parts)))

    def reweight(self, weights: Sequence[float], *, at: int) -> "Dataset[T]":
        """The same mixture, with other weights from one of its samples on.

        A reading of the mixture as it was can be resumed with it, if it has not come further.

        Args:
            weights: One for each dataset, in the order in which they were mixed.
            at: The number of the first sample for which they hold, counted in an epoch.

        Raises:
            TypeError: This is no mixture.
            ValueError: The weights do not fit, or weights have changed after that sample already.

        Examples:
            >>> import atdata
            >>> a = atdata.write_samples([DictSample(n=1)] * 9, tmp / "a.tar")
            >>> b = atdata.write_samples([DictSample(n=2)] * 9, tmp / "b.tar")
            >>> mixed = atdata.mix({a: 1, b: 1}).reweight([3, 1], at=4)
            >>> [sample.n for sample in mixed.take(12)]
            [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 2, 1]
        """
        mixture = self.chain.mixture
        if mixture is None:
            raise TypeError("this dataset is no mixture; atdata.mix makes one")
        given = tuple(weights)
        (_, first), *later = mixture.weights
        Schedule(first, [*later, (at, given)])  # refuses what does not fit
        changed = dataclasses.replace(mixture, weights=(*mixture.weights, (at, given)))
        return self.derived(dataclasses.replace(self.chain, mixture=changed))

    # -- reading

    @overload
    def ordered(self, batch_size: None = None, **reading: Unpack[Reading]) -> SampleStream[T]: ...
    @overload
    def ordered(
        self, batch_size: int, **reading: Unpack[Reading]
    ) -> SampleStream[SampleBatch[T]]: ...
    def ordered(
        self, batch_size: int | None = None, **reading: Unpack[Reading]
    ) -> SampleStream[T] | SampleStream[SampleBatch[T]]:
        """Samples, or batches, in the order in which they were written.

        Args:
            batch_size: Samples in a batch; the last one may have fewer. None: single samples.
            reading: See `Reading`: this reader's place among others, and how far to read ahead.

        Examples:
            >>> import atdata
            >>> ds = atdata.write_samples([DictSample(n=i) for i in range(4)], tmp / "e.tar")
            >>> [batch.n.tolist() for batch in ds.ordered(batch_size=3)]
            [[0, 1, 2], [3]]
        """
        return self._stream(None, batch_size, "ordered", reading)

    @overload
    def shuffled(
        self,
        buffer_shards: int = 100,
        buffer_samples: int = 10_000,
        batch_size: None = None,
        *,
        seed: int | None = None,
        shuffle: Literal["window", "global"] = "window",
        **reading: Unpack[Reading],
    ) -> SampleStream[T]: ...
    @overload
    def shuffled(
        self,
        buffer_shards: int = 100,
        buffer_samples: int = 10_000,
        *,
        batch_size: int,
        seed: int | None = None,
        shuffle: Literal["window", "global"] = "window",
        **reading: Unpack[Reading],
    ) -> SampleStream[SampleBatch[T]]: ...
    @overload
    def shuffled(
        self,
        buffer_shards: int,
        buffer_samples: int,
        batch_size: int,
        *,
        seed: int | None = None,
        shuffle: Literal["window", "global"] = "window",
        **reading: Unpack[Reading],
    ) -> SampleStream[SampleBatch[T]]: ...
    def shuffled(
        self,
        buffer_shards: int = 100,
        buffer_samples: int = 10_000,
        batch_size: int | None = None,
        *,
        seed: int | None = None,
        shuffle: Literal["window", "global"] = "window",
        **reading: Unpack[Reading],
    ) -> SampleStream[T] | SampleStream[SampleBatch[T]]:
        """Samples, or batches, in shuffled order.

        Shards are permuted, and then all samples within windows of shards. Where a sample comes
        follows from seed, epoch and the shards' counts; nothing is buffered for it. Shards from
        elsewhere are fetched into the local cache as they are needed.

        Args:
            buffer_shards: Shards in a window; 0 or 1 keeps the shards in order.
            buffer_samples: 0 or 1 keeps each shard's samples in order; any more mixes them all.
            batch_size: Samples in a batch; the last one may have fewer. None: single samples.
            seed: Makes the order reproducible. None: each pass has another order.
            shuffle: `"global"` mixes all samples with all, which reads from everywhere at once.
            reading: See `Reading`: the epoch, this reader's place among others, and how far to
                read ahead.

        Examples:
            >>> import atdata
            >>> ds = atdata.write_samples([DictSample(n=i) for i in range(4)], tmp / "e.tar")
            >>> stream = ds.shuffled(seed=7)
            >>> list(stream) == list(stream), sorted(s.n for s in stream)
            (True, [0, 1, 2, 3])
        """
        if shuffle not in ("window", "global"):
            raise ValueError(f"shuffle is {shuffle!r}; it must be 'window' or 'global'")
        shards = buffer_shards if shuffle == "window" else None
        how = Shuffle(0 if seed is None else seed, shards, buffer_samples > 1)
        label = "shuffled" if seed is None else f"shuffled, seed={seed}"
        return self._stream(how, batch_size, label, reading, seeded=seed is not None)

    def _stream(
        self,
        shuffle: Shuffle | None,
        batch_size: int | None,
        label: str,
        reading: Reading,
        *,
        seeded: bool = True,
    ) -> SampleStream[Any]:
        settings = Settings(shuffle, seeded, batch_size=batch_size, **reading)
        label = f"{label} {shown(self)}"
        return SampleStream(self._layout, settings, count=self.__len__, label=label)

    def __iter__(self) -> Iterator[T]:
        return iter(self.ordered(world=World()))  # all of it, whoever else reads

    def items(self) -> Iterator[tuple[str, T]]:
        """Each sample with its key, in order.

        Examples:
            >>> import atdata
            >>> list(atdata.write_samples([DictSample(n=7)], tmp / "i.tar").items())
            [('000000000', DictSample(n=7))]
        """
        return self.ordered(world=World()).items()

    def _ledger(self) -> Ledger:
        return Ledger(self._options["on_error"])

    @property
    def _layout(self) -> Layout:
        if self._known is None:
            self._known = Layout(self.chain, self._options["on_error"])
        return self._known

    def _located(self) -> Positions:
        if self._positions is None:
            if self.chain.is_mixed or self.chain.is_ordered:
                plan = self._layout.plan(None, 0, sieved=True)
                self._positions = Positions(self._layout.segments, plan)
            else:
                self._positions = Positions(segments(self.chain, self._ledger(), exact=True))
        return self._positions

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the description alone; what was looked up is looked up again."""
        return self.__dict__ | {"_positions": None, "_known": None}

    def __len__(self) -> int:
        """How many samples there are.

        Where each shard is a file or has its index, and nothing is filtered, no sample is read
        for it. Otherwise all are read once, and the number is kept. As `list` asks for the length
        of what it is given, `list(iter(ds))` spares that.
        """
        n = len(self._located())
        if n == ENDLESS:
            raise TypeError("this mixture has no end; take(n) gives it one")
        return n

    def __bool__(self) -> bool:
        """Always true: whether there are samples is not looked up."""
        return True

    @overload
    def __getitem__(self, at: int | np.integer[Any]) -> T: ...
    @overload
    def __getitem__(self, at: slice | Sequence[int] | NDArray[Any]) -> list[T]: ...
    def __getitem__(self, at: Any) -> T | list[T]:
        """One sample by its position, or a list of them by a slice, positions or a mask.

        Raises:
            IndexError: There is no such position.

        Examples:
            >>> import atdata
            >>> ds = atdata.write_samples([DictSample(n=i) for i in range(5)], tmp / "g.tar")
            >>> ds[-1].n, [s.n for s in ds[1:3]], [s.n for s in ds[np.array([4, 0])]]
            (4, [1, 2], [4, 0])
        """
        if isinstance(at, slice):
            return self._at_positions(range(*at.indices(len(self))))
        if isinstance(at, np.ndarray) and at.dtype == np.bool_ and at.ndim:
            if at.shape != (len(self),):
                raise IndexError(f"a mask of shape {at.shape} does not fit {len(self)} samples")
            return self._at_positions(np.flatnonzero(at))
        if at.ndim if isinstance(at, np.ndarray) else isinstance(at, Sequence):
            return self._at_positions(cast("Sequence[int]", at))
        sample: T = self._located().one(_index(at))
        return sample

    @overload
    def select(self, wanted: Sequence[int] | NDArray[Any], /) -> list[T]: ...
    @overload
    def select(self, wanted: Sequence[SampleLocation], /) -> list[T]: ...
    @overload
    def select(self, wanted: str | Field[Any], /, *fields: str | Field[Any]) -> Any: ...
    def select(self, wanted: Any, /, *fields: Any) -> Any:
        """Samples by their positions or places; or a dataset of some fields of each sample.

        Args:
            wanted: Positions, or what `query` gave: the samples are given as a list in that
                order, and again where one is there twice. Or the name of a field.
            fields: Names of more fields.

        Returns:
            For fields a `Dataset[DictSample]`. Where manifests hold all of them, the shards are
            not read.

        Raises:
            IndexError: A position is not in the dataset.
            ShardError: No sample lies at a place.
            UnknownFieldError: The samples have no such field.

        Examples:
            >>> import atdata
            >>> samples = [DictSample(n=i, even=i % 2 == 0) for i in range(4)]
            >>> ds = atdata.write_samples(samples, tmp / "e.tar", manifest=True)
            >>> [s.n for s in ds.select([3, 0, 3])]
            [3, 0, 3]
            >>> [s.n for s in ds.select(ds.query(atdata.F.n > 2))]
            [3]
            >>> list(ds.select("even").take(2))
            [DictSample(even=True), DictSample(even=False)]
        """
        if isinstance(wanted, str | Field):
            return self._of_fields((wanted, *fields))
        if fields:
            raise TypeError("select takes one list of positions or places, or names of fields")
        if len(wanted) and isinstance(wanted[0], SampleLocation):
            return self._at_places(wanted)
        return self._at_positions(wanted)

    def _at_positions(self, positions: Sequence[int] | NDArray[Any]) -> list[T]:
        if any(isinstance(i, bool | np.bool_) for i in positions):
            raise TypeError("a position is an int, not a bool; a mask is an array: np.array(mask)")
        return self._located().many([_index(i) for i in positions])

    def get(self, key: str) -> T:
        """The sample with a key.

        Raises:
            SampleKeyError: There is none, or a filter drops it.

        Examples:
            >>> import atdata
            >>> given = [DictSample(name="a", n=1), DictSample(name="b", n=2)]
            >>> atdata.write_samples(given, tmp / "k.tar", key="name").get("b")
            DictSample(name='b', n=2)
        """
        if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users need not check types
            raise TypeError(
                f"a sample's key is a str, not {type(key).__name__}; by position: ds[i]"
            )
        ledger = self._ledger()
        for segment, row in find_key(segments(self.chain, ledger), key, ledger):
            for sample in survivors_at(segment, row):
                return cast("T", sample)
        raise SampleKeyError(key)

    def head(self, n: int = 5) -> list[T]:
        """The first `n` samples as a list.

        Examples:
            >>> import atdata
            >>> ds = atdata.write_samples([DictSample(n=i) for i in range(4)], tmp / "e.tar")
            >>> ds.head(2)
            [DictSample(n=0), DictSample(n=1)]
        """
        if n < 0:
            raise ValueError(f"cannot give the first {n} samples")
        return list(self.take(n))

    # -- what it looks like

    def describe(self) -> dict[str, Any]:
        """What is known of the dataset without reading samples or asking a server.

        Returns:
            Keys `sample_type`, `fields`, `num_shards`, `shards`, `url`, `metadata_url`, `metadata`
            (if it was fetched already), `content_metadata`, `stages`, and `lenses`, each with how
            it was found. Addresses are without passwords and signatures.

        Examples:
            >>> import atdata
            >>> ds = atdata.write_samples([DictSample(n=i) for i in range(4)], tmp / "e.tar")
            >>> ds.take(3).describe()["stages"]
            ['take(3)']
        """
        return describe(self, self.chain)

    def __repr__(self) -> str:
        return f"Dataset[{getattr(self.sample_type, '__name__', self.sample_type)}]({shown(self)})"

    # -- for those who write adapters

    def wrap(self, raw: Mapping[str, Any]) -> T:
        """One raw WebDataset record (`{"__key__": …, "msgpack": bytes}`) as a sample.

        Raises:
            ValueError: It has no `msgpack`, or that is not bytes.

        Examples:
            >>> Dataset("x.tar").wrap(DictSample(n=1).as_wds)
            DictSample(n=1)
        """
        if "msgpack" not in raw:
            raise ValueError(f"missing 'msgpack' key; the record has {', '.join(map(repr, raw))}")
        payload = raw["msgpack"]
        is_bytes = isinstance(payload, bytes | bytearray | memoryview)
        if not is_bytes:
            raise ValueError(f"'msgpack' has to be bytes, not {type(payload).__name__}")
        sample: T = _jobs.wrapped(self.chain, payload)
        return sample

    def wrap_batch(self, raw: Mapping[str, Any]) -> SampleBatch[T]:
        """Raw WebDataset records, as a record of lists, as a batch.

        Examples:
            >>> payloads = [DictSample(n=i).packed for i in range(2)]
            >>> Dataset("x.tar").wrap_batch({"msgpack": payloads}).n
            array([0, 1])
        """
        if "msgpack" not in raw:
            raise ValueError(f"missing 'msgpack' key; the batch has {', '.join(map(repr, raw))}")
        return SampleBatch([self.wrap({"msgpack": payload}) for payload in raw["msgpack"]])


def _checked(**options: Any) -> dict[str, Any]:
    """Options, each of which can be one; None stands for no change."""
    on_error, verify, limit = (options[name] for name in ("on_error", "verify", "max_errors"))
    if on_error is not None:
        check_on_error(on_error)
    if verify is not None and verify not in _VERIFY:
        raise ValueError(f"verify is {verify!r}; it must be one of {', '.join(_VERIFY)}")
    if limit is not None and limit < 0:
        raise ValueError(f"max_errors is {limit}; it cannot be negative")
    return options


def _cache(
    folder: str | Path | None,
    n_bytes: int | None,
    streaming: bool | None,
    before: ShardCache | None = None,
) -> ShardCache | None:
    """The cache that options ask for; None if they ask for none."""
    if folder is not None and streaming:
        raise ValueError("cache_dir says where shards are kept, and streaming keeps none")
    was_kept = before is None or before.is_kept
    is_kept = folder is not None or (was_kept if streaming is None else not streaming)
    if folder is None and n_bytes is None and is_kept and (before is None or not before.is_kept):
        return None
    base = ShardCache() if before is None else before
    return ShardCache(
        base.folder if folder is None else Path(folder),
        base.n_bytes if n_bytes is None else n_bytes,
        is_kept,
    )


def _returned_type(fn: Callable[..., Any]) -> type[Any]:
    """The type that a function says it returns; `object` where it does not."""
    try:
        found = get_type_hints(fn).get("return")
    except (NameError, TypeError, AttributeError):
        return object
    if not isinstance(found, type) or found in (Any, type(None)):
        return object
    return cast("type[Any]", found)


def _index(value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError as error:
        raise TypeError(f"a position is an int, not {type(value).__name__}") from error
