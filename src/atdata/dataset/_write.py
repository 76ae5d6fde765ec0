"""Writing samples to shards."""

import copy
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import Any, cast, get_origin

import msgspec
import numpy as np

from atdata._exceptions import SchemaError
from atdata._logging import log_operation
from atdata.codec.compile import SampleCodec, codec_of
from atdata.codec.lockstep import reads_in_lockstep
from atdata.codec.payloads import EncodedSamples, encode_samples
from atdata.dataset._dataset import Dataset
from atdata.dataset._progress import Progress
from atdata.manifest.files import remove_manifest
from atdata.model.shard import FinishedShard
from atdata.sample.batch import SampleBatch
from atdata.shard.index import Head
from atdata.shard.keys import check_key
from atdata.shard.names import is_numbered_sibling, numbered
from atdata.shard.writer import Payloads, ShardObserver, ShardWriter

_CHUNK = 1024
_CHUNK_BYTES = 8 << 20


def write_samples[T](
    samples: Iterable[T],
    path: str | Path,
    *,
    maxcount: int | None = None,
    maxsize: int | None = None,
    key: str | Callable[[T], str] | None = None,
    content_metadata: object = None,
    digest: bool = True,
    progress: bool | None = None,
    manifest: bool = False,
) -> Dataset[T]:
    """Write samples to one shard, or to numbered shards where a limit is given.

    The same samples make the same bytes on any machine. Nothing is visible under a final name
    before all is written, and nothing is left behind if writing fails. Numbered shards replace
    all that were written under the same name before.

    Args:
        samples: Samples of one type; read once.
        path: The shard's path. With `maxcount` or `maxsize`, shards are `{stem}-000000.tar` and so
            on, or a `%06d` in the file's name is their number.
        maxcount: Most samples in a shard.
        maxsize: Most bytes in a shard, with everything counted that the file holds.
        key: Name of a `str` field, or a function, that gives each sample's key. By default keys
            are running numbers of nine digits.
        content_metadata: What to say about the dataset: a mapping of msgpack values, or a sample.
            Each shard holds it.
        digest: Compute SHA-256 of shards and BLAKE3 of blocks; XXH3 of blocks is always kept.
        progress: Show progress on stderr; by default if that is a terminal.
        manifest: Write a manifest beside each shard, in the same pass, so that questions about
            its samples need not open it. Otherwise the manifest of a shard that is replaced goes
            with it.

    Returns:
        The dataset that was written.

    Raises:
        ValueError: There are no samples, two have one key, or one alone exceeds `maxsize`.
        SchemaError: A sample does not fit its type, or is of another type than the first.
        TypeError: These are no samples, or an annotation asks a manifest for what does not fit.

    Examples:
        >>> import atdata
        >>> @atdata.packable
        ... class Point:
        ...     name: str
        ...     x: float
        >>> points = [Point(f"p{i}", i / 2) for i in range(5)]
        >>> ds = atdata.write_samples(points, tmp / "points.tar", maxcount=2, key="name")
        >>> len(ds), [shard.rpartition("/")[2] for shard in ds.shards][:2]
        (5, ['points-000000.tar', 'points-000001.tar'])
        >>> ds.get("p3")
        Point(name='p3', x=1.5)
    """
    shards, sample_type = write_shards(
        samples,
        path,
        maxcount=maxcount,
        maxsize=maxsize,
        key=key,
        content_metadata=content_metadata,
        digest=digest,
        progress=progress,
        manifest=manifest,
    )
    paths = [shard.path for shard in shards]
    dataset: Dataset[T] = Dataset(paths[0] if len(paths) == 1 else paths, sample_type=sample_type)
    return dataset.with_content_metadata(content_metadata)


