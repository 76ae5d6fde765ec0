"""`Predicate`: a question that each sample answers with yes, no, or neither."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Literal, Never, Self

from atdata.predicate import bounds, jsonform, sql, text
from atdata.predicate.facts import FieldFacts
from atdata.predicate.nodes import (
    CONDITIONS,
    And,
    Compare,
    Condition,
    Name,
    all_of,
    any_of,
    names,
    negated,
    rebuilt,
)
from atdata.predicate.rows import Answer, answer
from atdata.predicate.show import shown
from atdata.predicate.values import get_path

_COLUMNS = "atdata.predicate.columns"  # loaded by name, as it needs pyarrow


class Predicate:
    """A question about the fields of a sample: `(F.score > 0.9) & F.label.isin(["cat"])`.

    It is made of fields, joined by `&`, `|` and `~`, and asked of samples, of tables or of what is
    known of a shard; all of them give the same answer. A sample is selected if the answer is yes.
    It never changes, is compared by its form with `==`, and pickles.

    A comparison with None is unknown, neither yes nor no, and so is its opposite. NaN is equal to
    nothing and in no order. Numbers are compared exactly, whatever their types.

    Examples:
        >>> from atdata.predicate import F
        >>> p = (F.score > 0.9) & ~F.tags.contains("draft")
        >>> p
        (F.score > 0.9) & ~F.tags.contains('draft')
        >>> print(p)
        score > 0.9 and not tags contains 'draft'
        >>> p({"score": 0.95, "tags": ["new"]}), p({"score": None, "tags": []})
        (True, False)
    """

    __slots__ = ("_answer", "_compiled", "node")
    __array_ufunc__ = None  # leaves operators to this class

    node: Condition
    _answer: Answer | None
    _compiled: Callable[[Any], Any] | None

    def __init__(self, node: Condition) -> None:
        object.__setattr__(self, "node", node)
        object.__setattr__(self, "_answer", None)
        object.__setattr__(self, "_compiled", None)

    @property
    def fields(self) -> frozenset[str]:
        """The dotted paths of all fields that it looks at."""
        return frozenset(names(self.node))

    @property
    def children(self) -> "tuple[Predicate, ...]":
        """What `&`, `|` or `~` joins here; empty for a single question."""
        return tuple(Predicate(part) for part in self.node.parts if isinstance(part, CONDITIONS))

    def conjuncts(self) -> "tuple[Predicate, ...]":
        """The questions that must all be true; one that is no `&` is alone.

        Examples:
            >>> from atdata.predicate import F
            >>> len(((F.x > 1) & (F.y > 2) & (F.z > 3)).conjuncts())
            3
        """
        return self.children if isinstance(self.node, And) else (self,)

    def __and__(self, other: object) -> "Predicate":
        if not isinstance(other, Predicate):
            return NotImplemented
        return Predicate(all_of((self.node, other.node)))

    def __or__(self, other: object) -> "Predicate":
        if not isinstance(other, Predicate):
            return NotImplemented
        return Predicate(any_of((self.node, other.node)))

    def __rand__(self, other: object) -> "Predicate":
        raise TypeError(_not_joined(other))

    def __ror__(self, other: object) -> "Predicate":
        raise TypeError(_not_joined(other))

    def __invert__(self) -> "Predicate":
        return Predicate(negated(self.node))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Predicate):
            return NotImplemented
        return self.node == other.node

    __hash__ = None  # type: ignore[assignment]  # fields make predicates of ==, so sets would lie

    def __bool__(self) -> Never:
        raise TypeError(_no_bool(self))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"cannot set {name!r}: a Predicate does not change")

    def __reduce__(self) -> tuple[Any, ...]:
        return Predicate, (self.node,)

    def __repr__(self) -> str:
        return shown(self.node)

    def __str__(self) -> str:
        """The text form, which `parse` reads."""
        return text.written(self.node)

    def test(self, sample: object) -> bool:
        """Whether a sample is selected.

        Args:
            sample: A sample of any type, or a mapping.

        Raises:
            NotPlainError: A field holds what cannot be compared, such as an array.
            AttributeError: The sample's class has no such field.
        """
        return self.test_values(lambda path: get_path(sample, path))

    def test_values(self, get: Callable[[str], object]) -> bool:
        """Whether a sample is selected of which a function gives the fields.

        Args:
            get: From a dotted path to the value.
        """
        if self._answer is None:
            object.__setattr__(self, "_answer", answer(self.node))
        return self._answer(get) is True  # type: ignore[misc]  # pyright: ignore[reportOptionalCall]

    def mask(self, columns: Mapping[str, Any]) -> Any:
        """Which rows of a table are selected.

        Args:
            columns: A pyarrow `Array` or `ChunkedArray` for each of `fields`, all of one length.

        Returns:
            A numpy array of bool, one for each row.

        Raises:
            KeyError: A column is missing.

        Examples:
            >>> import pyarrow as pa
            >>> from atdata.predicate import F
            >>> (F.x != 2).mask({"x": pa.array([1, 2, None])})
            array([ True, False, False])
        """
        return import_module(_COLUMNS).mask(self.node, columns)

    def verdict(self, facts: Mapping[str, FieldFacts]) -> Literal["none", "some", "all"]:
        """What is known of the answers without looking at the rows.

        Args:
            facts: What is known of the fields; of one that is not here nothing is.

        Returns:
            "none" or "all" where it is proven that no row, or each row, is selected.

        Examples:
            >>> from atdata.predicate import F
            >>> (F.x > 3).verdict({"x": FieldFacts(n=10, low=0, high=2)})
            'none'
        """
        return bounds.verdict(self.node, facts)

    def renamed(self, names: Mapping[str, str]) -> "Predicate":
        """The same question about fields of other names.

        Args:
            names: From path to path. What is beneath a path goes with it: with `{"a": "b"}`,
                `a.shape` becomes `b.shape`. Other fields keep their names.
        """

        def leaf(node: Name) -> Name:
            steps = node.path.split(".")
            for n in range(len(steps), 0, -1):
                if (known := ".".join(steps[:n])) in names:
                    return Name(".".join([names[known], *steps[n:]]))
            return node

        return Predicate(rebuilt(self.node, leaf))

    def to_sql(self, kinds: Mapping[str, str] | None = None) -> str:
        r"""The question as a condition of DuckDB's SQL, with the same answer for every row.

        Args:
            kinds: What the columns hold, by path, as a manifest says it: "int", "list[str]" ….
                A field of no known kind is taken to hold what it is compared with; comparisons of
                fields with each other, and arithmetic, need the kinds.

        Raises:
            ValueError: SQL has no exact form for a part of it. The error names the part.

        Examples:
            >>> from atdata.predicate import F
            >>> F.label.isin(["cat", "dog"]).to_sql()
            '("label" IN (\'cat\', \'dog\'))'
        """
        return sql.sql(self.node, kinds or {})

    def to_json(self) -> dict[str, Any]:
        """The question as plain JSON data, which `from_json` reads."""
        found: dict[str, Any] = jsonform.to_json(self.node)
        return found

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read what `to_json` gave.

        Raises:
            PredicateSyntaxError: It is nothing of the kind. The error names the place.
        """
        return cls(jsonform.from_json(data))

    def compile(self) -> Callable[[Any], Any]:
        """The question as a function of whatever `__call__` takes; the same one each time."""
        if self._compiled is None:
            object.__setattr__(self, "_compiled", self.__call__)
        return self._compiled  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    def __call__(self, data: Any) -> Any:
        """Ask.

        Args:
            data: A sample or mapping, a pandas `DataFrame`, or a pyarrow `Table`.

        Returns:
            A bool for a sample; a boolean `Series` with the index of a `DataFrame`; a boolean
            array for a `Table`.
        """
        pandas, arrow = sys.modules.get("pandas"), sys.modules.get("pyarrow")
        if pandas is not None and isinstance(data, pandas.DataFrame):
            return import_module(_COLUMNS).of_frame(self.node, data)
        if arrow is not None and isinstance(data, arrow.Table | arrow.RecordBatch):
            return import_module(_COLUMNS).of_table(self.node, data)
        return self.test(data)


def _not_joined(value: object) -> str:
    return (
        f"{value!r:.200} cannot be joined with a predicate\n"
        "  & and | bind tighter than comparisons: write (a > 1) & (b > 2)."
    )


def _no_bool(predicate: Predicate) -> str:
    lines = [f"{predicate!r:.200} is a question about each sample, and no bool itself"]
    match predicate.node:
        case Compare(operator="==", left=left):
            lines.append(f"  For one of several values write {shown(left)}.isin([...]).")
        case Compare(left=left):
            lines.append(
                f"  In place of a < b < c write {shown(left)}.between(a, c) or (a < b) & (b < c)."
            )
        case _:
            pass
    lines.append("  Write (a) & (b) for `a and b`, (a) | (b) for `a or b`, ~(a) for `not a`;")
    lines.append("  for a single sample, predicate.test(sample) is a bool.")
    return "\n".join(lines)
