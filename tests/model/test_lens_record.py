"""A lens record is data: it goes through JSON unchanged, and what is none is refused by name."""

import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atdata._exceptions import AtdataError, LensRecordError
from atdata.model.lens import LAWS, LensRecord
from atdata.model.lens_parts import (
    CASTS,
    DTYPES,
    AsType,
    Cast,
    CodeReference,
    Constant,
    Default,
    FieldMapping,
    FieldRule,
    Opaque,
    Unwrap,
)

names = st.from_regex(r"[a-z]{2}_[a-z0-9_]{0,8}", fullmatch=True)
dotted = st.lists(names, min_size=1, max_size=4).map(".".join)
texts = st.text(max_size=20)
ints = st.integers(-(2**63), 2**64 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
values = st.one_of(st.booleans(), ints, floats, texts)
transforms = st.one_of(
    st.none(),
    st.builds(Cast, st.sampled_from(CASTS)),
    st.builds(AsType, st.sampled_from(DTYPES), st.booleans()),
    st.builds(Default, values),
    st.just(Unwrap()),
)
rules = st.one_of(
    st.builds(FieldRule, names, names, transforms),
    st.builds(FieldRule, names, st.none(), st.builds(Constant, values | st.none())),
)
digests = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
descriptors = st.one_of(
    st.lists(rules, max_size=4).map(lambda found: FieldMapping(tuple(found))),
    st.builds(CodeReference, dotted, dotted, st.none() | digests),
    st.just(Opaque()),
)
times = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30))]))
records = st.builds(
    LensRecord,
    st.from_regex(r"[A-Za-z0-9_]{1,8}(/[a-z0-9_]{1,8})?", fullmatch=True),
    st.from_regex(r"[0-9]\.[0-9]{1,3}\.[0-9](-rc\.1)?", fullmatch=True),
    texts,
    texts,
    descriptors,
    st.none() | descriptors,
    st.none() | texts,
    st.none() | times,
    st.none() | st.lists(st.sampled_from(LAWS), unique=True).map(tuple),
)


@given(record=records)
def test_any_record_goes_through_json_unchanged(record: LensRecord) -> None:
    """Record, JSON text, record: equal, and the values in it are of the same types."""
    again = LensRecord.from_dict(json.loads(json.dumps(record.to_dict())))

    assert again == record
    # In a repr, 1, 1.0 and True are not one.
    assert repr((again.getter, again.putter)) == repr((record.getter, record.putter))


def old(getter: Any, putter: Any = None) -> dict[str, Any]:
    """A record as it was written before there were digests, transforms and laws."""
    return {
        "name": "captions",
        "version": "1.0.0",
        "source_schema": "Photo",
        "view_schema": "Caption",
        "getter": getter,
        "putter": putter,
        "created_at": "2026-11-22T19:01:57.256924+00:00",
    }


def fields(*mappings: Any) -> dict[str, Any]:
    return {"kind": "field_mapping", "mappings": list(mappings)}


def rule(**changes: Any) -> dict[str, Any]:
    return {"source_field": "title", "view_field": "text", "transform": None} | changes


def code(module: Any = "lab.lenses", qualname: Any = "captions", **more: Any) -> dict[str, Any]:
    return {"kind": "code_reference", "module": module, "qualname": qualname, **more}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (fields(rule()), FieldMapping((FieldRule("text", "title"),))),
        (code(), CodeReference("lab.lenses", "captions", None)),
        ({"kind": "opaque"}, Opaque()),
    ],
)
def test_old_records_are_read(written: dict[str, Any], read: object) -> None:
    """Each kind of the old form is a record of today, and is written back as it was."""
    record = LensRecord.from_dict(old(written, written))

    assert (record.getter, record.putter) == (read, read)
    assert record.created_at == datetime(2026, 11, 22, 19, 1, 57, 256924, UTC)
    assert record.to_dict() == old(written, written)


def test_a_time_without_a_zone_is_in_utc() -> None:
    """Whoever wrote it did not say; the library writes UTC."""
    record = LensRecord.from_dict({**old({"kind": "opaque"}), "created_at": "2026-11-22T19:01:57"})

    assert record.created_at == datetime(2026, 11, 22, 19, 1, 57, tzinfo=UTC)


def test_keys_of_the_record_that_are_not_known_are_passed_over() -> None:
    """A later version, or a network, may say more of a record."""
    record = LensRecord.from_dict({**old({"kind": "opaque"}), "$type": "lens", 7: "seven"})

    assert str(record) == "captions@1.0.0"


