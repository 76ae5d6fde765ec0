"""What becomes of values: tensors where torch has the dtype, and otherwise what they were."""

from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

import atdata
from atdata import DictSample, SampleBatch

torch = pytest.importorskip("torch", reason="the torch extra is not installed")
adapter = pytest.importorskip("atdata.adapters.torch")

KNOWN = st.sampled_from(["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
Pair = namedtuple("Pair", ["a", "b"])


@atdata.packable
class Inner:
    """A sample in a sample."""

    x: NDArray[np.int16]


@atdata.packable
class Mixed:
    """Fields of all kinds."""

    inner: Inner
    text: str
    data: bytes
    shape: list[int]
    named: dict[str, NDArray[np.float32]]
    maybe: float | None = None


@dataclass
class Result:
    """What a `map` may return."""

    score: float
    x: Any


@given(KNOWN.flatmap(lambda dtype: arrays.arrays(dtype, SHAPES)))
def test_an_array_becomes_a_tensor_that_shares_its_memory(array: np.ndarray[Any, Any]) -> None:
    """Of the same dtype and the same values."""
    tensor = adapter.as_tensors(array)

    assert str(tensor.dtype) == f"torch.{array.dtype}"
    np.testing.assert_array_equal(tensor.numpy(), array)
    assert array.size == 0 or np.shares_memory(tensor.numpy(), array)


@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_complex_arrays_become_tensors(dtype: str) -> None:
    """Of the same width."""
    array = np.array([1 + 2j, 3], dtype)

    assert adapter.as_tensors(array).numpy().tolist() == array.tolist()


def read_only() -> np.ndarray[Any, Any]:
    """An array of memory that nobody may write to."""
    return np.frombuffer(np.arange(4, dtype="i4").tobytes(), "i4")


ODD = {
    "read-only": read_only(),
    "other byte order": np.arange(4, dtype=">i4"),
    "not aligned": np.frombuffer(bytearray(17), np.uint8)[1:].view("i4"),
    "backwards": np.arange(4)[::-1],
    "a field of records": np.zeros(4, [("a", "u1"), ("b", "<c8")])["b"],
    "every other byte": np.arange(8, dtype="u1").view("u1")[::2].reshape(2, 2).T,
}


@pytest.mark.parametrize("array", ODD.values(), ids=ODD)
def test_what_no_tensor_can_share_is_copied(array: np.ndarray[Any, Any]) -> None:
    """To the same values, and nothing can be written through it."""
    tensor = adapter.as_tensors(array)

    assert tensor.numpy().tolist() == array.tolist()
    assert tensor.is_contiguous() or np.shares_memory(tensor.numpy(), array)
    assert array.flags.writeable or not np.shares_memory(tensor.numpy(), array)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_the_small_floats_are_torchs_own(name: str) -> None:
    """`ml_dtypes` and torch have them under the same names, and in the same memory."""
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    array = np.array([0.5, -2, 0], getattr(ml_dtypes, name))

    tensor = adapter.as_tensors(array)
    array[2] = 1

    assert tensor.dtype == getattr(torch, name)
    assert tensor.tolist() == [0.5, -2, 1]


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a", "b"]),
        np.array([b"a"]),
        np.array(["2026-01-01"], "M8[D]"),
        np.zeros(2, [("a", "i4")]),
        np.ones(2, np.longdouble),
        np.array([None, "a"], object),
    ],
    ids=["text", "bytes", "times", "records", "longdouble", "objects"],
)
def test_what_torch_has_no_dtype_for_stays_an_array(array: np.ndarray[Any, Any]) -> None:
    """The very same."""
    assert adapter.as_tensors(array) is array


