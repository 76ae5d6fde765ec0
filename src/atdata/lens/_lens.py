"""A lens: a function from samples of one type to a view, and one that writes the view back."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import update_wrapper
from itertools import pairwise
from typing import Any, Literal, get_type_hints

from atdata.lens._laws import LawReport, check_laws

type DatasetType = type[Any]
type LensSignature = tuple[DatasetType, DatasetType]
type LensGetter[S, V] = Callable[[S], V]
type LensPutter[S, V] = Callable[[V, S], S]
type LensKind = Literal["declared", "composed", "identity", "structural", "mapped"]


class Lens[S, V]:
    """A view of samples of type `S` as `V`, with a way back.

    The types are read from the annotations of `get` when they are first needed, so they may be
    strings and may name classes that are defined further down.

    A lens pickles by its name where it can be imported by that name, as a decorated function at
    the top of a module can, and otherwise by its functions.

    Args:
        get: Reads the view. It takes one argument, and its annotations are the lens's types.
        put: Writes a view back: takes the view and the sample it was read from, and returns a new
            sample. Without it, what is written is dropped and the sample stays as it is.

    Raises:
        ValueError: `get` does not take exactly one argument, or `put` not exactly two.

    Examples:
        >>> from dataclasses import dataclass, replace
        >>> @dataclass
        ... class Photo:
        ...     title: str
        ...     stars: int
        >>> @dataclass
        ... class Title:
        ...     text: str
        >>> def read(photo: Photo) -> Title:
        ...     return Title(photo.title)
        >>> titles = Lens(read, lambda title, photo: replace(photo, title=title.text))
        >>> titles(Photo("sea", 3))
        Title(text='sea')
        >>> titles.put(Title("lake"), Photo("sea", 3))
        Photo(title='lake', stars=3)
        >>> titles
        <Lens read: Photo → Title>
    """

    def __init__(self, get: LensGetter[S, V], put: LensPutter[S, V] | None = None) -> None:
        self._name = _name_of(get)
        self._getter = get
        self._putter: LensPutter[S, V] | None = None
        self._parameter = _parameters(get, 1, "one argument, the sample")[0]
        self._known: tuple[type[S], type[V]] | None = None
        # What the name is looked up by, in pickles and by those who read the docs.
        update_wrapper(self, get, updated=())
        if put is not None:
            self.putter(put)
        self._look_up(_locals_around(get))

    @property
    def name(self) -> str:
        """The name of the function, or of how the lens was made: `a | b`, `identity(T)`."""
        return self._name

    @property
    def kind(self) -> LensKind:
        """How it came to be: `declared`, `composed`, `identity`, `structural` or `mapped`."""
        return "declared"

    @property
    def source_type(self) -> type[S]:
        """The type of the samples; `TypeError` if it is not annotated or not defined (yet)."""
        return self._types()[0]

    @property
    def view_type(self) -> type[V]:
        """The type they are viewed as; `TypeError` if it is not annotated or not defined (yet)."""
        return self._types()[1]

    @property
    def written_types(self) -> tuple[str, str]:
        """Names of the source and the view, as annotated, whether or not they are defined."""
        annotations = getattr(_annotated(self._getter), "__annotations__", {})
        return _written(annotations, self._parameter), _written(annotations, "return")

    @property
    def functions(self) -> tuple[LensGetter[S, V] | None, LensPutter[S, V] | None]:
        """The functions it was made from: `get`, and `put` if there is one."""
        return self._getter, self._putter

    def resolve(self) -> bool:
        """Look the annotated types up.

        Returns:
            Whether both are known now; False if a name among them is not defined yet.

        Raises:
            TypeError: An annotation is missing.
        """
        self._look_up(None)
        if self._known is None:
            self._refuse_missing_annotations()
        return self._known is not None

    def get(self, s: S) -> V:
        """Read the view of a sample."""
        return self._getter(s)

    def put(self, v: V, s: S) -> S:
        """Write a view back into the sample it was read from; returns the new sample."""
        return s if self._putter is None else self._putter(v, s)

    def __call__(self, s: S) -> V:
        """Read the view of a sample, as `get` does."""
        return self.get(s)

    def putter(self, put: LensPutter[S, V]) -> LensPutter[S, V]:
        """Set the function that writes views back; a decorator.

        Args:
            put: Takes the view and the sample it was read from, and returns a new sample.

        Returns:
            `put` itself.

        Raises:
            ValueError: It does not take exactly two arguments.
            TypeError: Its annotations say that it takes the sample first.

        Examples:
            >>> first = Lens(lambda pair: pair[0])
            >>> @first.putter
            ... def _(value, pair):
            ...     return (value, pair[1])
            >>> first.put("x", ("a", "b"))
            ('x', 'b')
        """
        names = _parameters(put, 2, "two arguments, the view and the sample")
        written = getattr(put, "__annotations__", {})
        view_and_source = self.written_types[::-1]
        given = tuple(_written(written, name) for name in names)
        if given == self.written_types and given != view_and_source:
            raise TypeError(
                f"the putter of lens {self.name} takes the sample first: "
                f"({', '.join(names)})\n  Swap its arguments: the view, then the sample."
            )
        self._putter = put
        return put

    def check(self, samples: Iterable[S], views: Iterable[V] | None = None) -> LawReport:
        """Try the lens laws GetPut, PutGet and PutPut on samples.

        Args:
            samples: The samples, at least one; more find more.
            views: Views to write; by default those of the samples.

        Returns:
            A report that is true if all laws held, and names the first field where one did not.

        Raises:
            ValueError: There are no samples, or no views.

        Examples:
            >>> first = Lens(lambda pair: pair[0], lambda v, pair: (v, pair[1]))
            >>> print(first.check([(1, 2), (3, 4)]))
            lens <lambda>
              GetPut  put(get(s), s) = s             holds on 2
              PutGet  get(put(v, s)) = v             holds on 2
              PutPut  put(w, put(v, s)) = put(w, s)  holds on 2
        """
        return check_laws(self.name, self.get, self.put, samples, views)

    @staticmethod
    def identity[T](sample_type: type[T]) -> "Lens[T, T]":
        """The lens that shows a sample as it is.

        Examples:
            >>> Lens.identity(int).get(3)
            3
        """
        return _Identity(sample_type)

    def __or__[W](self, other: "Lens[V, W]") -> "Lens[S, W]":
        """Join two lenses: this one, then the other.

        Raises:
            TypeError: The other lens does not take what this one gives.

        Examples:
            >>> first = Lens(lambda s: s[0], lambda v, s: (v, *s[1:]))
            >>> (first | first).get((("a", "b"), "c"))
            'a'
            >>> (first | first).put("x", (("a", "b"), "c"))
            (('x', 'b'), 'c')
        """
        if not _is_lens(other):
            return NotImplemented
        return _Composed((*_steps(self), *_steps(other)))

    def __matmul__[R](self, other: "Lens[R, S]") -> "Lens[R, V]":
        """Join two lenses as functions are joined: the other, then this one."""
        if not _is_lens(other):
            return NotImplemented
        return other | self

    def __repr__(self) -> str:
        source, view = self.written_types
        return f"<Lens {self.name}: {source} → {view}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Pickle by name if the name leads here, else by the functions."""
        name = str(getattr(self, "__qualname__", ""))
        found: object = inspect.getmodule(self._getter)
        for step in name.split("."):
            found = getattr(found, step, None)
        return name if found is self else (Lens, (self._getter, self._putter))

    def _types(self) -> tuple[type[S], type[V]]:
        if self._known is None:
            self._look_up(None)
        if self._known is None:
            self._refuse_missing_annotations()
            raise TypeError(
                f"lens {self.name} is annotated {' → '.join(self.written_types)}, of which a name "
                "is not defined\n  Define or import the types where the lens is defined, "
                "outside of `if TYPE_CHECKING:`."
            )
        return self._known

    def _look_up(self, around: Mapping[str, Any] | None) -> None:
        """Set the types if both are annotated, and their names lead to something already."""
        if self._known is not None:
            return
        function = _annotated(self._getter)
        if not hasattr(function, "__annotations__"):
            return
        try:
            hints = get_type_hints(function, localns=around)
        except (NameError, AttributeError):
            return
        except SyntaxError as error:
            raise TypeError(f"lens {self.name}: an annotation is no type: {error}") from error
        if self._parameter in hints and "return" in hints:
            self._known = hints[self._parameter], hints["return"]

    def _refuse_missing_annotations(self) -> None:
        written = getattr(_annotated(self._getter), "__annotations__", {})
        missing = [name for name in (self._parameter, "return") if name not in written]
        if missing:
            told = " and ".join("its result" if n == "return" else f"{n!r}" for n in missing)
            raise TypeError(
                f"lens {self.name} has no annotation for {told}\n"
                "  The annotations are its types:  def view(s: Source) -> View: ..."
            )


