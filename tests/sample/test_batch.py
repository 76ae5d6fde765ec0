"""Batches: samples seen field by field."""

import copy
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import atdata
from atdata import DictSample, PackableSample, SampleBatch
from atdata.sample.same import same


@atdata.packable
class Picture:
    """Some fields."""

    name: str
    label: int
    image: NDArray[np.uint8]
    score: float | None = None


@atdata.packable
class Titled(Picture):
    """A field more than its base has."""

    title: str = ""


@dataclass
class Based(PackableSample):
    """A sample by base class."""

    n: int


@dataclass
class BasedOnBased(Based):
    """And one derived from it."""

    m: int = 0


@atdata.packable
class Awkward:
    """Fields whose names a batch uses itself."""

    samples: int
    sample_type: str


@atdata.packable
class Box[T]:
    """A generic sample."""

    value: T


def pictures(n: int = 5) -> list[Picture]:
    return [
        Picture(f"p{i}", i, np.full((3, 4), i, np.uint8), i / 2 if i % 2 else None)
        for i in range(n)
    ]


def read(folder: Path, samples: list[Any], **reading: Any) -> SampleBatch[Any]:
    """A batch of these samples, from a shard."""
    ds = atdata.write_samples(samples, folder / "s.tar")
    stream = ds.shuffled(**reading, batch_size=100) if reading else ds.ordered(batch_size=100)
    [batch] = stream
    return batch


def test_numbers_and_arrays_of_one_shape_become_arrays(tmp_path: Path) -> None:
    """Their first dimension is the batch; texts and values with None are lists in sample order."""
    for batch in (SampleBatch[Picture](pictures()), read(tmp_path, pictures())):
        assert batch.label.dtype == np.int64
        assert batch.label.tolist() == [0, 1, 2, 3, 4]
        assert batch.image.shape == (5, 3, 4)
        assert batch.image.dtype == np.uint8
        assert batch.image[3, 0, 0] == 3
        assert batch.name == ["p0", "p1", "p2", "p3", "p4"]
        assert batch.score == [None, 0.5, None, 1.5, None]


def test_ragged_arrays_and_arrays_with_none_become_lists(tmp_path: Path) -> None:
    """In sample order, whichever comes first."""

    @atdata.packable
    class Ragged:
        x: NDArray[np.float32]
        y: NDArray[np.float32] | None

    given = [
        Ragged(np.arange(i, dtype=np.float32), None if i % 2 == 0 else np.ones(2, np.float32))
        for i in range(4)
    ]
    for batch in (SampleBatch[Ragged](given), read(tmp_path, given)):
        assert [x.shape for x in batch.x] == [(0,), (1,), (2,), (3,)]
        assert [None if y is None else y.tolist() for y in batch.y] == [None, [1, 1], None, [1, 1]]


def test_a_field_is_put_together_once(tmp_path: Path) -> None:
    """Asking again gives the same object; what was not asked for is not put together."""
    for batch in (SampleBatch[Picture](pictures()), read(tmp_path, pictures())):
        assert batch.image is batch.image
        assert set(batch.__dict__["_fields"]) == {"image"}


def test_inherited_fields_are_there(tmp_path: Path) -> None:
    """For classes made by the decorator and by the base class, read or made by hand."""
    titled = [Titled("a", 1, np.zeros((1, 1), np.uint8), title="x")]
    for batch in (SampleBatch[Titled](titled), read(tmp_path, titled)):
        assert (batch.name, batch.title, batch.label.tolist()) == (["a"], ["x"], [1])
    based = [BasedOnBased(1, 2), BasedOnBased(3, 4)]
    for other in (SampleBatch[BasedOnBased](based), read(tmp_path, based)):
        assert (other.n.tolist(), other.m.tolist()) == ([1, 3], [2, 4])


def test_samples_without_a_type_have_the_fields_that_any_of_them_has(tmp_path: Path) -> None:
    """What one of them lacks is None; arrays are arrays."""
    given = [DictSample(a=1, x=np.arange(2)), DictSample(a=2, x=np.arange(2), b="only here")]
    for batch in (SampleBatch[DictSample](given), SampleBatch(given), read(tmp_path, given)):
        assert batch.a.tolist() == [1, 2]
        assert batch.b == [None, "only here"]
        assert batch.x.tolist() == [[0, 1], [0, 1]]
        assert batch.column_names() == ["a", "x", "b"]
        with pytest.raises(AttributeError, match="No sample attribute named 'c'"):
            batch.c


def test_an_unknown_field_is_an_attribute_error() -> None:
    """It names the fields that there are."""
    batch = SampleBatch[Picture](pictures(1))

    with pytest.raises(AttributeError, match="No sample attribute named 'lable'; .*name, label"):
        batch.lable
    assert not hasattr(batch, "__array_interface__")


def test_a_batch_is_a_sequence(tmp_path: Path) -> None:
    """Length, iteration, single samples from both ends, and slices, which are batches."""
    for batch in (SampleBatch[Picture](pictures()), read(tmp_path, pictures())):
        assert len(batch) == 5
        assert list(batch) == batch.samples == pictures()
        assert batch[-1] == pictures()[4]
        part = batch[1:4:2]
        assert isinstance(part, SampleBatch)
        assert part.sample_type is Picture
        assert part.label.tolist() == [1, 3]
        with pytest.raises(IndexError):
            batch[5]
        assert repr(batch) == "SampleBatch[Picture](5 samples)"


