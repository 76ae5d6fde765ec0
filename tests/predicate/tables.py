"""Tables of every kind of column, with the values that break comparisons, and questions."""

import datetime as dt
import math
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from atdata.predicate import F, Field, FieldFacts, Predicate

UTC = dt.UTC
INTS = [0, 1, -1, 2, 3, 7, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]
UNSIGNED = [0, 1, 2, 2**53 + 1, 2**63, 2**64 - 1]
FLOATS = [
    *(0.0, -0.0, 1.0, 0.5, -1.5, 2.0, 0.1, 2.0**53, 2.0**53 + 2, 2.0**63, 2.0**64, -(2.0**63)),
    *(math.inf, -math.inf, math.nan, 5e-324, 1e308, 1e22, -7.25),
]
TEXTS = [
    "",
    "a",
    "b",
    "ab",
    "é",
    "\0",
    "a\0b",
    "it's",
    '"',
    "\U0001f600",
    "\uffff",
    "1",
    "true",
    "a%_",
    "\n",
]
TIMES = [
    dt.datetime(1, 1, 1),
    dt.datetime(2024, 2, 29, 12, 30),
    dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
]
AWARE = [one.replace(tzinfo=UTC) for one in TIMES[1:]]
DATES = [dt.date(1, 1, 1), dt.date(2024, 2, 29), dt.date(9999, 12, 31)]
CLOCKS = [dt.time(), dt.time(12, 30), dt.time(23, 59, 59, 999999)]
SPANS = [dt.timedelta(), dt.timedelta(days=-1, microseconds=1), dt.timedelta(days=40)]

KINDS: dict[str, tuple[str, Any, list[Any]]] = {
    "b": ("bool", pa.bool_(), [True, False]),
    "i": ("int", pa.int64(), INTS),
    "j": ("int", pa.int64(), [0, 1, 2, 3, -2]),
    "u": ("int", pa.uint64(), UNSIGNED),
    "dec": ("int", pa.decimal128(20, 0), [0, -1, 2**63, -(2**63)]),
    "f": ("float", pa.float64(), FLOATS),
    "g": ("float", pa.float64(), [0.0, 1.0, 0.5, 3.0, math.nan]),
    "s": ("str", pa.string(), TEXTS),
    "r": ("str", pa.string(), ["a", "b", "c"]),
    "at": ("datetime", pa.timestamp("us"), TIMES),
    "utc": ("datetime_utc", pa.timestamp("us", "UTC"), AWARE),
    "d": ("date", pa.date32(), DATES),
    "clock": ("time", pa.time64("us"), CLOCKS),
    "span": ("timedelta", pa.duration("us"), SPANS),
    "tags": ("list[str]", pa.list_(pa.string()), [["a"], [], ["a", None, "b"], [None], ["é"]]),
    "li": ("list[int]", pa.list_(pa.int64()), [[1, 2], [], [2**53 + 1], [None], [28, 28]]),
    "lf": ("list[float]", pa.list_(pa.float64()), [[1.0], [math.nan], [0.5, None], [-0.0]]),
    "strange name": ("int", pa.int64(), [0, 1]),
    "box.left": ("int", pa.int64(), [0, 1, 2]),
}
"""For each column what a manifest calls it, its Arrow type, and its values."""

SCALARS: list[Any] = [
    *(True, False, *INTS, *UNSIGNED, 2**64, -(2**80), 10**400, *(f for f in FLOATS if f == f)),
    *(*TEXTS, *TIMES, *AWARE, *DATES, *CLOCKS, *SPANS),
]
LISTS: list[Any] = [[], ["a"], ["a", None, "b"], [1, 2], [28.0, 28], [None], [1.0], [0], [2.0**53]]

type Rows = dict[str, list[Any]]


@st.composite
def rows(draw: st.DrawFn, most: int = 5) -> Rows:
    """Some rows of all columns, None among their values."""
    n = draw(st.integers(0, most))
    numbers = iter(draw(st.binary(min_size=n * len(KINDS), max_size=n * len(KINDS))))
    return {
        name: [[None, *values][next(numbers) % (len(values) + 1)] for _ in range(n)]
        for name, (_, _, values) in KINDS.items()
    }


def fields() -> st.SearchStrategy[Field[Any]]:
    return st.sampled_from(list(KINDS)).map(lambda name: F[name])


