"""Samples of no defined type."""

import copy
import math
import pickle
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from atdata import Packable, SchemaError
from atdata.codec.compile import codec_of
from atdata.codec.formats.ndarray import array_to_bytes
from atdata.sample import DictSample, pack, packable, unpack
from atdata.sample.same import same
from atdata.testing import values


@packable
class Digit:
    image: NDArray[np.uint8]
    label: int


def test_fields_are_attributes_and_items() -> None:
    """As a mapping, and by name."""
    sample = DictSample(a=1, keys="k")

    assert sample.a == sample["a"] == 1
    assert sample["keys"] == "k"
    assert sample.keys() == ["a", "keys"]
    assert sample.values() == [1, "k"]
    assert sample.items() == [("a", 1), ("keys", "k")]
    assert list(sample) == ["a", "keys"]
    assert len(sample) == 2
    assert sample.get("b", 5) == 5
    assert "a" in sample
    assert "b" not in sample
    assert isinstance(sample, Packable)
    assert bool(DictSample())


def test_a_dictionary_is_kept_by_reference_and_given_as_a_copy() -> None:
    """`_data` wins over keywords, as it always did."""
    data = {"a": 1}

    sample = DictSample(data, b=2)

    assert sample._data is data
    assert sample.to_dict() == data
    assert sample.to_dict() is not data


def test_what_is_missing_is_named() -> None:
    """The error lists the fields there are; an object that was never made does not recurse."""
    with pytest.raises(AttributeError, match="has no field 'b'") as caught:
        DictSample(a=1).b
    assert "a" in str(caught.value)
    with pytest.raises(KeyError):
        DictSample(a=1)["b"]
    with pytest.raises(AttributeError):
        DictSample.__new__(DictSample).anything
    with pytest.raises(AttributeError):
        DictSample.__new__(DictSample)._data
    with pytest.raises(AttributeError, match="cannot set"):
        DictSample(a=1).a = 2
    with pytest.raises(TypeError):
        DictSample([1])  # type: ignore[arg-type]


def test_arrays_are_recognised_when_they_are_looked_at() -> None:
    """A typed sample's payload gives arrays; `raw` gives bytes; other bytes stay bytes."""
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    sample = DictSample.from_bytes(pack(Digit(image, 3)))

    assert isinstance(sample.raw("image"), bytes)
    assert same(sample.image, image)
    assert sample.image is sample["image"]
    assert sample.image.flags.writeable
    assert isinstance(sample.raw("image"), bytes)
    assert DictSample.from_bytes(msgspec.msgpack.encode({"x": b"raw jpeg"})).x == b"raw jpeg"
    longer = array_to_bytes(image) + b"x"
    assert DictSample(x=longer).x == longer


def test_changes_to_an_array_are_written() -> None:
    """What was changed in place after it was looked at is what `packed` holds."""
    sample = DictSample.from_bytes(pack(Digit(np.zeros(2, np.uint8), 3)))
    before = sample.packed

    sample.image[0] = 9

    assert before == pack(Digit(np.zeros(2, np.uint8), 3))
    assert sample.packed == pack(Digit(np.array([9, 0], np.uint8), 3))


@given(values(NDArray))
def test_any_array_in_a_dict_sample_comes_back(array: Any) -> None:
    """Arrays are written as typed samples write them."""
    sample = DictSample(x=array)

    read = DictSample.from_bytes(sample.packed)

    assert same(read.x, array)
    assert read == sample


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), plain))
def test_any_plain_fields_come_back(fields: dict[str, Any]) -> None:
    """Whatever msgpack can hold, raw for raw and byte for byte."""
    read = DictSample.from_bytes(DictSample(fields).packed)

    assert {key: read.raw(key) for key in read} == fields
    assert read == DictSample(fields)
    assert read.packed == DictSample(fields).packed


@given(st.binary(max_size=60))
def test_any_bytes_are_bytes_or_an_array(data: bytes) -> None:
    """Recognising arrays never fails."""
    for blob in (data, b"\x03<f4" + data, b"\x93NUMPY" + data):
        value = DictSample(x=blob).x
        assert isinstance(value, np.ndarray) or value == blob


