"""What is known of each shard's samples before any is read: by its manifest, or by decoding them.

The manifest is believed for a field if it is complete there, and if reading a sample gives exactly
the value that the manifest holds. All else is found out from the samples, so that the answer is
the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from operator import and_
from typing import Any

import numpy as np
import pyarrow as pa

from atdata._exceptions import ManifestError, ShardError
from atdata._typing import Int64Array
from atdata.manifest.manifest import Manifest
from atdata.manifest.reader import open_manifests
from atdata.pipeline.access import Count, Segment, count_shards, read_segment, segment_of
from atdata.pipeline.believing import believed_fields, is_held_as_it_is
from atdata.pipeline.chain import Part
from atdata.pipeline.chosen import ChosenRows, Missing, Places, is_in_parts
from atdata.pipeline.open import open_here, open_shard
from atdata.pipeline.policy import Ledger
from atdata.pipeline.stages import Filter, Stage
from atdata.predicate import Predicate
from atdata.predicate.arrow import plain_list
from atdata.predicate.values import get_path, plain
from atdata.sample.dynamic import DictSample
from atdata.shard.streamed import StreamedShard


@dataclass(eq=False)
class Sheet:
    """What is known of one shard.

    Attributes:
        part: How the shard is read; nothing is done to its samples.
        shard_id: The shard.
        count: How many samples it holds, and how to know it again.
        manifest: Its manifest; None where there is none that can be used.
        ledger: What to do with what cannot be read.
    """

    part: Part
    shard_id: str
    count: Count
    manifest: Manifest | None = field(repr=False)
    ledger: Ledger = field(repr=False)

    @property
    def n(self) -> int:
        """How many samples the shard holds."""
        return self.count.n

    @cached_property
    def is_away(self) -> bool:
        """Whether the shard is elsewhere, and its place bears several who ask."""
        return is_in_parts(self.part.source, self.shard_id)

    @cached_property
    def believed(self) -> frozenset[str]:
        """The fields for which the manifest is believed."""
        if self.manifest is None:
            return frozenset()
        return believed_fields(self.manifest, self.part.stored_type)

    def tells(self, path: str) -> bool:
        """Whether the manifest holds a field as the samples do, and not only what equals it."""
        return path in self.believed and is_held_as_it_is(self.part.stored_type, path)

    def split(self, predicate: Predicate) -> tuple[list[Predicate], list[Predicate]]:
        """The conditions that the manifest answers, and those that only the samples do."""
        known: list[Predicate] = []
        rest: list[Predicate] = []
        for one in predicate.conjuncts():
            (known if one.fields <= self.believed else rest).append(one)
        return known, rest

    def where(self, predicate: Predicate, rows: Int64Array) -> Int64Array:
        """The rows of which a predicate is true, out of some."""
        known, rest = self.split(predicate)
        if known and self.manifest is not None and len(rows):
            answer = self.manifest.rows(reduce(and_, known))
            whole = len(rows) == self.n
            rows = answer if whole else rows[np.isin(rows, answer, assume_unique=True)]
        if rest and len(rows):
            rows = self.passing((Filter(reduce(and_, rest).test),), rows)
        return rows

    def passing(self, stages: Sequence[Stage], rows: Int64Array) -> Int64Array:
        """The rows whose samples pass some stages, which are read for it."""
        found = [kept for kept, _ in self._read(rows, stages)]
        return np.concatenate([np.zeros(0, np.int64), *found])

    def column(self, path: str, rows: Int64Array) -> Any:
        """The values of a field in some rows, as a `pyarrow.Array`.

        Raises:
            TypeError: They are no plain values, or of several types.
        """
        if self.manifest is not None and path in self.believed:
            column = self.manifest.column(path)
            every = len(rows) == self.n and bool((np.diff(rows) == 1).all())
            taken = column if every else column.take(pa.array(rows))
            return taken.combine_chunks() if isinstance(taken, pa.ChunkedArray) else taken
        values: dict[int, object] = {}
        for kept, samples in self._read(rows, ()):
            for row, sample in zip(kept.tolist(), samples, strict=True):
                values[row] = plain(get_path(sample, path))
        try:
            return pa.array([values.get(row) for row in rows.tolist()])
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise TypeError(f"the values of {path!r} are of several types: {error}") from error

    def _read(
        self, rows: Int64Array, stages: Sequence[Stage]
    ) -> Iterator[tuple[Int64Array, list[Any]]]:
        """Samples of some rows, each run with the rows as they are stored."""
        part = replace(self.part, stages=tuple(stages))
        segment: Segment = segment_of(part, self.chosen(rows))
        stored = np.asarray(segment.stored_rows, np.int64)
        for kept, samples in read_segment(segment, self.ledger):
            at = np.asarray(kept, np.int64)
            yield (stored[at] if segment.pick is not None else at), samples

    def places(self, rows: Int64Array) -> Places | None:
        """Where some rows lie, if the manifest tells."""
        manifest = self.manifest
        if manifest is None:
            return None
        keys = manifest.keys.take(rows)
        return Places(manifest.at[rows], manifest.size[rows], manifest.payload_digest[rows], keys)

    def offsets(self) -> Int64Array:
        """Where each payload begins in the shard."""
        if self.manifest is not None:
            return self.manifest.at
        shard = open_shard(self.part.source, self.shard_id, self.part.cache)
        if isinstance(shard, StreamedShard):
            shard = open_here(self.part.source, self.shard_id, self.part.cache)
        return shard.at

    def chosen(self, rows: Int64Array) -> ChosenRows:
        """Some rows, with where they lie if they could be fetched by themselves."""
        places = self.places(rows) if self.is_away else None
        count = self.count
        return ChosenRows(self.shard_id, rows, count.n, count.digest, count.n_bytes, places)


@dataclass(frozen=True, slots=True, eq=False)
class SheetTable:
    """Samples without a type that are made of columns of a manifest.

    Attributes:
        sheet: What is known of the shard.
        paths: For each field of the samples the path under which the shard holds it.
    """

    sheet: Sheet
    paths: Mapping[str, str]

    @property
    def keys(self) -> Sequence[str]:
        """The key of each of the shard's samples."""
        manifest = self.sheet.manifest
        assert manifest is not None
        return manifest.keys

    def check(self) -> None:
        """Refuse a manifest that was replaced since the rows were chosen.

        Raises:
            ShardError: It was, or its shard.
        """
        sheet = self.sheet
        if sheet.is_away or sheet.manifest is None:
            return  # what is elsewhere was compared when it was fetched
        found = open_manifests(sheet.part.source, [sheet.shard_id])[0]
        if isinstance(found, ManifestError) or found.document != sheet.manifest.document:
            raise ShardError(
                sheet.shard_id,
                "it was replaced after its samples were counted",
                hint="Open the dataset again, and ask anew.",
            )

    def samples(self, rows: Int64Array) -> list[Any]:
        """The samples in some rows."""
        columns = {
            path: plain_list(self.sheet.column(there, rows)) for path, there in self.paths.items()
        }
        values = zip(*columns.values(), strict=True)
        return [DictSample.from_data(dict(zip(columns, one, strict=True))) for one in values]


