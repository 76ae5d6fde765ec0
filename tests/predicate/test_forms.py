"""Text, JSON, Python source and pickles: each form of a predicate makes it again."""

import datetime
import json
import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.predicate.tables import predicates

from atdata._exceptions import PredicateSyntaxError
from atdata.predicate import F, Predicate, parse

NAMES = [
    "x",
    "a.b",
    "and",
    "in.is",
    "A",
    "é",
    "a b",
    'q"u',
    "isin",
    "a.isin",
    "1x",
    "_x",
    "\0",
    "x.contains",
]
WORDS = ["None", "true", "nan", "date", "timestamp", "contains", "'", "x\n", "class", "Inf"]


def strange() -> st.SearchStrategy[Predicate]:
    """Questions whose names and values need care in writing."""
    names = st.sampled_from(NAMES + WORDS) | st.text(min_size=1).filter(
        lambda t: all(t.split(".")) and t.isprintable()
    )
    values = (
        st.integers()
        | st.floats(allow_nan=False)
        | st.text()
        | st.booleans()
        | st.binary(max_size=4)
        | st.datetimes()
        | st.datetimes(timezones=st.just(datetime.UTC))
        | st.dates()
        | st.times()
        | st.timedeltas()
        | st.lists(st.none() | st.integers() | st.text(max_size=2), max_size=3)
    )
    field = names.map(lambda name: F[name])
    return st.one_of(
        st.tuples(field, values).map(lambda t: t[0] == t[1]),
        st.tuples(field, st.lists(values, max_size=4)).map(lambda t: t[0].isin(t[1])),
        st.tuples(field, values, field).map(lambda t: t[0].between(t[1], t[2])),
        st.tuples(field, values).map(lambda t: t[0].contains(t[1])),
        st.tuples(field, st.text()).map(lambda t: t[0].startswith(t[1])),
        st.tuples(field, field, field).map(lambda t: t[0] - (t[1] - t[2]) > (-t[0] % -t[1]) * 2),
        st.tuples(field, st.integers()).map(lambda t: 3 / -t[0] <= t[1] - (t[1] - t[0])),
    )


@settings(max_examples=300, deadline=None)
@given(predicates(strange()) | predicates())
def test_every_form_makes_the_predicate_again(asked: Predicate) -> None:
    """Text, JSON through a strict reader, Python source and pickle."""
    written = msgspec.json.encode(asked.to_json())

    assert parse(str(asked)) == asked
    assert Predicate.from_json(asked.to_json()) == asked
    assert Predicate.from_json(msgspec.json.decode(written)) == asked
    assert Predicate.from_json(json.loads(json.dumps(asked.to_json(), allow_nan=False))) == asked
    assert eval(repr(asked), {"F": F, "datetime": datetime}) == asked
    assert pickle.loads(pickle.dumps(asked)) == asked


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (
            "score > 0.9 and label in ('cat', 'dog')",
            (F.score > 0.9) & F.label.isin(["cat", "dog"]),
        ),
        ("NOT (name IS NULL)", ~F.name.is_null()),
        ("name is not null or x is not nan", ~F.name.is_null() | ~F.x.is_nan()),
        ("tags contains 'a' or contains(tags, 'b')", F.tags.contains("a") | F.tags.contains("b")),
        ("x between 1 and 2 and y not between 3 and 4", F.x.between(1, 2) & ~F.y.between(3, 4)),
        (
            "startswith(name, 'x') and matches(name, '^x+$')",
            F.name.startswith("x") & F.name.matches("^x+$"),
        ),
        ("name not startswith 'x'", ~F.name.startswith("x")),
        ("x = 1 or x == 2 or x <> 3 or x != 4", (F.x == 1) | (F.x == 2) | (F.x != 3) | (F.x != 4)),
        ("(x > 1) & ~(y < 2) | flag", ((F.x > 1) & ~(F.y < 2)) | F.flag),
        ("not a and b or c", (~F.a & F.b) | F.c),
        ("1 < x", F.x > 1),
        ("x + 2 * y - 3 > -z", F.x + 2 * F.y - 3 > -F.z),
        ("(x + 2) * y > 1 + 2 * 3", (F.x + 2) * F.y > 7),
        ('"a b"."c""d" = \'it\'\'s\'', F['a b.c"d'] == "it's"),
        (
            "x > 1e3 and x < .5 and x = 1. and x > -1.5E-3",
            (F.x > 1e3) & (F.x < 0.5) & (F.x == 1.0) & (F.x > -1.5e-3),
        ),
        (
            "at >= timestamp '2024-01-31T12:00:00+02:00'",
            F.at >= datetime.datetime(2024, 1, 31, 10, tzinfo=datetime.UTC),
        ),
        (
            "date = date '2024-02-29' and time > time '12:30'",
            (F.date == datetime.date(2024, 2, 29)) & (F.time > datetime.time(12, 30)),
        ),
        ("x <= inf and x > -infinity", (F.x <= float("inf")) & (F.x > float("-inf"))),
        ("shape == [28, 28]", F.shape == [28, 28]),
        ("x in [1, 2] and y in ()", F.x.isin([1, 2]) & F.y.isin([])),
        ("x = true and y is none", (F.x == True) & F.y.is_null()),  # noqa: E712
        ("x = 123456789012345678901234567890", F.x == 123456789012345678901234567890),
    ],
)
def test_text_is_read_as_sql_and_python_write_it(text: str, asked: Predicate) -> None:
    """The words in any case, and what both languages have for the same."""
    assert parse(text) == asked