class DerivedLens[S, V](Lens[S, V]):
    """A lens that is not made from a function, but from lenses or types."""

    def __init__(self, name: str, source_type: type[S], view_type: type[V]) -> None:
        self._name = name
        self._source = source_type
        self._view = view_type

    @property
    def written_types(self) -> tuple[str, str]:
        """Names of the source and the view."""
        return type_name(self._source), type_name(self._view)

    @property
    def functions(self) -> tuple[None, None]:
        """None: it is made from lenses or types."""
        return None, None

    def resolve(self) -> bool:
        """The types are known."""
        return True

    def putter(self, put: LensPutter[S, V]) -> LensPutter[S, V]:  # noqa: ARG002 - refused
        """Refused: the way back follows from what the lens is made of."""
        raise TypeError(
            f"lens {self.name} ({self.kind}) takes no putter\n"
            "  Give it to the lenses this one is made of, or write one with @atdata.lens."
        )

    def _types(self) -> tuple[type[S], type[V]]:
        return self._source, self._view


class _Identity[T](DerivedLens[T, T]):
    """Shows a sample as it is."""

    def __init__(self, sample_type: type[T]) -> None:
        super().__init__(f"identity({type_name(sample_type)})", sample_type, sample_type)

    @property
    def kind(self) -> LensKind:
        return "identity"

    def get(self, s: T) -> T:
        return s

    def put(self, v: T, s: T) -> T:  # noqa: ARG002 - the view is the whole sample
        return v

    def __reduce__(self) -> tuple[Any, ...]:
        return _Identity, (self._source,)


