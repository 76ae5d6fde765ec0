"""`Field`: what predicates are made of, by operators and methods; `F` makes one of any name."""

from collections.abc import Iterable
from typing import Any, Never, cast

from atdata.predicate.constants import constant, constants, expression, text
from atdata.predicate.kinds import kind_at, within
from atdata.predicate.nodes import (
    Between,
    Computed,
    Constant,
    Contains,
    Expression,
    IsIn,
    IsNan,
    IsNull,
    Matches,
    Name,
    Operator,
    Sign,
    StartsWith,
    Truth,
    compared,
    negated,
    negative,
)
from atdata.predicate.predicate import Predicate
from atdata.predicate.show import OWN, shown


class Field[V]:
    """A field of each sample, or what is computed from fields.

    Comparisons and methods make predicates, arithmetic makes another such value, and attributes
    lead to what is inside: `F.box.left`, `F.image.shape`. In brackets any name will do:
    `F["a b"]`.

    Examples:
        >>> from atdata.predicate import F
        >>> (F.right - F.left) * 2 > 10
        ((F.right - F.left) * 2) > 10
        >>> F.score.between(0.5, 0.9) & F.checked & (F.label != F.guess)
        F.score.between(0.5, 0.9) & F.checked.is_true() & (F.label != F.guess)
        >>> F.score > 0.5 and F.score < 0.9
        Traceback (most recent call last):
        TypeError: F.score > 0.5 is a question about each sample, and no bool itself
          ...
    """

    __slots__ = ("_node", "_owner")
    __array_ufunc__ = None  # leaves operators to this class

    _node: Expression
    _owner: Any

    def __init__(self, node: Expression, owner: Any = None) -> None:
        self._node = node
        self._owner = owner  # the sample type that must have the fields

    def __getattr__(self, name: str) -> "Field[Any]":
        if name.startswith("_"):
            raise AttributeError(
                f"a field has no attribute {name!r}; for a field write F[{name!r}]"
            )
        return self[name]

    def __getitem__(self, name: str) -> "Field[Any]":
        if not isinstance(self._node, Name):
            raise AttributeError(  # noqa: TRY004 - it is what an attribute is missing from
                f"{self!r} is computed, and has no fields: {name!r}"
            )
        return field_at(".".join([self._node.path, *_steps(name)]), self._owner)

    def __eq__(self, other: object) -> Predicate:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.is_null() if other is None else self._compare("==", other)

    def __ne__(self, other: object) -> Predicate:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return ~self.is_null() if other is None else self._compare("!=", other)

    def __lt__(self, other: "V | Field[Any]") -> Predicate:
        return self._compare("<", other)

    def __le__(self, other: "V | Field[Any]") -> Predicate:
        return self._compare("<=", other)

    def __gt__(self, other: "V | Field[Any]") -> Predicate:
        return self._compare(">", other)

    def __ge__(self, other: "V | Field[Any]") -> Predicate:
        return self._compare(">=", other)

    def __add__(self, other: object) -> "Field[Any]":
        return self._computed("+", self, other)

    def __radd__(self, other: object) -> "Field[Any]":
        return self._computed("+", other, self)

    def __sub__(self, other: object) -> "Field[Any]":
        return self._computed("-", self, other)

    def __rsub__(self, other: object) -> "Field[Any]":
        return self._computed("-", other, self)

    def __mul__(self, other: object) -> "Field[Any]":
        return self._computed("*", self, other)

    def __rmul__(self, other: object) -> "Field[Any]":
        return self._computed("*", other, self)

    def __truediv__(self, other: object) -> "Field[Any]":
        return self._computed("/", self, other)

    def __rtruediv__(self, other: object) -> "Field[Any]":
        return self._computed("/", other, self)

    def __mod__(self, other: object) -> "Field[Any]":
        return self._computed("%", self, other)

    def __rmod__(self, other: object) -> "Field[Any]":
        return self._computed("%", other, self)

    def __neg__(self) -> "Field[Any]":
        return Field(negative(self._node))

    def __and__(self, other: object) -> Predicate:
        return self.is_true() & predicate_of(other)

    def __rand__(self, other: object) -> Predicate:
        return predicate_of(other) & self.is_true()

    def __or__(self, other: object) -> Predicate:
        return self.is_true() | predicate_of(other)

    def __ror__(self, other: object) -> Predicate:
        return predicate_of(other) | self.is_true()

    def __invert__(self) -> Predicate:
        return Predicate(negated(Truth(self._node)))

    def isin(self, values: Iterable[V]) -> Predicate:
        """It is equal to one of some values; an array of numpy's may hold them.

        Raises:
            TypeError: The values are one text, hold None, or are no values.
        """
        return Predicate(IsIn(self._node, constants(values, repr(self))))

    def between(self, low: "V | Field[Any]", high: "V | Field[Any]") -> Predicate:
        """It is at least `low` and at most `high`."""
        return Predicate(Between(self._node, _expression(low), _expression(high)))

    def is_null(self) -> Predicate:
        """It is None, or not there."""
        return Predicate(IsNull(self._node))

    def is_nan(self) -> Predicate:
        """It is the float that is no number. Of None this is unknown."""
        return Predicate(IsNan(self._node))

    def is_true(self) -> Predicate:
        """A bool field as a predicate, which it is by itself beside `&`, `|` and `~`."""
        return Predicate(Truth(self._node))

    def contains(self, item: object) -> Predicate:
        """It is a list that has an equal item, or a text that has this part.

        Examples:
            >>> from atdata.predicate import F
            >>> F.tags.contains("cat").test({"tags": ["dog", "cat"]})
            True
        """
        return Predicate(Contains(self._node, _expression(item)))

    def startswith(self, prefix: str) -> Predicate:
        """It is a text that begins so."""
        return Predicate(StartsWith(self._node, text(prefix, "startswith")))

    def matches(self, pattern: str) -> Predicate:
        """It is a text in which a regular expression is found; `^` and `$` bind it to the ends.

        Args:
            pattern: An expression of RE2, which takes time linear in the text and has neither
                look-around nor back references.

        Raises:
            ValueError: The pattern is none.
        """
        return Predicate(Matches(self._node, expression(pattern)))

    def _compare(self, sign: Operator, other: object) -> Predicate:
        return Predicate(compared(sign, self._node, _expression(other)))

    def _computed(self, sign: Sign, left: object, right: object) -> "Field[Any]":
        one, another = _expression(left), _expression(right)
        return Field(Computed(sign, one, another))

    def __repr__(self) -> str:
        return shown(self._node)

    def __dir__(self) -> list[str]:
        inside: tuple[str, ...] = ()
        if isinstance(self._node, Name) and self._owner is not None:
            inside = within(self._owner, self._node.path)
        return sorted({*super().__dir__(), *inside})

    def __hash__(self) -> int:
        raise TypeError(
            f"unhashable type: 'Field'\n  For one of several values write {self!r}.isin([...])."
        )

    def __bool__(self) -> Never:
        raise TypeError(
            f"{self!r} is a field of each sample, and no bool itself\n"
            f"  Write {self!r} & (b) for `and`, {self!r} | (b) for `or`, ~{self!r} for `not`."
        )

    def __contains__(self, item: object) -> Never:
        raise TypeError(f"`in` has no answer for a field\n  Write {self!r}.contains({item!r}).")

    def __iter__(self) -> Never:
        raise TypeError(
            f"{self!r} is a field of each sample, and cannot be iterated\n"
            f"  To ask for an item write {self!r}.contains(item)."
        )


