"""What is measured: the samples, as their types and as files on disk."""

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from atdata import packable

BATCH = 256


@packable
class Small:
    """Three scalars and a short vector."""

    id: int
    label: int
    score: float
    x: NDArray[np.float32]


@packable
class Medium:
    """An embedding of some text."""

    x: NDArray[np.float32]
    text: str
    label: int


@packable
class Large:
    """A picture as its pixels."""

    image: NDArray[np.uint8]
    label: int
    key: str


@packable
class Blob:
    """Bytes that are encoded already, such as a JPEG file."""

    data: bytes
    label: int


@packable
class Varied:
    """Tokens of texts of different lengths."""

    tokens: NDArray[np.int32]
    label: int
    id: int


@dataclass
class Box:
    """A place in a picture."""

    name: str
    left: float
    top: float


@packable
class Irregular:
    """Fields whose form differs from sample to sample."""

    id: int
    box: Box
    note: int | str | None
    scores: dict[str, float]
    tags: list[str]
    x: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Workload:
    """Samples of one kind.

    Attributes:
        name: The letter that stands for it.
        about: What the samples are.
        sample_type: Their type.
        count: How many there are at scale 1.
        make: Gives the first n of them, each time the same.
        arrays: The array fields: dtype, and shape with -1 for a side that varies.
    """

    name: str
    about: str
    sample_type: type[Any]
    count: int
    make: Callable[[int], Iterator[Any]]
    arrays: dict[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)

    @property
    def fields(self) -> list[str]:
        """Names of the fields."""
        return [one.name for one in fields(self.sample_type)]

    def decoder(self) -> Callable[[bytes], dict[str, Any]]:
        """How someone who knows the data decodes a sample's bytes without atdata."""
        unpack = msgspec.msgpack.Decoder().decode
        arrays = [
            (name, np.dtype(kind), 5 + 8 * len(shape), shape if len(shape) > 1 else None)
            for name, (kind, shape) in self.arrays.items()
        ]

        def decode(payload: bytes) -> dict[str, Any]:
            sample = unpack(payload)
            for name, dtype, header, shape in arrays:
                array = np.frombuffer(sample[name], dtype, offset=header)
                sample[name] = array if shape is None else array.reshape(shape)
            return sample

        return decode

    def encoder(self) -> Callable[[Any], bytes]:
        """How someone who knows the data encodes a sample without atdata."""
        pack = msgspec.msgpack.Encoder().encode
        names = self.fields
        arrays = list(self.arrays)

        def encode(sample: Any) -> bytes:
            values = {name: getattr(sample, name) for name in names}
            for name in arrays:
                array = values[name]
                values[name] = array_header(array.dtype, array.shape) + array.tobytes()
            return pack(values)

        return encode