def write_shards[T](
    samples: Iterable[T],
    path: str | Path,
    *,
    maxcount: int | None = None,
    maxsize: int | None = None,
    key: str | Callable[[T], str] | None = None,
    content_metadata: object = None,
    digest: bool = True,
    progress: bool | None = None,
    manifest: bool = False,
) -> tuple[list[FinishedShard], type[T]]:
    """Write samples as `write_samples` does, and return the shards as facts, with the type."""
    final = Path(os.path.realpath(path))
    if not final.name.endswith(".tar"):
        raise ValueError(
            f"shards are plain tar files named '….tar', not {final.name!r}; compress the samples' "
            "own data instead, as a compressed shard cannot be read by position"
        )
    sharded = maxcount is not None or maxsize is not None
    metadata = plain_metadata(content_metadata)
    sample_type, samples = typed(samples)

    def name(number: int) -> Path:
        return Path(numbered(str(final), number)) if sharded else final

    head = Head(sample_type=codec_of(sample_type).name, content_metadata=metadata)
    observe = _observer(sample_type) if manifest else None
    with (
        log_operation("write_samples", path=str(final), sharded=sharded),
        ShardWriter(
            name, maxcount=maxcount, maxsize=maxsize, head=head, digest=digest, observe=observe
        ) as writer,
    ):
        _fill(writer, samples, sample_type, key=key, progress=progress)
        shards = writer.close()
    for shard in () if manifest else shards:
        remove_manifest(shard.path)
    if sharded:
        _remove_stale(final, len(shards))
    return shards, sample_type


def _observer(sample_type: type[Any]) -> Callable[[Path], ShardObserver]:
    """What builds manifests; it loads Arrow, so it is loaded only where manifests are wanted."""
    made: Callable[[Path], ShardObserver]
    made = import_module("atdata.manifest.build").ShardManifests(sample_type)
    return made


def deliver_shards[T](
    samples: Iterable[T],
    sample_type: type[T],
    name: Callable[[int], Path],
    deliver: Callable[[FinishedShard], object],
    *,
    maxcount: int | None = None,
    maxsize: int | None = None,
    key: str | Callable[[T], str] | None = None,
    content_metadata: object = None,
    digest: bool = True,
    progress: bool | None = None,
    manifest: bool = False,
    first_key: int = 0,
) -> None:
    """Write samples to shards, and hand each on as soon as it is complete.

    Args:
        samples: Samples of one type, as `typed` gives them; read once.
        sample_type: Their type.
        name: Gives the path of shard number n.
        deliver: Is given each complete shard, whose file is its own from then on.
        maxcount: Most samples in a shard.
        maxsize: Most bytes in a shard.
        key: As in `write_samples`.
        content_metadata: As in `write_samples`.
        digest: As in `write_samples`.
        progress: As in `write_samples`.
        manifest: Write a manifest beside each shard, which is handed on with it.
        first_key: The number of the first sample, where keys count up.

    Raises:
        ValueError: Two samples have one key, or one alone exceeds `maxsize`.
        SchemaError: A sample does not fit its type, or is of another type.
        TypeError: An annotation asks a manifest for what does not fit.

    Examples:
        >>> from atdata.sample.dynamic import DictSample
        >>> kind, samples = typed(DictSample(n=i) for i in range(3))
        >>> done = []
        >>> deliver_shards(samples, kind, lambda n: tmp / f"{n}.tar", done.append, maxcount=2)
        >>> [shard.n_samples for shard in done]
        [2, 1]
    """
    metadata = plain_metadata(content_metadata)
    head = Head(sample_type=codec_of(sample_type).name, content_metadata=metadata)
    with ShardWriter(
        name,
        maxcount=maxcount,
        maxsize=maxsize,
        head=head,
        digest=digest,
        deliver=deliver,
        observe=_observer(sample_type) if manifest else None,
        first_key=first_key,
    ) as writer:
        _fill(writer, samples, sample_type, key=key, progress=progress)


def typed[T](samples: Iterable[T]) -> tuple[type[T], Iterable[T]]:
    """The type of samples, found on the first, and all of the samples.

    Raises:
        TypeError: It is something else than an iterable of samples.
        ValueError: There are none.

    Examples:
        >>> from atdata.sample.dynamic import DictSample
        >>> kind, samples = typed(DictSample(n=i) for i in range(2))
        >>> kind.__name__, [sample.n for sample in samples]
        ('DictSample', [0, 1])
    """
    _check_samples(samples)
    source = iter(samples)
    first = list(islice(source, 1))
    if not first:
        raise ValueError("samples must be non-empty: there is nothing to write")
    _check_sample(first[0])
    # An instance of a generic class knows its type arguments, if it was made with any.
    kind: type[T] = getattr(first[0], "__orig_class__", type(first[0]))
    return kind, samples if isinstance(samples, Sequence) else chain(first, source)