class _Composed[S, V](DerivedLens[S, V]):
    """Several lenses, one after the other."""

    def __init__(self, steps: tuple[Lens[Any, Any], ...]) -> None:
        for left, right in pairwise(steps):
            _refuse_gap(left, right)
        self._name = " | ".join(step.name for step in steps)
        self._steps = steps

    @property
    def kind(self) -> LensKind:
        return "composed"

    @property
    def steps(self) -> tuple[Lens[Any, Any], ...]:
        """The lenses, first to last."""
        return self._steps

    @property
    def written_types(self) -> tuple[str, str]:
        return self._steps[0].written_types[0], self._steps[-1].written_types[1]

    def resolve(self) -> bool:
        return all([self._steps[0].resolve(), self._steps[-1].resolve()])

    def get(self, s: S) -> V:
        value: Any = s
        for step in self._steps:
            value = step.get(value)
        view: V = value
        return view

    def put(self, v: V, s: S) -> S:
        sources: list[Any] = [s]
        for step in self._steps[:-1]:
            sources.append(step.get(sources[-1]))
        value: Any = v
        for step, source in zip(reversed(self._steps), reversed(sources), strict=True):
            value = step.put(value, source)
        sample: S = value
        return sample

    def __reduce__(self) -> tuple[Any, ...]:
        return _Composed, (self._steps,)

    def _types(self) -> tuple[type[S], type[V]]:
        return self._steps[0].source_type, self._steps[-1].view_type


def type_name(kind: object) -> str:
    """A type's short name for messages, with its arguments if it has some.

    Examples:
        >>> type_name(int), type_name(list[int]), type_name("list[Box]")
        ('int', 'list[int]', 'list[Box]')
    """
    return kind.__name__ if isinstance(kind, type) and "[" not in str(kind) else str(kind)


def _is_lens(value: object) -> bool:
    return isinstance(value, Lens)


def _steps(lens: Lens[Any, Any]) -> tuple[Lens[Any, Any], ...]:
    return lens.steps if isinstance(lens, _Composed) else (lens,)


def _refuse_gap(left: Lens[Any, Any], right: Lens[Any, Any]) -> None:
    """TypeError if the right lens does not take what the left one gives, where both say so."""
    try:
        known = left.resolve() and right.resolve()
    except TypeError:
        return  # a lens without annotations fits anywhere
    if known and not _is_a(left.view_type, right.source_type):
        gives, takes = type_name(left.view_type), type_name(right.source_type)
        raise TypeError(
            f"lens {left.name} gives {gives}, and lens {right.name} takes {takes}\n"
            f"  Put a lens between them that leads from {gives} to {takes}."
        )


def _is_a(given: Any, taken: Any) -> bool:
    if given == taken or Any in (given, taken):
        return True
    try:
        return issubclass(given, taken)
    except TypeError:  # one of them is not a class that can be asked
        return False


def _name_of(get: Callable[..., Any]) -> str:
    return str(getattr(get, "__name__", type(get).__name__))


def _parameters(function: Callable[..., Any], n: int, wanted: str) -> list[str]:
    """The names of a function's parameters, which must be `n` and positional."""
    signature = inspect.signature(function)
    parameters = signature.parameters.values()
    names = [parameter.name for parameter in parameters]
    by_position = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    if len(names) != n or not all(p.kind in by_position for p in parameters):
        bare = [parameter.replace(annotation=parameter.empty) for parameter in parameters]
        shown = inspect.Signature(bare)
        raise ValueError(
            f"{_name_of(function)} must take {wanted}; it has {len(names)} parameters: {shown}"
        )
    return names


def _annotated(get: Callable[..., Any]) -> Callable[..., Any]:
    """What bears the annotations: the function, or the method behind a callable object."""
    return get if inspect.isroutine(get) else type(get).__call__


def _written(annotations: Mapping[str, Any], name: str) -> str:
    annotation = annotations.get(name, "?")
    return annotation if isinstance(annotation, str) else type_name(annotation)


def _locals_around(get: Callable[..., Any]) -> Mapping[str, Any] | None:
    """The variables of the function that `get` is being defined in, where it is in one.

    A string annotation may name a class of that function, which only its frame knows.
    """
    outside, in_function, _ = getattr(get, "__qualname__", "").rpartition(".<locals>.")
    frame = inspect.currentframe() if in_function else None
    while frame is not None and frame.f_code.co_qualname != outside:
        frame = frame.f_back
    return None if frame is None else dict(frame.f_locals)
