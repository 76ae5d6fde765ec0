"""Types that are made of schemas: what they read, write and are called."""

import concurrent.futures
import copy
import dataclasses
import gc
import pickle
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.schema.kinds import (
    ANNOTATIONS,
    DEFAULTS,
    FACTORIES,
    FORMATS,
    Colour,
    Place,
    Tree,
    primitive,
    sample_type,
    schemas,
)

import atdata
from atdata import PackableSample, SchemaError, pack, unpack
from atdata._exceptions import SchemaRecordError
from atdata.codec.compile import codec_of
from atdata.model.schema import Constant, Schema, SchemaField, SchemaFieldType
from atdata.schema.build import cached_types, clear_types, parts_of, type_of
from atdata.schema.infer import schema_of
from atdata.testing import samples


@dataclasses.dataclass
class Photo:
    image: NDArray[np.uint8]
    title: str
    colour: Colour = Colour.RED
    places: list[Place] = dataclasses.field(default_factory=list)


def schema_from(*fields: dict[str, Any], **more: Any) -> Schema:
    return Schema.from_dict({"name": "S", "version": "1.0.0", "fields": list(fields), **more})


def old_field(name: str, kind: str = "int", *, optional: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "fieldType": {"$type": "local#primitive", "primitive": kind},
        "optional": optional,
    }


@pytest.mark.parametrize("annotation", ANNOTATIONS + FORMATS, ids=str)
def test_the_schema_of_the_type_of_a_schema_is_that_schema(annotation: Any) -> None:
    """Nothing is lost on the way to a class and back, whatever the field."""
    schema = schema_of(sample_type(x=annotation))

    assert schema_of(type_of(schema)).cid == schema.cid


@settings(max_examples=20)
@given(schema=schemas())
def test_any_schema_comes_back_from_its_type_and_from_its_record(schema: Schema) -> None:
    """Odd names, defaults, descriptions and nested definitions included."""
    built = type_of(schema)

    assert schema_of(built) == schema
    assert Schema.from_dict(schema.to_dict()) == schema
    assert type_of(Schema.from_dict(schema.to_dict())) is built


@pytest.mark.parametrize("annotation", ANNOTATIONS, ids=str)
# Recursive types end where draws are filtered.
@settings(max_examples=4, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data())
def test_samples_of_the_original_type_are_read_and_written_byte_for_byte(
    annotation: Any, data: st.DataObject
) -> None:
    """The type of a schema reads what the original wrote, and writes the same bytes."""
    kind = sample_type(x=annotation)
    built = type_of(schema_of(kind))
    payload = pack(data.draw(samples(kind)))

    again = pack(unpack(built, payload))

    assert again == payload
    assert pack(unpack(kind, again)) == payload


@pytest.mark.parametrize(("annotation", "default"), DEFAULTS, ids=repr)
def test_a_stored_default_is_the_default_of_the_built_type(annotation: Any, default: Any) -> None:
    """Data that lacks the field is read alike by both types."""
    kind = dataclasses.make_dataclass("Sample", [("x", annotation, default)])
    built = type_of(schema_of(kind))

    assert pack(built()) == pack(kind())
    assert pack(unpack(built, b"\x80")) == pack(unpack(kind, b"\x80"))
    assert schema_of(built).cid == schema_of(kind).cid


@pytest.mark.parametrize(("annotation", "factory"), FACTORIES, ids=repr)
def test_samples_do_not_share_a_container_by_default(annotation: Any, factory: Any) -> None:
    """Each sample has a list of its own."""
    field = dataclasses.field(default_factory=factory)
    built = type_of(schema_of(dataclasses.make_dataclass("Sample", [("x", annotation, field)])))

    assert built().x == factory()
    assert built().x is not built().x


def test_a_default_that_is_not_stored_is_asked_for_and_never_made_up() -> None:
    """Data with the field is read; where it is missing, the error says why."""
    field: Any = dataclasses.field(default_factory=lambda: [1])
    kind = dataclasses.make_dataclass("Sample", [("x", list[int], field), ("y", int, 2)])
    built = type_of(schema_of(kind))

    assert unpack(built, pack(kind())).x == [1]
    with pytest.raises(SchemaError, match="a default that is not stored"):
        unpack(built, b"\x80")
    with pytest.raises(SchemaError, match="Give it a value"):
        built()
    assert schema_of(built).cid == schema_of(kind).cid


