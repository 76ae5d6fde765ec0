"""What a dataset does to its samples, in the order it was asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Protocol

from atdata.lens import Lens, LensNetwork
from atdata.predicate.values import get_path
from atdata.sample.dynamic import DictSample

type Tagged = tuple[Sequence[Any], list[Any]]
"""Samples behind as many tags: their keys, or whatever the reader wants to know them by."""


class Step(Protocol):
    """A stage at work in one pass."""

    def apply(self, tags: Sequence[Any], samples: list[Any]) -> Tagged:
        """Return the samples that are left, with their tags."""
        ...

    @property
    def finished(self) -> bool:
        """Whether nothing that follows can pass any more."""
        ...


class Stage(Protocol):
    """One thing that is done to samples."""

    @property
    def keeps_count(self) -> bool:
        """Whether one sample always becomes one sample."""
        ...

    def begin(self) -> Step:
        """Start a pass."""
        ...


@dataclass(frozen=True, slots=True)
class Filter:
    """Keeps the samples that a predicate is true of."""

    predicate: Callable[[Any], object]
    keeps_count: bool = False
    finished: bool = False

    def begin(self) -> Step:
        """Return the stage itself, as it remembers nothing."""
        return self

    def apply(self, tags: Sequence[Any], samples: list[Any]) -> Tagged:
        """Keep the samples that the predicate is true of."""
        chosen = list(map(self.predicate, samples))
        return list(compress(tags, chosen)), list(compress(samples, chosen))


@dataclass(frozen=True, slots=True)
class Map:
    """Replaces each sample by what a function returns for it, whatever that is."""

    function: Callable[[Any], Any]
    keeps_count: bool = True
    finished: bool = False

    def begin(self) -> Step:
        """Return the stage itself, as it remembers nothing."""
        return self

    def apply(self, tags: Sequence[Any], samples: list[Any]) -> Tagged:
        """Replace each sample."""
        return tags, list(map(self.function, samples))


@dataclass(frozen=True, slots=True)
class View:
    """Shows each sample through a lens."""

    lens: Lens[Any, Any]
    keeps_count: bool = True
    finished: bool = False

    def begin(self) -> Step:
        """Return the stage itself, as it remembers nothing."""
        return self

    def apply(self, tags: Sequence[Any], samples: list[Any]) -> Tagged:
        """Show each sample through the lens."""
        return tags, list(map(self.lens.get, samples))


@dataclass(frozen=True, slots=True)
class ViewAs:
    """Shows results of `map`, whose type only they themselves tell, as another type."""

    view_type: type[Any]
    keeps_count: bool = True
    finished: bool = False

    def begin(self) -> Step:
        """Return the stage itself, as it remembers nothing."""
        return self

    def apply(self, tags: Sequence[Any], samples: list[Any]) -> Tagged:
        """Show each sample through the lens from its own type."""
        kinds: set[type[Any]] = set(map(type, samples))
        lenses = {kind: LensNetwork().transform(kind, self.view_type) for kind in kinds}
        return tags, [lenses[type(sample)].get(sample) for sample in samples]


@dataclass(frozen=True, slots=True)
class Only:
    """Keeps some fields of each sample, by their dotted paths."""

    paths: tuple[str, ...]
    keeps_count: bool = True
    finished: bool = False

    def begin(self) -> Step:
        """Return the stage itself, as it remembers nothing."""
        return self

    def apply(self, tags: Sequence[Any], samples: list[Any]) -> Tagged:
        """Make a sample without a type of these fields."""
        return tags, [
            DictSample.from_data({path: get_path(sample, path) for path in self.paths})
            for sample in samples
        ]


@dataclass(frozen=True, slots=True)
class Window:
    """Passes over some samples, then lets some through."""

    skip: int
    take: int | None
    keeps_count: bool = False

    def begin(self) -> Step:
        """Return a count of its own for each pass."""
        return _OpenWindow(self.skip, self.take)


class _OpenWindow:
    """A window in one pass."""

    def __init__(self, skip: int, take: int | None) -> None:
        self._skip = skip
        self._left = take

    @property
    def finished(self) -> bool:
        return self._left == 0

    def apply(self, tags: Sequence[Any], samples: list[Any]) -> Tagged:
        skipped = min(self._skip, len(samples))
        self._skip -= skipped
        stop = len(samples) if self._left is None else min(len(samples), skipped + self._left)
        if self._left is not None:
            self._left -= stop - skipped
        return tags[skipped:stop], samples[skipped:stop]
