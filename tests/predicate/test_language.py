"""Fields and operators: what they make, and what they refuse with the right spelling."""

import copy
import datetime as dt
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from atdata import DictSample
from atdata.predicate import F, Field, NotPlainError, Predicate, col, predicate_of

NAN = float("nan")


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (lambda: 0.4 < F.score < 0.6, "F.score.between(a, c)"),
        (lambda: (F.a > 1) and (F.b > 2), "(a) & (b)"),
        (lambda: (F.a > 1) or (F.b > 2), "(a) | (b)"),
        (lambda: not (F.a > 1), "~(a)"),  # pyright: ignore
        (lambda: 1 if F.a == 1 else 2, "predicate.test(sample)"),  # pyright: ignore
        (lambda: F.x in [1, 2], "F.x.isin([...])"),
        (lambda: "x" in F.tags, "F.tags.contains('x')"),
        (lambda: list(F.tags), "F.tags.contains(item)"),
        (lambda: bool(F.flag) and F.other, "F.flag & (b)"),
        (lambda: not F.flag, "~F.flag"),  # pyright: ignore
        (lambda: {F.x: 1}, "F.x.isin([...])"),
        (lambda: F.a == (F.b > 1), "(a > 1) & (b > 2)"),
        (lambda: F.a > 1 & (F.b > 2), "(a > 1) & (b > 2)"),
        (lambda: F.x > None, "F.x.is_null()"),
        (lambda: F.x == {"a": 1}, "F.box.left > 3"),
        (lambda: F.x > (lambda: 3), "Call it first"),
        (lambda: F.x > len, "Call it first"),
        (lambda: F.x == np.zeros(3), "isin([...])"),
        (lambda: F.x == pd.DataFrame({"a": [1]}), "isin([...])"),
        (lambda: F.x > 3j, "complex"),
        (lambda: F.x == [[1]], "list of lists"),
        (lambda: F.x.isin("abc"), "F.x.isin(['abc'])"),
        (lambda: F.x.isin([1, None]), "F.x.is_null()"),
        (lambda: F.x.isin(cast("Any", 3)), "F.x.isin([...])"),
        (lambda: F.x.startswith(cast("Any", 3)), "takes text"),
        (lambda: F.x.matches(cast("Any", 3)), "takes text"),
        (lambda: F[cast("Any", 3)], "F.tags.contains(item)"),
        (lambda: predicate_of(True), "F.score > 0.9"),
        (lambda: predicate_of(len), "F.score > 0.9"),
        (lambda: col("x"), "ds.fields.label"),
        (lambda: hash(F.x > 1), "unhashable"),
    ],
)
def test_a_wrong_spelling_is_answered_with_the_right_one(
    make: Callable[[], Any], advice: str
) -> None:
    """No half of a question is dropped: Python's own words for it are errors."""
    with pytest.raises(TypeError) as caught:
        make()

    assert advice in str(caught.value)


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (lambda: F.x == NAN, "is_nan()"),
        (lambda: F.x > np.float32("nan"), "is_nan()"),
        (lambda: F.x.isin([1.0, NAN]), "is_nan()"),
        (lambda: F.x.between(0, NAN), "is_nan()"),
        (lambda: F.x == "\ud800", "surrogate"),
        (lambda: F.x > 1 << 5000, "bits"),
        (lambda: F.x.matches("(a"), "RE2"),
        (lambda: F.x.matches(r"(a)\1"), "back references"),
        (lambda: F["a..b"], "empty"),
        (lambda: F[""], "empty"),
    ],
)
def test_a_value_that_nothing_equals_is_refused(make: Callable[[], Any], advice: str) -> None:
    """When the predicate is made, and not when it is asked."""
    with pytest.raises(ValueError) as caught:
        make()

    assert advice in str(caught.value)


def test_names() -> None:
    """Any name but those that begin with an underscore; brackets take all."""
    assert (repr(F), repr(F.score), repr(F.box.left)) == ("F", "F.score", "F.box.left")
    assert repr(F["strange name"]) == "F['strange name']"
    assert (F["box"]["left"] > 1) == (F.box.left > 1) == (F["box.left"] > 1)
    assert (F.box["isin"] == 1).fields == {"box.isin"}
    for ask in (lambda: F._x, lambda: F.__wrapped__, lambda: F.x._y):
        with pytest.raises(AttributeError):
            ask()
    with pytest.raises(AttributeError, match="computed"):
        (F.x + 1).left


