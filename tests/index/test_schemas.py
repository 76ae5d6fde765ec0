"""Schemas: one reference for one content, versions that never change, types that fit."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.index.kinds import Point, Scan, points
from tests.index.shapes import NDArrayLike, Odd, named, number_record, text_record

import atdata
from atdata import Index, RecordExistsError, RecordNotFoundError, SchemaError
from atdata.model.record import SCHEMA, Put, Row


def test_two_classes_of_one_name(index: Index) -> None:
    """Each dataset is read as what it was written as, and is found by its own schema."""
    text, number = text_record(), number_record()
    one = index.write([text("x")], name="one")
    two = index.write([number(7)], name="two")
    again = index.write([text("y")], name="again")

    assert one.schema_ref == again.schema_ref != two.schema_ref
    assert index.open("one")[0].a == "x"
    assert index.open("two")[0].a == 7
    assert {schema["$ref"] for schema in index.list_schemas()} == {one.schema_ref, two.schema_ref}


def test_one_content_has_one_reference(index: Index) -> None:
    """However often it is published; other content is the next version that fits."""
    first = index.publish_schema(Point)

    assert first == "atdata://local/schema/Point@1.0.0" == index.publish_schema(Point)
    assert index.publish_schema(Point, description="Other words.").endswith("Point@1.0.1")
    assert index.publish_schema(Point, version="2.0.0").endswith("Point@2.0.0")
    assert index.publish_schema(Point, version="weird").endswith("Point@weird")
    with pytest.raises(RecordExistsError, match="Point@1.0.1"):
        index.publish_schema(Point, version="1.0.1")
    assert index.get_schema(first)["version"] == "1.0.0"
    assert len(index.list_schemas()) == 4


def test_a_record_says_what_it_is(local: Index) -> None:
    """As a dictionary with its reference, also where it was asked for in the older form."""
    ref = local.publish_schema(Point)

    record = local.get_schema(ref)

    assert record["$ref"] == ref
    assert [f["name"] for f in record["fields"]] == ["name", "n"]
    assert local.get_schema("local://schemas/some.module.Point@1.0.0")["$ref"] == ref
    for wrong in ("Point", "Point@1.0.0", "atdata://local/schema/Point", "at://x/y"):
        with pytest.raises(ValueError):
            local.get_schema(wrong)
    with pytest.raises(RecordNotFoundError, match="1.0.0"):
        local.get_schema("atdata://local/schema/Point@1.0.9")


def test_fields_in_an_odd_order_with_defaults(local: Index) -> None:
    """The type that is built of a record makes the same samples, in the same calls."""
    samples = [Odd(1, c=2), Odd(1, "b", [], 2.5, np.ones((2, 2), np.uint8), [np.zeros(3)], c=3)]
    entry = local.write(samples, name="odd")

    built = local.get_schema_type(entry.schema_ref)

    made = built(1, c=2)
    assert (made.a, made.b, made.c, made.d, made.e, made.image, made.many) == (
        1, None, 2, [], 0.5, None, [],
    )  # fmt: skip
    made.d.append(3)
    assert built(1, c=2).d == []
    back = list(local.open("odd"))
    assert (back[0].c, back[0].d) == (2, [])
    assert back[1].image.dtype == np.uint8
    assert back[1].many[0].tolist() == [0, 0, 0]
    assert built.__schema_ref__ == entry.schema_ref


def test_a_name_that_says_array_is_no_array(local: Index) -> None:
    """What a class is called decides nothing."""
    local.write([NDArrayLike(1)], name="x")

    assert local.open("x")[0].n == 1


def test_types_are_kept_by_content(local: Index) -> None:
    """The same class for the same record; another one where anything differs."""
    text, number = (local.publish_schema(kind()) for kind in (text_record, number_record))

    assert local.get_schema_type(text) is local.get_schema_type(text)
    assert local.get_schema_type(text) is not local.get_schema_type(number)
    with Index("memory") as other:
        other.publish_schema(number_record())
        kind = other.get_schema_type("atdata://local/schema/Rec@1.0.0")
    assert dataclasses.fields(kind)[0].type is int
    assert "Rec" in local.types


def test_a_class_with_the_name_of_untyped_samples(local: Index) -> None:
    """It gets a reference of its own, and is read as itself."""
    entry = local.write([named("DictSample")(7)], name="x")
    untyped = local.write([atdata.DictSample(n=8)], name="y")

    assert entry.schema_ref != untyped.schema_ref
    assert local.open("x").sample_type is not atdata.DictSample
    assert (local.open("x")[0].n, local.open("y")[0].n) == (7, 8)
    with pytest.raises(RecordExistsError):
        local.publish_schema(named("DictSample"), version="1.0.0")


def test_records_that_describe_no_type_are_refused_when_used(local: Index) -> None:
    """With the place that is at fault; nothing of them is run; the rest stays usable."""
    local.write(points(1), name="p")
    evil = "__import__('os').system('touch PWNED')"
    kind: dict[str, Any] = {"$type": "local#primitive", "primitive": evil}
    bodies: dict[str, Any] = {
        "Evil": {"fields": [{"name": "x", "fieldType": kind}]},
        "Empty": {"fields": []},
        "Nothing": {},
        "Deep": {"fields": [{"name": "x", "fieldType": {"$type": "#array", "items": {}}}]},
        "Future": {"atdataSchemaVersion": 99, "fields": []},
    }
    for name in ("_ensure_good", "packed", "from_data", "self", "__init__", "class", "a b"):
        inner = {"$type": "local#primitive", "primitive": "int"}
        bodies[f"M{len(bodies)}"] = {"fields": [{"name": name, "fieldType": inner}]}
    for name, body in bodies.items():
        local.provider.commit([Put(Row(SCHEMA, name, "1.0.0", json.dumps(body)))])
        with pytest.raises(SchemaError):
            local.get_schema_type(f"atdata://local/schema/{name}@1.0.0")

    assert [schema["name"] for schema in local.list_schemas()] == ["Point"]
    assert local.open("p")[0].n == 0


def test_members_of_samples_are_no_fields(local: Index) -> None:
    """Such a class is refused before anything is written."""
    for name in ("packed", "from_data", "from_bytes", "as_wds", "_ensure_good"):
        kind = dataclasses.make_dataclass("T", [(name, int)])
        with pytest.raises((TypeError, ValueError)):
            local.write([atdata.packable(kind)(1)], name="x")
    assert local.list_datasets() == []
    assert local.list_schemas() == []


def test_a_damaged_record_blocks_no_version(local: Index) -> None:
    """The next one that is free is given."""
    local.provider.commit([Put(Row(SCHEMA, "Point", "1.0.0", "{}"))])

    assert local.publish_schema(Point) != "atdata://local/schema/Point@1.0.0"
    assert local.write(points(1), name="p").schema_ref == local.publish_schema(Point)


def test_what_cannot_be_published(local: Index) -> None:
    """No class, no dataclass, no name that a reference can hold."""
    with pytest.raises(TypeError, match="class"):
        local.publish_schema(7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dataclass"):
        local.publish_schema(int)
    for version in ("a@b", "", "1 0", "\n"):
        with pytest.raises(ValueError, match="version"):
            local.publish_schema(Point, version=version)
    assert local.list_schemas() == []


def test_what_differs_between_two(local: Index) -> None:
    """And what that means for who reads them."""
    old, new = local.publish_schema(text_record()), local.publish_schema(number_record())

    assert local.diff_schemas(old, new).bump == "major"
    assert new.endswith("@2.0.0")
    assert "a: str -> int" in str(local.diff_schemas(old, new))


def test_modules_for_editors(tmp_path: Path) -> None:
    """One for each schema and version that is loaded; the types stay those of the record."""
    with Index(path=tmp_path / "index.db", stub_dir=tmp_path / "stubs") as index:
        ref = index.publish_schema(Scan)
        before = index.get_schema_type(ref)
        assert index.get_schema_type(ref) is before
        assert index.stub_dir == tmp_path / "stubs"
        found = [path for path in (tmp_path / "stubs").rglob("*Scan*") if path.is_file()]
        assert len(found) == 1
        assert "label: str" in found[0].read_text()
        image = before("x", np.zeros((2, 2), np.uint8))
        assert before.from_bytes(image.packed).image.dtype == np.uint8
        assert index.clear_stubs() == 1
        assert index.clear_stubs() == 0


def test_formats_are_kept_with_and_without_stubs(tmp_path: Path) -> None:
    """A field of another library's format comes back as what it was."""
    pandas = pytest.importorskip("pandas")

    @atdata.packable
    class Table:
        frame: pandas.DataFrame  # type: ignore[name-defined]

    frame = pandas.DataFrame({"a": [1, 2]})
    for stub_dir in (None, tmp_path / "stubs"):
        with Index(path=tmp_path / f"{stub_dir is None}.db", stub_dir=stub_dir) as index:
            ref = index.write([Table(frame)], name="t").schema_ref
            assert index.open("t")[0].frame.equals(frame)
            assert index.get_schema_type(ref).__field_formats__ == {"frame": "dataframe"}