@pytest.mark.parametrize(
    ("text", "at", "says"),
    [
        ("", 0, "a value is wanted, not the end"),
        ("x >", 3, "a value is wanted"),
        ("x > 1 y", 6, "`and` or `or` is wanted"),
        ("0.4 < x < 0.6", 8, "between"),
        ("x = nan", 4, "is nan"),
        ("x = null", 4, "is null"),
        ("x in (1, null)", 2, "is_null"),
        ("x in (y)", 6, "values are wanted"),
        ("x in 'abc'", 5, "'(' is wanted"),
        ("name = 'abc", 7, "has no end"),
        ('"abc = 1', 0, "has no end"),
        ("x = 12abc", 4, "no number"),
        ("x ; drop table y", 2, "no meaning"),
        ("__import__('os') > 1", 10, "is wanted"),
        ("os.system('x').y", 9, "is wanted"),
        ("x.__class__('a')", 11, "is wanted"),
        ("lambda: 1", 6, "no meaning"),
        ("1 < 2", 2, "one must be a field"),
        ("true", 0, "a condition is wanted"),
        ("(x > 1) + 2 > 3", 0, "this is a condition"),
        ("x > (y > 2)", 4, "this is a condition"),
        ("x matches '(?=a)'", 2, "RE2"),
        ("x matches y", 2, "single quotes"),
        ("at > timestamp 'now'", 5, "2024-01-31"),
        ("at > epoch '0'", 5, "timestamp"),
        ("x = 1/0", 5, "None"),
        ("x > 1" + "0" * 2000, 4, "digits"),
        ("(" * 100_000, 200, "deep"),
        ("not " * 100_000 + "x", 800, "deep"),
        ("-" * 100_000 + "x > 1", 200, "deep"),
        ("x" + " + x" * 10_000 + " > 1", 5, "nested"),
        ("is null", 0, '"is"'),
        ("x > 1e", 4, "no number"),
        ("x ==== 1", 4, "a value is wanted"),
    ],
)
def test_what_cannot_be_read_is_shown_in_its_place(text: str, at: int, says: str) -> None:
    """The error has a caret under the place, and says what may stand there."""
    with pytest.raises(PredicateSyntaxError) as caught:
        parse(text)

    assert says in str(caught.value)
    assert caught.value.at == at or "nested" in says
    assert str(caught.value).splitlines()[-1].strip() == "^"
    assert len(str(caught.value)) < 3000


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "x",
                "y.z",
                "(",
                ")",
                "[",
                "]",
                ",",
                "+",
                "-",
                "*",
                "/",
                "%",
                "<",
                "=",
                "!=",
                "and",
                "or",
                "not",
                "in",
                "is",
                "null",
                "nan",
                "'a'",
                "1",
                "2.5",
                "between",
                "contains",
                "matches",
                "~",
                "&",
                "|",
                '"',
                "'",
                "true",
            ]
        )
    ).map(" ".join)
    | st.text()
)
def test_any_text_is_read_or_refused(text: str) -> None:
    """With the one error there is for it; what is read is written and read again."""
    try:
        found = parse(text)
    except PredicateSyntaxError:
        return

    assert parse(str(found)) == found


