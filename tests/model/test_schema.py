"""Records of schemas: older ones are read, hostile ones are refused, and the error says where."""

import json
import pickle
import time
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atdata import SchemaError
from atdata._exceptions import SchemaRecordError
from atdata.model.schema import (
    Constant,
    EnumMember,
    Schema,
    SchemaDefinition,
    SchemaField,
    SchemaFieldType,
)
from atdata.model.schema_names import SAMPLE_MEMBERS

INT = {"$type": "local#primitive", "primitive": "int"}


def field(name: Any = "x", kind: Any = INT, **more: Any) -> dict[str, Any]:
    return {"name": name, "fieldType": kind, "optional": False, **more}


def record(*fields: Any, **more: Any) -> dict[str, Any]:
    return {"name": "S", "version": "1.0.0", "fields": list(fields) or [field()], **more}


def test_a_record_of_the_older_form_is_read_and_written_again_the_same() -> None:
    """Each kind that older readers know, with all its keys."""
    kinds = [
        *({"$type": "local#primitive", "primitive": p} for p in ("str", "int", "float", "bool")),
        {"$type": "local#ndarray", "dtype": "float32"},
        {"$type": "local#ndarray", "dtype": "uint8", "shape": [None, 3]},
        {"$type": "local#structured", "dtype": "void", "shape": [2], "dimensionNames": ["n"]},
        *({"$type": f"local#{k}"} for k in ("sparse", "arrow_tensor", "safetensors", "dataframe")),
        {"$type": "local#array", "items": {"$type": "local#array", "items": INT}},
    ]
    old = {
        "name": "S",
        "version": "1.0.0",
        "fields": [field(f"f{i}", kind, optional=bool(i % 2)) for i, kind in enumerate(kinds)],
        "description": "What it is.",
        "createdAt": "2026-11-22T19:01:57.256924+00:00",
    }

    schema = Schema.from_dict(old)

    assert schema.to_dict() == {
        **old,
        # What follows a field with a default is given by keyword, and need not be said.
        "fields": old["fields"],
    }
    assert schema.created_at == datetime(2026, 11, 22, 19, 1, 57, 256924, UTC)
    assert [f.optional for f in schema.fields[:2]] == [False, True]


@pytest.mark.parametrize(
    "kind",
    [
        {"kind": "primitive", "primitive": "int"},
        {"primitive": "int"},
        {"$type": "atdata#primitive", "primitive": "int", "more": 1},
        {"$type": "nothing", "kind": "primitive", "primitive": "int"},
    ],
)
def test_the_kind_stands_after_the_hash_or_under_its_own_key(kind: dict[str, Any]) -> None:
    """Spellings of other writers mean the same; unknown keys are passed over."""
    assert SchemaFieldType.from_dict(kind) == SchemaFieldType("primitive", "int")


def test_what_a_record_may_lack_is_made_up() -> None:
    """No version, no `optional`, no description, a time that is none."""
    schema = Schema.from_dict(
        {
            "name": "S",
            "fields": [{"name": "x", "fieldType": INT}],
            "createdAt": "yesterday",
            "$ref": "atdata://local/schema/S@1.0.0",
            "description": None,
        }
    )

    assert (schema.version, schema.created_at, schema.description) == ("1.0.0", None, None)
    assert not schema.fields[0].optional


def test_a_schema_is_a_value() -> None:
    """It is hashable and frozen, and can be pickled."""
    schema = Schema.from_dict(record(field("x", INT, default=1), field("y", optional=True)))

    assert pickle.loads(pickle.dumps(schema)) == schema
    assert len({schema, Schema.from_dict(schema.to_dict())}) == 1
    with pytest.raises(AttributeError):
        schema.name = "T"  # type: ignore[misc]


def test_definitions_are_kept_in_one_order() -> None:
    """The order in which a record names its types is no part of its content."""
    fields = [field("a", {"kind": "ref", "ref": "#A"}), field("b", {"kind": "ref", "ref": "#B"})]
    made = {name: {"kind": "record", "fields": [field()]} for name in "AB"}

    one = Schema.from_dict(record(*fields, definitions=made))
    other = Schema.from_dict(record(*fields, definitions=dict(reversed(made.items()))))

    assert one == other
    assert one.cid == other.cid


