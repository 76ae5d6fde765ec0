"""Classes that become sample types: by the decorator and by the base class."""

import copy
import dataclasses
import gc
import pickle
import subprocess
import sys
import uuid
import weakref
from collections.abc import Callable
from dataclasses import KW_ONLY, FrozenInstanceError, InitVar, dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from numpy.typing import NDArray

import atdata.codec.compile
from atdata import Packable, SchemaError, UnsupportedTypeError
from atdata.sample import PackableSample, pack, packable, unpack
from atdata.testing import samples


@packable
class Image:
    """A picture."""

    pixels: NDArray[np.uint8]
    label: int
    tags: list[str] = field(default_factory=list)
    kinds: ClassVar[list[str]] = []


@packable(frozen=True, order=True)
class Frozen:
    n: int
    name: str = "x"


@packable(slots=True, kw_only=True)
class Slotted:
    n: int
    arr: NDArray | None = None

    def __post_init__(self) -> None:
        self.n += 0

    def described(self) -> str:
        return super().__repr__()[:1] + str(self.n)


@packable(slots=True)
class SlottedChild(Slotted):
    extra: str = "e"

    @property
    def double(self) -> str:
        return super().described() * 2

    @classmethod
    def named(cls) -> str:
        return super().__name__ if hasattr(super(), "__name__") else cls.__name__


@packable
class Animal:
    name: str

    def speak(self) -> str:
        return self.name


@packable
class Dog(Animal):
    age: int = 0

    def speak(self) -> str:
        return super().speak() + "!"


@dataclass
class Word(PackableSample):
    text: str
    count: int = 1


@dataclass
class LongWord(Word):
    vector: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Tight(PackableSample):
    text: str
    vector: NDArray


class Outer:
    @packable
    class Inner:
        """A class inside another."""

        value: int


@packable
class Box[T]:
    value: T


@packable
class Scene:
    image: Image
    dogs: list[Dog]
    word: Word | None = None


ARRAY = np.arange(6, dtype=np.uint8)
EVERY = [
    Image(ARRAY, 1, ["a"]),
    Frozen(3),
    Slotted(n=4, arr=np.zeros(2)),
    SlottedChild(n=1, arr=None, extra="f"),
    Dog("rex", 5),
    Word("a", 2),
    LongWord("a", 2, np.ones(3, "f4")),
    Tight("a", np.zeros(2)),
    Outer.Inner(9),
    Box[int](3),
    Scene(Image(ARRAY, 2), [Dog("a")], Word("w")),
]


@pytest.mark.parametrize("sample", EVERY, ids=lambda s: type(s).__name__)
def test_a_sample_comes_back_from_its_bytes(sample: Any) -> None:
    """By methods and by functions, for every way to declare a class."""
    kind: Any = type(sample)

    assert kind.from_bytes(sample.packed) == sample
    assert unpack(kind, pack(sample)) == sample
    assert type(unpack(kind, pack(sample))) is kind
    assert isinstance(sample, PackableSample)
    assert issubclass(kind, PackableSample)
    assert isinstance(sample, Packable)


@pytest.mark.parametrize("sample", EVERY, ids=lambda s: type(s).__name__)
def test_a_sample_pickles_and_copies(sample: Any) -> None:
    """Loader workers send samples home; nested classes and slots too."""
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(sample, protocol)) == sample
    assert copy.copy(sample) == sample
    assert copy.deepcopy(sample) == sample
    assert pickle.loads(pickle.dumps(type(sample))) is type(sample)


@given(samples(Scene))
def test_any_scene_comes_back(scene: Scene) -> None:
    """Packables inside packables round-trip."""
    assert unpack(Scene, pack(scene)) == scene


def test_the_decorator_returns_the_class_it_was_given() -> None:
    """Identity, name, docs and signature are the class's own, and no second class appears."""

    class Plain:
        x: int

    made = packable(Plain)

    assert made is Plain
    assert Plain.__mro__ == (Plain, object)
    assert [f.name for f in dataclasses.fields(Plain)] == ["x"]  # type: ignore[arg-type]
    assert Outer.Inner.__qualname__ == "Outer.Inner"
    assert Image.__doc__ == "A picture."


