"""Schemas of sample types: what they say, and what they do not."""

import dataclasses
import json
from typing import Annotated, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.schema.kinds import (
    ANNOTATIONS,
    DEFAULTS,
    FACTORIES,
    FORMATS,
    Box,
    Colour,
    Inner,
    Place,
    Tree,
    sample_type,
)
from typing_extensions import Doc

import atdata
from atdata import DictSample, SchemaError, Shape, UnsupportedTypeError
from atdata._exceptions import SchemaRecordError
from atdata.model.schema import Schema
from atdata.schema.infer import schema_of


@dataclasses.dataclass
class Photo:
    """A photo."""

    image: Annotated[NDArray[np.uint8], Shape("H", "W", 3)]
    title: str
    stars: int | None = None
    tags: list[str] = dataclasses.field(default_factory=list, kw_only=True)


def test_a_schema_is_written_in_the_form_that_older_readers_know() -> None:
    """Where old keys suffice, a record has these and no others."""

    @dataclasses.dataclass
    class S:
        x: int
        y: list[list[str]]
        z: bytes | None = None

    record = schema_of(S).to_dict()

    assert record == {
        "name": "S",
        "version": "1.0.0",
        "fields": [
            {
                "name": "x",
                "fieldType": {"$type": "local#primitive", "primitive": "int"},
                "optional": False,
            },
            {
                "name": "y",
                "fieldType": {
                    "$type": "local#array",
                    "items": {
                        "$type": "local#array",
                        "items": {"$type": "local#primitive", "primitive": "str"},
                    },
                },
                "optional": False,
            },
            {
                "name": "z",
                "fieldType": {"$type": "local#primitive", "primitive": "bytes"},
                "optional": True,
            },
        ],
    }


def test_a_schema_shows_its_fields_as_a_class_would() -> None:
    """Dtypes, shapes, defaults and what may be None are all in it."""
    assert str(schema_of(Photo, version="2.1.0")).splitlines() == [
        "Photo@2.1.0",
        "  image: NDArray[uint8, (H, W, 3)]",
        "  title: str",
        "  stars: int | None = None",
        "  tags: list[str] = []",
    ]
    assert schema_of(Photo).fields[3].kw_only
    assert schema_of(Photo).description == "A photo."


@pytest.mark.parametrize("annotation", ANNOTATIONS + FORMATS, ids=str)
def test_each_kind_of_field_has_a_schema_that_comes_back_from_json(annotation: Any) -> None:
    """What the codec can write, a schema can say, and its record says the same."""
    schema = schema_of(sample_type(x=annotation))

    again = Schema.from_dict(json.loads(json.dumps(schema.to_dict())))

    assert again == schema
    assert again.cid == schema.cid


def test_an_array_without_dtype_is_recorded_as_one_of_any() -> None:
    """Nothing is called float32 that was not declared so."""
    kinds = schema_of(sample_type(a=NDArray, b=NDArray[Any], c=list[NDArray], d=NDArray[np.str_]))

    assert [str(field.field_type) for field in kinds.fields] == [
        "NDArray[Any]",
        "NDArray[Any]",
        "list[NDArray[Any]]",
        "NDArray[str_]",
    ]


def test_a_class_whose_name_sounds_like_an_array_is_none() -> None:
    """Types are told by what they are, not by their names."""

    @dataclasses.dataclass
    class NDArrayInfo:
        rank: int

    assert schema_of(sample_type(x=NDArrayInfo)).fields[0].field_type.ref == "#NDArrayInfo"


def test_nested_types_come_along_as_definitions() -> None:
    """Dataclasses, enums and named tuples are described, also when they hold themselves."""
    schema = schema_of(sample_type(a=Tree, b=list[Inner], c=Colour, d=Place))

    assert [(d.name, d.kind) for d in schema.definitions] == [
        ("Colour", "enum"),
        ("Inner", "record"),
        ("Place", "namedTuple"),
        ("Tree", "record"),
    ]
    assert schema.definition("#Colour").members == (("RED", "red"), ("BLUE", "blue"))
    assert schema.definition("#Colour").description == "What light it throws back."
    assert schema.definition("#Tree").fields[1].field_type.items == schema.fields[0].field_type
    assert schema_of(Tree).fields[1].field_type.items.ref == "#"  # type: ignore[union-attr]


def test_type_arguments_are_put_in_and_tell_types_apart() -> None:
    """One generic class with two arguments is two types."""
    schema = schema_of(sample_type(a=Box[int], b=Box[str]))

    assert [str(d.fields[0]) for d in schema.definitions] == ["value: int", "value: str"]
    assert (
        schema_of(Box[int]).fields[1].field_type
        == schema_of(sample_type(x=list[int])).fields[0].field_type
    )


def test_two_classes_of_one_name_keep_apart() -> None:
    """A nested class is known by what it is, and its name is made distinct."""
    one = dataclasses.make_dataclass("Part", [("a", int)])
    other = dataclasses.make_dataclass("Part", [("b", str)])
    schema = schema_of(sample_type(x=one, y=other))

    assert [(d.name, d.fields[0].name) for d in schema.definitions] == [
        ("Part", "a"),
        ("Part_2", "b"),
    ]