def _check_samples(given: object) -> None:
    """Refuse what is no iterable of samples, and say what was probably meant."""
    name = type(given).__name__
    if isinstance(given, str | bytes | os.PathLike):
        raise TypeError(f"samples is a {name}; to read shards: atdata.Dataset(path)")
    if isinstance(given, Mapping):
        raise TypeError(f"samples is a {name}; its splits are written one by one")
    if not isinstance(given, Iterable):
        raise TypeError(f"samples is a {name}, and no iterable of samples; for one: [sample]")


def _check_sample(given: object) -> None:
    """Refuse what is often taken for a sample."""
    if isinstance(given, SampleBatch):
        raise TypeError("samples come in batches: give them one by one, without batch_size=")
    if isinstance(given, Mapping):
        raise TypeError(
            f"a sample is no {type(given).__name__}\n"
            "  One without a type is atdata.DictSample(**mapping)."
        )


def _fill[T](
    writer: ShardWriter,
    samples: Iterable[T],
    sample_type: type[T],
    *,
    key: str | Callable[[T], str] | None,
    progress: bool | None,
) -> None:
    codec = codec_of(sample_type)
    keys = _keys(key, sample_type)
    seen: set[str] = set()
    lasting = isinstance(samples, Sequence)
    with Progress("writing", enabled=progress) as bar:
        for payloads, chunk_keys in _encoded(iter(samples), codec, keys, lasting=lasting):
            writer.add(payloads, None if chunk_keys is None else _checked(chunk_keys, seen))
            bar.advance(len(payloads.sizes))


type _KeyMaker[T] = Callable[[Sequence[T]], list[str]]


def _encoded[T](
    samples: Iterator[T], codec: SampleCodec[T], keys: _KeyMaker[T] | None, *, lasting: bool
) -> Iterator[tuple[Payloads, list[str] | None]]:
    """Samples encoded many at a time, with their keys where those are not running numbers.

    A generator may fill one array, or one sample, again and again. So unless the samples last, as
    those of a list do, each is copied or encoded before the next is asked for.
    """
    if not lasting and not reads_in_lockstep(codec.fields):
        yield from _encoded_at_once(samples, codec, keys)
        return
    number = 0
    for chunk in _chunks(samples if lasting else map(_copier(codec), samples)):
        _check_types(chunk, codec, number)
        try:
            payloads = encode_samples(codec, chunk)
        except SchemaError as error:
            raise _numbered_error(error, codec, chunk, number) from error.__cause__
        yield payloads, None if keys is None else keys(chunk)
        number += len(chunk)


def _encoded_at_once[T](
    samples: Iterator[T], codec: SampleCodec[T], keys: _KeyMaker[T] | None
) -> Iterator[tuple[Payloads, list[str] | None]]:
    payloads: list[bytes] = []
    some_keys: list[str] = []
    n_bytes = 0
    for number, sample in enumerate(samples):
        _check_types([sample], codec, number)
        try:
            payloads.append(codec.encode(sample))
        except SchemaError as error:
            raise _numbered_error(error, codec, [sample], number) from error.__cause__
        some_keys += [] if keys is None else keys([sample])
        n_bytes += len(payloads[-1])
        if len(payloads) >= _CHUNK or n_bytes >= _CHUNK_BYTES:
            yield EncodedSamples(payloads), None if keys is None else some_keys
            payloads, some_keys, n_bytes = [], [], 0
    if payloads:
        yield EncodedSamples(payloads), None if keys is None else some_keys


def _copier[T](codec: SampleCodec[T]) -> Callable[[T], T]:
    """What copies a sample of plain fields, arrays included."""
    arrays = [plan.name for plan in codec.fields if plan.kind == "ndarray"]
    cls = _class_of(codec)
    slotted = any("__slots__" in vars(base) for base in cls.__mro__[:-1])

    def copied(sample: T) -> T:
        if slotted or type(sample) is not cls:
            clone = copy.copy(sample)
        else:
            clone = object.__new__(cls)
            clone.__dict__.update(sample.__dict__)
        for name in arrays:
            value = getattr(clone, name, None)
            if isinstance(value, np.ndarray):
                object.__setattr__(clone, name, value.copy())
        return clone

    return copied


