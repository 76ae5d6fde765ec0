"""The codec of a sample type: its bytes, its strictness, and what it keeps to itself."""

import copy
import dataclasses
import gc
import pickle
import struct
import tracemalloc
import weakref
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from atdata import SchemaError, UnsupportedTypeError
from atdata.codec.compile import UNSET, codec_of
from atdata.codec.msgpack import check_map, read_map
from atdata.sample.same import same

pack = msgspec.msgpack.encode


@dataclasses.dataclass
class Everyday:
    name: str
    value: int
    x: float
    ok: bool
    raw: bytes
    tags: list[str]
    opt: int | None
    arr: NDArray | None


EVERYDAY = Everyday(
    "hé", 300, 1.5, True, b"\x00\xff", ["a", "b"], None, np.array([[1, 2], [3, 4]], "f4")
)
EVERYDAY_HEX = """
    88
    a4 6e616d65             a3 68c3a9
    a5 76616c7565           cd 012c
    a1 78                   cb 3ff8000000000000
    a2 6f6b                 c3
    a3 726177               c4 02 00ff
    a4 74616773             92 a161 a162
    a3 6f7074               c0
    a3 617272               c4 25
      03 3c6634 02 0200000000000000 0200000000000000 0000803f 00000040 00004040 00008040
"""


@dataclasses.dataclass
class Label:
    text: str
    score: float = 0.5


@dataclasses.dataclass
class Scene:
    id: int
    labels: list[Label]
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)
    pixels: NDArray[np.uint8] | None = None


SCENE = Scene(
    7, [Label("cat"), Label("dog", 0.25)], {"a": [1, {"b": None}]}, np.arange(6, dtype="u1")
)


def test_the_example_of_the_format_is_written_byte_for_byte() -> None:
    """The 100 bytes of the format's description, no more and no less."""
    payload = codec_of(Everyday).encode(EVERYDAY)

    assert payload == bytes.fromhex(EVERYDAY_HEX)
    assert len(payload) == 100
    assert same(codec_of(Everyday).decode(payload), EVERYDAY)


def test_numbers_take_their_smallest_form() -> None:
    """Ints are as short as they can be, and floats always have 64 bits."""
    kind = dataclasses.make_dataclass("N", [("n", int)])
    written = {n: codec_of(kind).encode(kind(n)).hex()[6:] for n in (127, 128, 256, 65536, 2**32)}
    negative = {n: codec_of(kind).encode(kind(n)).hex()[6:] for n in (-32, -33, -129, -32769)}

    assert written == {
        127: "7f",
        128: "cc80",
        256: "cd0100",
        65536: "ce00010000",
        2**32: "cf0000000100000000",
    }
    assert negative == {-32: "e0", -33: "d0df", -129: "d1ff7f", -32769: "d2ffff7fff"}


@pytest.mark.parametrize(
    ("hexes", "part"),
    [
        ("", "truncated"),
        ("c0", "object"),
        ("93010203", "object"),
        ("05", "object"),
        ("8205", "str"),
        ("81 a16e 01 00", "trailing"),
        ("82 a16e 01 a16e 02", "again"),
        ("82 a16e 01 d9016e 02", "again"),
        ("82 a16e 01 a17a 82 a161 01 a161 02", "again"),
        ("82 a16e 01 a17a 91 82 a161 01 a161 02", "again"),
        ("82 a16e 01 a17a d6ff00000000", "ext"),
        ("82 a16e 01 a17a 91 d6ff00000000", "ext"),
        ("82 a16e 01 a17a d40100", "ext"),
        ("82 a16e 01 a17a c70cff000000000000000000000000", "ext"),
        ("82 a16e 01 01 02", "str"),
        ("82 a16e 01 c4016e 02", "str"),
        ("82 a16e 01 a1ff 02", "UTF-8"),
        ("82 a16e 01 a17a a1ff", "UTF-8"),
        ("82 a16e 01 a17a c1", "c1"),
        ("82 a16e 01 a17a ddffffffff", "truncated"),
        ("82 a16e 01 a17a dfffffffff", "truncated"),
        ("dfffffffff", "truncated"),
        ("82 a16e 01 a17a c6ffffffff", "truncated"),
    ],
)
@pytest.mark.parametrize("annotation", [Any, int | datetime | bytes | list[datetime | bytes]])
@pytest.mark.parametrize("fields", [("n",), ("n", "z")])
def test_a_payload_is_one_plain_map(
    hexes: str, part: str, fields: tuple[str, ...], annotation: Any
) -> None:
    """Roots, trailing bytes, keys, ext types, text and lengths are all strict."""
    kind = dataclasses.make_dataclass("N", [(name, annotation) for name in fields])

    with pytest.raises(SchemaError) as caught:
        codec_of(kind).decode(bytes.fromhex(hexes))

    assert part in str(caught.value)