def test_operators_make_what_is_written() -> None:
    """Also with the field on the right, and with numbers of numpy's."""
    assert repr(2 * F.x - 1 > -F.y) == "((2 * F.x) - 1) > (-F.y)"
    assert repr(1 / (1 - F.x % 2) + 3 <= F.y) == "((1 / (1 - (F.x % 2))) + 3) <= F.y"
    assert repr(7 % F.x + 1 != 2 - F.y) == "((7 % F.x) + 1) != (2 - F.y)"
    assert (F.x > 0.5) == (F.x > 0.5)
    assert (np.float64(0.5) >= F.x) == (F.x <= 0.5)
    assert (np.int64(2) * F.x > np.uint8(3)) == (2 * F.x > 3)
    assert repr(F.a > F.b) == "F.a > F.b"
    assert repr(
        (F.a > 1) & F.flag | ~F.other
    ) == "((F.a > 1) & F.flag.is_true()) | (~F.other.is_true())".replace(
        "(~F.other.is_true())", "~F.other.is_true()"
    )
    assert (F.flag & (F.a > 1)) == (F.flag.is_true() & (F.a > 1))
    assert (F.flag | F.other) == (F.flag.is_true() | F.other.is_true())
    assert col(F.x) is not None
    for make in (lambda: (F.a > 1) & 3, lambda: (F.a > 1) | "x", lambda: F.a & 3):
        with pytest.raises(TypeError):
            make()


def test_joining_is_flat() -> None:
    """`a & b & c` is one node with three children, however it is bracketed."""
    a, b, c = F.a > 1, F.b > 2, F.c > 3

    for joined in ((a & b) & c, a & (b & c)):
        assert joined.children == joined.conjuncts() == (a, b, c)
    assert ((a | b) | c).children == (a, b, c)
    assert (a | b).conjuncts() == ((a | b),)
    assert ~~a == a
    assert a.children == ()
    assert ((a & b) | c).fields == {"a", "b", "c"}


def test_predicates_compare_by_form_and_never_change() -> None:
    """Values of different types are different, also where Python holds them to be equal."""
    assert (F.x == 1) == (F.x == 1)
    assert (F.x == 1) != (F.x == True)  # noqa: E712
    assert (F.x == 1) != (F.x == 1.0)
    assert (F.x == 0.0) != (F.x == -0.0)
    assert (F.x == 1) != (F.y == 1)
    assert (F.x > 1) != "x > 1"
    with pytest.raises(AttributeError, match="does not change"):
        (F.x > 1).node = None  # type: ignore[assignment]


def test_depth_and_size_are_bounded() -> None:
    """A predicate that could not be walked is not made; wide ones are no deep ones."""
    deep = F.x
    for _ in range(60):
        deep = -deep
    with pytest.raises(ValueError, match="nested"):
        _ = ((((-deep * 2) + 1) * 2) - 1) * 2 + 1 > 3
    wide = F.x == 0
    for i in range(2000):
        wide = wide | (F.x == i)

    assert len(wide.children) == 2001
    assert pickle.loads(pickle.dumps(wide)) == wide
    assert wide.test({"x": 1999})


def test_none_nan_and_unlike_values() -> None:
    """A comparison with None is unknown, NaN equals nothing, and text is no number."""
    rows: list[dict[str, Any]] = [{"x": v} for v in (None, NAN, 1.5, "a", True)]

    def selected(asked: Predicate) -> list[bool]:
        return [asked.test(row) for row in rows]

    assert selected(F.x == None) == [True, False, False, False, False]  # noqa: E711
    assert selected(F.x != None) == [False, True, True, True, True]  # noqa: E711
    assert selected(F.x != 1.5) == [False, True, False, True, True]
    assert selected(~(F.x != 1.5)) == [False, False, True, False, False]
    assert selected(F.x > 0) == [False, False, True, False, True]
    assert selected(~(F.x > 0)) == [False, True, False, False, False]
    assert selected(F.x.is_nan()) == [False, True, False, False, False]
    assert selected(F.x.isin([1, 1.5])) == [False, False, True, False, True]
    assert selected(~F.x.isin([1, 1.5])) == [False, True, False, True, False]
    assert selected(F.x.is_true()) == [False, True, True, False, True]


def test_numbers_are_exact() -> None:
    """Integers beyond 2**53 beside floats, sums beyond 64 bits, and divisions by zero."""
    big = {"i": 2**53 + 1, "f": 2.0**53, "u": 2**64 - 1, "zero": 0}

    assert (F.i > F.f).test(big)
    assert (F.i != F.f).test(big)
    assert (F.u + F.u == 2**65 - 2).test(big)
    assert (F.i / F.zero).is_null().test(big)
    assert (F.i % F.zero == 1).test(big) is False
    assert (F.f * 1e308 * 10 == float("inf")).test(big)
    assert (F.u * 10**400 > 1.0).test(big)
    assert (F.u * 10**400 * 1.0 == float("inf")).test(big)
    assert (-7 % (F.zero + 3) == 2).test(big)


def test_times() -> None:
    """Differences are durations; a time with a zone is unlike one without, a date unlike both."""
    utc = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
    row = {
        "a": utc,
        "b": utc.astimezone(dt.timezone(dt.timedelta(hours=5))),
        "c": dt.date(2024, 1, 1),
    }
    row["end"] = dt.datetime.max  # type: ignore[assignment]

    assert (F.a == F.b).test(row)
    assert (F.a - F.b == dt.timedelta()).test(row)
    assert (F.a + dt.timedelta(hours=1) > utc).test(row)
    assert (F.end + dt.timedelta(days=1)).is_null().test(row)
    assert (F.c + dt.timedelta(days=1) == dt.date(2024, 1, 2)).test(row)
    for other in (dt.datetime(2024, 1, 1, 12), dt.date(2024, 1, 1)):
        assert [
            p.test(row) for p in (F.a == other, F.a != other, F.a < other, ~(F.a < other))
        ] == [*(False, True, False, False)]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Box:
    left: int
    colour: Colour = Colour.RED