OWN.update(name for name in vars(Field) if not name.startswith("_"))


class AnyField:
    """Makes a field of any name: `F.score`, `F["strange name"]`, `F.box.left`.

    Whether samples have it is seen when they are asked; `ds.fields` knows the fields of a type.

    Examples:
        >>> from atdata.predicate import F
        >>> (F.score > 0.9) & (F["strange name"] == "a")
        (F.score > 0.9) & (F['strange name'] == 'a')
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Field[Any]:
        if name.startswith("_"):
            raise AttributeError(f"F has no attribute {name!r}; for a field write F[{name!r}]")
        return self[name]

    def __getitem__(self, name: str) -> Field[Any]:
        return field_at(name)

    def __repr__(self) -> str:
        return "F"


F = AnyField()
"""Makes a field of any name."""


def field_at(path: str, owner: Any = None) -> Field[Any]:
    """The field of a path.

    Args:
        path: Names with dots between them.
        owner: The sample type that must have it; None for any.

    Raises:
        UnknownFieldError: The type has no such field.
    """
    name = Name(".".join(_steps(path)))
    if owner is not None:
        kind_at(owner, name.path)
    return Field(name, owner)


def col[V](field: V) -> Field[V]:
    """A field of `ds.fields` with its methods, for type checkers.

    To them `ds.fields.label` is what a sample holds there, so that `ds.fields.label == "cat"` is
    checked; methods such as `isin` are those of the `Field` that it is when the program runs.

    Raises:
        TypeError: It is no field.

    Examples:
        >>> from atdata.predicate import F
        >>> col(F.label).isin(["cat", "dog"])
        F.label.isin(['cat', 'dog'])
    """
    if not isinstance(field, Field):
        raise TypeError(
            f"a field is wanted, such as ds.fields.label, not a {type(field).__name__}"
        )
    return cast("Field[V]", field)


def predicate_of(value: object) -> Predicate:
    """What a caller gave as a predicate: a `Predicate`, or a bool field.

    Raises:
        TypeError: It is neither.
    """
    if isinstance(value, Predicate):
        return value
    if isinstance(value, Field):
        return value.is_true()
    hint = "Write it with fields: (F.score > 0.9) & (F.label == 'cat')"
    if isinstance(value, bool):
        hint = "It was worked out before it came here: compare fields, as in F.score > 0.9"
    raise TypeError(f"a predicate is wanted, not a {type(value).__name__}\n  {hint}")


def _expression(value: object) -> Expression:
    if isinstance(value, Field):
        return value._node  # pyright: ignore[reportPrivateUsage]
    if isinstance(value, Predicate):
        raise TypeError(
            f"{value!r:.200} is no value to compare or compute with\n"
            "  & and | bind tighter than comparisons: write (a > 1) & (b > 2)."
        )
    found: Constant = constant(value)
    return found


def _steps(name: object) -> list[str]:
    if not isinstance(name, str):
        raise TypeError(
            f"a field is named by text, not by a {type(name).__name__}\n"
            "  Whether a list has an item: F.tags.contains(item)."
        )
    steps = name.split(".")
    if not all(steps):
        raise ValueError(f"{name!r} is no name of a field: a part of it is empty")
    return steps
