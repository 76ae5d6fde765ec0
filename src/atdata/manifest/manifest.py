"""One manifest as it is asked: what is known of fields, which rows fit, and where they lie."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from atdata._typing import Int64Array
from atdata.manifest.document import Document
from atdata.manifest.facts import group_facts, value_counts
from atdata.manifest.freshness import stale
from atdata.manifest.listed_keys import differs, stored, wrong_keys
from atdata.manifest.parquet import Table
from atdata.manifest.table import DIGEST, KEY, OFFSET, SIZE
from atdata.predicate.facts import FieldFacts
from atdata.predicate.predicate import Predicate
from atdata.shard.keys import Keys
from atdata.shard.tar import BLOCK

_UNPROVEN = 1 << 20
"""No more rows than this are taken for there of a shard elsewhere, before they were seen."""


class Manifest:
    """What a shard's samples hold, without opening the shard.

    It was compared with its shard when it was opened. Columns are read when they are first asked
    for, and those that were used last are kept for all of the process. Several threads may use it.

    Attributes:
        shard_id: The shard's id in its source.
        n_samples: How many samples the shard holds.
        n_bytes: The shard's size.
        end: No sample lies at this offset or behind it; of a compressed shard, unpacked.
        digest: Tells shards of other samples apart, as `MappedShard.digest` does.
        schema_type: The type by which the samples were read when it was built.
        facts: What is known of each field in all samples; of long text too, which has no column.
        columns: The kind of each column.
        forms: How payloads hold fields, where that differs from what samples hold, such as
            `"uuid"` or `"datetime"` for text.
        left_out: Fields that have no column, each with the reason.
    """

    def __init__(
        self,
        shard_id: str,
        document: Document,
        facts: Mapping[str, FieldFacts],
        table: Table,
        shard: Path | None = None,
    ) -> None:
        self.shard_id = shard_id
        self.n_samples = document.num_samples
        self.n_bytes = document.shard.n_bytes
        self.end = document.shard.end
        self.digest = int(document.shard.digest, 16)
        self.schema_type = document.schema_type
        self.facts = facts
        self.left_out: Mapping[str, str] = document.left_out
        self.columns: Mapping[str, str] = {
            path: one.kind for path, one in document.fields.items() if path not in self.left_out
        }
        self.forms: Mapping[str, str] = {
            path: one.form for path, one in document.fields.items() if one.form
        }
        self.document = document
        self._table = table
        self._shard = shard
        self._is_checked = False

    def __len__(self) -> int:
        return self.n_samples

    def __repr__(self) -> str:
        return (
            f"Manifest({self.shard_id!r}, {self.n_samples} samples, {len(self.columns)} columns)"
        )

    def is_exact(self, path: str) -> bool:
        """Whether there is a column of exactly the field's values."""
        return path in self.columns

    def column(self, path: str) -> Any:
        """A field's values as a `pyarrow.ChunkedArray`, a chunk for each row group.

        Raises:
            KeyError: There is no such column.
            ManifestError: The Parquet file is not what the manifest says.
        """
        kind = self.columns[path]
        chunks = [self._table.read(g, {path: kind})[path] for g in range(self.n_groups)]
        wanted = chunks[0].type if chunks else None
        return pa.chunked_array(chunks, wanted) if chunks else pa.chunked_array([pa.array([])])

    @property
    def n_groups(self) -> int:
        """How many row groups there are."""
        return len(self._table.row_groups)

    def value_counts(self, path: str) -> dict[Any, int] | None:
        """How often each value of a field occurs, or each item of its lists, without None.

        Returns:
            None where that is not kept, because there are too many.
        """
        return value_counts(self.document.fields, path)

    def rows(self, predicate: Predicate) -> Int64Array:
        """The rows that a predicate selects, rising.

        What is known of the fields is asked first, of all rows and then of each row group, and
        only the columns that are needed of the row groups that are left are read.

        Raises:
            KeyError: It asks about a field that has no column, and what is known does not decide.
            ManifestError: The Parquet file is not what the manifest says.
        """
        verdict = predicate.verdict(self.facts)
        if verdict == "none":
            return np.zeros(0, np.int64)
        if self.n_samples > _UNPROVEN and self._shard is None:
            self._check()
        if verdict == "all":
            return np.arange(self.n_samples, dtype=np.int64)
        kinds = {path: self.columns[path] for path in sorted(predicate.fields)}
        found: list[Int64Array] = [np.zeros(0, np.int64)]
        first = 0
        for group, n in enumerate(self._table.row_groups):
            decided = self._verdict(predicate, group, n)
            if decided == "all":
                found.append(np.arange(first, first + n, dtype=np.int64))
            elif decided == "some":
                mask = predicate.mask(self._table.read(group, kinds))
                found.append(np.flatnonzero(mask) + first)
            first += n
        return np.concatenate(found)

    def _verdict(self, predicate: Predicate, group: int, n: int) -> str:
        if self.n_groups == 1:
            return "some"
        known = {
            path: group_facts(self.document.fields[path], group, n) for path in predicate.fields
        }
        return predicate.verdict({path: one for path, one in known.items() if one is not None})

    @property
    def at(self) -> Int64Array:
        """Byte offset of each payload in the shard; of a compressed one, unpacked."""
        found: Int64Array = self._place(OFFSET)
        return found

    @property
    def size(self) -> Int64Array:
        """Bytes of each payload."""
        found: Int64Array = self._place(SIZE)
        return found

    @property
    def payload_digest(self) -> NDArray[np.uint64]:
        """XXH3-64 of each payload."""
        found: NDArray[np.uint64] = self._place(DIGEST)
        return found

    def _place(self, name: str) -> Any:
        """A column of numbers that every manifest has; offsets and sizes are checked once."""
        self._check()
        return self._numbers(name)

    def _check(self) -> None:
        """Compare places and keys, once, with what can be, and with the index of a local shard."""
        if self._is_checked:
            return
        for group in range(self.n_groups):  # all at once, for they are asked for together
            self._table.read(group, dict.fromkeys((KEY, OFFSET, SIZE, DIGEST), ""))
        at, size = self._numbers(OFFSET), self._numbers(SIZE)
        keys = self._key_arrays()
        self._check_places(at, size)
        if self._shard is not None and self.document.shard.index:
            wrong = differs(self._shard, self.shard_id, at, size, keys)
            if wrong:
                raise stale(self.shard_id, wrong)
        elif wrong := wrong_keys(keys):
            raise self._table.damaged(wrong)
        self._is_checked = True

    def _numbers(self, name: str) -> Any:
        arrays = [self._table.read(group, {name: ""})[name] for group in range(self.n_groups)]
        if any(one.null_count for one in arrays):
            raise self._table.damaged(f"{name} is not always there")
        if len(arrays) == 1:
            return arrays[0].to_numpy()
        empty = np.zeros(0, np.uint64 if name == DIGEST else np.int64)
        return np.concatenate([empty, *(one.to_numpy() for one in arrays)])

    def _check_places(self, at: Int64Array, size: Int64Array) -> None:
        if len(at) == 0:
            return
        # Each sum stays below 2**63, because both are below 2**62.
        if at.min() < BLOCK or at.max() > self.end or size.min() < 0 or size.max() > self.end:
            raise self._table.damaged("an offset or a size lies outside the shard")
        ends = at + size
        if ends[-1] > self.end or (ends[:-1] > at[1:] - BLOCK).any() or (at % BLOCK).any():
            raise self._table.damaged("offsets overlap, do not rise, or are none of a tar")
        if int(size.sum()) != self.document.size_bytes:
            raise self._table.damaged("its sizes do not add up to what the JSON says")

    @property
    def keys(self) -> Keys:
        """The samples' keys."""
        self._check()
        return stored(self._key_arrays())

    def _key_arrays(self) -> list[Any]:
        arrays = [self._table.read(group, {KEY: ""})[KEY] for group in range(self.n_groups)]
        if any(one.null_count for one in arrays):
            raise self._table.damaged(f"{KEY} is not always there")
        return arrays