def test_an_empty_batch_has_empty_fields() -> None:
    """Of a known type those that the type has; else any."""
    typed, untyped = SampleBatch[Picture]([]), SampleBatch[Any]([])

    assert (len(typed), list(typed), typed.image, typed.name) == (0, [], [], [])
    assert typed.sample_type is Picture
    with pytest.raises(AttributeError, match="No sample attribute"):
        typed.other
    assert SampleBatch([]).anything == []
    assert repr(SampleBatch([])) == "SampleBatch[?](0 samples)"
    with pytest.raises(TypeError, match="empty batch"):
        SampleBatch([]).sample_type
    assert len(SampleBatch([])[:]) == 0
    assert len(untyped) == 0


def test_fields_that_bear_names_of_the_batch_are_in_its_dictionary() -> None:
    """`to_dict` gives all fields, under any name."""
    batch = SampleBatch[Awkward]([Awkward(1, "a"), Awkward(2, "b")])

    assert same(batch.to_dict(), {"samples": np.array([1, 2]), "sample_type": ["a", "b"]})
    assert batch.sample_type is Awkward


@pytest.mark.parametrize("touched", [False, True])
@pytest.mark.parametrize("reading", [{}, {"seed": 1}, {"seed": 1, "buffer_samples": 0}])
def test_batches_pickle_and_copy_without_the_memory_they_were_read_from(
    tmp_path: Path, reading: dict[str, int], touched: bool
) -> None:
    """What arrives is equal, can be written to, and is no larger than its samples."""
    many = [Picture(f"p{i}", i, np.full((100, 100), i % 7, np.uint8)) for i in range(30)]
    ds = atdata.write_samples(many * 10, tmp_path / "s.tar")
    stream = ds.shuffled(**reading, batch_size=30) if reading else ds.ordered(batch_size=30)
    batch = next(iter(stream))
    if touched:
        batch.image, batch.samples

    pickled = pickle.dumps(batch)
    for other in (pickle.loads(pickled), copy.deepcopy(batch), copy.copy(batch)):
        assert list(other) == list(batch)
        assert other.sample_type is Picture
        assert same(other.to_dict(), batch.to_dict())
    other = pickle.loads(pickled)
    other.image[:] = 99
    other[0].image[:] = 98
    assert same(batch.to_dict(), pickle.loads(pickled).to_dict())
    assert len(pickled) < 2 * 30 * 10_000


def test_batches_made_by_hand_pickle() -> None:
    """With a type in brackets or without, and empty."""
    for batch in (SampleBatch(pictures()), SampleBatch[Picture](pictures()), SampleBatch([])):
        again = pickle.loads(pickle.dumps(batch))

        assert list(again) == list(batch)
        assert len(again) == len(batch)
    assert pickle.loads(pickle.dumps(SampleBatch[Picture]([]))).sample_type is Picture


def test_a_generic_sample_type_is_kept(tmp_path: Path) -> None:
    """Batches of `Box[int]` know their arguments."""
    ds = atdata.write_samples([Box(1), Box(2)], tmp_path / "s.tar")
    typed = atdata.Dataset(ds.list_shards(), sample_type=Box[int])

    [batch] = typed.ordered(batch_size=5)

    assert batch.sample_type == Box[int]
    assert batch.value.tolist() == [1, 2]
    assert list(batch) == [Box(1), Box(2)]


def test_samples_that_are_mappings_or_objects_have_fields_too(tmp_path: Path) -> None:
    """Results of `map` may be dictionaries or objects of any class; a missing entry is None."""
    ds = atdata.write_samples(pictures(3), tmp_path / "s.tar")

    [of_dicts] = ds.map(lambda s: {"n": s.label} | ({"odd": 1} if s.label % 2 else {})).ordered(9)
    [of_ints] = ds.map(lambda s: s.label).ordered(batch_size=9)

    assert of_dicts.n.tolist() == [0, 1, 2]
    assert of_dicts.odd == [None, 1, None]
    assert of_ints.samples == [0, 1, 2]
    with pytest.raises(AttributeError, match="the fields are none"):
        of_ints.real_part


def test_ints_beyond_64_bits_signed_stay_exact() -> None:
    """Unsigned where they fit, a list where no dtype holds all."""
    batch = SampleBatch([DictSample(n=v, m=w) for v, w in ((1, -1), (2**64 - 1, 2**64 - 1))])

    assert batch.n.dtype == np.uint64
    assert batch.n.tolist() == [1, 2**64 - 1]
    assert batch.m == [-1, 2**64 - 1]


def test_memory_of_a_batch_is_its_own(tmp_path: Path) -> None:
    """Writing into a batch changes neither the file nor what is read next."""
    ds = atdata.write_samples(pictures(), tmp_path / "s.tar")
    for stream in (ds.ordered(batch_size=5), ds.shuffled(batch_size=5, seed=1)):
        before = pickle.dumps(next(iter(stream)).to_dict())
        batch = next(iter(stream))
        batch.image[:] = 77
        batch.label[:] = 77
        for sample in batch:
            sample.image[:] = 78

        assert pickle.dumps(next(iter(stream)).to_dict()) == before
        assert list(ds) == pictures()
