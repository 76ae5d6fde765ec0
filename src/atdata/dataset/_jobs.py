"""Work on whole shards, and what is fetched beside them."""

from collections.abc import Buffer, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from atdata._exceptions import (
    AtdataError,
    PartialFailureError,
    SourceError,
    printable,
    redacted,
    shard_name,
)
from atdata._logging import get_logger, log_operation
from atdata._protocols import SupportsLocalPath
from atdata.codec.compile import codec_of
from atdata.pipeline.access import Segment, read_segment, segments
from atdata.pipeline.chain import Chain, Part, leaves, through
from atdata.pipeline.open import open_shard
from atdata.pipeline.policy import Ledger, OnError
from atdata.pipeline.stages import Stage, Window
from atdata.shard.streamed import StreamedShard
from atdata.transport import remote
from atdata.transport.file import atomic_write

_METADATA_BYTES = 64 << 20


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
) -> dict[str, Any]:
    """See `Dataset.process_shards`."""
    known = list(dict.fromkeys(s for part in leaves(chain) for s in part.source.list_shards()))
    wanted = known if shards is None else list(dict.fromkeys(shards))
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise KeyError(f"Shard not found: {printable(shard_name(unknown[0]))}")
    saved = _Checkpoint(Path(checkpoint) if checkpoint is not None else None)
    ledger = Ledger(on_error)
    by_shard: dict[str, list[Segment]] = {}
    if not set(wanted) <= saved.results.keys():
        for segment in segments(chain, ledger, exact=False):
            by_shard.setdefault(segment.shard_id, []).append(segment)
    errors: dict[str, Exception] = {}
    results: dict[str, Any] = {}
    with log_operation("process_shards", total_shards=len(wanted)):
        for shard_id in wanted:
            if shard_id in saved.results:
                results[shard_id] = saved.results[shard_id]
                continue
            shown = printable(shard_name(shard_id))
            try:
                result = fn(_samples(by_shard.get(shard_id, []), ledger))
                saved.add(shard_id, result)
            except Exception as error:  # one shard's failure is collected, not the end
                get_logger().warning("shard %s failed: %s", shown, error)
                errors[shard_id] = error
                if on_shard_error is not None:
                    on_shard_error(shard_id, error)
            else:
                results[shard_id] = result
                get_logger().debug("shard %s is done", shown)
    if errors:
        raise PartialFailureError(list(results), list(errors), errors, results)
    saved.done(wanted, known)
    return results


def _samples(found: Sequence[Segment], ledger: Ledger) -> list[Any]:
    return [
        sample
        for segment in found
        for _, samples in read_segment(segment, ledger)
        for sample in samples
    ]