cycle: list[Any] = []
cycle.append(cycle)
circle: dict[str, Any] = {}
circle["getter"] = circle
deep: list[Any] = []
for _ in range(5000):
    deep = [deep]

HOSTILE = [
    ({}, "name"),
    ({**old({"kind": "opaque"}), "name": "../captions"}, "name"),
    ({**old({"kind": "opaque"}), "name": ["captions"]}, "name"),
    ({**old({"kind": "opaque"}), "name": "a" * 1_000_000}, "name"),
    ({**old({"kind": "opaque"}), "version": 1.0}, "version"),
    ({**old({"kind": "opaque"}), "version": "1.0.0; rm"}, "version"),
    ({**old({"kind": "opaque"}), "source_schema": None}, "source_schema"),
    ({**old({"kind": "opaque"}), "view_schema": "\ud800"}, "view_schema"),
    ({**old({"kind": "opaque"}), "view_schema": "V" * 1001}, "view_schema"),
    ({**old({"kind": "opaque"}), "description": 3}, "description"),
    ({**old({"kind": "opaque"}), "description": "d" * 1_000_000}, "description"),
    ({**old({"kind": "opaque"}), "created_at": "yesterday"}, "created_at"),
    ({**old({"kind": "opaque"}), "created_at": 0}, "created_at"),
    ({**old({"kind": "opaque"}), "laws": "GetPut"}, "laws"),
    ({**old({"kind": "opaque"}), "laws": ["GetPut", "GetPut"]}, "laws"),
    ({**old({"kind": "opaque"}), "laws": [["GetPut"]]}, "laws"),
    ({**old({"kind": "opaque"}), "laws": LAWS * 10**5}, "laws"),
    (old(None), "getter"),
    (old("opaque"), "getter"),
    (old([["kind", "opaque"]]), "getter"),
    (old({"kind": "pickle", "data": "gASVAAA="}), "getter.kind"),
    (old({"kind": ["opaque"]}), "getter.kind"),
    (old({"kind": 10**5000}), "getter.kind"),
    (old({"kind": "opaque", "eval": "1"}), "getter"),
    (old({"kind": "opaque", "e" * 10**6: "1"}), "getter"),
    (old({"kind": "opaque"}, {"kind": "lambda"}), "putter.kind"),
    (old(circle), "getter.kind"),
    (circle, "name"),
    (old({"kind": "field_mapping"}), "getter.mappings"),
    (old({"kind": "field_mapping", "mappings": {"text": "title"}}), "getter.mappings"),
    (old({"kind": "field_mapping", "mappings": [rule()] * 10**5}), "getter.mappings"),
    (old({"kind": "field_mapping", "mappings": cycle}), "getter.mappings[0]"),
    (old({"kind": "field_mapping", "mappings": deep}), "getter.mappings[0]"),
    (old(fields(rule(), "title")), "getter.mappings[1]"),
    (old(fields(rule(default=3))), "getter.mappings[0]"),
    *(
        (old(fields(rule(**{side: bad}))), f"getter.mappings[0].{side}")
        for side in ("view_field", "source_field")
        for bad in ("__class__", "__x", "class", "a.b", "a b", "", "a()", "1a", "a\n", 3, None)
    ),
    (old(fields(rule(view_field="a" * 10**6))), "getter.mappings[0].view_field"),
    (old(fields(rule(view_field="\u202etxet"))), "getter.mappings[0].view_field"),
    (old(fields(rule(transform="str.upper"))), "getter.mappings[0].transform"),
    (old(fields(rule(transform=cycle))), "getter.mappings[0].transform"),
    (old(fields(rule(transform={"kind": "eval"}))), "getter.mappings[0].transform.kind"),
    (old(fields(rule(transform={"kind": "cast"}))), "getter.mappings[0].transform"),
    *(
        (old(fields(rule(transform=bad))), "getter.mappings[0].transform")
        for bad in (
            {"kind": "cast", "cast": "int->object"},
            {"kind": "cast", "cast": ["int->str"]},
            {"kind": "cast", "cast": "int->str", "then": "eval"},
            {"kind": "astype", "dtype": "object", "lossy": False},
            {"kind": "astype", "dtype": "<f4", "lossy": False},
            {"kind": "astype", "dtype": "float32", "lossy": 1},
            {"kind": "astype", "dtype": "float32"},
            {"kind": "default", "value": None},
            {"kind": "default", "value": [1]},
            {"kind": "default", "value": float("nan")},
            {"kind": "default", "value": 2**64},
            {"kind": "default", "value": "\udc00"},
            {"kind": "default", "value": "d" * 10_001},
            {"kind": "unwrap", "value": 1},
        )
    ),
    *(
        (old(fields(rule(source_field=None, transform=bad))), "getter.mappings[0].transform")
        for bad in ({"kind": "constant", "value": circle}, {"kind": "constant", "value": -(2**64)})
    ),
    (
        old(fields(rule(transform={"kind": "constant", "value": 1}))),
        "getter.mappings[0].source_field",
    ),
    (old(fields(rule(source_field=None))), "getter.mappings[0].source_field"),
    *(
        (old(code(module=bad)), "getter")
        for bad in (
            "",
            "lab..lenses",
            ".lenses",
            "lab/lenses",
            "__main__",
            "lab.__main__",
            "os;os",
        )
    ),
    *((old(code(module=bad)), "getter") for bad in (None, 3, ["os"], "a." * 10**5, "import.os")),
    *(
        (old(code(qualname=bad)), "getter")
        for bad in ("f.<locals>.g", "<lambda>", "Lens.__init__", "__builtins__", "f()", "", None)
    ),
    *(
        (old(code(source_sha256=bad)), "getter")
        for bad in ("", "0" * 63, "0" * 65, "G" * 64, 0, ["0"] * 64, "A" * 64)
    ),
    (old({"kind": "code_reference", "module": "lab"}), "getter"),
    (old(code(args=[1])), "getter"),
]


