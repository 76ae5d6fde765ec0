"""From chunks to samples: together where they allow it, else one by one; equal either way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from weakref import ref

import numpy as np

from atdata._exceptions import AtdataError, SchemaError, ShardError
from atdata._typing import Int64Array
from atdata.codec.columns import Columns, Memory
from atdata.codec.compile import SampleCodec
from atdata.codec.lockstep import decode_columns
from atdata.pipeline.policy import Ledger
from atdata.shard.chunk import Chunk

_TOGETHER = 64
"""Fewer samples than this are decoded sooner one by one."""


@dataclass(frozen=True, slots=True)
class Run[T]:
    """Samples of one chunk, decoded.

    Attributes:
        samples: The samples.
        chunk: Where they were.
        rows: The row of each in the chunk.
    """

    samples: list[T]
    chunk: Chunk
    rows: Sequence[int]

    def keys(self) -> Sequence[str]:
        """The samples' keys."""
        if isinstance(self.rows, range):
            first = self.chunk.row - self.chunk.key_row
            return self.chunk.keys[first + self.rows.start : first + self.rows.stop]
        return [self.chunk.key(row) for row in self.rows]


class Decoder[T]:
    """Decodes the samples of one type.

    Args:
        codec: The type's codec.
        ledger: What to do with samples that cannot be decoded.
        copy: Give arrays that are writable and aligned, else read-only views.
    """

    def __init__(self, codec: SampleCodec[T], ledger: Ledger, *, copy: bool) -> None:
        self.codec = codec
        self._ledger = ledger
        self._copy = copy

    @property
    def copies(self) -> bool:
        """Whether arrays are writable and aligned."""
        return self._copy

    def columns(self, chunk: Chunk, rows: Int64Array | None = None) -> Columns[T] | None:
        """A chunk's samples as columns; None where they must be decoded one by one."""
        at, size = (chunk.at, chunk.size) if rows is None else (chunk.at[rows], chunk.size[rows])
        memory = Memory(chunk.data, chunk.writable, copy=self._copy, unchanged=chunk.unchanged)
        if rows is not None or chunk.memo is None:
            return decode_columns(self.codec, at, size, memory)
        key = (ref(self.codec), chunk.row, len(chunk))
        layout = chunk.memo.get(key)
        if layout is not None:
            return Columns(self.codec, len(chunk), layout, memory)
        columns = decode_columns(self.codec, at, size, memory)
        if columns is not None and columns.layout is not None:
            chunk.memo.put(key, columns.layout, n_bytes=16 * len(columns.layout) * len(chunk))
        return columns

    def runs(self, chunk: Chunk) -> Iterator[Run[T]]:
        """A chunk's samples as objects, in runs of moderate length."""
        columns = self.columns(chunk)
        if columns is None:
            yield from self._one_by_one(chunk)
            return
        first = 0
        for part in columns.slices():
            rows = range(first, first + len(part))
            first = rows.stop
            if not self.unchanged(chunk):
                return
            try:
                samples = part.samples()
            except Exception:
                yield from self.run(chunk, rows)
            else:
                yield Run(samples, chunk, rows)

    def unchanged(self, chunk: Chunk) -> bool:
        """Whether a chunk may still be read; what was changed in place is left to the ledger."""
        try:
            if chunk.unchanged is not None:
                chunk.unchanged()
        except ShardError as error:
            self._ledger.meet(error)
            return False
        return True

    def rows(self, chunk: Chunk, rows: Int64Array) -> Iterator[Run[T]]:
        """Any of a chunk's samples, together where they allow it."""
        columns = self.columns(chunk, rows) if len(rows) >= _TOGETHER else None
        if columns is not None:
            try:
                samples = columns.samples()
            except Exception:  # noqa: S110  a class may raise anything; `run` finds the sample
                pass
            else:
                yield Run(samples, chunk, rows.tolist())
                return
        yield from self.run(chunk, rows.tolist())

    def _one_by_one(self, chunk: Chunk) -> Iterator[Run[T]]:
        step = 256
        mean = int(chunk.size.mean()) if len(chunk) else 0
        step = max(1, min(step, (1 << 20) // max(mean, 1)))
        for first in range(0, len(chunk), step):
            if not self.unchanged(chunk):
                return
            yield from self.run(chunk, range(first, min(first + step, len(chunk))))

    def run(self, chunk: Chunk, rows: Sequence[int]) -> Iterator[Run[T]]:
        """Some of a chunk's samples, decoded one by one; those that cannot be are left out.

        What comes before such a sample is given first, as the ledger may end the reading.
        """
        kept: list[int] = []
        samples: list[T] = []
        decode, copy = self.codec.decode, self._copy
        data = memoryview(chunk.data).toreadonly()
        which = np.array(rows, np.int64)
        at = chunk.at[which].tolist()
        size = chunk.size[which].tolist()
        for row, start, n_bytes in zip(rows, at, size, strict=True):
            try:
                samples.append(decode(data[start : start + n_bytes], copy=copy))
                kept.append(row)
            except Exception:  # a class may raise anything; `one` says where it was
                try:
                    samples.append(self.one(chunk, row))
                    kept.append(row)
                except AtdataError as error:
                    if samples:
                        yield Run(samples, chunk, kept)
                    samples, kept = [], []
                    self._ledger.meet(error)
        if samples:
            yield Run(samples, chunk, kept)

    def one(self, chunk: Chunk, row: int) -> T:
        """One sample.

        Raises:
            SchemaError: It does not fit its type; the error names shard, key and offset.
        """
        try:
            return self.codec.decode(chunk.payload(row), copy=self._copy)
        except SchemaError as error:
            error.locate(chunk.shard_id, chunk.key(row), chunk.offset(row))
            raise
        except AtdataError:
            raise
        except Exception as error:
            wrong = SchemaError(
                self.codec.name,
                found=f"{type(error).__name__}: {error}",
                wanted="a sample that its class accepts",
            )
            wrong.locate(chunk.shard_id, chunk.key(row), chunk.offset(row))
            raise wrong from error