def test_options_are_those_of_dataclasses() -> None:
    """frozen, order, kw_only, slots, eq, repr and unsafe_hash mean what they mean there."""

    @packable(eq=False, repr=False, unsafe_hash=False)
    class Identity:
        x: NDArray

    one, other = Identity(np.zeros(1)), Identity(np.zeros(1))
    with pytest.raises(FrozenInstanceError):
        Frozen(1).n = 2  # type: ignore[misc]
    assert Frozen(1) < Frozen(2)
    assert hash(Frozen(1)) == hash(Frozen(1))
    assert replace(Frozen(1), n=2) == Frozen(2)
    with pytest.raises(TypeError):
        Slotted(1)  # type: ignore[misc]
    assert not hasattr(Slotted(n=1), "__dict__")
    assert one != other
    assert one == one
    assert "object at" in repr(one)
    with pytest.raises(TypeError):
        hash(Image(ARRAY, 1))


def test_super_works_in_a_class_with_slots() -> None:
    """Slots need a new class, and its methods mean that one."""
    child = SlottedChild(n=2)

    assert child.described() == "<2"
    assert child.double == "<2<2"


def test_the_users_own_hook_runs() -> None:
    """`__post_init__` runs on construction and on reading, with InitVar and inheritance."""

    @packable
    class Doubled:
        x: int
        times: InitVar[int] = 2

        def __post_init__(self, times: int) -> None:
            self.x *= times

    @dataclass
    class Counted(PackableSample):
        x: int
        seen: int = 0

        def __post_init__(self) -> None:
            super().__post_init__()
            self.seen += 1

    assert Doubled(x=2).x == 4
    assert Doubled.from_data({"x": 2}).x == 4  # type: ignore[attr-defined]
    assert Counted.from_bytes(Counted(1).packed) == Counted(1, 1)


def test_keyword_only_markers_are_no_fields() -> None:
    """`_: KW_ONLY` works in both ways to declare a class."""

    @dataclass
    class Based(PackableSample):
        x: int
        _: KW_ONLY
        y: int = 1

    @packable
    class Decorated:
        x: int
        _: KW_ONLY
        y: int = 1

    assert Based.from_bytes(Based(1, y=2).packed) == Based(1, y=2)
    assert unpack(Decorated, pack(Decorated(1, y=2))) == Decorated(1, y=2)


def test_decorating_a_dataclass_keeps_it() -> None:
    """`@packable` over `@dataclass(...)` adds to the class what it lacks."""

    @packable
    @dataclass(frozen=True, slots=True)
    class Both:
        x: int

    @packable
    @dataclass
    class WithArray:
        x: NDArray

    assert WithArray(np.zeros(3)) == WithArray(np.zeros(3))
    assert "shape=(3,)" in repr(WithArray(np.zeros(3)))
    assert unpack(Both, pack(Both(5))) == Both(5)
    assert pack(Both(5)) == b"\x81\xa1x\x05"
    with pytest.raises(FrozenInstanceError):
        Both(1).x = 2  # type: ignore[misc]


def test_a_class_keeps_its_own_methods() -> None:
    """Own `__eq__`, `__repr__` and methods are left alone."""

    @packable
    class Own:
        x: int

        def __eq__(self, other: object) -> bool:
            return True

        def __repr__(self) -> str:
            return "own"

        @property
        def packed(self) -> bytes:
            return b"own"

    assert Own(1) == Own(2)
    assert repr(Own(1)) == "own"
    assert Own(1).packed == b"own"


