"""Samples, columns, SQL and statistics give the same answer to every question."""

import datetime as dt
from time import perf_counter
from typing import Any, cast

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.predicate.tables import KINDS, Rows, facts, leaves, predicates, rows, table

from atdata.predicate import F, FieldFacts, Predicate

NOON = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
SQL_KINDS = {name: kind for name, (kind, _, _) in KINDS.items()}


def by_row(predicate: Predicate, data: Rows) -> list[bool]:
    """The answers as samples give them."""
    n = len(data["i"])
    return [predicate.test_values(lambda path, i=i: data[path][i]) for i in range(n)]


def held(found: Any) -> dict[str, Any]:
    """The columns of a table by name."""
    return dict(zip(found.column_names, found.columns, strict=True))


@settings(max_examples=250, deadline=None)
@given(rows(), st.lists(predicates(), min_size=1, max_size=8))
def test_columns_answer_as_rows_do(data: Rows, asked: list[Predicate]) -> None:
    """The mask of a table is what each of its rows says."""
    columns = held(table(data))

    for one in asked:
        assert one.mask(columns).tolist() == by_row(one, data), repr(one)


@settings(max_examples=70, deadline=None)
@given(rows(), st.lists(predicates(), min_size=1, max_size=12))
def test_sql_answers_as_rows_do(data: Rows, asked: list[Predicate]) -> None:
    """DuckDB selects the same rows, wherever there is an exact form."""
    with duckdb.connect() as database:
        database.register("columns", table(data))
        for one in asked:
            try:
                query = f"select coalesce({one.to_sql(SQL_KINDS)}, false) from columns"
            except ValueError as error:
                assert "exact form" in str(error)
                continue
            try:
                found = [row[0] for row in database.execute(query).fetchall()]
            except duckdb.InvalidInputException as error:
                assert "cannot be divided exactly" in str(error)
                continue
            assert found == by_row(one, data), f"{one!r}\n{query}"


@settings(max_examples=200, deadline=None)
@given(st.data(), rows(), st.lists(predicates(), min_size=1, max_size=6))
def test_statistics_never_contradict_rows(
    data: st.DataObject, there: Rows, asked: list[Predicate]
) -> None:
    """What is proven of all rows or of none holds for each of them."""
    known = data.draw(facts(there))

    for one in asked:
        found, answers = one.verdict(known), by_row(one, there)
        if found == "none":
            assert not any(answers), repr(one)
        elif found == "all":
            assert all(answers), repr(one)


@settings(max_examples=70, deadline=None)
@given(rows(), predicates(), predicates())
def test_opposites_follow_kleene(data: Rows, one: Predicate, other: Predicate) -> None:
    """Twice the opposite is the same; De Morgan's laws hold, unknown answers included."""
    both, either = ~(one & other), ~(one | other)

    assert by_row(~~one, data) == by_row(one, data)
    assert by_row(both, data) == by_row(~one | ~other, data)
    assert by_row(either, data) == by_row(~one & ~other, data)
    assert not any(a and b for a, b in zip(by_row(one, data), by_row(~one, data), strict=True))


@pytest.mark.parametrize("name", KINDS)
def test_a_column_of_nothing_but_none_is_unknown(name: str) -> None:
    """Also where its type says nothing, and in no rows at all."""
    for kind in (KINDS[name][1], pa.null()):
        for n in (0, 3):
            columns = {name: pa.nulls(n, kind)}
            asked = [F[name] == 1, F[name] != 1, ~(F[name] == "a"), F[name].isin(["a", 1, [1]])]
            for one in (*asked, F[name].contains("a"), F[name] > F[name], -F[name] != 3):
                assert not one.mask(columns).any(), repr(one)
            assert F[name].is_null().mask(columns).tolist() == [True] * n


@settings(max_examples=60, deadline=None)
@given(rows(most=8), leaves(), st.integers(0, 8), st.integers(0, 8))
def test_chunks_and_slices_are_read_as_they_are(
    data: Rows, one: Predicate, start: int, cut: int
) -> None:
    """A column may be in chunks, or a part of another."""
    whole = table(data)
    parts = pa.concat_tables([whole.slice(0, cut), whole.slice(cut)])
    expected = by_row(one, data)

    assert one.mask(held(parts)).tolist() == expected
    assert one.mask(held(whole.slice(start))).tolist() == expected[start:]


