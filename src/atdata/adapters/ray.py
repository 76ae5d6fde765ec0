"""Ray: datasets read and written by a cluster, and work on whole shards there.

`Dataset.to_ray` gives a Ray Data dataset that is read shard by shard, `from_ray` writes one as
typed shards, and `process_shards(engine="ray")` calls a function with each shard's samples. Ray is
imported when it is first used.
"""

import copy
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from atdata._exceptions import AtdataError, printable, shard_name
from atdata._lazy import require
from atdata._logging import get_logger
from atdata._typing import Int64Array
from atdata.adapters._ray_columns import Columns
from atdata.adapters._ray_shared import anywhere, cluster, dumps, joined, local_path
from atdata.adapters._ray_sink import from_ray
from atdata.adapters._ray_work import on_ray
from atdata.dataset import Dataset
from atdata.dataset._export import row_of
from atdata.pipeline.access import Count, Segment, count_rows, read_segment, segments
from atdata.pipeline.chain import Chain, Part, leaves
from atdata.pipeline.open import open_shard
from atdata.pipeline.policy import Ledger
from atdata.shard.index import SUFFIX, IndexDamageError, index_span
from atdata.shard.streamed import StreamedShard
from atdata.transport.file import read_range
from atdata.transport.file import size as size_of_file

__all__ = ["Shards", "from_ray", "on_ray", "to_ray"]

_SMALLEST = 1 << 20


def to_ray(
    dataset: Dataset[Any],
    *,
    fields: Sequence[str] | None = None,
    override_num_blocks: int | None = None,
    concurrency: int | None = None,
) -> Any:
    """See `Dataset.to_ray`."""
    if dataset.chain.is_mixed:
        raise ValueError(
            "a mixture has one order, which cannot be read in parts\n"
            "  Read its members instead: a.to_ray().union(b.to_ray())"
        )
    if dataset.chain.is_ordered:
        raise ValueError(
            "samples in an order of their own cannot be read in parts\n"
            "  Let Ray sort them: ds.to_ray().sort(...), without order_by."
        )
    cluster()
    make = joined(Shards, "Datasource")
    source = make(dataset.chain, dataset.sample_type, fields, override_num_blocks)
    return require("ray.data", extra="ray").read_datasource(
        source, override_num_blocks=override_num_blocks, concurrency=concurrency
    )