BAD_NAMES = [
    *("", "class", "None", "__init__", "__class__", "__x", "a b", "a.b", "1a", "a\n", "a\x00"),
    *("from_data", "from_bytes", "packed", "as_wds", "_ensure_good", "self", "\u202eabc", "שם"),
    *("ﬁeld", "x" * 1_000_000, "../../etc", "x: int = exec('1')", "\ud800", 3, None, ["x"], {}),
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: ascii(name)[:24])
def test_a_field_cannot_have_a_name_that_means_something_else(name: Any) -> None:
    """Keywords, dunders, members of samples, code, paths, right-to-left text and other forms."""
    with pytest.raises(SchemaRecordError) as caught:
        Schema.from_dict(record(field("good"), field(name)))

    assert caught.value.path.startswith("fields[1].name")
    assert "S@1.0.0" in str(caught.value)
    assert len(str(caught.value)) < 1500
    assert str(caught.value).replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "name",
    [name for name in BAD_NAMES if name not in ("self", *sorted(SAMPLE_MEMBERS))],
    ids=lambda name: ascii(name)[:24],
)
def test_a_type_cannot_have_a_name_that_is_none(name: Any) -> None:
    """Neither a schema nor what it defines."""
    with pytest.raises(SchemaRecordError):
        Schema.from_dict({**record(), "name": name})
    if isinstance(name, str):
        kind = {"kind": "ref", "ref": f"#{name}"}
        inner = {name: {"kind": "record", "fields": []}}
        with pytest.raises(SchemaRecordError):
            Schema.from_dict(record(field("x", kind if name else INT), definitions=inner))