def test_samples_are_equal_by_value() -> None:
    """Arrays count by dtype, shape and contents, with NaN equal to NaN at the same place."""
    nan = np.array([1.0, np.nan])

    @packable
    class Any_:
        x: Any

    assert Any_(nan) == Any_(nan.copy())
    assert Any_([{"a": nan}]) == Any_([{"a": nan.copy()}])
    assert Any_(np.zeros(2, "f4")) != Any_(np.zeros(2, "f8"))
    assert Any_(np.zeros(2)) != Any_(np.zeros((1, 2)))
    assert Any_(np.zeros(2)) != Any_(None)
    assert Any_(np.array(["NaT"], "M8[s]")) == Any_(np.array(["NaT"], "M8[s]"))
    assert Any_(np.zeros(1, [("a", "f4")])) == Any_(np.zeros(1, [("a", "f4")]))
    assert Any_(scipy.sparse.eye_array(3)) == Any_(scipy.sparse.eye_array(3))
    assert Any_(scipy.sparse.eye_array(3)) != Any_(scipy.sparse.eye_array(4))
    assert Any_(1) != Any_("1")
    assert Any_(1) != Image(ARRAY, 1)
    assert Word("a") == Word("a")
    assert Word("a") != LongWord("a")


def test_fields_may_be_left_out_of_comparison_and_display() -> None:
    """`field(compare=False, repr=False)` is kept to."""

    @packable
    class Quiet:
        x: int
        note: str = field(default="", compare=False, repr=False)

    assert Quiet(1, "a") == Quiet(1, "b")
    assert repr(Quiet(1, "a")).endswith("Quiet(x=1)")


def test_the_repr_is_bounded() -> None:
    """Arrays show dtype and shape, and long values are cut."""
    big = Image(np.zeros((224, 224, 3), np.uint8), 3, ["x"] * 1000)

    assert "array(shape=(224, 224, 3), dtype=uint8)" in repr(big)
    assert len(repr(big)) < 300
    assert len(repr(Word("a" * 10_000))) < 300
    assert repr(Word("a")) == "Word(text='a', count=1)"


@pytest.mark.parametrize("name", ["packed", "as_wds", "from_data", "from_bytes", "__thing__"])
def test_reserved_names_are_refused_when_the_class_is_defined(name: str) -> None:
    """A field cannot have the name of what every sample has."""
    with pytest.raises(TypeError, match=name):
        packable(type("Bad", (), {"__annotations__": {name: int}}))
    with pytest.raises(TypeError, match=name):
        type("Bad", (PackableSample,), {"__annotations__": {name: int}})


def test_an_unsupported_annotation_is_refused_when_the_class_is_defined() -> None:
    """By the decorator and by the base class; the error names class, field and what to do."""
    with pytest.raises(UnsupportedTypeError, match=r"Bad") as by_decorator:

        @packable
        class Bad:
            fine: int
            keys: dict[int, str]

    with pytest.raises(UnsupportedTypeError, match=r"Worse") as by_base:

        @dataclass
        class Worse(PackableSample):
            fine: int
            keys: dict[int, str]

    for caught in (by_decorator, by_base):
        assert caught.value.path == "keys"
        assert "dict[int, str]" in str(caught.value)
        assert "dict[str, ...]" in str(caught.value)


def test_from_data_ignores_more_and_names_what_is_missing() -> None:
    """Fields can be dropped from a type; what is missing is a SchemaError and a TypeError."""
    assert Word.from_data({"text": "a", "old": 1}) == Word("a")
    with pytest.raises(SchemaError, match="text") as caught:
        Word.from_data({"count": 1})
    assert isinstance(caught.value, TypeError)
    assert caught.value.expected_fields == ["text", "count"]
    assert caught.value.actual_fields == ["count"]
    with pytest.raises(SchemaError):
        Word.from_data({"text": 5})


@pytest.mark.parametrize("garbage", [b"", b"\xff\xff", b"hello", b"\x05", b"\xc0", b"\x81"])
def test_garbage_is_a_type_error(garbage: bytes) -> None:
    """What is no payload is a SchemaError, which is a TypeError."""
    with pytest.raises(TypeError):
        Word.from_bytes(garbage)