@pytest.mark.parametrize(("data", "path"), HOSTILE, ids=[f"{i}" for i in range(len(HOSTILE))])
def test_a_hostile_record_is_refused_by_name(data: dict[str, Any], path: str) -> None:
    """Wrong types, unknown kinds, cycles, bombs and bad names: one error, which says where."""
    with pytest.raises(LensRecordError) as caught:
        LensRecord.from_dict(data)

    error = caught.value
    assert error.path == path
    assert error.wanted
    assert error.found
    assert len(str(error)) < 2000
    assert str(error).replace("\n", "").isprintable()


@pytest.mark.parametrize("data", [None, [], "record", 3, cycle, b"{}"])
def test_what_is_no_object_is_no_record(data: object) -> None:
    """A record is a JSON object."""
    with pytest.raises(LensRecordError, match="wanted  a JSON object"):
        LensRecord.from_dict(data)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kind", "mappings", "transform", "module", "value"]) | st.text(),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(record=records, key=st.sampled_from(["getter", "putter", "laws", "name"]), junk=json_like)
def test_any_junk_is_a_record_or_a_typed_error(record: LensRecord, key: str, junk: Any) -> None:
    """Whatever JSON stands in a part: a record that can be written again, or a refusal."""
    data = {**record.to_dict(), key: junk}

    try:
        found = LensRecord.from_dict(data)
    except LensRecordError as error:
        assert error.path.startswith(key)
    else:
        assert LensRecord.from_dict(found.to_dict()) == found


def test_the_error_says_what_and_where_and_pickles() -> None:
    """It names the record, the part, what is wanted and what is found, also from a worker."""
    with pytest.raises(LensRecordError) as caught:
        LensRecord.from_dict(old(fields(rule(), rule(source_field="class"))))

    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, AtdataError)
    assert isinstance(again, ValueError)
    assert (again.record, again.path) == ("captions@1.0.0", "getter.mappings[1].source_field")
    assert str(again) == (
        "lens record 'captions@1.0.0' cannot be used\n"
        "  at      getter.mappings[1].source_field\n"
        "  wanted  an identifier that is no keyword and does not begin with __\n"
        "  found   'class'"
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: Cast("int->complex"),  # type: ignore[arg-type]
        lambda: AsType("object"),  # type: ignore[arg-type]
        lambda: Default(None),  # type: ignore[arg-type]
        lambda: Constant(float("inf")),
        lambda: CodeReference("os;", "system"),
        lambda: FieldMapping((FieldRule("a", "b"),) * 5000),
    ],
)
def test_a_part_that_no_record_can_hold_cannot_be_made(make: Any) -> None:
    """A wrong argument is a ValueError that says what would do, and that pickles."""
    with pytest.raises(ValueError, match="^wanted .*; found ") as caught:
        make()

    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
