"""Which lens leads from one type to another.

Each lens is kept on its source type, in an attribute of the class, so the network keeps no type
alive: a class that nobody uses any more goes, and its lenses with it.
"""

import threading
import weakref
from collections.abc import Callable, Iterator
from functools import reduce
from operator import or_
from typing import Any, ClassVar, cast, get_origin

from atdata._exceptions import AmbiguousLensError, LensNotFoundError, printable
from atdata._logging import get_logger
from atdata.lens._lens import Lens, type_name
from atdata.lens._structural import StructuralLens, UntypedLens, is_packable, is_untyped, unlike

type _AnyLens = Lens[Any, Any]
type _Path = tuple[_AnyLens, ...]

_ATTRIBUTE = "__atdata_lenses__"
_MOST_CANDIDATES = 8  # paths between two types can be as many as 2 to the number of types


class _Kept(dict[tuple[Any, Any], _AnyLens]):
    """The lenses kept on one class, by source and view."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _Kept, ()  # a class that is pickled by value leaves them behind


class LensNetwork:
    """All registered lenses, and the paths they form. There is one for the process.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Celsius:
        ...     degrees: float
        >>> @dataclass
        ... class Kelvin:
        ...     kelvin: float
        >>> @lens
        ... def absolute(t: Celsius) -> Kelvin:
        ...     return Kelvin(t.degrees + 273.15)
        >>> network = LensNetwork()
        >>> network is LensNetwork()
        True
        >>> network.transform(Celsius, Kelvin) is absolute
        True
    """

    _the_one: ClassVar["LensNetwork | None"] = None
    _lock: threading.RLock
    _waiting: list[_AnyLens]  # lenses whose annotations name types that are not defined yet
    _on_builtins: _Kept  # lenses from types that bear no attributes, such as int
    _sources: "weakref.WeakSet[type[Any]]"  # the classes that lenses are kept on

    def __new__(cls) -> "LensNetwork":
        """Return the network of the process."""
        if LensNetwork._the_one is None:
            network = super().__new__(cls)
            network._lock = threading.RLock()
            network._waiting = []
            network._on_builtins = _Kept()
            network._sources = weakref.WeakSet()
            LensNetwork._the_one = network
        return LensNetwork._the_one

    def register(self, lens: _AnyLens) -> None:
        """Add a lens. It takes the place of an earlier one between the same types.

        That is logged as a warning, unless the new lens is a function of the same name in the
        same module, as when a notebook cell runs again.

        Args:
            lens: The lens. If its annotations name types that are not defined yet, it is found as
                soon as they are.

        Raises:
            TypeError: An annotation is missing.
        """
        with self._lock:
            self._settle()
            if lens.resolve():
                self._keep(lens)
            else:
                self._waiting.append(lens)

    def transform[S, V](self, source: type[S], view: type[V]) -> Lens[S, V]:
        """Find the lens from one type to another.

        In this order:

        1. the lens registered for these two types;
        2. the identity, if they are one type;
        3. the shortest path of registered lenses. A lens of a base class also leads from the
           classes derived from it, unless they have their own to the same view;
        4. a structural lens, if each field of the view is in the source with the same name and a
           type that fits, or has a default; from a `DictSample`, to any packable type.

        Args:
            source: The type of the samples.
            view: The type to view them as.

        Returns:
            The lens; its `kind` tells how it was found.

        Raises:
            LensNotFoundError: There is none. The error names the types that can be reached, and
                what keeps the fields from fitting.
            AmbiguousLensError: Several paths are shortest.
            TypeError: A lens seems to be meant for these types, but an annotation of it names
                something that is not defined.
        """
        with self._lock:
            self._settle()
            registered = self._own(source).get(view)
            if registered is not None:
                return registered
            if source == view:
                return cast("Lens[S, V]", Lens.identity(source))
            self._refuse_unresolved(source, view)
            paths = next((level[view] for level in self._levels(source) if view in level), [])
            if len(paths) > 1:
                names = [[step.name for step in path] for path in paths]
                raise AmbiguousLensError(source, view, names)
            if paths:
                return reduce(or_, paths[0])
            if is_untyped(source) and is_packable(view):
                return UntypedLens(source, view)
            obstacles = unlike(source, view)
            if obstacles:
                raise self._not_found(source, view, obstacles)
            return StructuralLens(source, view)

    def sources(self) -> list[type[Any]]:
        """The classes that registered lenses lead from.

        Examples:
            >>> @lens
            ... def length(text: str) -> int:
            ...     return len(text)
            >>> str in LensNetwork().sources()
            True
        """
        with self._lock:
            self._settle()
            return list(self._sources)

    def _keep(self, lens: _AnyLens) -> None:
        source, view = lens.source_type, lens.view_type
        self._sources.add(_class_of(source))
        kept = self._kept_on(source)
        if kept is None:
            kept = _Kept()
            try:
                setattr(_class_of(source), _ATTRIBUTE, kept)
            except TypeError:  # a class of the interpreter, which lasts as long as the process
                kept = self._on_builtins
        for key in [key for key, old in kept.items() if _outdates(lens, view, old, key[1])]:
            del kept[key]
        earlier = kept.get((source, view))
        if earlier is not None and earlier is not lens and not _redefines(lens, earlier):
            get_logger().warning("lens %r takes the place of %r", lens, earlier)
        kept[source, view] = lens

    def _kept_on(self, source: Any) -> _Kept | None:
        kept: _Kept | None = vars(_class_of(source)).get(_ATTRIBUTE)
        return kept

    def _own(self, source: Any) -> dict[Any, _AnyLens]:
        """The lenses registered for exactly this type, by view."""
        kept = self._kept_on(source) or self._on_builtins
        return {view: lens for (of, view), lens in kept.items() if of == source}

    def _steps(self, source: Any) -> dict[Any, _AnyLens]:
        """The lenses that lead from a type, its bases' among them, by view."""
        found: dict[Any, _AnyLens] = {}
        for kind in (source, *_class_of(source).__mro__):
            found = self._own(kind) | found
        return found

    def _levels(self, source: Any) -> Iterator[dict[Any, list[_Path]]]:
        """The types one lens away, two lenses away and so on, each with its shortest paths."""
        seen = {source}
        level: dict[Any, list[_Path]] = {source: [()]}
        while level:
            further: dict[Any, list[_Path]] = {}
            for kind, paths in level.items():
                for view, step in self._steps(kind).items():
                    if view not in seen:
                        longer = [(*path, step) for path in paths]
                        further[view] = (further.get(view, []) + longer)[:_MOST_CANDIDATES]
            yield further
            seen.update(further)
            level = further

    def _settle(self) -> None:
        """Keep the lenses whose types are defined by now, in the order they came."""
        waiting, self._waiting = self._waiting, []
        for lens in waiting:
            if lens.resolve():
                self._keep(lens)
            else:
                self._waiting.append(lens)

    def _refuse_unresolved(self, source: Any, view: Any) -> None:
        """TypeError if a lens that is not usable yet bears the names of these types.

        Passing it over would give the samples of some other lens without a word.
        """
        wanted = (type_name(source), type_name(view))
        for lens in self._waiting:
            if tuple(name.rpartition(".")[2] for name in lens.written_types) == wanted:
                raise TypeError(
                    f"lens {lens.name} is annotated {' → '.join(lens.written_types)}, of which a "
                    "name is not defined where the lens is\n"
                    "  Import the types in that module, outside of `if TYPE_CHECKING:`."
                )

    def _not_found(
        self, source: type[Any], view: type[Any], obstacles: list[str]
    ) -> LensNotFoundError:
        reachable = [
            (kind, " | ".join(step.name for step in paths[0]))
            for level in self._levels(source)
            for kind, paths in level.items()
        ]
        error = LensNotFoundError(source, view, reachable)
        why = [f"  {printable(obstacle)}" for obstacle in obstacles]
        why += [f"  lens {lens.name} waits for its types to be defined" for lens in self._waiting]
        first, *others = str(error).split("\n")
        error.args = ("\n".join([first, *why, *others]),)
        return error