def test_everything_inside_is_converted() -> None:
    """Samples and dataclasses become dicts; lists, tuples and named tuples stay what they are."""
    sample = Mixed(Inner(np.arange(2, dtype="i2")), "a", b"b", [1, 2], {"w": np.ones(1, "f4")})

    found, pair, others = adapter.as_tensors(
        [sample, Pair(np.arange(1), "x"), (np.int16(3), None, 1.5, True)]
    )

    x, w = found.pop("inner")["x"], found.pop("named")["w"]
    assert found == {"text": "a", "data": b"b", "shape": [1, 2], "maybe": None}
    assert [(x.dtype, x.tolist()), (w.dtype, w.tolist())] == [
        (torch.int16, [0, 1]),
        (torch.float32, [1.0]),
    ]
    assert type(pair) is Pair
    assert torch.equal(pair.a, torch.tensor([0]))
    assert torch.equal(others[0], torch.tensor(3, dtype=torch.int16))
    assert others[1:] == (None, 1.5, True)


def test_a_batch_has_tensors_for_numbers_too() -> None:
    """Fields with a None, and arrays of several shapes, stay lists; so does text."""
    batch = SampleBatch(
        [
            DictSample(n=i, f=i / 2, b=i > 0, big=2**64 - 1, x=np.full(3, i, "u2"),
                       ragged=np.arange(i + 1), maybe=None if i else 1, text="a", raw=b"r")
            for i in range(2)
        ]
    )  # fmt: skip

    found = adapter.as_tensors(batch)

    assert {name: value.dtype for name, value in found.items() if torch.is_tensor(value)} == {
        "n": torch.int64,
        "f": torch.float64,
        "b": torch.bool,
        "big": torch.uint64,
        "x": torch.uint16,
    }
    assert found["big"].tolist() == [2**64 - 1] * 2
    assert [one.tolist() for one in found["ragged"]] == [[0], [0, 1]]
    assert [found["maybe"], found["text"], found["raw"]] == [[1, None], ["a", "a"], [b"r", b"r"]]
    assert adapter.collate(batch.samples).keys() == found.keys()


@pytest.fixture
def ds(tmp_path: Path) -> atdata.Dataset[DictSample]:
    """Three samples with an array."""
    samples = [DictSample(x=np.full(2, i, "f4"), samples=i) for i in range(3)]
    return atdata.write_samples(samples, tmp_path / "x.tar")


MAPPED = {
    "numbers": (lambda s: s.samples, torch.tensor([0, 1, 2])),
    "arrays": (lambda s: s.x, torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])),
}


@pytest.mark.parametrize(("function", "expected"), MAPPED.values(), ids=MAPPED)
def test_results_of_a_map_without_fields_are_collated(
    ds: atdata.Dataset[DictSample], function: Any, expected: Any
) -> None:
    """As torch collates them."""
    (batch,) = adapter.to_torch(ds.map(function), 3)

    assert torch.equal(batch, expected)


def test_results_of_a_map_with_fields(ds: atdata.Dataset[DictSample]) -> None:
    """Pairs, mappings with tensors of the user's, and dataclasses."""
    pairs = next(iter(adapter.to_torch(ds.map(lambda s: (s.x, s.samples)), 3)))
    mapped = ds.map(lambda s: {"x": torch.from_numpy(s.x), "ragged": torch.ones(s.samples)})
    named = next(iter(adapter.to_torch(mapped, 3)))
    results = next(iter(adapter.to_torch(ds.map(lambda s: Result(0.5, s.x)), 3)))

    assert [tuple(one.shape) for one in pairs] == [(3, 2), (3,)]
    assert named["x"].shape == (3, 2)
    assert [len(one) for one in named["ragged"]] == [0, 1, 2]
    assert results["score"].tolist() == [0.5] * 3
    assert results["x"].shape == (3, 2)


def test_fields_whose_names_a_batch_uses_itself(ds: atdata.Dataset[DictSample]) -> None:
    """They are there like all others, and can be chosen."""
    whole = next(iter(adapter.to_torch(ds, 3)))
    few = next(iter(adapter.to_torch(ds, 3, fields=["samples"])))

    assert whole["samples"].tolist() == few["samples"].tolist() == [0, 1, 2]
    assert list(few) == ["samples"]


def test_arrays_of_datasets_that_are_read_only_are_copied(
    ds: atdata.Dataset[DictSample],
) -> None:
    """So that no warning is given and no tensor can change the file's pages."""
    (batch,) = adapter.to_torch(ds.with_options(copy=False), 3)

    batch["x"] += 1

    assert batch["x"][2].tolist() == [3, 3]
