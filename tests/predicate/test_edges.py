"""Where answers were near to being wrong: huge numbers, odd columns, long texts, odd samples."""

import datetime as dt
import math
import sys
from time import perf_counter
from typing import Any

import pyarrow as pa
import pytest

from atdata import DictSample
from atdata._exceptions import PredicateSyntaxError, UnknownFieldError
from atdata.predicate import F, FieldFacts, NotPlainError, Predicate, get_path, parse

HUGE = 10**400


@pytest.mark.parametrize(
    ("asked", "values"),
    [
        ((F.x * HUGE).is_nan(), [-1.0, 0.0, 1.0]),
        (F.x * HUGE <= math.inf, [-1.0, 0.0, 1.0]),
        (HUGE * F.x > -math.inf, [0.0, 1.0]),
        (F.x - HUGE == -math.inf, [0.0, 1.0]),
        ((F.x + HUGE) - HUGE == 0, [0.0, 1.0]),
        ((F.x * HUGE) * 0.5 > 1, [0, 1]),
        (F.x * HUGE > 0, [0, 1]),
        ((F.x * 1e308) * 10 - HUGE < 0, [-1.0, 1.0]),
    ],
)
def test_numbers_that_no_float_holds_prove_nothing_wrong(
    asked: Predicate, values: list[float]
) -> None:
    """An integer beyond all floats is infinite beside a float, and 0.0 times it is NaN."""
    answers = [asked.test({"x": value}) for value in values]
    known = {"x": FieldFacts(n=len(values), low=min(values), high=max(values))}

    found = asked.verdict(known)

    assert found != "none" or not any(answers)
    assert found != "all" or all(answers)
    assert asked.mask({"x": pa.array(values)}).tolist() == answers


def test_huge_integers_still_prove_what_is_certain() -> None:
    """Beside integers they are exact."""
    known = {"x": FieldFacts(n=2, low=1, high=9)}

    assert (F.x * 2**60 > 2**62).verdict(known) == "some"
    assert (F.x * 2**60 < 0).verdict(known) == "none"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("t = timestamp '2020-01-01T00:00:00.1234567'", 4),
        ("t = timestamp '2020-01-01T00:00:00,0000001+01:00'", 4),
        ("t = timestamp '2020-01-01T00:00:00+01:00:00.1234567'", 4),
        ("t = time '00:00:00.1234567'", 4),
        ("t = duration '0.1234567'", 4),
        ("a > 1e99999", 4),
        ("a > 1 and b in (1, 1e309)", 19),
        ("a > 1e-99999", 4),
    ],
)
def test_a_value_that_would_change_is_refused(text: str, at: int) -> None:
    """Digits beyond microseconds, and floats that are too large or too small to be one."""
    with pytest.raises(PredicateSyntaxError) as caught:
        parse(text)

    assert caught.value.at == at
    assert str(caught.value).splitlines()[-1] == " " * (at + 2) + "^"


def test_a_value_that_does_not_change_is_read() -> None:
    """Zeros beyond microseconds, zero in any form, and the ends of what a float holds."""
    at = dt.datetime(2020, 1, 1, microsecond=120_000)

    assert parse("t = timestamp '2020-01-01T00:00:00.120000000'") == (F.t == at)
    assert parse("a > 0e99999 or a > 0.0e-9999") == (F.a > 0.0) | (F.a > 0.0)
    assert parse("a > 1.7976931348623157e308") == (F.a > sys.float_info.max)
    assert parse("a > 5e-324") == (F.a > 5e-324)


@pytest.mark.parametrize("value", [{"float": "1e999"}, {"float": "1e-999"}, math.inf])
def test_json_is_as_strict(value: Any) -> None:
    """What a JSON reader makes of `1e999` is no value of a question either."""
    with pytest.raises(PredicateSyntaxError, match=r"\$\.right"):
        Predicate.from_json({"op": ">", "left": {"field": "a"}, "right": value})


def test_integers_in_decimal_lists_are_integers() -> None:
    """Where integers of both signs are beyond 64 bits, Arrow holds them as decimals."""
    values = [[2**64 - 1, -1], [3, None], None, [], [-(2**63)]]
    nested = pa.list_(pa.decimal128(20, 0))

    for kind in (nested, pa.large_list(pa.decimal128(20, 0))):
        column = pa.array(values, kind)
        for asked in (
            *(F.v.contains(3), F.v.contains(2**64 - 1), F.v == [3, None], F.v != [3, None]),
            *(F.v.isin([[], [3, None]]), F.v == F.v, F.v.is_null(), F.v.contains(3.0)),
        ):
            expected = [asked.test({"v": one}) for one in values]
            assert asked.mask({"v": column}).tolist() == expected, repr(asked)
            assert True in expected
    with pytest.raises(NotPlainError, match="Decimal"):
        F.v.contains(3).mask({"v": pa.array([[3]], pa.list_(pa.decimal128(5, 2)))})