def test_deep_values_are_refused_and_not_followed() -> None:
    """A million nested lists are a SchemaError, and so is a list that holds itself."""
    kind = dataclasses.make_dataclass("N", [("n", Any)])
    ring: list[Any] = []
    ring.append(ring)

    for opened in (b"\x91", b"\x81\xa1a"):
        with pytest.raises(SchemaError, match="deep"):
            codec_of(kind).decode(b"\x81\xa1n" + opened * 1_000_000 + b"\xc0")
    with pytest.raises(SchemaError, match="deep"):
        codec_of(kind).encode(kind(ring))
    with pytest.raises(SchemaError, match="deep"):
        codec_of(kind).from_data({"n": ring})


@given(st.binary(max_size=200))
@example(b"\xff" * 20)
@example(b"hello")
def test_random_bytes_are_a_sample_or_a_schema_error(data: bytes) -> None:
    """No bytes crash a codec, and what it accepts it writes again."""
    for kind in (Everyday, Scene, Label):
        codec = codec_of(kind)
        try:
            sample = codec.decode(data)
        except SchemaError:
            continue
        assert same(codec.decode(codec.encode(sample)), sample)


@given(
    base=st.sampled_from([codec_of(Everyday).encode(EVERYDAY), codec_of(Scene).encode(SCENE)]),
    at=st.integers(0, 10_000),
    change=st.one_of(st.integers(0, 255), st.binary(max_size=4)),
    keep=st.integers(0, 4),
)
def test_damaged_payloads_are_a_sample_or_a_schema_error(
    base: bytes, at: int, change: int | bytes, keep: int
) -> None:
    """Changed, cut and longer payloads give a value that fits its type, or a SchemaError."""
    at %= len(base) + 1
    middle = bytes((change,)) if isinstance(change, int) else change
    damaged = base[:at] + middle + base[at + keep :]

    for kind in (Everyday, Scene):
        try:
            sample = codec_of(kind).decode(damaged)
        except SchemaError:
            continue
        codec_of(kind).check(sample)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=40), inner, max_size=20)
    ),
    max_leaves=40,
)


@given(st.dictionaries(st.text(max_size=40), plain | st.floats() | st.binary(max_size=300)))
def test_walking_a_payload_finds_nothing_in_a_good_one(fields: dict[str, Any]) -> None:
    """The walk that looks for equal keys accepts whatever was written well."""
    check_map(pack(fields))


@given(plain)
def test_walking_finds_a_repeated_key_wherever_it_is(value: Any) -> None:
    """A map with the same key twice is found behind any other values."""
    twice = b"\x82" + pack("k") + pack(1) + pack("k") + pack(2)
    payload = b"\x82" + pack("a") + pack(value) + pack("b") + b"\x91" + twice

    with pytest.raises(Exception, match="each key once"):
        read_map(payload)


def test_unusual_but_right_forms_are_read() -> None:
    """Longer headers, 32-bit floats, another order of keys and ints for floats are fine."""
    codec = codec_of(Label)

    assert codec.decode(bytes.fromhex("de0002 d90474657874 da000161 a573636f7265 ca3f000000")) == (
        Label("a", 0.5)
    )
    assert codec.decode(pack({"score": 2, "text": "a"})) == Label("a", 2.0)
    scene = b"\x82\xa2id\x01\xa6labels\x91" + bytes.fromhex("82 a474657874 a161 a573636f7265 01")
    assert codec_of(Scene).decode(scene) == Scene(1, [Label("a", 1.0)])


def test_data_may_have_more_fields_and_miss_those_with_defaults() -> None:
    """Unknown fields are ignored, at every level, and defaults fill in."""
    data = {"labels": [{"text": "a", "new": [1, {"x": 2}]}], "id": 3, "later": b"x" * 100}

    scene = codec_of(Scene).decode(pack(data))

    assert scene == Scene(3, [Label("a")])
    assert scene.extra is not codec_of(Scene).decode(pack(data)).extra