@pytest.mark.parametrize(
    ("kind", "values", "asked"),
    [
        (pa.int8(), [1, -2, None], F.x < 0),
        (pa.uint32(), [1, 2**32 - 1], F.x > 2**31),
        (pa.float32(), [0.1, None], F.x == 0.1),
        (pa.float16(), [1.0, 2.0], F.x >= 2),
        (pa.large_string(), ["a", None], F.x == "a"),
        (pa.string_view(), ["a", None], F.x.startswith("a")),
        (pa.dictionary(pa.int8(), pa.string()), ["a", "b", None], F.x.isin(["b"])),
        (pa.large_list(pa.string()), [["a"], []], F.x.contains("a")),
        (pa.list_(pa.int8(), 2), [[1, 2], [2, 3]], F.x == (1, 2)),
        (pa.list_(pa.int8()), [[1, 2], [2]], F.x != (1, 2**40)),
        (pa.list_(pa.uint32()), [[1, 2], [2], None], F.x.contains(2.0)),
        (pa.list_(pa.large_string()), [["a"], [None]], F.x.isin([["a"]])),
        (pa.timestamp("s", "Asia/Tokyo"), [NOON, None], F.x == NOON),
        (pa.timestamp("ns"), [NOON.replace(tzinfo=None)], F.x < dt.datetime(2025, 1, 1)),
        (pa.time32("s"), [dt.time(1), dt.time(2)], F.x > dt.time(1)),
        (pa.duration("ns"), [dt.timedelta(1), dt.timedelta(2)], F.x > dt.timedelta(1)),
        (pa.date64(), [dt.date(2024, 1, 1)], F.x == dt.date(2024, 1, 1)),
        (pa.decimal128(20, 0), [2**63, -1], F.x > 2**62),
    ],
)
def test_other_types_of_arrow_are_read(kind: Any, values: list[Any], asked: Predicate) -> None:
    """Narrow numbers, long texts and dictionaries are compared by what they hold."""
    column = pa.array(values, kind)
    plain = [int(v) if pa.types.is_decimal(kind) else v for v in column.to_pylist()]

    expected = [asked.test({"x": value}) for value in plain]

    assert asked.mask({"x": column}).tolist() == expected
    assert True in expected or kind == pa.float32()


def test_chunks_of_dictionaries_need_not_agree() -> None:
    """Each row group of a file may have a dictionary of its own."""
    chunks = [pa.array(["a", "b"]).dictionary_encode(), pa.array(["c", "b"]).dictionary_encode()]

    found = (F.x == "b").mask({"x": pa.chunked_array(chunks)})

    assert found.tolist() == [False, True, False, True]
    assert (F.x == "b").mask({"x": pa.chunked_array([], pa.string())}).tolist() == []


def test_many_values_are_searched_and_not_tried_in_turn() -> None:
    """A list of a hundred thousand values is asked of many shards in little time."""
    many = F.x.isin(range(0, 200_000, 2))
    known = [{"x": FieldFacts(n=9, low=10 * i + 1, high=10 * i + 1 + i % 2)} for i in range(2000)]
    many.verdict(known[0])
    start = perf_counter()

    found = [many.verdict(one) for one in known]

    assert perf_counter() - start < 2
    assert found == ["some" if i % 2 else "none" for i in range(2000)]