@dataclass
class Picture:
    image: np.ndarray
    box: Box | None
    tags: set[str]
    name: str


def test_samples_of_all_types_are_asked() -> None:
    """Dataclasses with what is inside, `DictSample`s and dictionaries; an array has a shape."""
    picture = Picture(np.zeros((2, 3), np.uint8), Box(4), {"a", "b"}, "one")
    asked = (F.image.shape == (2, 3)) & (F.image.dtype == "uint8") & (F.box.left > 3)
    asked &= (F.box.colour == Colour.RED) & F.tags.contains("b") & ~F.image.is_null()

    assert asked.test(picture)
    assert asked(picture) is True
    assert asked.compile()(picture) is True
    assert not asked.test(Picture(picture.image, None, set(), ""))
    assert F.box.is_null().test(DictSample(a=1))
    assert (F.box.left == 4).test(DictSample(box={"left": 4}))
    with pytest.raises(NotPlainError, match=r"image.*\n.*\.shape"):
        (F.image > 3).test(picture)
    with pytest.raises(AttributeError):
        (F.tag == 1).test(picture)


def test_a_field_of_numpy_s_or_pandas_values() -> None:
    """Arrays of values for `isin`, and scalars, are read as what they hold."""
    assert F.x.isin(np.array([1, 2])) == F.x.isin([1, 2])
    assert F.x.isin(pd.Series(["a", "b"])) == F.x.isin(["a", "b"])
    assert F.x.isin(i for i in (1, 2, 1)) == F.x.isin({1: 0, 2: 0})
    assert (F.x > np.datetime64("2024-01-01T00:00:00", "ns")) == (F.x > dt.datetime(2024, 1, 1))
    assert (F.x > pd.Timestamp("2024-01-01", tz="UTC")) == (
        F.x > dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    )
    assert (F.x == Colour.RED) == (F.x == "red")
    for missing in (np.datetime64("NaT", "s"), pd.NaT):
        with pytest.raises(TypeError, match="is_null"):
            _ = F.x > missing


def test_a_predicate_is_a_function_of_a_frame_and_of_a_table() -> None:
    """A frame gives a Series with its index, a table an array; missing values are unknown."""
    frame = pd.DataFrame(
        {
            "x": [1.0, NAN, 3.0],
            "s": ["a", None, "c"],
            "box.left": [1, 2, 3],
            "mixed": [1, "a", None],
        },
        index=[5, 6, 7],
    )
    asked = (F.x != 1) & ~F.s.is_null()

    found = asked(frame)
    assert isinstance(found, pd.Series)
    assert found.dtype == bool
    assert found.to_dict() == {5: False, 6: False, 7: True}
    assert F.x.is_nan()(frame).tolist() == [False, True, False]
    assert (F.box.left >= 2).compile()(frame).tolist() == [False, True, True]
    assert (F.mixed == "a")(frame).tolist() == [False, True, False]
    assert frame[(F.x > 2)(frame)]["s"].tolist() == ["c"]
    assert (F.x > 2)(frame[:0]).tolist() == []

    table = pa.table({"x": [1, None, 3]})
    assert (F.x > 1)(table) == pa.array([False, False, True])
    assert table.filter((F.x > 1)(table)).to_pydict() == {"x": [3]}
    for data in (frame, table):
        with pytest.raises(KeyError, match="no column 'nothing'"):
            (F.nothing > 1)(data)


def test_compiling_keeps_a_predicate_as_it_is() -> None:
    """The same function each time, and still a value that is copied and pickled."""
    asked = (F.x > 1) & F.label.matches("^c")
    compiled = asked.compile()

    assert compiled is asked.compile()
    assert compiled({"x": 2, "label": "cat"}) is True
    for same in (pickle.loads(pickle.dumps(asked)), copy.deepcopy(asked), copy.copy(asked)):
        assert same == asked
        assert same.test({"x": 2, "label": "cat"})
    assert repr(pickle.loads(pickle.dumps(F.box.left))) == "F.box.left"


def test_fields_are_renamed_with_what_is_inside() -> None:
    """A name, a whole path, and the longest that is known."""
    asked = (F.image.shape == [2]) & (F.box.left > F.x) & F.y.isin([1]) & ~(F.z.is_null() | F.w)

    found = asked.renamed(
        {"image": "picture", "box.left": "l", "box": "b", "x": "y", "y": "x", "w": "v"}
    )

    assert found == (F.picture.shape == [2]) & (F.l > F.y) & F.x.isin([1]) & ~(F.z.is_null() | F.v)
    assert asked.renamed({}) == asked


def test_old_names_of_the_interface_hold() -> None:
    """Text of a predicate names the field and the operator."""
    assert isinstance(F.x, Field)
    assert "F.x" in repr((F.x > 1) | ~(F.y == 2))
    assert "|" in repr((F.x > 1) | ~(F.y == 2))
    assert "~" in repr((F.x > 1) | ~(F.y == 2))