@pytest.mark.parametrize(("annotation", "default"), DEFAULTS, ids=repr)
def test_a_default_that_data_could_hold_is_stored(annotation: Any, default: Any) -> None:
    """Numbers, texts, times, members of enums, tuples: a schema has them exactly."""
    kind = dataclasses.make_dataclass("Sample", [("x", annotation, default)])
    (field,) = schema_of(kind).fields

    assert field.has_default
    assert not field.default_not_stored
    assert field.stored_default is not None


@pytest.mark.parametrize(("annotation", "factory"), FACTORIES, ids=repr)
def test_an_empty_container_is_stored(annotation: Any, factory: Any) -> None:
    """`default_factory=list` is the default `[]`."""
    field = dataclasses.field(default_factory=factory)
    kind = dataclasses.make_dataclass("Sample", [("x", annotation, field)])

    assert schema_of(kind).fields[0].stored_default is not None


@pytest.mark.parametrize(
    "given",
    [
        ("x", int, None),
        ("x", int, 2**70),
        ("x", list[int], dataclasses.field(default_factory=lambda: [1])),
        ("x", int, dataclasses.field(init=False)),
        ("x", str, "x" * 100_000),
        ("x", tuple[NDArray[np.int8], ...], (np.zeros(2, "i1"),)),
    ],
    ids=lambda given: repr(given)[:40],
)
def test_a_default_that_cannot_be_stored_is_said_to_be_there(given: Any) -> None:
    """No function of the user's is called, and no other default takes its place."""
    kind = dataclasses.make_dataclass("Sample", [given])

    (field,) = schema_of(kind).fields

    assert field.default_not_stored
    assert field.has_default
    assert field.stored_default is None


def test_the_docstring_that_a_dataclass_writes_is_no_description() -> None:
    """Only what someone wrote describes a sample; fields are described by their metadata."""

    @atdata.packable
    class Word:
        text: Annotated[str, Doc("As it stands.")]
        count: int = dataclasses.field(default=1, metadata={"description": "How often."})

    @atdata.packable
    class Term(Word):
        """A word.

        With a meaning.
        """

    assert str(Word.__doc__).startswith("Word(text: ")
    assert schema_of(Word).description is None
    assert schema_of(Term).description == "A word.\n\nWith a meaning."
    assert schema_of(Term, description="Mine.").description == "Mine."
    assert [field.description for field in schema_of(Word).fields] == [
        "As it stands.",
        "How often.",
    ]


def test_identity_is_by_content_and_not_by_version() -> None:
    """Publishing again under another version, or another day, is the same schema."""
    one, other = schema_of(Photo), schema_of(Photo, version="9.9.9")

    assert one.cid == other.cid
    assert one.ref != other.ref
    assert one.cid.startswith("bafyrei")


def test_every_part_of_the_content_is_part_of_the_identity() -> None:
    """Item types, dtypes, defaults and order tell schemas apart; the spelling of unions not."""
    kinds = [
        *(sample_type(x=list[int]), sample_type(x=list[str]), sample_type(x=NDArray[np.uint8])),
        *(sample_type(x=NDArray[np.int8]), sample_type(x=int, y=int), sample_type(y=int, x=int)),
        dataclasses.make_dataclass("Sample", [("x", int, 1)]),
        dataclasses.make_dataclass("Sample", [("x", int, 2)]),
        dataclasses.make_dataclass("Sample", [("x", int | None, None)]),
        *(sample_type(x=int | None), sample_type(x=int | str)),
    ]
    assert len({schema_of(kind).cid for kind in kinds}) == len(kinds)
    assert schema_of(sample_type(x=str | int)).cid == schema_of(kinds[-1]).cid


def test_what_is_no_sample_type_has_no_schema() -> None:
    """Instances, plain classes and untyped samples are refused with what to do."""
    with pytest.raises(TypeError, match="sample_type must be a class, got Photo"):
        schema_of(Photo(np.zeros((1, 1, 3), "u1"), ""))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Decorate it with @atdata.packable"):
        schema_of(int)
    with pytest.raises(ValueError, match="is no dataclass"):
        schema_of(DictSample)
    with pytest.raises(UnsupportedTypeError, match="steps"):
        schema_of(sample_type(steps=range))


@pytest.mark.parametrize("name", ["_ensure_good", "self", "שם"])
def test_a_field_whose_name_means_something_else_has_no_schema(name: str) -> None:
    """Names that samples use, and names that mislead readers, are refused with the reason."""
    kind = type("Sample", (), {"__annotations__": {name: int}})

    with pytest.raises(SchemaError, match="Invalid field name"):
        schema_of(dataclasses.dataclass(kind))


def test_a_refusal_names_the_class_and_the_field() -> None:
    """Facts of the error are attributes."""
    kind = dataclasses.make_dataclass("Sample", [("self", int)])

    with pytest.raises(SchemaRecordError) as caught:
        schema_of(kind)

    assert (caught.value.sample_type_name, caught.value.path) == ("Sample", "name")