NULL_OVER_ITEMS = pa.ListArray.from_arrays(
    pa.array([0, 2, 4, 5], pa.int32()),
    pa.array([1, 2, 2, 9, 2]),
    mask=pa.array([False, True, False]),
)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1, 2], None, [2, 3], None, [3, 1]], pa.list_(pa.int64(), 2)),
        NULL_OVER_ITEMS,
        NULL_OVER_ITEMS.slice(1),
        pa.chunked_array([NULL_OVER_ITEMS, NULL_OVER_ITEMS.slice(2)]),
        pa.array([[1, 2], None, [2]], pa.list_view(pa.int8())),
    ],
)
def test_a_null_list_may_hide_items(column: Any) -> None:
    """Arrow may keep items beneath a list that is null; nobody sees them."""
    for asked in (F.v.contains(2), F.v.contains(1), F.v.contains(9), ~F.v.contains(3), F.v == [2]):
        expected = [asked.test({"v": one}) for one in column.to_pylist()]

        assert asked.mask({"v": column}).tolist() == expected, repr(asked)


FINE = [
    (pa.timestamp("ns"), F.t > dt.datetime(1970, 1, 1)),
    (pa.timestamp("ns", "UTC"), F.t > dt.datetime(1970, 1, 1, tzinfo=dt.UTC)),
    (pa.time64("ns"), F.t > dt.time()),
    (pa.duration("ns"), F.t > dt.timedelta()),
    (pa.list_(pa.time64("ns")), F.t.contains(dt.time())),
    (pa.list_(pa.timestamp("ns")), F.t == F.t),
]


@pytest.mark.parametrize(("kind", "asked"), FINE)
def test_times_finer_than_microseconds_are_not_plain(kind: Any, asked: Predicate) -> None:
    """They are refused, and never rounded; those that are whole are asked, and null is null."""
    inner = kind.value_type if pa.types.is_list(kind) else kind

    def column(*values: int | None) -> Any:
        items = pa.array(values, pa.int64()).cast(inner)
        if inner is kind:
            return items
        offsets = pa.array(range(len(values) + 1), pa.int32())
        return pa.ListArray.from_arrays(offsets, items, kind)

    with pytest.raises(NotPlainError, match="'t'.*\n?.*microseconds"):
        asked.mask({"t": column(1000, 2001)})
    assert asked.mask({"t": column(0, 2000)}).any()
    assert F.t.is_null().mask({"t": column(1000, 2001)}).tolist() == [False, False]
    assert asked.mask({"t": column(0, 2001, 1000).slice(2)}).tolist() in ([True], [False])


@pytest.mark.parametrize(
    "unit", ["a and ", "a or ", "a & ", "a & a and ", "a | a or ", "a and a or ", "(a) and "]
)
def test_long_texts_take_linear_time(unit: str) -> None:
    """A text as long as may be is refused in little time, whatever it is made of."""
    start = perf_counter()

    with pytest.raises(PredicateSyntaxError, match="parts"):
        parse((unit * 200_000)[: 1 << 20])

    assert perf_counter() - start < 2


def test_signs_and_words_join_alike() -> None:
    """`&` is `and`, and `|` is `or`, also beside each other."""
    assert parse("a & b and c & d") == F.a & F.b & F.c & F.d
    assert parse("a | b or c & d and e") == F.a | F.b | (F.c & F.d & F.e)


class Box:
    """A class with fields that is no dataclass."""

    left = 1


@pytest.mark.parametrize(
    ("sample", "path", "says"),
    [
        (DictSample(name="cat"), "name.shape", "a str at 'name'"),
        (DictSample(name="cat"), "name.dtype", "a str at 'name'"),
        ({"box": {"size": 3}}, "box.size.left", "an int at 'box.size'"),
        (DictSample(box=Box()), "box.right", "a Box at 'box'"),
    ],
)
def test_what_a_value_does_not_have_is_named(sample: Any, path: str, says: str) -> None:
    """The error names the path that was asked for, and the type that has no such part."""
    for ask in (lambda: get_path(sample, path), lambda: F[path].contains("a").test(sample)):
        with pytest.raises(UnknownFieldError) as caught:
            ask()
        assert isinstance(caught.value, AttributeError)
        assert caught.value.field == path
        assert says in str(caught.value)
    assert get_path(DictSample(box=Box()), "box.left") == 1
