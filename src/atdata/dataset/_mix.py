"""Several datasets as one: one after the other, or mixed in proportions."""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Any, cast, overload

from atdata.dataset._dataset import Dataset
from atdata.pipeline.chain import Chain, Mixture, Part, with_options
from atdata.pipeline.plan import Stop
from atdata.pipeline.schedule import Schedule


@overload
def concat[A](datasets: Sequence[Dataset[A]]) -> Dataset[A]: ...
@overload
def concat[A, B](datasets: Sequence[Dataset[A] | Dataset[B]]) -> Dataset[A | B]: ...
@overload
def concat[A, B, C](
    datasets: Sequence[Dataset[A] | Dataset[B] | Dataset[C]],
) -> Dataset[A | B | C]: ...
def concat(datasets: Sequence[Dataset[Any]]) -> Dataset[Any]:
    """The samples of several datasets, one dataset after the other.

    Shuffled, all are mixed with all, as if their shards were of one dataset. They are read with
    the options of the first.

    Examples:
        >>> import atdata
        >>> a = atdata.write_samples([atdata.DictSample(n=1)], tmp / "a.tar")
        >>> b = atdata.write_samples([atdata.DictSample(n=2)], tmp / "b.tar")
        >>> [sample.n for sample in atdata.concat([a, b])]
        [1, 2]
    """
    if not datasets:
        raise ValueError("there is nothing to put together")
    parts: list[Part | Chain] = []
    for chain in _chains(datasets):
        plain = chain.repeats == 1 and not chain.tail and chain.mixture is None
        parts += chain.parts if plain else [chain]
    return datasets[0].derived(Chain(tuple(parts)), _union(datasets))


@overload
def mix[A](
    datasets: Mapping[Dataset[A], float], *, seed: int = 0, stop: Stop = "first"
) -> Dataset[A]: ...
@overload
def mix[A, B](
    datasets: Mapping[Dataset[A] | Dataset[B], float], *, seed: int = 0, stop: Stop = "first"
) -> Dataset[A | B]: ...
@overload
def mix[A, B, C](
    datasets: Mapping[Dataset[A] | Dataset[B] | Dataset[C], float],
    *,
    seed: int = 0,
    stop: Stop = "first",
) -> Dataset[A | B | C]: ...
@overload
def mix[A, B](
    datasets: tuple[tuple[Dataset[A], float], tuple[Dataset[B], float]],
    *,
    seed: int = 0,
    stop: Stop = "first",
) -> Dataset[A | B]: ...
@overload
def mix[A, B, C](
    datasets: tuple[tuple[Dataset[A], float], tuple[Dataset[B], float], tuple[Dataset[C], float]],
    *,
    seed: int = 0,
    stop: Stop = "first",
) -> Dataset[A | B | C]: ...
def mix(
    datasets: Mapping[Any, float] | Sequence[tuple[Any, float]],
    *,
    seed: int = 0,
    stop: Stop = "first",
) -> Dataset[Any]:
    """Samples of several datasets, in proportions that hold from the beginning.

    Among the first `n` samples each dataset has its share to within one sample, for every `n`.
    Which dataset comes next follows from the weights alone, so an order can be resumed and shared
    as that of any dataset. Shuffled, each dataset's samples are shuffled among themselves, and
    each time that a dataset begins anew, in another order. They are read with the options of the
    first.

    Args:
        datasets: The weight of each dataset, 0 or more, in any unit; or pairs of dataset and
            weight. (mypy cannot tell the types of several keys apart; pairs in a tuple it can.)
        seed: Tells mixtures of the same data apart.
        stop: When it ends: `"first"`, when a sample is due from a dataset that has no more;
            `"all"`, when each has given all its samples, others having begun anew; `"never"`.

    Raises:
        ValueError: A weight is negative or no number, or all are 0.

    Examples:
        >>> import atdata
        >>> def numbers(name, first, n):
        ...     samples = [atdata.DictSample(n=first + i) for i in range(n)]
        ...     return atdata.write_samples(samples, tmp / name)
        >>> small, large = numbers("small.tar", 0, 2), numbers("large.tar", 100, 9)
        >>> mixed = atdata.mix({large: 3, small: 1})
        >>> [sample.n for sample in mixed]
        [100, 101, 0, 102, 103, 104, 1, 105, 106, 107]
        >>> len(atdata.mix({large: 3, small: 1}, stop="all"))
        12
    """
    if stop not in ("first", "all", "never"):
        raise ValueError(f"stop is {stop!r}; it must be 'first', 'all' or 'never'")
    pairs = list(datasets.items()) if isinstance(datasets, Mapping) else list(datasets)
    if not pairs:
        raise ValueError("there is nothing to mix")
    members = [member for member, _ in pairs]
    weights = tuple(weight for _, weight in pairs)
    Schedule(weights)  # refuses what cannot be a weight
    mixture = Mixture(((0, weights),), stop, seed)
    chain = Chain(tuple(_chains(members)), mixture=mixture)
    first: Dataset[Any] = members[0]
    return first.derived(chain, _union(members))


def _chains(datasets: Sequence[Dataset[Any]]) -> list[Chain]:
    for one in datasets:
        if not isinstance(one, Dataset):  # pyright: ignore[reportUnnecessaryIsInstance]  # users need not check types
            raise TypeError(f"a dataset is wanted, not {type(one).__name__}")
    options = datasets[0].options
    return [with_options(one.chain, options) for one in datasets]


def _union(datasets: Sequence[Dataset[Any]]) -> type[Any]:
    """The type of samples that are of any of these datasets."""
    kinds: list[Any] = list(dict.fromkeys(one.sample_type for one in datasets))
    if object in kinds:
        return object
    return cast("type[Any]", reduce(or_, kinds))