def numbers() -> st.SearchStrategy[Field[Any]]:
    """Fields that hold numbers, and what is computed from them."""
    names = [name for name, (kind, _, _) in KINDS.items() if kind in ("bool", "int", "float")]
    base = st.sampled_from(names).map(lambda name: F[name])
    constants = st.sampled_from([0, 1, 2, -3, 0.5, 2.0, 2**53 + 1, 1e308, True, 10**400, math.inf])

    def wider(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        def computed(parts: tuple[Any, str, Any]) -> Any:
            one, sign, other = parts
            return {
                "+": lambda: one + other,
                "-": lambda: one - other,
                "*": lambda: one * other,
                "/": lambda: one / other,
                "%": lambda: one % other,
            }[sign]()

        signs = st.sampled_from("+-*/%")
        return (
            st.tuples(inner, signs, inner | constants).map(computed)
            | st.tuples(constants, signs, inner).map(computed)
            | inner.map(lambda one: -one)
        )

    return st.recursive(base, wider, max_leaves=3)


def leaves() -> st.SearchStrategy[Predicate]:
    """Single questions, of like values as often as of unlike ones."""
    signs = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])

    def compared(parts: tuple[Any, str, Any]) -> Predicate:
        one, sign, other = parts
        found: Predicate = {
            "==": lambda: one == other,
            "!=": lambda: one != other,
            "<": lambda: one < other,
            "<=": lambda: one <= other,
            ">": lambda: one > other,
            ">=": lambda: one >= other,
        }[sign]()
        return found

    @st.composite
    def like(draw: st.DrawFn) -> tuple[Field[Any], list[Any]]:
        """A field, and constants of its own kind."""
        name = draw(st.sampled_from(list(KINDS)))
        values = [one for one in KINDS[name][2] if one == one and one != [math.nan]]
        return F[name], draw(st.lists(st.sampled_from(values), min_size=2, max_size=4))

    scalars = st.sampled_from(SCALARS)
    return st.one_of(
        st.tuples(like(), signs).map(lambda t: compared((t[0][0], t[1], t[0][1][0]))),
        st.tuples(like(), signs).map(lambda t: compared((t[0][0], t[1], t[0][1][0]))),
        like().map(lambda t: t[0].isin(t[1])),
        like().map(lambda t: t[0].between(t[1][0], t[1][1])),
        st.tuples(fields(), signs, scalars | st.sampled_from(LISTS)).map(compared),
        st.tuples(numbers(), signs, numbers() | st.sampled_from(SCALARS[:40])).map(compared),
        st.tuples(fields(), signs, fields()).map(compared),
        st.tuples(fields(), st.lists(scalars, max_size=4)).map(lambda t: t[0].isin(t[1])),
        st.tuples(fields(), st.lists(st.sampled_from(LISTS), max_size=2)).map(
            lambda t: t[0].isin(t[1])
        ),
        st.tuples(numbers(), numbers(), scalars).map(lambda t: t[0].between(t[1], t[2])),
        (fields() | numbers()).map(lambda f: f.is_null()),
        (fields() | numbers()).map(lambda f: f.is_nan()),
        (fields() | numbers()).map(lambda f: f.is_true()),
        st.tuples(st.sampled_from(["tags", "li", "lf", "s", "i"]), scalars | fields()).map(
            lambda t: F[t[0]].contains(t[1])
        ),
        st.tuples(fields(), st.sampled_from(TEXTS)).map(lambda t: t[0].startswith(t[1])),
        st.tuples(st.sampled_from(["s", "r"]), st.sampled_from(TEXTS)).map(
            lambda t: F[t[0]].startswith(t[1])
        ),
        st.tuples(
            fields() | st.just(F.s), st.sampled_from(["a", "^a$", "", "[^a]", "é|b", "(?i)A", "."])
        ).map(lambda t: t[0].matches(t[1])),
    )


def predicates(leaf: st.SearchStrategy[Predicate] | None = None) -> st.SearchStrategy[Predicate]:
    """Questions of every form."""
    return st.recursive(
        leaves() if leaf is None else leaf,
        lambda inner: (
            st.tuples(inner, inner).map(lambda t: t[0] & t[1])
            | st.tuples(inner, inner).map(lambda t: t[0] | t[1])
            | inner.map(lambda p: ~p)
        ),
        max_leaves=4,
    )


def table(data: Rows) -> Any:
    """Rows as a table of Arrow's."""
    return pa.table({name: pa.array(data[name], KINDS[name][1]) for name in KINDS})


@st.composite
def facts(draw: st.DrawFn, data: Rows) -> dict[str, FieldFacts]:
    """What may be known of some rows: more or less, and never anything wrong."""
    found: dict[str, FieldFacts] = {}
    for name in draw(st.sets(st.sampled_from(list(KINDS)))) if draw(st.booleans()) else KINDS:
        kind = KINDS[name][0]
        there = [one for one in data[name] if one is not None]
        is_list = kind.startswith("list")
        items = [i for one in there for i in one if i is not None] if is_list else there
        ordinary = [one for one in items if one == one]
        known = draw(st.booleans())
        found[name] = FieldFacts(
            n=len(data[name]),
            nulls=len(data[name]) - len(there),
            nans=len(items) - len(ordinary),
            low=min(ordinary, default=None) if known else None,
            high=max(ordinary, default=None) if known else None,
            values=frozenset(ordinary) if draw(st.booleans()) else None,
            bloom=_bloom(ordinary) if draw(st.booleans()) else None,
            is_list=is_list,
            kind=kind,
        )
    return found


def _bloom(values: list[Any]) -> Any:
    """A filter that knows values by their text, as one does that hashes their bytes."""
    written = {(type(one), repr(one)) for one in values}
    return lambda value: (type(value), repr(value)) in written
