"""Work on whole shards, and what is fetched beside them."""

from collections.abc import Buffer, Callable, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import msgspec

from atdata._exceptions import (
    AtdataError,
    PartialFailureError,
    SourceError,
    printable,
    redacted,
    shard_name,
)
from atdata._lazy import require
from atdata._logging import get_logger, log_operation
from atdata._protocols import SupportsLocalPath
from atdata.codec.compile import codec_of
from atdata.dataset._processes import in_processes
from atdata.dataset._workers import Job, Outcome, ShardQueue, ShardTask
from atdata.pipeline.access import segments
from atdata.pipeline.chain import Chain, Part, leaves, through
from atdata.pipeline.open import open_shard
from atdata.pipeline.policy import Ledger, OnError
from atdata.pipeline.stages import Stage, Window
from atdata.shard.streamed import StreamedShard
from atdata.transport import remote
from atdata.transport.file import atomic_write

type EngineName = Literal["processes", "ray"]
"""Where `process_shards` works, other than in this process."""

_METADATA_BYTES = 64 << 20
_ENGINES = (None, "processes", "ray")


def fetch_metadata(url: str) -> dict[str, Any]:
    """One msgpack map, fetched over HTTP(S).

    Raises:
        SourceError: It cannot be fetched, is too large, or is no msgpack map.
    """
    with remote("https").open_url(url) as stream:
        data = stream.read(_METADATA_BYTES + 1)
    if len(data) > _METADATA_BYTES:
        raise SourceError(redacted(url), f"the metadata has more than {_METADATA_BYTES} bytes")
    try:
        return msgspec.msgpack.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = f"the metadata is not one msgpack map: {error}"
        raise SourceError(redacted(url), reason) from error


def read_content_metadata(chain: Chain, ledger: Ledger, *, local: bool = False) -> Any:
    """What the first shard with an index says about the dataset, or None.

    Args:
        chain: The dataset.
        ledger: What to do with a shard that cannot be opened.
        local: Look at files of this machine alone.
    """
    for part in leaves(chain):
        source = part.source
        for shard_id in source.list_shards()[:1]:
            path = source.local_path(shard_id) if isinstance(source, SupportsLocalPath) else None
            if local and path is None:
                continue
            try:
                shard = open_shard(part.source, shard_id)
            except AtdataError as error:
                ledger.meet(error)
                continue
            index = None if isinstance(shard, StreamedShard) else shard.index
            if index is not None and index.head.content_metadata is not None:
                return index.head.content_metadata
    return None


def wrapped(chain: Chain, payload: Buffer) -> Any:
    """A single payload, decoded and put through a chain's stages.

    Raises:
        ValueError: A stage drops it.
    """
    part = next(leaves(chain))
    sample: Any = codec_of(part.stored_type).decode(payload, copy=part.copy)
    stages = [stage for stage in _stages(chain) if not isinstance(stage, Window)]
    for _, samples in through(stages, [([0], [sample])]):
        return samples[0]
    raise ValueError("a filter of this dataset drops the sample")


def _stages(chain: Chain) -> list[Stage]:
    part = chain.parts[0]
    first = list(part.stages) if isinstance(part, Part) else _stages(part)
    return first + list(chain.tail)