@lru_cache
def array_header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The bytes before an array's elements, as atdata's format has them."""
    return struct.pack(f"<B3sB{len(shape)}q", 3, dtype.str.encode(), len(shape), *shape)


def _small(n: int) -> Iterator[Small]:
    x = np.random.default_rng(1).random((n, 16), np.float32)
    return (Small(i, i % 100, i % 1000 * 0.5, x[i]) for i in range(n))


def _medium(n: int) -> Iterator[Medium]:
    x = np.random.default_rng(2).random((n, 768), np.float32)
    return (Medium(x[i], f"the caption of picture {i}", i % 1000) for i in range(n))


def _large(n: int) -> Iterator[Large]:
    rng = np.random.default_rng(3)
    side = (224, 224, 3)
    return (Large(rng.integers(0, 256, side, np.uint8), i % 100, f"n{i:08d}") for i in range(n))


def _blobs(n: int) -> Iterator[Blob]:
    rng = np.random.default_rng(4)
    return (Blob(rng.bytes(int(rng.integers(45_000, 55_000))), i % 1000) for i in range(n))


def _varied(n: int) -> Iterator[Varied]:
    rng = np.random.default_rng(5)
    lengths = np.clip(rng.lognormal(math.log(300), 0.7, n), 20, 2000).astype(int).tolist()
    return (
        Varied(rng.integers(0, 50_000, length, np.int32), i % 1000, i)
        for i, length in enumerate(lengths)
    )


def _irregular(n: int) -> Iterator[Irregular]:
    x = np.random.default_rng(6).random((n, 16), np.float32)
    notes = (None, 7, "blurred")
    for i in range(n):
        yield Irregular(
            id=i,
            box=Box(f"box {i}", i * 0.5, i * 0.25),
            note=notes[i % 3],
            scores={f"class {k}": k * 0.5 for k in range(i % 4)},
            tags=["a tag"] * (i % 3),
            x=x[i],
        )


WORKLOADS = {
    one.name: one
    for one in (
        Workload("S", "3 scalars + 16 float32", Small, 200_000, _small, {"x": ("<f4", (16,))}),
        Workload(
            "M", "768 float32 + text + label", Medium, 50_000, _medium, {"x": ("<f4", (768,))}
        ),
        Workload(
            "L",
            "224x224x3 uint8 + label + key",
            Large,
            2_000,
            _large,
            {"image": ("|u1", (224, 224, 3))},
        ),
        Workload("B", "50 KB of encoded bytes + label", Blob, 5_000, _blobs),
        Workload(
            "V",
            "20 to 2000 int32 tokens + label + id",
            Varied,
            50_000,
            _varied,
            {"tokens": ("<i4", (-1,))},
        ),
        Workload(
            "I",
            "nested, union, dict and list fields + 16 float32",
            Irregular,
            20_000,
            _irregular,
            {"x": ("<f4", (16,))},
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one workload.

    Attributes:
        folder: Where they are.
        workload: What they hold.
        n: How many samples.
        url: Where a web server has the folder.
        scratch_folder: Where files can be written that nobody reads.
        n_shards: Shards that the samples are in.
    """

    folder: Path
    workload: Workload
    n: int
    url: str
    scratch_folder: Path
    n_shards: int = 1

    @property
    def tar(self) -> Path:
        """A shard by `atdata.write_samples`."""
        return self.folder / f"{self.workload.name}-{self.n}.tar"

    @property
    def shards(self) -> str:
        """All shards by `atdata.write_samples`, as a pattern; the only one's path if it is one."""
        if self.n_shards == 1:
            return str(self.tar)
        last = -(-self.n // self.shard_rows) - 1
        return f"{self.folder / self.sharded.stem}-{{000000..{last:06d}}}.tar"

    @property
    def sharded(self) -> Path:
        """What shards are named after where there are several."""
        return self.folder / f"{self.workload.name}-{self.n}-in-{self.n_shards}.tar"

    @property
    def shard_rows(self) -> int:
        """Samples in each of several shards."""
        return -(-self.n // self.n_shards)

    @property
    def foreign(self) -> Path:
        """A shard by webdataset's `TarWriter`, with PAX headers and without an index."""
        return self.folder / f"{self.workload.name}-{self.n}-foreign.tar"

    @property
    def arrow(self) -> Path:
        """A folder by `datasets.Dataset.save_to_disk`."""
        return self.folder / f"{self.workload.name}-{self.n}-arrow"

    @property
    def scratch(self) -> Path:
        """A file to write to."""
        return self.scratch_folder / f"{self.workload.name}.tar"


def fingerprint(workload: Workload, samples: Iterator[Any]) -> tuple[int, int]:
    """How many samples there are, and a sum over their values that no order changes."""
    n = total = 0
    for sample in samples:
        get = sample.__getitem__ if isinstance(sample, dict) else sample.__getattribute__
        values = [_plain(get(name)) for name in workload.fields]
        digest = blake2b(repr(values).encode(), digest_size=8).digest()
        total = (total + int.from_bytes(digest)) % 2**64
        n += 1
    return n, total


def _plain(value: Any) -> Any:
    """A value as every system gives it, whatever it is wrapped in."""
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, blake2b(value.tobytes()).hexdigest()
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, bytes | memoryview):
        return blake2b(value).hexdigest()
    return value


def rows(columns: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A batch as its samples."""
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))