@pytest.mark.parametrize(
    ("asked", "facts", "answer"),
    [
        (F.x > 3, {"low": 0, "high": 3}, "none"),
        (F.x > 3, {"low": 4, "high": 9}, "all"),
        (F.x > 3, {"low": 4, "high": 9, "nulls": 1}, "some"),
        (F.x > 3, {"low": 4.0, "high": 9.0, "nans": 1}, "some"),
        (F.x != 3, {"low": 4.0, "high": 9.0, "nans": 1}, "all"),
        (F.x != 3, {"low": 3, "high": 3}, "none"),
        (F.x > 2.0**53, {"low": 2**53 + 1, "high": 2**53 + 1}, "all"),
        (F.x == 2.0**53, {"low": 2**53 + 1, "high": 2**53 + 2}, "none"),
        (F.x == None, {"nulls": 0}, "none"),  # noqa: E711
        (F.x == None, {"nulls": 10}, "all"),  # noqa: E711
        (F.x != None, {"nulls": 0}, "all"),  # noqa: E711
        (F.x > 3, {"nulls": 10}, "none"),
        (F.x.is_nan(), {"nans": 0, "low": 0.0, "high": 1.0}, "none"),
        (F.x.is_nan(), {"nans": 10}, "all"),
        (F.x == "b", {"low": "a", "high": "c", "values": frozenset(("a", "c"))}, "none"),
        (F.x == "b", {"low": "a", "high": "c", "bloom": lambda value: value != "b"}, "none"),
        (F.x.isin(["b", "d"]), {"low": "a", "high": "c", "bloom": lambda _: False}, "none"),
        (F.x.isin(["a", "b"]), {"values": frozenset(("a", "b"))}, "all"),
        (~F.x.isin(["d"]), {"low": "a", "high": "c"}, "all"),
        (F.x.startswith("b"), {"low": "ba", "high": "bz"}, "all"),
        (F.x.startswith("b"), {"low": "ca", "high": "cz"}, "none"),
        (F.x.startswith("b"), {"low": "a", "high": "c"}, "some"),
        (F.x.contains("a"), {"is_list": True, "values": frozenset(("b",))}, "none"),
        (F.x.contains("a"), {"is_list": True, "low": "b", "high": "c"}, "none"),
        (F.x.contains("a"), {"is_list": True, "low": "a", "high": "a"}, "some"),
        (F.x.between(1, 2), {"low": 3, "high": 4}, "none"),
        (F.x.between(1, 5), {"low": 3, "high": 4}, "all"),
        (F.x + 1 > 5, {"low": 0, "high": 4}, "none"),
        (-2 * F.x < 0, {"low": 1, "high": 4}, "all"),
        (F.x == "a", {"low": 0, "high": 4}, "none"),
        (F.x != "a", {"low": 0, "high": 4}, "all"),
        (F.x.is_true(), {"low": False, "high": False}, "none"),
        (F.x.is_true(), {"values": frozenset((True,))}, "all"),
        ((F.x > 3) & (F.y > 3), {"low": 0, "high": 3}, "none"),
        ((F.x > 3) | (F.y > 3), {"low": 4, "high": 9}, "all"),
        ((F.x > 3) | (F.y > 3), {"low": 0, "high": 3}, "some"),
        (F.y > 3, {"low": 4, "high": 9}, "some"),
        (F.x > 3, {"n": 0}, "none"),
    ],
)
def test_what_statistics_prove(asked: Predicate, facts: dict[str, Any], answer: str) -> None:
    """Shards are left out, or taken whole, wherever that is certain."""
    assert asked.verdict({"x": FieldFacts(**cast("Any", {"n": 10, **facts}))}) == answer


def test_sql_without_kinds_takes_fields_as_they_are_compared() -> None:
    """Constants tell what a field holds; comparing fields needs to know it."""
    asked = (F.x > 0.5) & F.label.isin(["a", "it's"]) & ~F.tags.contains("b")

    assert asked.to_sql() == (
        """((("x" > '0.5'::DOUBLE) AND NOT isnan("x")) AND ("label" IN ('a', 'it''s'))"""
        """ AND (NOT contains("tags", 'b')))"""
    )
    assert F['a"b; drop'].is_null().to_sql() == '("a""b; drop" IS NULL)'
    for unclear in (F.x > F.y, F.x + 1 > 2, F.x > 2**53 + 1, F.x.isin([1, "a"])):
        with pytest.raises(ValueError, match="to_sql"):
            unclear.to_sql()
    assert (F.x > F.y).to_sql({"x": "int", "y": "int"}) == '("x"::HUGEINT > "y"::HUGEINT)'
