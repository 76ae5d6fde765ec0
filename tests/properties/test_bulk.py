"""What is done to many samples at once is what is done to each of them alone."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.properties.kinds import DTYPES, OTHER, PLAIN, alike, lists_of

import atdata
from atdata import SampleBatch, SchemaError
from atdata.codec.columns import Columns, Memory
from atdata.codec.compile import SampleCodec, codec_of
from atdata.codec.lockstep import decode_columns
from atdata.codec.payloads import encode_samples
from atdata.sample.same import same


def together(
    codec: SampleCodec[Any], payloads: Sequence[bytes], *, copy: bool
) -> Columns[Any] | None:
    """Payloads in one buffer, decoded in bulk, with a few bytes between them."""
    data = np.frombuffer(b"".join(b"\xc1\xc1\xc1" + one for one in payloads), np.uint8)
    size = np.array([len(one) for one in payloads], np.int64)
    at = np.cumsum(size + 3) - size
    return decode_columns(codec, at, size, Memory(data, lambda: (data.copy(), 0), copy=copy))


def written_in_bulk(codec: SampleCodec[Any], samples: Sequence[Any], gap: int = 0) -> list[bytes]:
    """Payloads that were written in bulk."""
    encoded = encode_samples(codec, samples)
    sizes = encoded.sizes
    at = np.cumsum(sizes + gap) - sizes
    buffer = np.zeros(int(at[-1] + sizes[-1]), np.uint8)
    encoded.fill(buffer, at, 0, len(samples))
    return [
        buffer[start : start + n].tobytes()
        for start, n in zip(at.tolist(), sizes.tolist(), strict=True)
    ]


@pytest.mark.parametrize("copy", [True, False])
@given(given_=alike(PLAIN) | lists_of(PLAIN))
def test_decoding_in_bulk_is_decoding_one_by_one(given_: list[Any], copy: bool) -> None:
    """Any samples, decoded field by field, are those that the general decoder makes."""
    codec = codec_of(type(given_[0]))
    payloads = [codec.encode(sample) for sample in given_]

    columns = together(codec, payloads, copy=copy)

    if columns is not None:
        assert columns.samples() == [codec.decode(one) for one in payloads] == given_
        pieces = [sample for part in columns.slices() for sample in part.samples()]
        assert pieces == given_
        rows = np.arange(len(given_))[::-2]
        assert columns.take(rows).samples() == given_[::-2]
        check_arrays(columns.samples(), writable=copy)


def check_arrays(samples: Sequence[Any], *, writable: bool) -> None:
    for sample in samples:
        for value in vars(sample).values():
            if isinstance(value, np.ndarray):
                assert value.flags.writeable == writable
                assert value.flags.aligned or not writable


@given(given_=alike(PLAIN), at=st.data())
def test_damage_is_met_in_bulk_as_it_is_one_by_one(given_: list[Any], at: st.DataObject) -> None:
    """What bulk decoding makes of changed payloads is what the general decoder makes of them."""
    codec = codec_of(type(given_[0]))
    payloads = [codec.encode(sample) for sample in given_]
    victims = at.draw(st.sampled_from([[0], list(range(len(payloads)))]))
    place = at.draw(st.integers(0, min(len(payloads[i]) for i in victims) - 1))
    value = at.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0x93, 0xC0, 0xC1, 0xC4, 0xD9, 0xDC, 0xFF]))
    for i in victims:
        payloads[i] = payloads[i][:place] + bytes([value]) + payloads[i][place + 1 :]

    columns = together(codec, payloads, copy=True)

    try:
        bulk = None if columns is None else columns.samples()
    except UnicodeDecodeError:
        bulk = None
    if bulk is not None:
        general = [codec.decode(one) for one in payloads]
        assert [codec.encode(s) for s in bulk] == [codec.encode(s) for s in general]


@given(given_=alike(PLAIN) | lists_of(PLAIN + OTHER), gap=st.sampled_from([0, 512]))
def test_encoding_in_bulk_is_encoding_one_by_one(given_: list[Any], gap: int) -> None:
    """Any samples, encoded field by field, give the bytes that the general encoder gives."""
    codec = codec_of(type(given_[0]))

    assert written_in_bulk(codec, given_, gap) == [codec.encode(sample) for sample in given_]


WRONG = [
    None, 1, 1.5, True, "text", b"bytes", 2**64, -(2**63) - 1, "\ud800", [1], float("nan"),
    np.float32(1), np.zeros(3), np.zeros((2, 2), np.float32), np.zeros(3, ">f4"),
    np.zeros(3, np.float32), np.array("x"), np.zeros((0, 2), np.int16), np.array([None]),
    np.ma.masked_array([1.0, 2.0, 3.0], [False, True, False]),
]  # fmt: skip


@given(given_=alike(PLAIN), at=st.data())
def test_what_is_refused_alone_is_refused_in_bulk(given_: list[Any], at: st.DataObject) -> None:
    """A value of any kind in any field is written or refused alike, and refused by the field."""
    codec = codec_of(type(given_[0]))
    changed = at.draw(st.sampled_from([[0], list(range(len(given_)))]))
    name = at.draw(st.sampled_from(list(vars(given_[0]))))
    value = at.draw(st.sampled_from(WRONG))
    kind = type(given_[0])
    mixed = [
        kind(**{**vars(sample), name: value}) if i in changed else sample
        for i, sample in enumerate(given_)
    ]
    assert outcome(lambda: written_in_bulk(codec, mixed)) == outcome(
        lambda: [codec.encode(sample) for sample in mixed]
    )


def outcome(work: Callable[[], list[bytes]]) -> list[bytes] | str:
    """What work gives, or the field that it is refused for."""
    try:
        return work()
    except SchemaError as error:
        return error.path


@atdata.packable
class Arrays:
    """Two arrays of any kind."""

    a: NDArray[Any]
    b: NDArray[Any] | None


def array_of(dtype: str, shape: tuple[int, ...], seed: int) -> NDArray[Any]:
    """An array of any dtype and shape."""
    n = int(np.prod(shape))
    kind = np.dtype(dtype)
    if kind.kind in "US":
        return np.array([f"{(seed + i) % 7}" for i in range(n)], kind).reshape(shape)
    return ((np.arange(n) + seed) % 100).astype(kind).reshape(shape)


SHAPES: list[tuple[int, ...]] = [(), (0,), (3,), (2, 3), (0, 4), (1, 1, 1), (70, 80, 3)]


@given(
    dtype=st.sampled_from(DTYPES),
    shapes=st.lists(st.sampled_from(SHAPES), min_size=1, max_size=6),
    gone=st.integers(0, 3),
    copy=st.booleans(),
)
def test_arrays_of_any_dtype_and_shape_are_read_in_bulk(
    dtype: str, shapes: list[tuple[int, ...]], gone: int, copy: bool
) -> None:
    """Ragged or not, big-endian, empty, 0-d or absent: equal, and of the same dtype."""
    shapes = [shape for shape in shapes if len(shape) == len(shapes[0])] * 3
    made = [
        Arrays(array_of(dtype, shape, i), None if i % 4 < gone else array_of("<f4", (2, 2), i))
        for i, shape in enumerate(shapes)
    ]
    codec = codec_of(Arrays)
    payloads = written_in_bulk(codec, made)

    columns = together(codec, payloads, copy=copy)

    assert columns is not None
    found = columns.samples()
    assert found == made
    assert [s.a.dtype for s in found] == [np.dtype(dtype)] * len(made)
    check_arrays(found, writable=copy)
    batch = SampleBatch.of_columns(Arrays, [columns])
    of_objects = SampleBatch(made)
    assert same(batch.a, of_objects.a)
    assert same(batch.b, of_objects.b)


EDGES = [v + d for k in (5, 7, 8, 15, 16, 31, 32) for v in (2**k, -(2**k)) for d in (-1, 0, 1)]
INTS = st.one_of(
    st.sampled_from([*EDGES, 2**63 - 1, 2**63, -(2**63)]),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-40, 200),
)


@given(values=st.lists(INTS, min_size=1, max_size=40))
def test_ints_of_all_widths_are_written_and_read_in_bulk(values: list[int]) -> None:
    """Any ints, of any mixture of widths, give the general bytes and come back."""
    codec = codec_of(Number)
    made = [Number(value) for value in values]

    payloads = written_in_bulk(codec, made, gap=7)

    assert payloads == [codec.encode(sample) for sample in made]
    columns = together(codec, payloads, copy=True)
    if columns is None:
        assert max(values) >= 2**63
    else:
        assert columns.samples() == made


@atdata.packable
class Number:
    """An int."""

    n: int


@given(given_=alike(PLAIN))
def test_batches_of_columns_are_batches_of_samples(given_: list[Any]) -> None:
    """A batch shows the same, whether its samples were ever made or not."""
    codec = codec_of(type(given_[0]))
    columns = together(codec, [codec.encode(sample) for sample in given_], copy=True)
    if columns is None:
        return
    half = len(given_) // 2
    pieces = [columns.take(slice(0, half)), columns.take(slice(half, None))]

    batch = SampleBatch.of_columns(type(given_[0]), [piece for piece in pieces if len(piece)])

    assert same(batch.to_dict(), SampleBatch(given_).to_dict())
    assert list(batch) == given_
