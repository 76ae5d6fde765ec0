"""`fields_of` and `check`: what sample types say of fields and comparisons."""

import datetime as dt
import pickle
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

import atdata
from atdata import DictSample, Shape
from atdata._exceptions import PredicateSyntaxError, UnknownFieldError
from atdata.predicate import F, Predicate, check, fields_of, parse

Label = NewType("Label", int)


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


class Level(IntEnum):
    LOW = 1


@dataclass
class Box:
    left: int
    right: float


@atdata.packable
class Picture:
    image: Annotated[NDArray[np.uint8], Shape(8, 8)]
    label: int
    score: float
    name: str | None
    flag: bool
    at: dt.datetime
    day: dt.date
    lasts: dt.timedelta
    box: Box
    maybe: Box | None
    tags: list[str]
    sizes: set[int]
    either: int | str
    size: Size
    level: Level
    mode: Literal["train", "test"]
    anything: Any
    more: dict[str, int]
    raw: bytes
    id: UUID
    narrow: np.float32
    kind: Label
    mask: NDArray[np.bool_] | None
    pair: tuple[int, str] = (1, "a")
    isin: int = 0
    path: Path = field(default=Path())


Q = fields_of(Picture)


def test_fields_are_those_of_the_type() -> None:
    """Attributes and brackets, what is inside them, and the names for completion."""
    assert repr(Q).startswith("PictureFields(image, label, score, name")
    assert {"label", "box"} <= set(dir(Q))
    assert {"left", "right", "isin"} <= set(dir(Q.box))
    assert {"shape", "dtype"} <= set(dir(Q.image))
    assert (Q.label > 3) == (F.label > 3)
    assert (Q.isin == 3) == (F.isin == 3)
    assert (Q["box.left"] == 3) == (Q.box.left == 3) == (F.box.left == 3)
    assert (Q.maybe.left > Q.image.shape).fields == {"maybe.left", "image.shape"}
    assert (Q.anything.what.ever == Q.more["some key"]).fields == {
        "anything.what.ever",
        "more.some key",
    }


@pytest.mark.parametrize(
    ("ask", "closest"),
    [
        (lambda: Q.scoer, "closest: score"),
        (lambda: Q.box.lft, "closest: box.left"),
        (lambda: Q.image.shap, "closest: image.shape"),
        (lambda: Q.label.x, "Fields there are: none"),
        (lambda: Q["maybe.rigth"], "closest: maybe.right"),
        (lambda: Q._label, "Fields there are: image"),
    ],
)
def test_an_unknown_field_names_the_closest(ask: Any, closest: str) -> None:
    """At run time too, as an `AttributeError`."""
    with pytest.raises(AttributeError) as caught:
        ask()

    assert closest in str(caught.value)
    assert not hasattr(Q, "scoer")


def test_types_that_are_none_have_no_fields() -> None:
    """A class that is no sample type is refused; a `DictSample` may have any field."""
    for wrong in (int, list[int], type("Plain", (), {}), 3):
        with pytest.raises(TypeError, match=r"no sample type\n.*@atdata.packable"):
            fields_of(wrong)
    free = fields_of(DictSample)
    assert (free.any_name.at_all > 1) == (F.any_name.at_all > 1)
    assert repr(free) == "DictSampleFields(...)"
    with pytest.raises(AttributeError):
        free.__name__


def test_fields_of_generic_types_are_known() -> None:
    """Type arguments stand in place of the parameters."""

    @dataclass
    class Pair[T]:
        one: T
        rest: list[T]

    check(fields_of(Pair[str]).one.startswith("a"), Pair[str])
    with pytest.raises(TypeError, match="F.one is declared as str"):
        check(F.one > 3, Pair[str])
    check(F.one > 3, Pair)


@pytest.mark.parametrize(
    "asked",
    [
        (Q.label > 3) & (Q.score <= 1) & (Q.label == 2.5) & (Q.flag == 1),
        (Q.name == "a") & Q.name.is_null() & Q.name.startswith("a") & Q.name.matches("b"),
        Q.flag & ~Q.flag & (Q.flag | (Q.label > 1)),
        Q.at > dt.datetime(2024, 1, 1),
        (Q.at - dt.timedelta(1) < Q.at) & (Q.at - Q.at > Q.lasts) & (-Q.lasts < Q.lasts),
        (Q.day == dt.date(2024, 1, 1)) & (Q.at > dt.datetime(2024, 1, 1, tzinfo=dt.UTC)),
        (Q.box.left > Q.box.right) & (Q.maybe.left + 1 > 2 * Q.score) & Q.maybe.is_null(),
        Q.tags.contains("a") & Q.sizes.contains(3) & Q.sizes.contains(2.0) & (Q.tags == ["a"]),
        (Q.either == 1) & (Q.either == "a") & Q.either.startswith("a") & (Q.either > 2),
        (Q.size == "s") & (Q.size == Size.LARGE) & (Q.level > 0) & (Q.mode == "train"),
        (Q.anything > 3) & Q.anything.contains(1) & (Q.anything.deep.er == "x") & (Q.more.a > "x"),
        (Q.image.shape == (8, 8)) & (Q.image.dtype == "uint8") & Q.image.shape.contains(8),
        Q.image.is_null() | Q.mask.is_null() | (Q.mask.shape == [1]),
        (Q.narrow > 0.5) & Q.narrow.is_nan() & (Q.kind == 3) & (Q.raw == b"x"),
        Q.id.isin([UUID(int=1)]) & (Q.path == "x") & Q.pair.contains("a") & Q.label.isin([1, 2]),
        Q.label.isin([]) & (Q.score / Q.label > Q.flag * 2) & (Q.label % 2 == 0),
    ],
)
def test_what_may_hold_passes(asked: Predicate) -> None:
    """Of every type, as its values are compared; what cannot be judged passes."""
    check(asked, Picture)
    check(asked, DictSample)


