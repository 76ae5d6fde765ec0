"""What users see of predicates: `assert_type` holds at run time and for both checkers."""
# pyright: reportUnnecessaryTypeIgnoreComment=true

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, assert_type, cast

import pytest

from atdata.predicate import F, Field, Fields, Predicate, col, fields_of, parse, predicate_of


@dataclass
class Point:
    score: float
    label: str
    n: int
    flag: bool
    at: dt.datetime
    tags: list[str]
    name: str | None = None


def typed() -> Point:
    """The fields as a dataset declares them: to a checker each is what a sample holds."""
    return cast("Point", fields_of(Point))


def test_fields_of_any_name_make_predicates() -> None:
    """By operators, methods and text."""
    assert_type(F.score, Field[Any])
    assert_type(F["a b"].c, Field[Any])
    assert_type(2 * F.n + 1, Field[Any])
    assert_type(-F.n, Field[Any])
    for one in (
        assert_type(F.score > 0.9, Predicate),
        assert_type(F.a == F.b, Predicate),
        assert_type(F.a != 1, Predicate),
        assert_type(F.flag & (F.n > 1), Predicate),
        assert_type((F.n > 1) | F.flag.is_true(), Predicate),
        assert_type(~F.flag, Predicate),
        assert_type(F.n.isin([1]), Predicate),
        assert_type(parse("n > 1"), Predicate),
        assert_type(predicate_of(F.flag), Predicate),
    ):
        assert isinstance(one, Predicate)
    assert_type(fields_of(Point), Fields)
    assert_type((F.n > 1).test({"n": 2}), bool)
    assert_type((F.n > 1).verdict({}), Literal["none", "some", "all"])
    assert_type((F.n > 1).conjuncts(), tuple[Predicate, ...])


def test_fields_of_a_type_are_checked_by_their_annotations() -> None:
    """A comparison is what the annotation says, and `col` gives the methods with the type."""
    Q = typed()

    assert_type(Q.score > 0.9, bool)
    assert_type(Q.label == "cat", bool)
    assert_type(col(Q.label), Field[str])
    assert_type(col(Q.n).isin([1, 2]), Predicate)
    assert_type(col(Q.at) > dt.datetime(2024, 1, 1), Predicate)
    assert_type(col(Q.score) * 2 > 1, Predicate)
    assert_type(col(Q.name).isin(["a"]), Predicate)
    assert predicate_of(Q.score > 0.9) == (F.score > 0.9)


def test_what_does_not_fit_is_refused_by_checkers() -> None:
    """A checker that let one of these pass would find the comment unused."""
    Q = typed()
    wrong: list[Callable[[], object]] = [
        lambda: Q.scoer > 0.9,  # type: ignore[attr-defined]
        lambda: Q.label > 3,  # type: ignore[operator]
        lambda: col(Q.label).isin([1]),  # type: ignore[list-item]
        lambda: col(Q.n) > "a",  # type: ignore[operator]
        lambda: col(Q.n).between("a", 3),  # type: ignore[arg-type]
        lambda: (F.n > 1).verdict(3),  # type: ignore[arg-type]
        lambda: not F.flag,  # pyright: ignore
    ]

    assert len(wrong) == 7
    with pytest.raises(AttributeError, match="closest: score"):
        wrong[0]()
