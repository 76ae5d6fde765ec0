"""`DatasetDict`: datasets by the names of their splits."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, Unpack, cast, overload

from atdata._exceptions import printable
from atdata.dataset import Dataset, SampleBatch, SampleStream
from atdata.pipeline.stream import Reading


class Ordered[T](Protocol):
    """`Dataset.ordered`, as a value."""

    @overload
    def __call__(self, batch_size: None = None, **reading: Unpack[Reading]) -> SampleStream[T]: ...
    @overload
    def __call__(
        self, batch_size: int, **reading: Unpack[Reading]
    ) -> SampleStream[SampleBatch[T]]: ...
    def __call__(self, batch_size: int | None = None, **reading: Unpack[Reading]) -> Any:
        """Samples, or batches, in order."""
        ...


class Shuffled[T](Protocol):
    """`Dataset.shuffled`, as a value."""

    @overload
    def __call__(
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
    def __call__(
        self,
        buffer_shards: int = 100,
        buffer_samples: int = 10_000,
        *,
        batch_size: int,
        seed: int | None = None,
        shuffle: Literal["window", "global"] = "window",
        **reading: Unpack[Reading],
    ) -> SampleStream[SampleBatch[T]]: ...
    def __call__(
        self,
        buffer_shards: int = 100,
        buffer_samples: int = 10_000,
        batch_size: int | None = None,
        *,
        seed: int | None = None,
        shuffle: Literal["window", "global"] = "window",
        **reading: Unpack[Reading],
    ) -> Any:
        """Samples, or batches, shuffled."""
        ...


class AsType(Protocol):
    """`Dataset.as_type`, as a value."""

    def __call__[V](self, other: type[V]) -> Dataset[V]:
        """The samples as another type."""
        ...


class Head[T](Protocol):
    """`Dataset.head`, as a value."""

    def __call__(self, n: int = 5) -> list[T]:
        """The first samples."""
        ...


class DatasetDict[T](dict[str, Dataset[T]]):
    """Datasets by the names of their splits: what `load_dataset` gives without a `split`.

    It is a dictionary: iterating gives names, `len` counts splits. With exactly one split it can
    also be used as that split's dataset: `ordered`, `shuffled`, `as_type`, `head`, `list_shards`
    and all else that a dictionary has not. With more, these are errors that say which there are.

    Args:
        splits: The datasets.
        sample_type: The samples' type; without it, that of the first dataset.
        streaming: Whether what is read is kept nowhere.

    Examples:
        >>> import atdata
        >>> ds = atdata.write_samples([atdata.DictSample(n=i) for i in range(9)], tmp / "a.tar")
        >>> splits = DatasetDict({"train": ds.take(6), "test": ds.skip(6)})
        >>> list(splits), [s.n for s in splits["test"]], splits.num_shards
        (['train', 'test'], [6, 7, 8], {'train': 1, 'test': 1})
        >>> DatasetDict({"train": ds}).head(1)
        [DictSample(n=0)]
        >>> splits.head(1)
        Traceback (most recent call last):
        AttributeError: 'head' is of one split, and this has 2 splits: train, test
          Select one: splits['train'].head
    """

    ordered: Ordered[T]
    """`Dataset.ordered` of the only split."""
    shuffled: Shuffled[T]
    """`Dataset.shuffled` of the only split."""
    as_type: AsType
    """`Dataset.as_type` of the only split."""
    head: Head[T]
    """`Dataset.head` of the only split."""
    list_shards: Callable[[], list[str]]
    """`Dataset.list_shards` of the only split."""

    def __init__(
        self,
        splits: Mapping[str, Dataset[T]] | None = None,
        sample_type: type[T] | None = None,
        streaming: bool = False,
    ) -> None:
        super().__init__({} if splits is None else splits)
        self._sample_type = sample_type
        self._streaming = streaming

    @property
    def sample_type(self) -> type[T] | None:
        """The samples' type; None if there is no dataset to tell."""
        if self._sample_type is not None:
            return self._sample_type
        return next((dataset.sample_type for dataset in self.values()), None)

    @property
    def streaming(self) -> bool:
        """Whether what is read is kept nowhere."""
        return self._streaming

    @property
    def num_shards(self) -> dict[str, int]:
        """How many shards each split has."""
        return {split: len(dataset.list_shards()) for split, dataset in self.items()}

    def filter(self, predicate: Callable[[T], object]) -> "DatasetDict[T]":
        """Keep the samples of all splits that a predicate is true of.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(n=i) for i in range(4)]
            >>> ds = atdata.write_samples(samples, tmp / "f.tar")
            >>> [s.n for s in DatasetDict({"train": ds}).filter(lambda s: s.n > 1)["train"]]
            [2, 3]
        """
        return self._with({split: ds.filter(predicate) for split, ds in self.items()})

    def map[U](self, fn: Callable[[T], U]) -> "DatasetDict[U]":
        """Replace each sample of all splits by what a function returns for it.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(n=i) for i in range(4)]
            >>> ds = atdata.write_samples(samples, tmp / "m.tar")
            >>> list(DatasetDict({"train": ds}).map(lambda s: s.n)["train"])
            [0, 1, 2, 3]
        """
        return self._with({split: ds.map(fn) for split, ds in self.items()})

    def _with[U](self, splits: Mapping[str, Dataset[U]]) -> "DatasetDict[U]":
        return DatasetDict(splits, streaming=self._streaming)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(Dataset, name):
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=self)
        if len(self) != 1:
            raise AttributeError(self._choice(name), name=name)
        return getattr(next(iter(self.values())), name)

    def _choice(self, name: str) -> str:
        if not self:
            return f"{name!r} is of one split, and this has no splits"
        there = ", ".join(printable(split) for split in self)
        return (
            f"{name!r} is of one split, and this has {len(self)} splits: {there}\n"
            f"  Select one: splits[{printable(next(iter(self)))!a}].{name}"
        )

    def __repr__(self) -> str:
        lines = [
            f"    {printable(repr(split))}: {dataset!r}, {n} {'shard' if n == 1 else 'shards'}"
            for split, dataset in self.items()
            for n in [len(dataset.list_shards())]
        ]
        inside = "\n".join(["", *lines, ""]) if lines else ""
        return f"DatasetDict({{{inside}}})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it as what it was made of."""
        return _made, (type(self), dict(self), self._sample_type, self._streaming)


def _made(kind: type[Any], *given: Any) -> DatasetDict[Any]:
    return cast("DatasetDict[Any]", kind(*given))