@pytest.mark.parametrize(
    ("kind", "path", "reason"),
    [
        (
            {"$type": "local#primitive", "primitive": "__import__('os').system('touch PWNED')"},
            "fields[0].fieldType.primitive",
            "Unknown primitive type",
        ),
        ({"$type": "local#primitive"}, "fields[0].fieldType.primitive", "Unknown primitive type"),
        ({"$type": "local#pickle"}, "fields[0].fieldType", "Unknown field type kind"),
        ({"kind": 3}, "fields[0].fieldType.kind", "no text"),
        ("int", "fields[0].fieldType", "no map"),
        (None, "fields[0].fieldType", "no map"),
        ({"$type": "local#ref"}, "fields[0].fieldType.ref", "Schema references"),
        ({"kind": "ref", "ref": "at://x/y/z"}, "fields[0].fieldType.ref", "Schema references"),
        ({"kind": "ref", "ref": "#Nothing"}, "x", "nothing is defined as 'Nothing'"),
        ({"kind": "array", "items": {"kind": "no"}}, "fields[0].fieldType.items", "Unknown field"),
        (
            {"kind": "ndarray", "dtype": "object_", "exact": True},
            "fields[0].fieldType.dtype",
            "un",
        ),
        ({"kind": "ndarray", "dtype": "a" * 999}, "fields[0].fieldType.dtype", "too long"),
        ({"kind": "ndarray", "shape": [-1]}, "fields[0].fieldType.shape[0]", "no size"),
        ({"kind": "ndarray", "shape": [True]}, "fields[0].fieldType.shape[0]", "no size"),
        ({"kind": "ndarray", "shape": [1] * 99}, "fields[0].fieldType.shape", "too long"),
        ({"kind": "ndarray", "shape": ["...", "..."]}, "fields[0].fieldType.shape", "once"),
        (
            {"kind": "ndarray", "shape": [1], "dimensionNames": ["\x1b[31m"]},
            "fields[0].fieldType.dimensionNames[0]",
            "no name",
        ),
        ({"kind": "scalar", "dtype": "os"}, "fields[0].fieldType.dtype", "unknown scalar"),
        ({"kind": "union", "members": [INT]}, "fields[0].fieldType.members", "two members"),
        ({"kind": "literal", "values": []}, "fields[0].fieldType.values", "needs values"),
        ({"kind": "literal", "values": [1, 1]}, "fields[0].fieldType.values[1]", "twice"),
        ({"kind": "literal", "values": [[1]]}, "fields[0].fieldType.values[0]", "no value"),
        ({"kind": "literal", "values": [2**70]}, "fields[0].fieldType.values[0]", "too large"),
        ({"kind": "map"}, "fields[0].fieldType.items", "needs the type"),
        ({"kind": "map", "items": INT, "keys": INT}, "fields[0].fieldType.keys", "are text"),
        ({"kind": "format", "format": "a/../b"}, "fields[0].fieldType.format", "no name"),
        ({"kind": "tuple", "items": INT, "members": [INT]}, "fields[0].fieldType", "not both"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_type_that_is_none_is_refused_where_it_stands(kind: Any, path: str, reason: str) -> None:
    """Code, unknown kinds, references elsewhere, impossible shapes: record, path and reason."""
    with pytest.raises(SchemaRecordError, match=r"S@1\.0\.0") as caught:
        Schema.from_dict(record(field("x", kind)))

    assert caught.value.path == path
    assert reason in caught.value.reason
    assert isinstance(caught.value, SchemaError)
    assert isinstance(caught.value, ValueError)
    assert pickle.loads(pickle.dumps(caught.value)).path == path


@pytest.mark.parametrize(
    "bad",
    [
        *(None, [], "S", 3, {}, {"name": "S"}, {"name": "S", "version": "1.0.0", "fields": []}),
        *({"version": "1.0.0", "fields": [field()]}, {"name": "S", "fields": "x"}),
        *({"name": "S", "fields": {"x": INT}}, {"name": "S", "fields": [None]}),
        *(record(version=1), record(version=None), record(version="1\n2"), record(version="1@2")),
        record(version='1.0.0"""\nimport os\nos.system("touch PWNED")\nclass Z:\n    """'),
        *(record(version="1" * 5000), record(description=3), record(description="x" * 10**6)),
        record(description="\ud800"),
        *(record(field(), field()), record(field(optional="yes")), record(field(default=2**70))),
        *(record(field(default={"$date": 1})), record(field(default={"$float": "1_0"}))),
        *(record(field(default={"$float": "1e999"})), record(field(default={"$bytes": "!"}))),
        record(field(default=1, defaultNotStored=True)),
        *(record(atdataSchemaVersion=2), record(**{"$atdataSchemaVersion": 99})),
        *(record(atdataSchemaVersion="1"), record(definitions=[]), record(definitions={1: {}})),
        record(definitions={"Unused": {"kind": "record", "fields": []}}),
        record(definitions={"S": {"kind": "record", "fields": []}}),
    ],
    ids=lambda bad: repr(bad)[:50],
)
def test_a_record_that_describes_no_type_is_refused(bad: Any) -> None:
    """Whatever is wrong with it, the error is one of ours, short, and can be printed."""
    with pytest.raises(SchemaRecordError) as caught:
        Schema.from_dict(bad)

    assert len(str(caught.value)) < 1500
    assert str(caught.value).replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "definition",
    [
        *({"kind": "class"}, {}, {"kind": "enum"}, {"kind": "enum", "base": "Enum", "members": 1}),
        {"kind": "enum", "base": "type", "members": [["A", 1]]},
        *(
            {"kind": "enum", "base": base, "members": members}
            for base, members in (
                ("Enum", [["mro", 1]]),
                ("Enum", [["_order_", 1]]),
                ("Enum", [["__class__", 1]]),
                ("Enum", [["A", 1], ["A", 2]]),
                ("Enum", [["A", None]]),
                ("Enum", [["A", 1.5]]),
                ("Enum", [["A", 2**70]]),
                ("Enum", [["A"]]),
                ("IntEnum", [["A", "a"]]),
                ("StrEnum", [["A", 1]]),
            )
        ),
        {"kind": "record", "fields": [field("x", {"kind": "ref", "ref": "#No"})]},
        {"kind": "namedTuple", "fields": [field("_x")]},
        {"kind": "namedTuple", "fields": [field("x", default=1), field("y")]},
        {"kind": "namedTuple", "fields": [field("x", {"kind": "ref", "ref": "#D"})]},
    ],
    ids=lambda value: repr(value)[:50],
)
def test_a_definition_that_is_none_is_refused(definition: Any) -> None:
    """Enums with members that are none, records with unknown references, tuples of themselves."""
    with pytest.raises(SchemaRecordError) as caught:
        Schema.from_dict(
            record(field("d", {"kind": "ref", "ref": "#D"}), definitions={"D": definition})
        )

    assert "D" in caught.value.path


def test_named_tuples_cannot_multiply_without_end() -> None:
    """Thirty of them, each twice in the next one, would be a thousand million places."""
    definitions = {
        f"T{i}": {
            "kind": "namedTuple",
            "fields": [
                field("a", inner := {"kind": "ref", "ref": f"#T{i + 1}"}),
                field("b", inner),
            ],
        }
        for i in range(30)
    }
    definitions["T30"] = {"kind": "namedTuple", "fields": [field("a")]}

    with pytest.raises(SchemaRecordError, match="too large"):
        Schema.from_dict(
            record(field("x", {"kind": "ref", "ref": "#T0"}), definitions=definitions)
        )


def nested(depth: int) -> dict[str, Any]:
    kind: dict[str, Any] = INT
    for _ in range(depth):
        kind = {"kind": "array", "items": kind}
    return kind


@pytest.mark.parametrize(
    "bad",
    [
        record(*(field(f"f{i}") for i in range(100_000))),
        record(field("x", nested(5000))),
        record(field("x", {"kind": "literal", "values": list(range(200_000))})),
        record(field("x", {"kind": "tuple", "members": [INT] * 200_000})),
        record(field(default=[[0] * 1000] * 1000)),
        record(field("x", {"kind": "ref", "ref": "#" + "a" * 10**6})),
        record(definitions={f"D{i}": {} for i in range(100_000)}),
    ],
    ids=["fields", "depth", "literal", "tuple", "default", "ref", "definitions"],
)
def test_a_record_cannot_be_larger_than_its_reader_allows(bad: dict[str, Any]) -> None:
    """It is refused soon, and without much memory."""
    tracemalloc.start()
    began = time.process_time()

    with pytest.raises(SchemaRecordError, match="too|deep"):
        Schema.from_dict(bad)

    assert time.process_time() - began < 5
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("name", "version", "fields", "fieldType", "kind", "$type", "primitive"),
                    *("items", "members", "ref", "definitions", "default", "$float", "$map"),
                ]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(data=junk, at=st.sampled_from(["fields", "definitions", "version", "fieldType", "default"]))
def test_any_junk_in_a_record_is_an_error_of_ours_or_a_schema(data: Any, at: str) -> None:
    """No other error leaves the reader, and what it accepts it can write and name."""
    bad = record(field(**{at: data})) if at in ("fieldType", "default") else {**record(), at: data}
    if at == "fieldType":
        bad = record({"name": "x", "fieldType": data})
    try:
        schema = Schema.from_dict(bad)
    except SchemaRecordError:
        return

    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema
    assert schema.cid.startswith("bafyrei")


@given(
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats()
        | st.binary()
        | st.text(st.characters(codec="utf-8")),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_any_plain_value_comes_back_from_its_constant(value: Any) -> None:
    """Floats with every bit, bytes, and maps with keys that look like ours."""
    constant = Constant.of(value)

    again = Constant.from_json(json.loads(json.dumps(constant.json)))

    assert again == constant
    assert repr(again.value) == repr(constant.value)
    assert repr(constant.value) == repr(value) or isinstance(value, (dict, list))


def test_numbers_of_three_types_are_three_constants() -> None:
    """`1`, `1.0` and `True` are equal in Python and not in a schema."""
    assert len({Constant.of(1), Constant.of(1.0), Constant.of(True)}) == 3
    assert Constant.of(float("nan")) == Constant.of(float("nan"))
    assert Constant.of({"$a": [b"x"], "ü": 1}).value == {"$a": [b"x"], "ü": 1}


def test_a_schema_that_is_put_together_by_hand_is_checked_as_well() -> None:
    """There is no way around the checks."""
    with pytest.raises(SchemaRecordError, match="Invalid field name"):
        SchemaField("class", SchemaFieldType("primitive", "int"))
    with pytest.raises(SchemaRecordError, match="has no items"):
        SchemaFieldType("primitive", "int", items=SchemaFieldType("primitive", "int"))
    with pytest.raises(SchemaRecordError, match="cannot use schema S@1.0.0: Schema must have"):
        Schema("S", "1.0.0", ())
    with pytest.raises(SchemaRecordError, match="by another name"):
        Schema(
            "S",
            "1.0.0",
            (SchemaField("x", SchemaFieldType("literal", values=(EnumMember("#Colour", "B"),))),),
            definitions=(
                SchemaDefinition("Colour", "enum", members=(("A", 1), ("B", 1)), base="Enum"),
            ),
        )
    with pytest.raises(SchemaRecordError, match="has no member 'B'"):
        Schema(
            "S",
            "1.0.0",
            (SchemaField("x", SchemaFieldType("literal", values=(EnumMember("#Colour", "B"),))),),
            definitions=(SchemaDefinition("Colour", "enum", members=(("A", 1),), base="Enum"),),
        )