def sheets_of(part: Part, missing: Missing, ledger: Ledger, *, fields: bool) -> list[Sheet]:
    """What is known of each shard of a part.

    Args:
        part: The part.
        missing: What to do about a shard without a manifest that can be used.
        ledger: What to do with a shard that cannot be read.
        fields: Whether anything is asked about fields; else shards are only counted.

    Raises:
        ManifestError: Shards have no manifest that can be used, and `missing` is `"error"`.
    """
    shard_ids = part.source.list_shards()
    opened: list[Manifest | ManifestError | None] = [None] * len(shard_ids)
    if fields:
        opened = list(open_manifests(part.source, shard_ids, remote_check="footer"))
        errors = [one for one in opened if isinstance(one, ManifestError)]
        if errors and missing == "error":
            reasons = [pair for error in errors for pair in error.reasons.items()]
            raise ManifestError(dict(reasons), getattr(part.source, "ref", ""))
    usable = {
        shard_id: one
        for shard_id, one in zip(shard_ids, opened, strict=True)
        if isinstance(one, Manifest)
    }
    others = [shard_id for shard_id in shard_ids if shard_id not in usable]
    counts = dict(_counted(part, others, ledger))
    for shard_id, one in usable.items():
        counts[shard_id] = Count(one.n_samples, (), one.digest, one.n_bytes)
    return [
        Sheet(part, shard_id, counts[shard_id], usable.get(shard_id), ledger)
        for shard_id in shard_ids
    ]


def _counted(part: Part, shard_ids: Sequence[str], ledger: Ledger) -> Iterable[tuple[str, Count]]:
    for shard_id, count in count_shards(part, shard_ids):
        for error in count.errors:
            ledger.meet(error)
        yield shard_id, count
