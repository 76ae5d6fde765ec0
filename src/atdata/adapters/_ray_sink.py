"""Typed shards of a Ray Data dataset: written by its tasks, and all or nothing."""

import pickle
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from itertools import chain as flattened
from pathlib import Path
from secrets import token_hex
from typing import Any

from atdata._exceptions import AtdataError, ShardError
from atdata._lazy import require
from atdata.adapters._ray_shared import cluster, dumps, joined
from atdata.codec.compile import codec_of
from atdata.codec.payloads import EncodedSamples
from atdata.dataset import Dataset
from atdata.dataset._write import plain_metadata, write_shards
from atdata.shard.index import Head
from atdata.shard.mapped import MappedShard
from atdata.shard.names import is_numbered_sibling, numbered
from atdata.shard.writer import ShardWriter
from atdata.transport.file import commit, temporary_beside


def from_ray[T](
    dataset: Any,
    sample_type: type[T],
    path: str | Path,
    *,
    maxcount: int | None = None,
    key: str | Callable[[T], str] | None = None,
    content_metadata: object = None,
    digest: bool = True,
    overwrite: bool = False,
    concurrency: int | None = None,
) -> Dataset[T]:
    """Write a Ray Data dataset to typed shards: the same bytes that `write_samples` would write.

    Each row becomes a sample, checked against its type. Ray's tasks write what they have beside
    the target; when all is there, it is divided into shards, which are given their names at last.
    Until then nothing is visible, and if anything fails, nothing is left. Tasks that were tried
    again leave nothing twice.

    Args:
        dataset: The Ray Data dataset; its rows are written in its order.
        sample_type: The samples' type. Columns that are no fields of it are left out.
        path: The shard's path, or that of numbered shards, as for `write_samples`. All nodes of
            the cluster have to see its folder.
        maxcount: Most samples in a shard; None writes one shard.
        key: Name of a `str` field, or a function, that gives each sample's key. By default keys
            are running numbers of nine digits.
        content_metadata: What to say about the dataset: a mapping of msgpack values, or a sample.
        digest: Compute SHA-256 of shards and BLAKE3 of blocks; XXH3 of blocks is always kept.
        overwrite: Replace shards of that name. Otherwise they are an error.
        concurrency: How many tasks may write at a time; by default, Ray decides.

    Returns:
        The dataset that was written.

    Raises:
        SchemaError: A row does not fit the type. The error names the field.
        FileExistsError: There are shards of that name.
        ValueError: There are no rows, or two have one key.

    Examples:
        >>> from atdata import DictSample, from_ray
        >>> def squared(row):
        ...     return {"n": row["id"], "square": row["id"] ** 2}
        >>> import ray  # doctest: +SKIP
        >>> rds = ray.data.range(1000).map(squared)  # doctest: +SKIP
        >>> from_ray(rds, DictSample, tmp / "s.tar", maxcount=100)[999]  # doctest: +SKIP
        DictSample(n=999, square=998001)
    """
    if not hasattr(dataset, "write_datasink"):
        raise TypeError(f"from_ray takes a ray.data.Dataset, not {type(dataset).__name__}")
    if maxcount is not None and maxcount < 1:
        raise ValueError(f"maxcount is {maxcount}; a shard holds at least one sample")
    final = Path(path).resolve()
    if not final.name.endswith(".tar"):
        raise ValueError(f"shards are plain tar files named '….tar', not {final.name!r}")
    there = _shards_there(final, sharded=maxcount is not None)
    if there and not overwrite:
        raise FileExistsError(
            f"{there[0]} exists\n  Give another path, or overwrite=True to replace its shards."
        )
    cluster()
    head = Head(codec_of(sample_type).name, content_metadata=plain_metadata(content_metadata))
    target = _Target(final, maxcount, head, digest)
    staging = temporary_beside(final)
    staging.mkdir()
    options = dataset.context.execution_options
    before, options.preserve_order = options.preserve_order, True
    try:
        sink = joined(ShardsSink, "Datasink")(dumps((sample_type, key)), staging, target)
        dataset.write_datasink(sink, concurrency=concurrency)
    except Exception as error:
        cause = _cause(error)
        if cause is None:
            raise
        raise cause from error
    finally:
        options.preserve_order = before
        shutil.rmtree(staging, ignore_errors=True)
    for stale in there:
        if stale not in sink.written:
            stale.unlink(missing_ok=True)
    paths: list[Path] = sink.written
    written: Dataset[T] = Dataset(paths[0] if len(paths) == 1 else paths, sample_type=sample_type)
    return written.with_content_metadata(content_metadata)


def _shards_there(final: Path, *, sharded: bool) -> list[Path]:
    """The shards that writing to a path would replace or outdate."""
    if not sharded:
        return [final] if final.exists() else []
    if not final.parent.is_dir():
        return []
    beside = sorted(final.parent.iterdir())
    return [one for one in beside if is_numbered_sibling(str(final), one.name) is not None]


def _cause(error: BaseException) -> Exception | None:
    """What a task of Ray's raised, if it is an error that is documented here."""
    found: Any = error
    for _ in range(10):
        found = getattr(found, "cause", None) or getattr(found, "__cause__", None)
        if isinstance(found, AtdataError | ValueError | OSError):
            return found
    return None


@dataclass(frozen=True, slots=True)
class _Target:
    """What is written.

    Attributes:
        path: Where, as given to `numbered` if there are several shards.
        maxcount: Most samples in a shard, or None for one shard.
        head: What each index says.
        digest: Compute SHA-256 and BLAKE3.
    """

    path: Path
    maxcount: int | None
    head: Head
    digest: bool

    def name(self, number: int) -> Path:
        """The path of a shard."""
        return self.path if self.maxcount is None else Path(numbered(str(self.path), number))