class _Checkpoint:
    """A file with one line for each finished shard: its id and its result, as JSON."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.results: dict[str, Any] = {}
        if path is not None and path.exists():
            for number, line in enumerate(path.read_bytes().splitlines()):
                try:
                    shard_id, result = msgspec.json.decode(line, type=tuple[str, Any])
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    raise ValueError(
                        f"line {number + 1} of the checkpoint {printable(path)} is damaged; "
                        "remove the file to start again"
                    ) from error
                self.results[shard_id] = result
            get_logger().info("checkpoint: %d shards are done already", len(self.results))

    def add(self, shard_id: str, result: Any) -> None:
        """Remember that a shard is done."""
        self.results[shard_id] = result
        if self._path is None:
            return
        try:
            msgspec.json.encode(result)
        except (TypeError, ValueError) as error:
            del self.results[shard_id]
            raise TypeError(
                f"a result of type {type(result).__name__} cannot be kept in a checkpoint: "
                "return JSON values, or leave checkpoint out"
            ) from error
        with atomic_write(self._path) as file:
            file.writelines(msgspec.json.encode(item) + b"\n" for item in self.results.items())

    def done(self, wanted: Sequence[str], known: Sequence[str]) -> None:
        """Forget everything, unless it tells of shards that were not wanted and some are left."""
        if self._path is None:
            return
        if self.results.keys() <= set(wanted) or self.results.keys() >= set(known):
            self._path.unlink(missing_ok=True)


def process_shards(
    chain: Chain,
    fn: Callable[[list[Any]], Any],
    *,
    on_error: OnError,
    shards: Sequence[str] | None,
    checkpoint: str | Path | None,
    on_shard_error: Callable[[str, Exception], object] | None,
    engine: EngineName | None = None,
    workers: int | None = None,
    retries: int | None = None,
) -> dict[str, Any]:
    """See `Dataset.process_shards`."""
    _check_engine(engine, workers, retries)
    known = list(dict.fromkeys(s for part in leaves(chain) for s in part.source.list_shards()))
    wanted = known if shards is None else list(dict.fromkeys(shards))
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise KeyError(f"Shard not found: {printable(shard_name(unknown[0]))}")
    saved = _Checkpoint(Path(checkpoint) if checkpoint is not None else None)
    left = [shard_id for shard_id in wanted if shard_id not in saved.results]
    errors: dict[str, Exception] = {}
    with (
        log_operation("process_shards", total_shards=len(wanted)),
        closing(_outcomes(_planned(chain, fn, on_error, left), engine, workers, retries)) as done,
    ):
        for task, result, error in done:
            failure = error
            try:
                if failure is None:
                    saved.add(task.shard_id, result)
            except Exception as unkept:
                failure = unkept
            shown = printable(shard_name(task.shard_id))
            if failure is None:
                get_logger().debug("shard %s is done", shown)
                continue
            if not isinstance(failure, Exception):
                raise failure
            # One shard's failure is collected, and not the end of the others.
            get_logger().warning("shard %s failed: %s", shown, failure)
            errors[task.shard_id] = failure
            if on_shard_error is not None:
                on_shard_error(task.shard_id, failure)
    results = {shard_id: saved.results[shard_id] for shard_id in wanted if shard_id not in errors}
    if errors:
        in_order = {shard_id: errors[shard_id] for shard_id in wanted if shard_id in errors}
        raise PartialFailureError(list(results), list(in_order), in_order, results)
    saved.done(wanted, known)
    return results


def _check_engine(engine: object, workers: int | None, retries: int | None) -> None:
    if engine not in _ENGINES:
        raise ValueError(f"engine is {engine!r}; it must be None, 'processes' or 'ray'")
    if workers is not None and engine is None:
        raise ValueError("this process works alone: for workers, give engine='processes' or 'ray'")
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; at least one is needed")
    if retries is not None and retries < 0:
        raise ValueError(f"retries is {retries}; it must not be negative")


def _planned(
    chain: Chain, fn: Callable[[list[Any]], Any], on_error: OnError, shards: Sequence[str]
) -> tuple[Job, list[ShardTask]]:
    """What is to be done, and to which shards."""
    parts: dict[int, tuple[int, Part]] = {}
    pieces: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
    for found in segments(chain, Ledger(on_error)) if shards else ():
        number, _ = parts.setdefault(id(found.part), (len(parts), found.part))
        facts = {"rows": found.rows, "count": found.count, "pick": found.pick}
        pieces.setdefault(found.shard_id, []).append((number, facts))
    tasks = [ShardTask(shard_id, tuple(pieces.get(shard_id, ()))) for shard_id in shards]
    used = tuple(part for _, part in parts.values())
    limits = [part.max_errors for part in used if part.max_errors is not None]
    return Job(fn, on_error, min(limits, default=None), used), tasks


def _outcomes(
    planned: tuple[Job, list[ShardTask]],
    engine: EngineName | None,
    workers: int | None,
    retries: int | None,
) -> Generator[Outcome]:
    """The outcome of each shard, as soon as it is there."""
    job, tasks = planned
    queue = ShardQueue(tasks, retries)
    if engine == "processes" and tasks:
        yield from in_processes(job, queue, workers)
    elif engine == "ray" and tasks:
        # By name, as adapters stand above datasets; it loads Ray for those who ask for it.
        yield from require("atdata.adapters.ray", extra="ray").on_ray(job, queue, workers)
    else:
        yield from _in_this_process(job, queue)


def _in_this_process(job: Job, queue: ShardQueue) -> Generator[Outcome]:
    while queue:
        task = queue.take()
        try:
            result = job.run(task)
        except Exception as error:
            if not queue.again(task):
                yield task, None, error
        else:
            yield task, result, None