def test_a_bad_value_is_found_when_it_is_written_or_asked_for() -> None:
    """The constructor takes anything; `packed` and `_ensure_good` check."""
    sample = Image(b"raw jpeg", 1)  # type: ignore[arg-type]

    with pytest.raises(SchemaError, match="pixels"):
        sample.packed  # type: ignore[attr-defined]
    with pytest.raises(SchemaError, match="pixels"):
        sample._ensure_good()  # type: ignore[attr-defined]
    Image(ARRAY, 1)._ensure_good()  # type: ignore[attr-defined]
    with pytest.raises(SchemaError, match="count"):
        Word("a", "b")._ensure_good()  # type: ignore[arg-type]


def test_each_webdataset_record_has_a_key_of_its_own() -> None:
    """`as_wds` has a key without dots, new each time, and the payload."""
    word = Word("a")

    records = [word.as_wds for _ in range(1000)]

    keys = {record["__key__"] for record in records}
    assert len(keys) == 1000
    assert not any("." in key for key in keys)
    assert uuid.UUID(records[0]["__key__"])
    assert records[0]["msgpack"] == word.packed


def test_type_arguments_of_an_instance_are_used() -> None:
    """`Box[...]` remembers what it was made with, and `unpack(Box[...])` reads it."""
    box = Box[NDArray[np.float32]](np.zeros(2, "f4"))

    assert unpack(Box[NDArray[np.float32]], pack(box)) == box
    assert pack(unpack(Box[NDArray[np.float32]], pack(box))) == pack(box)
    with pytest.raises(SchemaError):
        pack(Box[int]("x"))  # type: ignore[arg-type]
    assert unpack(Box, pack(Box([1, "a"]))) == Box([1, "a"])


def test_views_are_given_when_asked_for() -> None:
    """`unpack(..., copy=False)` shares memory with the payload."""
    payload = pack(Image(ARRAY, 1))

    view = unpack(Image, payload, copy=False).pixels

    assert not view.flags.writeable
    assert np.shares_memory(view, np.frombuffer(payload, "u1"))


def test_generated_classes_are_forgotten() -> None:
    """No registry keeps a class alive."""
    ghosts = []
    for i in range(20):
        kind = packable(type(f"K{i}", (), {"__annotations__": {"x": NDArray, "y": int}}))
        assert unpack(kind, pack(kind(ARRAY, 1))).y == 1  # type: ignore[call-arg]
        ghosts.append(weakref.ref(kind))

    del kind
    gc.collect()

    assert [ghost for ghost in ghosts if ghost() is not None] == []


def test_defining_and_using_plain_samples_loads_no_numpy() -> None:
    """An array loads numpy, and nothing before it does."""
    program = (
        "import sys, datetime\n"
        "from atdata.sample import packable, pack, unpack, DictSample, PackableSample\n"
        "@packable\n"
        "class S:\n"
        "    a: int\n"
        "    b: list[str] | None = None\n"
        "    c: datetime.date = datetime.date(2020, 1, 1)\n"
        "    d: dict[str, float] = None\n"
        "assert unpack(S, pack(S(1, d={}))) == S(1, d={})\n"
        "repr(S(1)), DictSample(a=1).packed\n"
        "print('numpy' in sys.modules)\n"
    )

    shown = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )

    assert shown.stdout.strip() == "False"


@pytest.mark.parametrize(
    "wrap", [lambda cls: packable(cls), lambda cls: packable(slots=True)(cls)]
)
def test_a_class_without_fields_is_a_sample_type(wrap: Callable[[Any], Any]) -> None:
    """An empty map."""
    kind = wrap(type("Empty", (), {}))

    assert pack(kind()) == b"\x80"
    assert unpack(kind, b"\x80") == kind()


def test_functions_are_not_confused_with_samples() -> None:
    """Packing what is no sample says what to do."""
    for thing in (1, "text", {"a": 1}, atdata.codec.compile, int):
        with pytest.raises(UnsupportedTypeError, match="packable"):
            pack(thing)