@dataclass(frozen=True, slots=True)
class _Written:
    """What one task wrote.

    Attributes:
        task: The task's number; tasks are numbered in the order of the rows.
        name: The file; empty if there was nothing to write.
        n_samples: How many samples it holds.
    """

    task: int
    name: str
    n_samples: int


class ShardsSink:
    """Typed shards, as Ray Data writes them: a `Datasink`.

    Args:
        packed: The sample type and what gives keys, pickled.
        staging: A folder for what is not complete yet.
        target: What is written.

    Attributes:
        written: The shards, when all is done.
    """

    def __init__(self, packed: bytes, staging: Path, target: _Target) -> None:
        super().__init__()
        self._packed = packed
        self._staging = staging
        self._target = target
        self.written: list[Path] = []

    def get_name(self) -> str:
        """The name that Ray shows."""
        return "Shards"

    def write(self, blocks: Iterable[Any], ctx: Any) -> _Written:
        """Write what one task is given to a file of its own, in the staging folder.

        Raises:
            SchemaError: A row does not fit the type.
            FileNotFoundError: The staging folder is not to be seen from here.
        """
        self._check_staging()
        sample_type, key = pickle.loads(self._packed)  # noqa: S301 - from `from_ray`
        samples = map(codec_of(sample_type).from_data, _rows(blocks))
        first = next(samples, None)
        if first is None:
            return _Written(ctx.task_idx, "", 0)
        self._check_staging()  # making the first row may have taken long
        # A task that is tried again writes to another file, and one of them is named by Ray.
        path = self._staging / f"{ctx.task_idx}-{token_hex(8)}.tar"
        every = flattened([first], samples)
        shards, _ = write_shards(every, path, key=key, digest=False, progress=False)
        return _Written(ctx.task_idx, path.name, shards[0].n_samples)

    def _check_staging(self) -> None:
        if not self._staging.is_dir():
            raise FileNotFoundError(
                f"{self._staging.parent} is not the same folder on this node, or writing was "
                "given up\n  Write to a folder that all nodes of the cluster share."
            )

    def on_write_complete(self, write_result: Any) -> None:
        """Divide what was written into shards, and give these their names.

        Raises:
            ValueError: There is nothing, or two samples have one key.
        """
        found: list[_Written] = sorted(write_result.write_returns, key=lambda one: one.task)
        parts = [(self._staging / one.name, one.n_samples) for one in found if one.n_samples]
        if not parts:
            raise ValueError("the dataset must be non-empty: there is nothing to write")
        n_samples = sum(n for _, n in parts)
        if n_samples != write_result.num_rows:
            raise RuntimeError(f"{n_samples} of {write_result.num_rows} rows were written")
        _check_keys([path for path, _ in parts])
        ray = cluster()
        write = ray.remote(_write_shard)
        shards = [
            write.remote(self._staging / f"shard-{number}.tar", first, pieces, self._target)
            for number, (first, pieces) in enumerate(_shares(parts, self._target.maxcount))
        ]
        done: list[Path] = []
        try:
            for number, temporary in enumerate(ray.get(shards)):
                name = self._target.name(number)
                commit(temporary, name)
                done.append(name)
        except BaseException:
            for path in done:
                path.unlink(missing_ok=True)
            raise
        self.written = done

    def on_write_failed(self, error: Exception) -> None:  # noqa: ARG002 - as Ray Data calls it
        """Remove everything."""
        shutil.rmtree(self._staging, ignore_errors=True)


def _rows(blocks: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    accessor = require("ray.data.block", extra="ray").BlockAccessor
    for block in blocks:
        yield from accessor.for_block(block).iter_rows(public_row_format=True)


type _Rows = tuple[Path, int, int]
"""A file, and the rows of it from one up to another."""


def _shares(
    parts: Sequence[tuple[Path, int]], maxcount: int | None
) -> Iterator[tuple[int, list[_Rows]]]:
    """The number of the first sample of each shard, and where its samples are."""
    total = sum(n for _, n in parts)
    size = maxcount or total
    ends = list(accumulate(n for _, n in parts))
    for first in range(0, total, size):
        stop = min(first + size, total)
        yield (
            first,
            [
                (path, max(first, end - n) - (end - n), min(stop, end) - (end - n))
                for (path, n), end in zip(parts, ends, strict=True)
                if end > first and end - n < stop
            ],
        )


def _check_keys(paths: Sequence[Path]) -> None:
    """Refuse keys that two tasks have given.

    Raises:
        ValueError: There is one.
    """
    seen: set[str] = set()
    for path in paths:
        index = MappedShard(path, path.name).index
        if index is None or index.head.first_key is not None:
            continue  # keys that count up are given anew
        for key in index.keys:
            if key in seen:
                raise ValueError(f"two samples have the key {key!r}; keys must differ, see `key=`")
            seen.add(key)


def _write_shard(path: Path, first: int, pieces: Sequence[_Rows], target: _Target) -> Path:
    """Write one shard of samples that are encoded already."""
    with ShardWriter(lambda _: path, head=target.head, digest=target.digest) as writer:
        writer.n_samples = first  # keys count on from the shards before
        for file, start, stop in pieces:
            shard = MappedShard(file, file.name)  # which `open_mapped` would keep open
            running = shard.index is not None and shard.index.head.first_key is not None
            for chunk in shard.chunks(start=start, verify="damage"):
                if isinstance(chunk, ShardError):
                    raise chunk
                some = chunk.within(start, stop)
                payloads = [bytes(some.payload(i)) for i in range(len(some))]
                if payloads:
                    keys = None if running else list(some.key_list())
                    writer.add(EncodedSamples(payloads), keys)
                if chunk.row + len(chunk) >= stop:
                    break
    return path