def test_an_optional_field_may_stand_before_a_required_one() -> None:
    """An older record of that kind makes a type: what follows a default is given by keyword."""
    fields = [old_field("a"), old_field("b", "str", optional=True), old_field("c")]
    built: Any = type_of(schema_from(*fields))

    sample = built(1, c=3)

    assert (sample.a, sample.b, sample.c) == (1, None, 3)
    assert [f.name for f in dataclasses.fields(built)] == ["a", "b", "c"]
    assert built.from_bytes(sample.packed) == sample
    assert schema_from(*fields).to_dict()["fields"] == fields


def test_one_name_and_version_with_other_content_is_another_type() -> None:
    """A record with int after one with str of the same name gives int, whoever asked first."""
    first = type_of(schema_from(old_field("x", "str")))
    second = type_of(schema_from(old_field("x", "int")))
    lists = [
        type_of(schema_from({"name": "x", "fieldType": {"kind": "array", "items": item}}))
        for item in ({"primitive": "int"}, {"primitive": "str"})
    ]

    assert first("a").x == "a"
    assert second(1).packed == b"\x81\xa1x\x01"
    with pytest.raises(SchemaError):
        pack(second("a"))
    assert lists[0] is not lists[1]


def test_one_content_is_one_class_as_long_as_anyone_holds_it() -> None:
    """Also under another version, and after the cache was emptied."""
    schema = schema_from(old_field("only_here"))
    built = type_of(schema)

    clear_types()

    assert type_of(schema.with_version("7.0.0")) is built
    assert cached_types()[schema.cid] is built


def test_threads_get_one_class() -> None:
    """Sixteen threads that ask at once get the same one."""
    schema = schema_from(old_field("asked_at_once"))
    barrier = threading.Barrier(16)

    def ask(_: int) -> type[Any]:
        barrier.wait()
        return type_of(schema)

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        found = set(pool.map(ask, range(16)))

    assert len(found) == 1


def test_types_that_nobody_holds_are_forgotten() -> None:
    """Reading many schemas does not fill the memory, nor the list of modules."""
    clear_types()
    before = {name for name in sys.modules if name.startswith("atdata.schema.built.")}
    for i in range(300):
        type_of(schema_from(old_field(f"forgotten_{i}")))
    assert len(cached_types()) == 256

    clear_types()
    gc.collect()

    after = {name for name in sys.modules if name.startswith("atdata.schema.built.")}
    assert len(after - before) < 20


def test_a_built_type_says_where_it_is_from() -> None:
    """Reference, version, CID and formats are attributes of the class; it is a sample type."""
    built: Any = type_of(
        schema_from(
            old_field("x"),
            {"name": "table", "fieldType": {"$type": "local#dataframe"}, "optional": True},
            {
                "name": "image",
                "fieldType": {"$type": "local#ndarray", "dtype": "float32", "shape": [None, 3]},
                "optional": True,
            },
            description="What it is.",
        )
    )

    assert built.__schema_ref__ == "atdata://local/schema/S@1.0.0"
    assert built.__schema_version__ == "1.0.0"
    assert built.__field_formats__ == {"table": "dataframe"}
    assert built.__ndarray_annotations__["image"]["dtype"] == "float32"
    assert built.__doc__ == "\nWhat it is."
    assert built.__name__ == built.__qualname__ == "S"
    assert issubclass(built, PackableSample)
    assert isinstance(built(1), PackableSample)
    assert repr(built(1)) == "S(x=1, table=None, image=None)"


def test_the_dtype_of_an_older_record_is_a_hint() -> None:
    """Older writers called every array float32; arrays of other dtypes are read all the same."""
    field = {"name": "x", "fieldType": {"$type": "local#ndarray", "dtype": "float32"}}
    schema = schema_from(field)
    built: Any = type_of(schema)

    sample = built(np.zeros(2, np.int8))

    assert built.from_bytes(sample.packed) == sample
    assert schema_of(built).cid == schema.cid
    with pytest.raises(SchemaError, match="float32"):
        pack(type_of(schema_of(sample_type(x=NDArray[np.float32])))(np.zeros(2, np.int8)))


def test_a_field_that_may_be_none_and_has_no_default_must_be_given() -> None:
    """`x: int | None` is not `x: int | None = None`."""
    built = type_of(schema_of(sample_type(x=int | None)))

    with pytest.raises(SchemaError, match="Missing fields: x"):
        unpack(built, b"\x80")


def test_nested_types_are_built_and_can_hold_themselves() -> None:
    """A tree of the built type packs as one of the original type."""
    built: Any = type_of(schema_of(Tree))

    sample = built(1, [built(2), built(3, parent=built(4))])

    assert pack(sample) == pack(Tree(1, [Tree(2), Tree(3, parent=Tree(4))]))
    assert unpack(built, pack(sample)) == sample