def test_a_missing_field_is_named() -> None:
    """A field without default that the data lacks is listed, with what is there."""
    with pytest.raises(SchemaError) as caught:
        codec_of(Scene).decode(pack({"id": 3, "other": 1}))
    with pytest.raises(SchemaError) as nested:
        codec_of(Scene).decode(pack({"id": 3, "labels": [{"score": 1.0}]}))

    assert caught.value.expected_fields == ["id", "labels", "extra", "pixels"]
    assert caught.value.actual_fields == ["id", "other"]
    assert "for: labels" in str(caught.value)
    assert nested.value.path == "labels[0]"
    assert isinstance(caught.value, TypeError)


def test_only_fields_are_written() -> None:
    """Attributes that were set on the side, and cached properties, stay out of the payload."""
    label = Label("a")
    label.note = "boo"  # type: ignore[attr-defined]

    assert codec_of(Label).encode(label) == codec_of(Label).encode(Label("a"))


def test_a_subclass_is_not_cut_down_to_its_base() -> None:
    """An instance with more fields than the declared type is refused where they would be lost."""

    @dataclasses.dataclass
    class Longer(Label):
        more: int = 0

    with pytest.raises(SchemaError, match="lost") as caught:
        codec_of(Scene).encode(Scene(1, [Longer("a")]))

    assert caught.value.path == "labels[0]"


def test_a_deleted_attribute_is_named() -> None:
    """A sample that lacks a value is refused with the field's name."""
    label = Label("a")
    del label.text

    with pytest.raises(SchemaError, match="text"):
        codec_of(Label).encode(label)


def test_ready_values_and_stored_ones_make_a_sample() -> None:
    """`from_data` takes an array or its bytes, a nested sample or its map, and checks both."""
    blob = codec_of(Scene).encode(SCENE)
    stored = msgspec.msgpack.decode(blob)

    assert same(codec_of(Scene).from_data(stored), SCENE)
    assert same(codec_of(Scene).from_data(vars(SCENE)), SCENE)
    with pytest.raises(SchemaError, match="float64"):
        codec_of(Scene).from_data({**stored, "pixels": np.zeros(2)})
    with pytest.raises(SchemaError):
        codec_of(Scene).from_data({**stored, "labels": [Label(5)]})  # type: ignore[arg-type]
    with pytest.raises(SchemaError):
        codec_of(Scene).from_data([1])  # type: ignore[arg-type]


def test_the_constructor_takes_fields_by_position_whatever_the_class() -> None:
    """Keyword-only, InitVar and init=False fields are put where they belong."""

    @dataclasses.dataclass
    class Odd:
        a: int
        b: int = dataclasses.field(kw_only=True)
        scale: dataclasses.InitVar[int] = 1
        c: int = dataclasses.field(init=False)
        d: int = 9

        def __post_init__(self, scale: int) -> None:
            self.c = self.a * scale

    codec = codec_of(Odd)
    sample = Odd(2, b=3, scale=10)

    assert [plan.name for plan in codec.fields] == ["a", "b", "c", "d"]
    assert codec.decode(codec.encode(sample)) == sample
    assert codec.construct(2, 3, 20, 9) == sample
    assert codec.construct(2, 3, UNSET, 9).c == 2
    assert codec.decode(pack({"a": 2, "b": 3})).c == 2
    assert codec_of(Label).construct is Label


def test_what_the_constructor_needs_must_be_a_field_or_have_a_default() -> None:
    """An InitVar without default, or an `__init__` without a field, is refused at once."""

    @dataclasses.dataclass
    class Needy:
        a: int
        scale: dataclasses.InitVar[int]

    @dataclasses.dataclass(init=False)
    class Own:
        a: int

        def __init__(self) -> None:
            self.a = 1

    with pytest.raises(UnsupportedTypeError, match="scale"):
        codec_of(Needy)
    with pytest.raises(UnsupportedTypeError, match="__post_init__"):
        codec_of(Own)


T = TypeVar("T")


@dataclasses.dataclass
class Pair[A, B]:
    left: A
    right: "list[B]"


@dataclasses.dataclass
class IntPair[X](Pair[int, X]):
    more: X | None = None


@dataclasses.dataclass
class Old(Generic[T]):  # noqa: UP046 - the older spelling is what is tested
    value: T


@dataclasses.dataclass
class Limited[N: (int, str)]:
    value: N


