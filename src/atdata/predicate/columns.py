"""What a predicate says of each row of a table, worked out for whole columns at once.

A condition becomes a boolean array of Arrow, with null for unknown. What Arrow cannot work out
exactly, as sums that overflow or a comparison of large integers with floats, is asked row by row.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from importlib import import_module
from typing import Any

import numpy as np
import pyarrow as pa

from atdata.predicate import arithmetic, vectors
from atdata.predicate.arrow import InexactError, normal, one_array, pc, plain_list
from atdata.predicate.nodes import (
    And,
    Between,
    Compare,
    Computed,
    Condition,
    Constant,
    Contains,
    Expression,
    IsIn,
    IsNan,
    IsNull,
    Leaf,
    Matches,
    Name,
    Negative,
    Not,
    Or,
    StartsWith,
    Truth,
    limits,
    names,
)
from atdata.predicate.rows import answer
from atdata.predicate.values import NotPlainError

type Columns = Mapping[str, Any]


def mask(node: Condition, columns: Columns) -> Any:
    """Which rows are selected, as a numpy array of bool."""
    given = {name: one_array(columns[name]) for name in _wanted(node, columns)}
    lengths = {len(column) for column in given.values()}
    if len(lengths) != 1:
        raise ValueError(f"the columns have {sorted(lengths)} rows, and must have the same number")
    return vectors.selected(_Table(given, lengths.pop()).ask(node))


def of_table(node: Condition, table: Any) -> Any:
    """Which rows of a pyarrow Table are selected, as an Arrow array."""
    return pa.array(mask(node, {name: table.column(name) for name in table.schema.names}))


def of_frame(node: Condition, frame: Any) -> Any:
    """Which rows of a pandas DataFrame are selected, as a Series with its index."""
    wanted = _wanted(node, frame.columns)
    try:
        found = mask(node, {name: _of_series(frame[name]) for name in wanted})
    except pa.ArrowException:  # a column of mixed values
        lists = {name: list(frame[name]) for name in wanted}
        ask = answer(node)
        found = [ask(_row(lists, i)) is True for i in range(len(frame))]
    return import_module("pandas").Series(np.asarray(found, bool), index=frame.index)


def _wanted(node: Condition, there: Iterable[str]) -> list[str]:
    """The columns that a condition looks at."""
    wanted = list(dict.fromkeys(names(node)))
    missing = [name for name in wanted if name not in there]
    if missing:
        known = ", ".join(sorted(map(str, there))[:20])
        raise KeyError(f"there is no column {missing[0]!r}; there are: {known}")
    return wanted


def _of_series(series: Any) -> Any:
    """A column of a frame, with null for what pandas holds to be missing, except in floats."""
    return pa.array(series, from_pandas=getattr(series.dtype, "kind", "O") != "f")


def _row(columns: Mapping[str, list[Any]], i: int) -> Any:
    return lambda path: columns[path][i]


class _Table:
    """Some columns, ready to be asked."""

    def __init__(self, columns: Columns, n: int) -> None:
        self._given = columns
        self._ready: dict[str, Any] = {}
        self._n = n

    def _column(self, path: str) -> Any:
        """A column of one of few types."""
        if path not in self._ready:
            try:
                self._ready[path] = normal(self._given[path])
            except NotPlainError as error:
                raise NotPlainError(f"cannot ask for field {path!r}: {error}") from None
        return self._ready[path]

    def ask(self, node: Condition) -> Any:
        """The answer of each row, as a boolean array with nulls."""
        match node:
            case And(children=children):
                return reduce(pc.and_kleene, map(self.ask, children))
            case Or(children=children):
                return reduce(pc.or_kleene, map(self.ask, children))
            case Not(child=child):
                return pc.invert(self.ask(child))
            case Between():
                low, high = limits(node)
                return pc.and_kleene(self.ask(low), self.ask(high))
            case _:
                try:
                    return self._leaf(node)
                except InexactError:
                    return self._by_row(node)

    def _leaf(self, node: Leaf) -> Any:
        match node:
            case Compare(operator=sign, left=left, right=Constant(value=value)):
                return vectors.compare(sign, self._value(left), value)
            case Compare(operator=sign, left=left, right=right):
                return vectors.compare_columns(sign, self._value(left), self._value(right))
            case IsIn(operand=operand, values=values):
                return vectors.is_in(self._value(operand), values.value)
            case Contains(operand=operand, item=Constant(value=value)):
                return vectors.contains(self._value(operand), value)
            case IsNull(operand=Name(path=path)):
                return pc.is_null(self._given[path])
            case IsNull(operand=operand):
                return pc.is_null(self._value(operand))
            case IsNan(operand=operand):
                return vectors.is_nan(self._value(operand))
            case Truth(operand=operand):
                return vectors.truth(self._value(operand))
            case StartsWith(operand=operand, prefix=prefix):
                return vectors.of_text(pc.starts_with, self._value(operand), prefix)
            case Matches(operand=operand, pattern=pattern):
                return vectors.of_text(pc.match_substring_regex, self._value(operand), pattern)
            case _:
                raise InexactError

    def _value(self, node: Expression) -> Any:
        match node:
            case Name(path=path):
                return self._column(path)
            case Constant(value=value):
                return arithmetic.repeated(value, self._n)
            case Negative(operand=operand):
                return arithmetic.opposite(self._value(operand))
            case Computed(sign=sign, left=left, right=right):
                return arithmetic.compute(sign, self._value(left), self._value(right))

    def _by_row(self, node: Leaf) -> Any:
        """The answers as the rows give them, one after the other."""
        lists = {name: plain_list(self._column(name)) for name in dict.fromkeys(names(node))}
        ask = answer(node)
        return pa.array([ask(_row(lists, i)) for i in range(self._n)], pa.bool_())