def test_types_samples_and_what_is_in_them_can_be_pickled() -> None:
    """In one process, a type that comes back is the same one, and so are its parts."""
    built: Any = type_of(schema_of(Photo))
    parts: Any = parts_of(built)
    sample = built(np.zeros(2, "u1"), "x", parts["Colour"].BLUE, [parts["Place"](1.0, "y")])

    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(built, protocol)) is built
        assert pickle.loads(pickle.dumps(sample, protocol)) == sample
        assert pickle.loads(pickle.dumps(parts["Colour"].RED, protocol)) is parts["Colour"].RED
        assert pickle.loads(pickle.dumps(parts["Place"], protocol)) is parts["Place"]
    assert copy.deepcopy(sample) == sample
    assert copy.deepcopy(built) is built


def test_another_process_makes_the_type_again(tmp_path: Any) -> None:
    """A sample that is sent to a new interpreter comes back equal, and of the type it was."""
    built: Any = type_of(schema_of(Photo))
    sample = built(np.arange(3, dtype="u1"), "x")
    (tmp_path / "sent").write_bytes(pickle.dumps((built, sample)))
    code = (
        "import pickle, sys\n"
        "kind, sample = pickle.load(open(sys.argv[1], 'rb'))\n"
        "assert type(sample) is kind\n"
        "sample.title += '!'\n"
        "open(sys.argv[2], 'wb').write(pickle.dumps(sample))\n"
    )
    command = [sys.executable, "-c", code, tmp_path / "sent", tmp_path / "back"]

    subprocess.run(command, check=True)

    assert pickle.loads((tmp_path / "back").read_bytes()) == built(np.arange(3, dtype="u1"), "x!")


def test_types_are_sent_by_schema_where_classes_are_sent_by_value() -> None:
    """What Ray sends is the record as well, so the type that comes back is the same."""
    cloudpickle = pytest.importorskip("cloudpickle", reason="comes with other libraries")
    built: Any = type_of(schema_of(Photo))

    def work() -> Any:
        return built

    assert pickle.loads(cloudpickle.dumps(built)) is built
    assert pickle.loads(cloudpickle.dumps(work))() is built


def test_a_class_derived_from_a_built_type_is_pickled_as_any_class() -> None:
    """A user's own class is known by its module."""
    assert pickle.loads(pickle.dumps(Derived)) is Derived
    assert pickle.loads(pickle.dumps(Derived(1, 2))) == Derived(1, 2)


@atdata.packable
class Derived(type_of(schema_from(old_field("x")))):  # type: ignore[misc]
    y: int


@pytest.mark.parametrize(
    "annotation", ["int", "str", "bool", "datetime", "uuid", "any", "float"], ids=str
)
@pytest.mark.parametrize("value", [None, "a", 1, 2**63, b"", [1], {"a": 1}, True, 0.5], ids=repr)
def test_a_default_that_is_no_value_of_its_field_is_refused(annotation: str, value: Any) -> None:
    """A record cannot give a field a value that the field does not have."""
    field = SchemaField("x", primitive(annotation), default=Constant.of(value))
    schema = Schema("S", "1.0.0", (field,))
    good = {
        "int": type(value) is int,
        "str": type(value) is str,
        "bool": type(value) is bool,
        "float": type(value) is float,
        "any": True,
    }

    if good.get(annotation, False):
        assert pack(unpack(type_of(schema), b"\x80"))
    else:
        with pytest.raises(
            SchemaRecordError, match="a default is no value of its field"
        ) as caught:
            type_of(schema)
        assert caught.value.path == "x"


def test_what_msgpack_cannot_tell_apart_is_refused_by_name() -> None:
    """A union of two texts has no form in a payload; the error names record and field."""
    union = SchemaFieldType("union", members=(primitive("str"), primitive("uuid")))

    with pytest.raises(SchemaRecordError, match="cannot use schema S@3") as caught:
        type_of(Schema("S", "3", (SchemaField("x", union),)))

    assert caught.value.path == "x"


def test_a_built_type_can_be_written_to_shards_and_read() -> None:
    """It is a sample type like any other, also in a dataset."""
    built: Any = type_of(schema_of(Photo))

    assert codec_of(built).fields[0].kind == "ndarray"
    assert codec_of(built).fields[0].dtype == np.uint8


def test_building_a_wide_schema_takes_less_than_seconds() -> None:
    """Two thousand fields make a type, and its samples come back."""
    built: Any = type_of(schema_from(*(old_field(f"f{i}", optional=True) for i in range(2000))))

    assert built.from_bytes(built(f3=1).packed).f3 == 1
