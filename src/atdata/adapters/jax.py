"""Datasets for JAX and for Grain: batches as pytrees of arrays, and samples by their positions.

JAX itself is imported where arrays are placed on devices, and Grain nowhere: what it reads from is
anything that has a length and items.
"""

import dataclasses
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, SupportsIndex, Unpack

import numpy as np

from atdata._exceptions import SchemaError, printable
from atdata._lazy import require
from atdata.dataset import Dataset
from atdata.pipeline.access import Positions
from atdata.pipeline.stream import Reading, SampleStream
from atdata.pipeline.world import World
from atdata.sample.batch import SampleBatch
from atdata.sample.dynamic import DictSample

_INT64 = np.iinfo(np.int64)


class GrainSource[T]:
    """A dataset as Grain reads it: a `RandomAccessDataSource`.

    Its items are dicts of numpy arrays and scalars, which Grain batches as they are. Its `repr`
    tells by digests which samples these are: a Grain `DataLoader` writes it into its checkpoints
    and refuses one of other data. It pickles with what is known of the shards, so that workers
    need not look again, and several threads may read it at once.

    Args:
        dataset: What is read. Its samples are counted now, for which those that a filter or
            `on_error` may drop are read.
        fields: Only these fields; None for all, which then have to be numbers or arrays.
        typed: Give samples as the dataset has them, to a pipeline that makes arrays itself.

    Raises:
        TypeError: The dataset has no end.

    Examples:
        >>> import atdata
        >>> samples = [atdata.DictSample(x=np.full(2, i), name="a", n=i) for i in range(5)]
        >>> ds = atdata.write_samples(samples, tmp / "g.tar")
        >>> source = GrainSource(ds, fields=["x", "n"])
        >>> len(source), source[3]
        (5, {'x': array([3, 3]), 'n': np.int64(3)})
        >>> GrainSource(ds, typed=True)[3].name
        'a'
    """

    def __init__(
        self, dataset: Dataset[T], *, fields: Sequence[str] | None = None, typed: bool = False
    ) -> None:
        if typed and fields is not None:
            raise ValueError("typed samples have all their fields: give fields or typed=True")
        self._dataset = dataset
        self._fields = _chosen(fields)
        self._typed = typed
        self._positions: Positions = _positions(dataset)
        data = dataset.ordered(world=World()).state_dict()["data"]
        form = "typed" if typed else "all fields" if fields is None else ", ".join(fields)
        weights = f", weights {data['weights']}" if data["weights"] else ""
        self._repr = (
            f"GrainSource({data['reads']}: {len(self)} samples, {form}; of {data['shards']} "
            f"shards with {data['samples']} samples, digest {data['digest']}{weights})"
        )

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, index: SupportsIndex) -> Any:
        """The sample at a position, as a dict or as it is."""
        sample = self._positions.one(operator.index(index))
        return sample if self._typed else _item(sample, self._fields)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle where each sample is, unless that follows from a mixture's schedule."""
        state = self.__dict__.copy()
        if self._dataset.chain.is_mixed:
            del state["_positions"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "_positions" not in state:
            self._positions = _positions(self._dataset)

    def __repr__(self) -> str:
        return self._repr


class JaxBatches:
    """The batches of a stream as pytrees: dicts of arrays with the batch as their first axis.

    `Dataset.to_jax` makes these; make them yourself of a stream with another order.

    Args:
        stream: Gives batches.
        fields: Only these fields; None for all, which then have to be numbers or arrays.
        sharding: Put batches on devices as global arrays: a `jax.sharding.NamedSharding` whose
            first axis splits the batch. None: numpy arrays.

    Attributes:
        stream: What is read; `stream.stats` and `stream.skipped` tell of the last pass.

    Raises:
        TypeError: The stream gives single samples.

    Examples:
        >>> import atdata
        >>> ds = atdata.write_samples([atdata.DictSample(n=i) for i in range(5)], tmp / "j.tar")
        >>> batches = JaxBatches(ds.shuffled(batch_size=2, seed=1, shuffle="global"))
        >>> len(batches), sorted(int(n) for batch in batches for n in batch["n"])
        (3, [0, 1, 2, 3, 4])
    """

    def __init__(
        self,
        stream: SampleStream[SampleBatch[Any]],
        *,
        fields: Sequence[str] | None = None,
        sharding: Any = None,
    ) -> None:
        if stream.batch_size is None:
            raise TypeError("JAX takes batches: ds.to_jax(batch_size=32)")
        self.stream = stream
        self._fields = _chosen(fields)
        self._sharding = sharding

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self._sharding is not None:
            self._check_readers()
        return map(self._made, iter(self.stream))

    def __len__(self) -> int:
        """How many batches this process gets: of an epoch, or of what is left of one."""
        return len(self.stream)

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass read an epoch from its start.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(n=i) for i in range(9)]
            >>> ds = atdata.write_samples(samples, tmp / "e.tar")
            >>> batches = to_jax(ds, 9, shuffle=True, seed=1)
            >>> first = [batch["n"].tolist() for batch in batches]
            >>> batches.set_epoch(1)
            >>> first == [batch["n"].tolist() for batch in batches]
            False
        """
        self.stream.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Where the last pass stands, as JSON values.

        Examples:
            >>> import atdata
            >>> samples = [atdata.DictSample(n=i) for i in range(6)]
            >>> ds = atdata.write_samples(samples, tmp / "s.tar")
            >>> batches = to_jax(ds, 2)
            >>> for batch in batches:
            ...     break
            >>> resumed = to_jax(ds, 2)
            >>> resumed.load_state_dict(batches.state_dict())
            >>> [batch["n"].tolist() for batch in resumed]
            [[2, 3], [4, 5]]
        """
        return self.stream.state_dict()

    def load_state_dict(self, state: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """Make the next pass go on from a state; see `SampleStream.load_state_dict`."""
        self.stream.load_state_dict(state)

    def _made(self, batch: SampleBatch[Any]) -> dict[str, Any]:
        arrays = _arrays(batch, self._fields)
        if self._sharding is None:
            return arrays
        return {name: self._placed(name, array, batch) for name, array in arrays.items()}

    def _placed(self, name: str, array: np.ndarray[Any, Any], batch: SampleBatch[Any]) -> Any:
        jax = require("jax", extra="jax")
        wanted = jax.dtypes.canonicalize_dtype(array.dtype)
        if array.dtype.kind in "iu" and wanted != array.dtype and array.size:
            # JAX would keep the lower 32 bits and say nothing.
            held = np.iinfo(wanted)
            low, high = int(array.min()), int(array.max())
            if low < held.min or high > held.max:
                raise SchemaError(
                    _type_name(batch),
                    path=name,
                    wanted=f"{wanted}, which JAX makes of {array.dtype}",
                    found=str(low if low < held.min else high),
                    hint="Leave the field out, or have JAX keep 64 bits: JAX_ENABLE_X64=1.",
                )
        return jax.make_array_from_process_local_data(self._sharding, array)

    def _check_readers(self) -> None:
        wanted = _readers(self._sharding)
        if wanted is None:
            return
        reader, readers = self.stream.state_dict()["reader"]
        if (reader, readers) != (wanted.reader, wanted.readers):
            raise ValueError(
                f"this process reads as reader {reader} of {readers}, but by the sharding it "
                f"holds part {wanted.reader} of {wanted.readers} of each batch\n"
                f"  Leave out world=, or give world=World({wanted.reader}, {wanted.readers})."
            )

    def __repr__(self) -> str:
        where = "" if self._sharding is None else f", sharding={self._sharding}"
        return f"JaxBatches({self.stream}{where})"


def to_jax(
    dataset: Dataset[Any],
    batch_size: int,
    *,
    shuffle: bool | Literal["window", "global"] = False,
    seed: int | None = None,
    buffer_shards: int = 100,
    buffer_samples: int = 10_000,
    fields: Sequence[str] | None = None,
    sharding: Any = None,
    **reading: Unpack[Reading],
) -> JaxBatches:
    """Batches of a dataset for JAX: this process's share, all of one size.

    Processes that train together have to take equally many steps of equally many samples, so what
    does not go round is left out unless `tail` and `drop_last` say otherwise.

    Args:
        dataset: What is read.
        batch_size: Samples in a batch of this process; a global batch has as many from each.
        shuffle: True, or `"window"`, mixes within windows of shards, `"global"` all with all.
        seed: Makes the order reproducible; processes that train together have to have one.
        buffer_shards: Shards in a window; see `Dataset.shuffled`.
        buffer_samples: See `Dataset.shuffled`.
        fields: Only these fields; None for all, which then have to be numbers or arrays.
        sharding: Put batches on devices as global arrays: a `jax.sharding.NamedSharding` whose
            first axis splits the batch. Processes that hold the same part of it read the same.
        reading: See `Reading`; here `tail` is `"drop"` and `drop_last` is true if not given.

    Examples:
        >>> import atdata
        >>> samples = [atdata.DictSample(x=np.full(3, i, "f4"), label=i) for i in range(10)]
        >>> ds = atdata.write_samples(samples, tmp / "d.tar")
        >>> [batch["label"].tolist() for batch in to_jax(ds, 4)]
        [[0, 1, 2, 3], [4, 5, 6, 7]]
        >>> next(iter(to_jax(ds, 4, shuffle=True, seed=7, fields=["x"])))["x"].shape
        (4, 3)
    """
    if not shuffle and seed is not None:
        raise ValueError("a seed is for shuffled data: to_jax(..., shuffle=True, seed=...)")
    settings: Reading = {"tail": "drop", "drop_last": True, **reading}
    if sharding is not None and settings.get("world") is None:
        settings["world"] = _readers(sharding)
    stream: SampleStream[SampleBatch[Any]]
    if shuffle:
        stream = dataset.shuffled(
            buffer_shards,
            buffer_samples,
            batch_size,
            seed=seed,
            shuffle="window" if shuffle is True else shuffle,
            **settings,
        )
    else:
        stream = dataset.ordered(batch_size, **settings)
    return JaxBatches(stream, fields=fields, sharding=sharding)


def _positions(dataset: Any) -> Positions:
    """Where the samples of a dataset are."""
    len(dataset)  # refuses what has no end
    found: Positions = dataset._located()
    return found


def _chosen(fields: Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(fields, str):
        raise TypeError(f"fields is a list of names: fields=[{fields!r}]")
    if fields is not None and not fields:
        raise ValueError("fields is empty; name at least one, or leave it out for all")
    return None if fields is None else tuple(fields)


def _readers(sharding: Any) -> World | None:
    """Which reader of how many this process is, if a sharding splits batches among processes.

    Processes that hold the same part of a batch are one reader: JAX expects the same data there.
    """
    jax = require("jax", extra="jax")
    if jax.process_count() == 1:
        return None
    if not isinstance(sharding, jax.sharding.NamedSharding):
        raise TypeError(
            f"sharding is a {type(sharding).__name__}; among several processes it has to be a "
            "jax.sharding.NamedSharding, whose first axis says who holds which samples"
        )
    first = jax.sharding.PartitionSpec(*sharding.spec[:1])
    rows = jax.sharding.NamedSharding(sharding.mesh, first)
    n = len(sharding.device_set)  # each way to split a batch among the devices splits this one
    held: dict[int, set[tuple[int, int]]] = {}
    for device, (part,) in rows.devices_indices_map((n,)).items():
        start, stop, _ = part.indices(n)
        held.setdefault(device.process_index, set()).add((start, stop))
    parts = sorted({tuple(sorted(one)) for one in held.values()})
    mine = held.get(jax.process_index())
    if mine is None or sum(map(len, parts)) != len({one for part in parts for one in part}):
        raise ValueError(
            f"by {sharding}, processes share some of their parts of a batch but not all, or this "
            "one has none\n"
            "  Split the first axis so that two processes hold the same samples or other ones."
        )
    return World(parts.index(tuple(sorted(mine))), len(parts), found="JAX sharding")


def _arrays(batch: SampleBatch[Any], fields: tuple[str, ...] | None) -> dict[str, Any]:
    """The fields of a batch, all of them arrays."""
    there = batch.column_names()
    if fields is not None and set(fields) <= set(there):
        found = {name: _field(batch, name) for name in fields}
    else:
        found = batch.to_dict()
    return _checked(_type_name(batch), found, fields)


def _field(batch: SampleBatch[Any], name: str) -> Any:
    """One field of a batch, without putting the others together if that can be."""
    if name.startswith("_") or hasattr(SampleBatch, name):
        return batch.to_dict()[name]
    return getattr(batch, name)


def _item(sample: Any, fields: tuple[str, ...] | None) -> dict[str, Any]:
    """A sample as a dict of arrays and of numpy scalars."""
    if isinstance(sample, DictSample):
        found = sample.to_dict()
    elif isinstance(sample, Mapping):
        found = dict(sample)
    elif dataclasses.is_dataclass(sample):
        names = (field.name for field in dataclasses.fields(sample))
        found = {name: getattr(sample, name) for name in names}
    else:
        found = {}
    return _checked(type(sample).__name__, found, fields)


def _checked(
    owner: str, found: Mapping[str, Any], fields: tuple[str, ...] | None
) -> dict[str, Any]:
    """Some fields, each as JAX takes it.

    Raises:
        SchemaError: One of them is not there, or is no array.
    """
    if not found:
        raise SchemaError(
            owner,
            wanted="a sample with fields",
            found=owner,
            hint="Make it one:  ds.map(lambda value: {'value': value})",
        )
    arrays: dict[str, Any] = {}
    for name in found if fields is None else fields:
        array = _array(found[name]) if name in found else None
        if array is None:
            usable = [one for one, value in found.items() if _array(value) is not None]
            raise SchemaError(
                owner,
                path=name,
                wanted="a number or an array, of the same dtype and shape in all samples",
                found=_described(found[name]) if name in found else "no such field",
                hint=f"Leave it out, fields={printable(usable)}, or make it one with ds.map.",
            )
        arrays[name] = array
    return arrays


def _array(value: Any) -> Any:
    """A value as an array or a numpy scalar of a dtype that JAX knows; None if it is none."""
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return np.int64(value) if _INT64.min <= value <= _INT64.max else None
    if isinstance(value, float):
        return np.float64(value)
    if not isinstance(value, np.ndarray | np.generic):
        return None
    dtype = value.dtype
    # The last are those of ml_dtypes, such as bfloat16.
    if dtype.kind not in "biufc" and (dtype.kind != "V" or dtype.type is np.void):
        return None
    return value if dtype.isnative else value.astype(dtype.newbyteorder("="))


def _described(value: Any) -> str:
    """What a value is, where it is no array."""
    if isinstance(value, np.ndarray | np.generic):
        return f"{value.dtype}"
    if not isinstance(value, list):
        return f"{value}, beyond int64" if isinstance(value, int) else type(value).__name__
    each = [one for one in value if one is not None]
    arrays = [one for one in each if isinstance(one, np.ndarray)]
    if len(each) < len(value):
        return f"None in {len(value) - len(each)} of {len(value)} samples"
    if len(arrays) == len(each):
        forms = dict.fromkeys(f"{one.dtype} {one.shape}" for one in arrays)
        return f"arrays of {' and '.join([*forms][:3])}"
    return " and ".join(dict.fromkeys(type(one).__name__ for one in each))


def _type_name(batch: SampleBatch[Any]) -> str:
    try:
        return batch.sample_type.__name__
    except (TypeError, AttributeError):
        return "a sample"