@dataclass(frozen=True, slots=True)
class _Piece:
    """Part of a shard, for a read task.

    Attributes:
        part: The number of the part of the dataset that it is of.
        shard_id: The shard.
        rows: The rows that are read; None for all.
        count: What was found out about the shard, if its rows were counted.
        n_rows: How many rows are stored there, or None where that is not known.
        n_bytes: How many bytes are stored there, or None where that is not known.
    """

    part: int
    shard_id: str
    rows: range | Int64Array | None
    count: Count | None
    n_rows: int | None = None
    n_bytes: int | None = None

    def split(self, n: int) -> "list[_Piece]":
        """The same rows in `n` pieces."""
        rows = range(self.n_rows or 0) if self.rows is None else self.rows
        if n < 2 or self.n_rows is None:
            return [self]
        edges = [len(rows) * i // n for i in range(n + 1)]
        share = None if self.n_bytes is None else self.n_bytes // n
        return [
            replace(self, rows=rows[a:b], n_rows=b - a, n_bytes=share) for a, b in pairwise(edges)
        ]


class Shards:
    """A dataset's shards, as Ray Data reads them: a `Datasource`.

    Args:
        chain: The dataset.
        sample_type: The type of its samples.
        fields: The fields that are wanted; None for all.
        blocks: How many blocks were asked for; None leaves that to Ray.
    """

    def __init__(
        self, chain: Chain, sample_type: Any, fields: Sequence[str] | None, blocks: int | None
    ) -> None:
        super().__init__()
        self._columns = Columns(sample_type)
        self._fields = self._columns.checked(fields)
        self._blocks = blocks
        self._pieces, parts = _pieces(chain)
        self._keep_count = [part.keeps_count for part in parts]
        self._packed = dumps((tuple(map(anywhere, parts)), sample_type))
        self._sent: Any = None
        self._is_counted = False

    def get_name(self) -> str:
        """The name that Ray shows."""
        return "Shards"

    def estimate_inmemory_data_size(self) -> int | None:
        """Bytes of all samples, as they are stored."""
        sizes = [piece.n_bytes for piece in self._pieces]
        return None if None in sizes else sum(size or 0 for size in sizes)

    def supports_projection_pushdown(self) -> bool:
        """Fields that nobody wants need not be read."""
        return True

    def get_projection_map(self) -> dict[str, str] | None:
        """The fields that are wanted, or None for all."""
        return None if self._fields is None else {name: name for name in self._fields}

    def apply_projection(self, projection_map: Mapping[str, str] | None) -> Any:
        """The same shards with fewer fields."""
        if projection_map is None:
            return self
        clone = copy.copy(self)
        wanted = self._columns.checked(list(projection_map)) or []
        clone._fields = [n for n in wanted if self._fields is None or n in self._fields]
        return clone

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: Any = None,  # noqa: ARG002 - Ray Data gives it by name
    ) -> list[Any]:
        """What Ray runs: so many tasks, if there is enough to read for them."""
        ray = cluster()
        task = require("ray.data.datasource", extra="ray").ReadTask
        metadata = require("ray.data.block", extra="ray").BlockMetadata
        if self._sent is None:
            self._sent = ray.put(self._packed)
        tasks: list[Any] = []
        for mine in self._divided(max(1, parallelism)):
            rows = [one.n_rows if self._keep_count[one.part] else None for one in mine]
            sizes = [one.n_bytes for one in mine]
            facts = metadata(
                num_rows=None if None in rows else sum(n or 0 for n in rows),
                size_bytes=None if None in sizes else sum(n or 0 for n in sizes),
                input_files=[shard_name(one.shard_id) for one in mine],
                exec_stats=None,
            )
            read = _reader(self._sent, tuple(map(_without_identity, mine)), self._fields)
            tasks.append(task(read, facts, per_task_row_limit=per_task_row_limit))
        return tasks

    def _divided(self, n: int) -> list[list[_Piece]]:
        """What each of `n` tasks reads; fewer where there is less to share."""
        pieces = self._pieces
        if len(pieces) >= n:
            edges = [len(pieces) * i // n for i in range(n + 1)]
            return [pieces[a:b] for a, b in pairwise(edges)]
        # Asking servers is worth it if there would be less to read at a time than processors.
        enough = self._blocks or 2 * int(cluster().cluster_resources().get("CPU", 1))
        if not self._is_counted and len(pieces) < enough:
            parts, _ = pickle.loads(self._packed)  # noqa: S301 - pickled above
            pieces = self._pieces = [_count(one, parts[one.part]) for one in pieces]
            self._is_counted = True
        each = max(1, -(-sum(piece.n_rows or 0 for piece in pieces) // n))
        return [[some] for one in pieces for some in one.split(self._shares(one, each))]

    def _shares(self, piece: _Piece, each: int) -> int:
        wanted = -(-(piece.n_rows or 0) // each)
        if self._blocks is None and piece.n_bytes is not None:
            return min(wanted, max(1, piece.n_bytes // _SMALLEST))
        return wanted

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_sent": None}  # what was sent belongs to this process


def _pieces(chain: Chain) -> tuple[list[_Piece], tuple[Part, ...]]:
    """A dataset's shards, counted where their index says it at once, and their parts."""
    parts: dict[int, tuple[int, Part]] = {}
    pieces: list[_Piece] = []
    first = next(leaves(chain), None)
    for found in segments(chain, Ledger(first.on_error)) if first is not None else ():
        number, part = parts.setdefault(id(found.part), (len(parts), found.part))
        rows = found.rows if found.pick is None else found.stored_rows
        piece = _Piece(number, found.shard_id, rows, found.count)
        path = local_path(part.source, found.shard_id)
        with suppress(AtdataError, OSError):  # the task that reads it meets the error
            if path is not None:
                piece = replace(piece, n_bytes=size_of_file(path))
                piece = _count(piece, part) if _has_index(path) else piece
            if found.rows is not None:
                n, every = len(found.rows), found.count.n if found.count else 0
                n_bytes = piece.n_bytes and piece.n_bytes * n // max(every, n, 1)
                piece = replace(piece, n_rows=n, n_bytes=n_bytes)
        pieces.append(piece)
    return pieces, tuple(part for _, part in parts.values())


def _count(piece: _Piece, part: Part) -> _Piece:
    """A piece with its rows counted, if that does not mean to read them."""
    if piece.rows is not None or piece.n_rows is not None:
        return piece
    try:
        if isinstance(open_shard(part.source, piece.shard_id), StreamedShard):
            return piece
    except AtdataError:
        return piece  # the task that reads it meets the error
    count = count_rows(part, piece.shard_id)
    if count.errors:
        return piece  # likewise
    return replace(piece, count=count, n_rows=count.n, n_bytes=count.n_bytes)


def _has_index(path: Path) -> bool:
    n_bytes = size_of_file(path)
    if n_bytes < SUFFIX:
        return False
    try:
        return index_span(read_range(path, -SUFFIX, SUFFIX), n_bytes) is not None
    except IndexDamageError:
        return False


def _without_identity(piece: _Piece) -> _Piece:
    """What another machine may compare: there, the same file has other numbers."""
    count = piece.count
    return piece if count is None else replace(piece, count=replace(count, identity=()))


def _reader(
    sent: Any, pieces: Sequence[_Piece], fields: list[str] | None
) -> Callable[[], Iterator[Any]]:
    """What a read task runs."""

    def read() -> Iterator[Any]:  # Ray wants it to have a name
        parts, sample_type = pickle.loads(cluster().get(sent))  # noqa: S301 - sent by `Shards`
        return Columns(sample_type).tables(_rows(parts, pieces), fields)

    return read


def _rows(parts: Sequence[Part], pieces: Sequence[_Piece]) -> Iterator[dict[str, Any]]:
    """The fields of each sample of some pieces."""
    for piece in pieces:
        part = parts[piece.part]
        ledger = Ledger(part.on_error, part.max_errors)
        segment = Segment(part, piece.shard_id, piece.rows, piece.count)
        for _, samples in read_segment(segment, ledger):
            yield from map(row_of, samples)
        if ledger.n_skipped:
            shown = printable(shard_name(piece.shard_id))
            get_logger().warning(
                "left out of %s: %d, as they cannot be read", shown, ledger.n_skipped
            )