def lens[S, V](get: Callable[[S], V]) -> Lens[S, V]:
    """Make a lens of a function and register it; a decorator.

    The function's annotations say which type is viewed as which. For a lens that is not to be
    registered, call `Lens(get, put)`.

    Args:
        get: Takes a sample, and returns the view of it.

    Returns:
        The lens, which is called as the function was. Its `putter` decorates the way back.

    Raises:
        ValueError: The function does not take exactly one argument.
        TypeError: An annotation is missing.

    Examples:
        >>> from dataclasses import dataclass, replace
        >>> @dataclass
        ... class Person:
        ...     name: str
        ...     age: int
        >>> @dataclass
        ... class Badge:
        ...     text: str
        >>> @lens
        ... def badge(person: Person) -> Badge:
        ...     return Badge(person.name.upper())
        >>> @badge.putter
        ... def _(badge: Badge, person: Person) -> Person:
        ...     return replace(person, name=badge.text.title())
        >>> badge(Person("Ada", 36))
        Badge(text='ADA')
        >>> badge.put(Badge("EVA"), Person("Ada", 36))
        Person(name='Eva', age=36)
    """
    made = Lens(get)
    LensNetwork().register(made)
    return made


def _class_of(kind: Any) -> type[Any]:
    """The class of a type with arguments, such as `Box` of `Box[int]`; a class itself."""
    found = get_origin(kind) or kind
    if not isinstance(found, type):
        raise TypeError(f"a lens leads from one class to another, and {printable(kind)} is none")
    return found


def _redefines(lens: _AnyLens, earlier: _AnyLens) -> bool:
    """Whether both are functions of one name in one module."""
    name = getattr(lens, "__qualname__", None)
    return name is not None and (lens.__module__, name) == (
        earlier.__module__,
        getattr(earlier, "__qualname__", None),
    )


def _outdates(lens: _AnyLens, view: Any, earlier: _AnyLens, earlier_view: Any) -> bool:
    """Whether a lens is an earlier one run again together with the class of its view.

    The class it led to is out of date then; as a step of a path it would rival the new one.
    """
    name = f"{view.__module__}.{getattr(view, '__qualname__', '<locals>')}"
    return (
        view is not earlier_view
        and "<locals>" not in name  # a function may make many classes of one name
        and name == f"{earlier_view.__module__}.{getattr(earlier_view, '__qualname__', '')}"
        and _redefines(lens, earlier)
    )