def test_numpy_scalars_are_written_as_plain_numbers() -> None:
    """And those without a plain form as arrays of no dimensions."""
    sample = DictSample(
        a=np.float32(0.5), b=np.int64(3), c=np.bool_(True), d=np.datetime64(0, "s")
    )

    read = DictSample.from_bytes(sample.packed)

    assert (read.a, read.b, read.c) == (0.5, 3, True)
    assert read.d == np.datetime64(0, "s")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"a": {1, 2}}, "a"),
        ({"a": {1: 2}}, "a"),
        ({"a": [np.zeros(2)]}, "a[0]"),
        ({"a": 2**64}, "a"),
        ({"a": "\ud800"}, "a"),
        ({"a": object()}, "a"),
        ({1: 2}, ""),
        ({"a": np.array([object()])}, "a"),
    ],
)
def test_what_has_no_form_is_refused_on_write(fields: dict[Any, Any], path: str) -> None:
    """With the path of the value."""
    with pytest.raises(SchemaError) as caught:
        DictSample(fields).packed

    assert caught.value.path == path


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x05",
        b"\x91\x01",
        b"\x81\x01\x02",
        b"\x81\xa1a\x01\x00",
        b"\x82\xa1a\x01\xa1a\x02",
        b"\x81\xa1a\x81\x01\x02",
        b"\x81\xa1a\x91\x82\xa1a\x01\xa1a\x02",
        b"\x81\xa1a\xd6\xff\x00\x00\x00\x00",
        b"\x81\xa1a\x91\xd6\xff\x00\x00\x00\x00",
        b"\x81\xa1a\xd4\x01\x00",
        b"\x81\xa1a" + b"\x91" * 100_000,
    ],
)
def test_a_payload_that_is_no_plain_map_is_refused(payload: bytes) -> None:
    """As strictly as typed samples do."""
    with pytest.raises(SchemaError):
        DictSample.from_bytes(payload)


@given(st.binary(max_size=100))
def test_random_bytes_are_a_sample_or_a_schema_error(data: bytes) -> None:
    """Nothing else comes out, and what is accepted can be shown and written."""
    try:
        sample = DictSample.from_bytes(data)
    except SchemaError:
        return
    assert DictSample.from_bytes(sample.packed).keys() == sample.keys()
    assert repr(sample)


def test_equality_is_by_value() -> None:
    """Arrays too, and an array equals its stored bytes."""
    array = np.array([1.0, math.nan])

    assert DictSample(x=array) == DictSample(x=array.copy())
    assert DictSample(x=array) == DictSample(x=array_to_bytes(array))
    assert DictSample(x=1, y=2) == DictSample(y=2, x=1)
    assert DictSample(x=1) != DictSample(x=2)
    assert DictSample(x=1) != DictSample(y=1)
    assert DictSample(x=1) != {"x": 1}
    with pytest.raises(TypeError):
        hash(DictSample())


def test_dict_samples_copy_and_pickle() -> None:
    """With arrays that were looked at, and those that were not."""
    sample = DictSample.from_bytes(pack(Digit(np.ones(2, np.uint8), 3)))
    sample.image[0] = 7

    for other in (copy.copy(sample), copy.deepcopy(sample), pickle.loads(pickle.dumps(sample))):
        assert other == sample
        assert other.packed == sample.packed


def test_the_repr_is_bounded() -> None:
    """Arrays by shape and dtype."""
    assert repr(DictSample(a=1, x=np.zeros((3, 4)))) == (
        "DictSample(a=1, x=array(shape=(3, 4), dtype=float64))"
    )


def test_a_dict_sample_has_a_codec_like_any_sample_type() -> None:
    """`codec_of`, `pack` and `unpack` work; it has no fields that bulk readers could use."""
    codec = codec_of(DictSample)
    sample = DictSample(a=1)

    assert codec.fields == ()
    assert codec.decode(codec.encode(sample)) == sample
    assert unpack(DictSample, pack(sample)) == sample
    assert codec.from_data({"a": 1}) == sample
    assert codec.construct({"a": 1}) == sample
    assert pickle.loads(pickle.dumps(codec)).name == "DictSample"
    assert set(sample.as_wds) == {"__key__", "msgpack"}


def test_a_smaller_type_reads_a_dict_samples_payload() -> None:
    """Fields that a type lacks are ignored."""
    sample = DictSample(label=3, image=np.zeros(2, np.uint8), other="x")

    assert unpack(Digit, sample.packed) == Digit(np.zeros(2, np.uint8), 3)