@pytest.mark.parametrize(
    ("asked", "facts"),
    [
        (F.name > 3, ["F.name > 3", "str | None", "int"]),
        (F.name == 3, ["F.name is declared as str | None", "3 is int"]),
        (F.label == "x", ["F.label is declared as int", "'x' is str"]),
        (F.flag > "x", ["F.flag is declared as bool"]),
        (F.label.contains(3), ["F.label is declared as int", "str, list"]),
        (F.tags.contains(3), ["F.tags is declared as list[str]", "3 is int"]),
        (F.tags > ["a"], ["F.tags is declared as list[str]"]),
        (F.tags == "a", ["'a' is str"]),
        (F.label.startswith("x"), ["F.label is declared as int", "str"]),
        (F.label.matches("x"), ["F.label is declared as int"]),
        (F.label.is_nan(), ["F.label is declared as int", "float"]),
        (F.name.is_true(), ["F.name is declared as str | None", "bool"]),
        (~F.label.is_true(), ["bool"]),
        (F.at == dt.date(2024, 1, 1), ["datetime", "date"]),
        (F.day < dt.datetime(2024, 1, 1), ["F.day is declared as date"]),
        (F.image > 3, [".shape"]),
        (F.image == [1], [".shape"]),
        (F.box == 3, ["its fields"]),
        (F.more == 3, ["dict[str, int]"]),
        (F.mode == 3, ["Literal['train', 'test']", "3 is int"]),
        (F.size > 3, ["Size"]),
        (F.size == "SMALL", ["Size", "('s', 'l')"]),
        (F.mode.isin(["train", "tset"]), ["Literal['train', 'test']"]),
        (F.name + 1 > 3, ["F.name + 1", "str | None"]),
        (F.at * 2 > 3, ["datetime"]),
        (F.at + 2 > F.at, ["datetime", "2 is int"]),
        (-F.name == 2, ["str | None"]),
        (F.label > F.name, ["F.label is declared as int", "F.name is declared as str | None"]),
        (F.label.isin([1, "x"]), ["'x' is str"]),
        (F.name.between("a", 3), ["3 is int"]),
        (F.raw > 3, ["bytes"]),
        (F.image.shape == 3, ["F.image.shape"]),
        (F.image.dtype == np.uint8(3), ["F.image.dtype is declared as str"]),
        ((F.label > 1) & ~((F.label > 2) | (F.name > 3)), ["F.name > 3"]),
    ],
)
def test_what_can_never_hold_is_refused(asked: Predicate, facts: list[str]) -> None:
    """The error names the field, how it is declared, and the value."""
    with pytest.raises(TypeError) as caught:
        check(asked, Picture)

    assert [fact for fact in facts if fact not in str(caught.value)] == []


def test_unknown_fields_are_refused() -> None:
    """Wherever they stand, with their path and the closest."""
    for asked in (
        F.lable > 1,
        F.label > F.lable,
        ~(F.lable.is_null() & F.flag),
        F.score * F.lable > 1,
    ):
        with pytest.raises(UnknownFieldError) as caught:
            check(asked, Picture)
        assert caught.value.closest[0] == "label"
        assert caught.value.field == "lable"
    with pytest.raises(UnknownFieldError, match="closest: box.left"):
        check(F.box.lefd > 1, Picture)


def test_the_errors_are_sent_home_with_their_facts() -> None:
    """Loader workers pickle them."""
    with pytest.raises(UnknownFieldError) as unknown:
        _ = Q.scoer
    with pytest.raises(PredicateSyntaxError) as unread:
        parse("x > \x1b'\x1b")

    for caught in (unknown, unread):
        again = pickle.loads(pickle.dumps(caught.value))
        assert str(again) == str(caught.value)
        assert vars(again) == vars(caught.value)
        assert "\x1b" not in str(again)