def test_type_arguments_are_put_in() -> None:
    """A generic class has a codec for each of its arguments, through base classes too."""
    codec = codec_of(IntPair[NDArray[np.float32]])
    sample = IntPair[NDArray[np.float32]](1, [np.zeros(2, "f4")])

    assert same(codec.decode(codec.encode(sample)), sample)
    assert codec_of(IntPair[str]) is codec_of(IntPair[str])
    with pytest.raises(SchemaError, match="left"):
        codec_of(IntPair[str]).encode(IntPair("x", []))  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match="float64"):
        codec.encode(IntPair(1, [np.zeros(2)]))
    assert codec_of(Old[list[int]]).decode(pack({"value": [1]})).value == [1]
    assert codec_of(Old).decode(pack({"value": [1, "a"]})).value == [1, "a"]
    assert codec_of(Limited).decode(pack({"value": "a"})).value == "a"
    with pytest.raises(SchemaError):
        codec_of(Limited).decode(pack({"value": 1.5}))


def test_what_is_no_sample_type_is_refused() -> None:
    """Only dataclasses, and types that bring a codec, have one."""
    for kind in (int, dict, "Label", list[int], Any):
        with pytest.raises(UnsupportedTypeError, match="packable"):
            codec_of(kind)  # type: ignore[arg-type]


def test_codecs_are_compiled_once_and_go_with_their_class() -> None:
    """Nothing keeps a generated class alive."""
    kind = dataclasses.make_dataclass("Gone", [("x", NDArray), ("y", list[Label])])
    codec = codec_of(kind)
    codec.decode(codec.encode(kind(np.zeros(2), [])))
    assert codec_of(kind) is codec
    ghost = weakref.ref(kind)

    del kind, codec
    gc.collect()

    assert ghost() is None


def test_codecs_pickle_as_their_type() -> None:
    """A codec that goes to another process is compiled again there."""
    assert pickle.loads(pickle.dumps(codec_of(Scene))) is codec_of(Scene)
    assert copy.copy(codec_of(Old[int])) is codec_of(Old[int])


def test_a_type_that_holds_itself_is_bounded_by_the_stack() -> None:
    """A payload of thousands of samples inside each other is refused, and so is such a sample."""
    kind = dataclasses.make_dataclass("Link", [("next", Any), ("n", int)])
    kind.__dataclass_fields__["next"].type = kind | None
    sample = None
    for n in range(20_000):
        sample = kind(sample, n)
    payload = b"\x82\xa4next" * 20_000 + b"\xc0" + b"\xa1n\x01" * 20_000

    with pytest.raises(SchemaError, match="deep"):
        codec_of(kind).encode(sample)
    with pytest.raises(SchemaError, match="deep"):
        codec_of(kind).check(sample)
    with pytest.raises(SchemaError, match="deep"):
        codec_of(kind).decode(payload)
    while sample is not None:
        sample = sample.next  # taken apart one by one: freeing the chain is deep as well


def test_large_arrays_are_not_copied_more_than_needed() -> None:
    """Writing peaks below three times the array, and reading makes the array alone."""
    kind = dataclasses.make_dataclass("Large", [("x", NDArray[np.uint8])])
    codec, sample = codec_of(kind), kind(np.zeros(4_000_000, "u1"))
    payload = codec.encode(sample)
    codec.decode(payload)

    tracemalloc.start()
    codec.encode(sample)
    written = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    codec.decode(payload)
    read = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert written < 3 * 4_000_000
    assert read < 1.1 * 4_000_000


def test_every_kind_of_buffer_is_read() -> None:
    """bytes, bytearray, memoryview and byte arrays of numpy hold the same sample."""
    payload = codec_of(Everyday).encode(EVERYDAY)

    for buffer in (bytearray(payload), memoryview(payload), np.frombuffer(payload, "u1")):
        assert same(codec_of(Everyday).decode(buffer), EVERYDAY)
        assert same(codec_of(Everyday).decode(buffer, copy=False), EVERYDAY)


def test_many_fields_and_no_field_are_fine() -> None:
    """Types of 0, 15, 16 and 300 fields have the right map header."""
    for n in (0, 15, 16, 300):
        kind = dataclasses.make_dataclass("Wide", [(f"f{i}", int) for i in range(n)])
        payload = codec_of(kind).encode(kind(*range(n)))
        assert payload == pack({f"f{i}": i for i in range(n)})
        assert codec_of(kind).decode(payload) == kind(*range(n))


@pytest.mark.parametrize("claim", [2**16, 2**31, 2**32 - 1])
def test_lengths_that_lie_allocate_nothing(claim: int) -> None:
    """An array, map, text or bin that claims to be huge is refused for what is missing."""
    kind = dataclasses.make_dataclass("N", [("n", Any)])
    for code in (0xDD, 0xDF, 0xDB, 0xC6):
        with pytest.raises(SchemaError, match="truncated"):
            codec_of(kind).decode(b"\x81\xa1n" + struct.pack(">BI", code, claim) + b"\x01")