def _class_of(codec: SampleCodec[Any]) -> type[Any]:
    cls: type[Any] = get_origin(codec.sample_type) or codec.sample_type
    return cls


def _chunks[T](samples: Iterator[T]) -> Iterator[list[T]]:
    """Samples in chunks of many, or of few where each is large."""
    step = 1
    while chunk := list(islice(samples, step)):
        yield chunk
        step = _next_step(chunk)


def _next_step(chunk: Sequence[Any]) -> int:
    """How many samples of this kind make a chunk of moderate size."""
    fields = getattr(chunk[0], "__dict__", None) or {}
    n_bytes = sum(
        getattr(value, "nbytes", len(value) if isinstance(value, bytes | str) else 32)
        for value in fields.values()
    )
    return max(8, min(_CHUNK, _CHUNK_BYTES // max(n_bytes, 1)))


def _check_types(chunk: Sequence[Any], codec: SampleCodec[Any], before: int) -> None:
    cls = _class_of(codec)
    if set(map(type, chunk)) == {cls}:
        return
    for number, sample in enumerate(chunk, before):
        if type(sample) is not cls:
            raise SchemaError(
                codec.name,
                wanted=f"{codec.name}, the type of the first sample",
                found=f"{type(sample).__name__} as sample {number}",
                hint="Write each type to shards of its own, or view them as one type first.",
            )


def _numbered_error(
    error: SchemaError, codec: SampleCodec[Any], chunk: Sequence[Any], before: int
) -> SchemaError:
    """Say which sample of the iterable does not fit."""
    for number, sample in enumerate(chunk, before):
        try:
            codec.encode(sample)
        except SchemaError as found:
            found.args = (f"{found}\n  sample  number {number}, counted from 0",)
            return found
    return error


def _keys[T](key: str | Callable[[T], str] | None, sample_type: type[T]) -> _KeyMaker[T] | None:
    if key is None:
        return None
    if callable(key):
        function = key
        return lambda chunk: list(map(function, chunk))
    names = [plan.name for plan in codec_of(sample_type).fields]
    if names and key not in names:
        raise ValueError(
            f"key={key!r} is no field of {sample_type.__name__}; its fields are {', '.join(names)}"
        )
    return lambda chunk: list(map(attrgetter(key), chunk))


def _checked(keys: list[str], seen: set[str]) -> list[str]:
    for key in keys:
        check_key(key)
        if key in seen:
            raise ValueError(f"two samples have the key {key!r}; keys must differ, see `key=`")
        seen.add(key)
    return keys


def plain_metadata(metadata: object) -> dict[str, Any] | None:
    """Content metadata as plain values.

    Raises:
        TypeError: It is no mapping and no sample, or holds what msgpack cannot.
    """
    if metadata is None:
        return None
    if not isinstance(metadata, Mapping):
        packed = getattr(metadata, "packed", None)
        if not isinstance(packed, bytes):
            raise TypeError(
                f"content_metadata must be a mapping or a packable sample, not "
                f"{type(metadata).__name__}"
            )
        return _decoded(packed)
    data = dict(cast("Mapping[str, Any]", metadata))
    try:
        again = _decoded(msgspec.msgpack.encode(data))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise TypeError(f"content_metadata must be plain values with str keys: {error}") from error
    if again != data and repr(again) != repr(data):
        raise TypeError("content_metadata must be plain values: str, numbers, bytes, lists, dicts")
    return data


def _decoded(packed: bytes) -> dict[str, Any]:
    return msgspec.msgpack.decode(packed, type=dict[str, Any])


def _remove_stale(path: Path, count: int) -> None:
    """Remove shards of an earlier, longer write under the same name."""
    for candidate in path.parent.iterdir():
        number = is_numbered_sibling(str(path), candidate.name)
        if number is not None and number >= count:
            candidate.unlink()
            remove_manifest(candidate)
