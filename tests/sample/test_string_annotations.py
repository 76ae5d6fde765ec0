"""Sample types in a module whose annotations are all strings."""

from __future__ import annotations

import dataclasses
from dataclasses import InitVar, dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pytest
from numpy.typing import NDArray

from atdata import SchemaError, UnsupportedTypeError
from atdata.codec.compile import codec_of
from atdata.codec.markers import Shape
from atdata.sample import PackableSample, pack, packable, unpack


@packable
class Arrays:
    a: NDArray
    b: NDArray[np.float32]
    c: np.ndarray
    d: npt.NDArray[np.uint8] | None = None
    e: Annotated[NDArray[np.uint8] | None, Shape("H", "W")] = None
    f: list[NDArray[Any]] = field(default_factory=list)
    kinds: ClassVar[list[NDArray]] = []
    scale: InitVar[int] = 1

    def __post_init__(self, scale: int) -> None:
        self.scaled = scale


@packable
class Node:
    value: int
    left: Node | None = None
    right: Node | None = None
    later: Later | None = None


@packable
class Later:
    nodes: list[Node]


@dataclass
class Based(PackableSample):
    x: NDArray[np.float32]
    later: Afterwards | None = None


@dataclass
class Afterwards(PackableSample):
    y: Literal["a", "b"] = "a"


@packable
class Box[T]:
    value: T
    more: dict[str, T] = field(default_factory=dict)


class Outer:
    @packable
    class Inner:
        """A class inside another."""

        value: int = 0


@packable
class Shadowed:
    """A default stands in the class under the field's name, and is not the type."""

    dataclasses: dataclasses.InitVar[int] = 3
    int: int = 5


def test_string_annotations_mean_the_same() -> None:
    """Every spelling of an array comes back as an array."""
    sample = Arrays(
        np.zeros(1), np.zeros(1, "f4"), np.zeros(1), np.zeros(1, "u1"), np.zeros((1, 1), "u1"),
        [np.zeros(2)],
    )  # fmt: skip

    read = unpack(Arrays, pack(sample))

    assert read == sample
    assert isinstance(read.f[0], np.ndarray)
    with pytest.raises(SchemaError, match="float32"):
        pack(Arrays(np.zeros(1), np.zeros(1), np.zeros(1)))


def test_a_type_may_hold_itself_and_what_is_defined_later() -> None:
    """Forward references are read when the codec is first used."""
    tree = Node(1, Node(2), Node(3, Node(4)), Later([Node(5)]))

    assert unpack(Node, pack(tree)) == tree
    assert unpack(Later, pack(Later([tree]))) == Later([tree])
    with pytest.raises(SchemaError) as caught:
        pack(Node(1, Node(2, Node("x"))))  # type: ignore[arg-type]
    assert caught.value.path == "left.left.value"


def test_subclasses_of_the_base_read_their_strings_too() -> None:
    """As with the decorator."""
    sample = Based(np.zeros(2, "f4"), Afterwards("b"))

    assert Based.from_bytes(sample.packed) == sample


def test_type_parameters_in_strings_are_put_in() -> None:
    """`Box[...]` of a module with string annotations."""
    box = Box[NDArray](np.zeros(2), {"a": np.ones(1)})

    assert unpack(Box[NDArray], pack(box)) == box


def test_what_is_local_to_a_function_is_explained() -> None:
    """A local class in a string annotation cannot be found, and the error says so."""

    @packable
    class Local:
        x: int = 0

    @packable
    class Holder:
        local: Local

    @packable
    class Chain:
        next: Chain | None = None

    with pytest.raises(UnsupportedTypeError, match="local to a function") as caught:
        pack(Holder(Local()))
    assert "Holder" in str(caught.value)
    assert "Local" in str(caught.value)
    assert unpack(Chain, pack(Chain(Chain()))) == Chain(Chain())


def test_annotations_that_are_wrong_are_refused_at_once() -> None:
    """What can be read and has no form is refused when the class is defined."""
    with pytest.raises(UnsupportedTypeError, match="keys"):

        @packable
        class Bad:
            keys: dict[int, str]

    with pytest.raises(UnsupportedTypeError, match="Odd"):

        @packable
        class Odd:
            x: 3 + 4  # type: ignore[valid-type]


def test_defaults_do_not_hide_types() -> None:
    """A field named like its type still has it."""
    assert codec_of(Shadowed).fields[0].kind == "int"
    assert unpack(Shadowed, pack(Shadowed(int=7))).int == 7