def test_a_text_is_bounded() -> None:
    """A megabyte is enough, and is read or refused at once."""
    with pytest.raises(PredicateSyntaxError, match="characters"):
        parse("x" * (1 << 20) + "y")
    with pytest.raises(PredicateSyntaxError):
        parse("'" * ((1 << 20) - 1))
    with pytest.raises(PredicateSyntaxError, match="parts"):
        parse(" or ".join(["x"] * 30_000))
    assert len(parse(f"x in ({', '.join(map(str, range(30_000)))})").node.values.value) == 30_000  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (None, "$"),
        ([], "$"),
        ({"op": "eval", "left": 1, "right": 2}, "$"),
        ({"op": ["x"]}, "$"),
        ({"op": "=="}, "$"),
        ({"op": "==", "left": {"field": "x"}, "right": 1, "more": 1}, "$"),
        ({"op": "==", "left": {"field": 3}, "right": 1}, "$.left"),
        ({"op": "==", "left": {"field": "a..b"}, "right": 1}, "$.left"),
        ({"op": "==", "left": {"field": "x"}, "right": {"pickle": "x"}}, "$.right"),
        ({"op": "==", "left": {"field": "x"}, "right": {"date": "tomorrow"}}, "$.right"),
        ({"op": "==", "left": {"field": "x"}, "right": {"int": "1e5"}}, "$.right"),
        ({"op": "==", "left": {"field": "x"}, "right": {"float": "nan"}}, "$.right"),
        ({"op": "==", "left": {"field": "x"}, "right": None}, "$.right"),
        ({"op": "==", "left": 1, "right": 1}, "$"),
        ({"op": "and", "all": [{"field": "x"}]}, "$.all[0]"),
        ({"op": "and", "all": []}, "$"),
        ({"op": "and", "all": {"a": 1}}, "$.all"),
        ({"op": "in", "of": {"field": "x"}, "values": "abc"}, "$.values"),
        ({"op": "in", "of": {"field": "x"}, "values": [None]}, "$"),
        ({"op": "in", "of": {"field": "x"}, "values": [{"list": [{"list": []}]}]}, "$"),
        ({"op": "matches", "of": {"field": "x"}, "pattern": "(?<=x)"}, "$"),
        ({"op": "matches", "of": {"field": "x"}, "pattern": 3}, "$"),
        ({"op": "startswith", "of": "x", "prefix": "x"}, "$.of"),
        ({"op": "is_null", "of": {"op": "is_null", "of": {"field": "x"}}}, "$.of"),
    ],
)
def test_json_of_another_shape_is_refused_in_its_place(data: Any, place: str) -> None:
    """The error has the path of what is wrong."""
    with pytest.raises(PredicateSyntaxError) as caught:
        Predicate.from_json(data)

    assert str(caught.value).endswith(f"at {place}")


def test_deep_and_large_json_is_refused() -> None:
    """Neither is walked to its end."""
    deep: Any = {"op": "is_null", "of": {"field": "x"}}
    for _ in range(30_000):
        deep = {"op": "not", "of": deep}
    wide = {"op": "or", "any": [{"op": "is_null", "of": {"field": "x"}}] * 100_000}

    for data in (deep, wide):
        with pytest.raises(PredicateSyntaxError, match="nested"):
            Predicate.from_json(data)
    while isinstance(deep, dict):  # freed piece by piece: Python would free it in one recursion
        deep = deep.pop("of", None)
