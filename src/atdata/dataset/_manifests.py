"""Building manifests for shards that are there already, whoever wrote them, wherever they are."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atdata._exceptions import (
    ManifestError,
    PartialFailureError,
    SchemaError,
    ShardError,
    ShardNotFoundError,
    printable,
    shard_name,
)
from atdata._protocols import DataSource, SupportsLocalPath, SupportsRange, SupportsVersion
from atdata.dataset._dataset import Dataset
from atdata.dataset._progress import Progress
from atdata.manifest.build import ManifestBuild
from atdata.manifest.document import ShardPart
from atdata.manifest.files import (
    FOOTER,
    Identity,
    identity_of,
    index_mark,
    json_path,
    local_content,
    local_mark,
    parquet_path,
)
from atdata.manifest.reader import open_kept_manifest, open_manifest
from atdata.manifest.sample_kind import SampleKind
from atdata.pipeline.chain import leaves, sound
from atdata.pipeline.open import open_here, open_shard
from atdata.pipeline.policy import Ledger
from atdata.sample.dynamic import DictSample
from atdata.shard.index import SUFFIX
from atdata.shard.keys import RunningKeys
from atdata.shard.mapped import MappedShard
from atdata.shard.ranged import RangedShard
from atdata.shard.streamed import StreamedShard
from atdata.sources.cache import ShardCache
from atdata.sources.registry import source_of
from atdata.transport.file import commit_all


@dataclass(frozen=True, slots=True)
class BuiltManifest:
    """A shard's manifest, as `build_manifests` leaves it.

    Attributes:
        shard_id: The shard.
        json: The JSON file.
        parquet: The Parquet file.
        n_samples: How many samples the shard holds.
        was_fresh: It was there already, and nothing was done.
    """

    shard_id: str
    json: Path
    parquet: Path
    n_samples: int
    was_fresh: bool


def build_manifests(
    given: "Dataset[Any] | DataSource | str | Path | Sequence[str | Path]",
    *,
    sample_type: type[Any] | None = None,
    out: str | Path | None = None,
    progress: bool | None = None,
    force: bool = False,
) -> list[BuiltManifest]:
    """Build the manifests of shards, each of which is read once.

    A manifest that is there and is of its shard is left alone, so that what was interrupted goes
    on where it stopped. Each appears whole, or not at all.

    Args:
        given: A dataset, or what one is made of.
        sample_type: The samples' type; by default that of the dataset, or none. Without a type,
            fields are what payloads hold: times are text, for instance.
        out: A folder for the files, under the shards' names. By default they lie beside the
            shards; those of shards elsewhere need a folder.
        progress: Show progress on stderr; by default if that is a terminal.
        force: Build also what is there.

    Returns:
        One entry for each shard, in reading order.

    Raises:
        ValueError: Shards are elsewhere and there is no `out`, or two would have one manifest.
        ShardError: The shard is damaged or missing.
        SchemaError: A sample does not fit the type. The error names shard, key and offset.
        PartialFailureError: This happened to some of several shards; the others are built.

    Examples:
        >>> import atdata
        >>> ds = atdata.write_samples([atdata.DictSample(n=n) for n in range(3)], tmp / "a.tar")
        >>> [(one.json.name, one.n_samples, one.was_fresh) for one in build_manifests(ds)]
        [('a.manifest.json', 3, False)]
        >>> [one.was_fresh for one in build_manifests(ds)]
        [True]
    """
    jobs = list(_jobs(given, sample_type, None if out is None else Path(out)))
    taken: dict[Path, str] = {}
    for job in jobs:
        other = taken.setdefault(json_path(job.place), job.shard_id)
        if other != job.shard_id:
            raise ValueError(
                f"{_shown(other)} and {_shown(job.shard_id)} would have one manifest, "
                f"{json_path(job.place)}\n  Build them into folders of their own: out="
            )
    found: dict[str, BuiltManifest] = {}
    errors: dict[str, Exception] = {}
    with Progress("building manifests", enabled=progress) as bar:
        for job in jobs:
            try:
                found[job.shard_id] = job.done(bar, force=force)
            except (ShardError, SchemaError) as error:
                if len(jobs) == 1:
                    raise
                errors[job.shard_id] = error
    if errors:
        hint = "Mend the shards, and build again: what is up to date is passed over."
        raise PartialFailureError(list(found), list(errors), errors, found, hint=hint)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _Job:
    """One shard, and where its manifest goes.

    Attributes:
        source: Where the shard is.
        shard_id: The shard.
        path: Its file, if it is here.
        place: A path of the shard's name, beside which the manifest is to lie.
        kind: The type of the samples.
        cache: Where shards from elsewhere are kept.
    """

    source: DataSource
    shard_id: str
    path: Path | None
    place: Path
    kind: SampleKind
    cache: ShardCache | None

    def fresh(self) -> int | None:
        """How many samples the manifest counts that is there; None if there is none to use."""
        try:
            if self.place == self.path:
                return len(open_manifest(self.source, self.shard_id))
            return len(open_kept_manifest(self.source, self.shard_id, self.place))
        except ManifestError:
            return None

    def done(self, bar: Progress, *, force: bool) -> BuiltManifest:
        """The manifest, built if it must be."""
        n = None if force else self.fresh()
        was_fresh = n is not None
        if n is None:
            n = self.build(bar)
        beside = json_path(self.place), parquet_path(self.place)
        return BuiltManifest(self.shard_id, *beside, n, was_fresh)

    def build(self, bar: Progress) -> int:
        """Build the manifest, and count the samples."""
        self._refuse_another()
        before = None if self.path is None else identity_of(self.path)
        if self.path is not None and before is None:
            raise ShardNotFoundError(self.shard_id)
        shard = self._opened()
        build = ManifestBuild(self.place, self.kind, shard_id=self.shard_id)
        try:
            for item in sound(shard.chunks(), Ledger("raise")):
                keys: Sequence[str] | int = (
                    item.keys.first + item.row - item.key_row
                    if isinstance(item.keys, RunningKeys)
                    else item.key_list()
                )
                places = item.at + item.base if item.places is None else item.places
                build.add(item.data, item.at, item.size, places, keys)
                bar.advance(len(item))
            build.end()
            part = self._part(shard, before)
            self._refuse_keys(build.odd_keys, part)
            build.finish(part)
            commit_all(build.files())
        except BaseException:
            build.abandon()
            raise
        return build.n_samples

    def _refuse_keys(self, odd: str, part: ShardPart) -> None:
        """Refuse keys that readers of the manifest would refuse."""
        if odd and not (part.index and self.path is not None):
            raise ShardError(self.shard_id, odd, hint="Rename its members.")

    def _refuse_another(self) -> None:
        """Refuse to take the place of the manifest of a shard whose name differs by `.tar`."""
        name = self.place.name
        other = self.place.with_name(
            name.removesuffix(".tar") if name.endswith(".tar") else f"{name}.tar"
        )
        if self.path != self.place or not other.is_file() or other.samefile(self.place):
            return
        with suppress(ManifestError):
            open_manifest(source_of(other), str(other))
            raise ShardError(
                self.shard_id,
                f"its manifest would take the place of that of {_shown(str(other))}",
                hint="Build it in a folder of its own: out=",
            )

    def _opened(self) -> MappedShard | RangedShard:
        shard = open_shard(self.source, self.shard_id, self.cache)
        if isinstance(shard, StreamedShard):  # it is unpacked, or fetched, and then read
            return open_here(self.source, self.shard_id, self.cache)
        return shard

    def _part(self, shard: MappedShard | RangedShard, before: Identity | None) -> ShardPart:
        """How to know the shard again."""
        if isinstance(shard, MappedShard):
            end, digest = shard.n_bytes, shard.digest()
        else:
            end, digest = shard.index.end, shard.index.digest()
        if shard.index is not None:
            end = shard.index.end
        part = ShardPart(0, end, f"{digest:016x}")
        if self.path is not None and before is not None:
            part.n_bytes = before[2]
            part.index = local_mark(self.path, before)
            part.content = "" if part.index else local_content(self.path, before)
            if not part.index and not part.content:
                reason = "the file changed while its manifest was built"
                raise ShardError(self.shard_id, reason, hint="Build it again.")
            return part
        source = self.source
        part.n_bytes = end
        if isinstance(source, SupportsRange):
            part.n_bytes = source.shard_size(self.shard_id)
            if shard.index is not None and part.n_bytes >= SUFFIX:
                footer = source.read_range(self.shard_id, part.n_bytes - SUFFIX, FOOTER)
                part.index = index_mark(footer)
        if not part.index and isinstance(source, SupportsVersion):
            part.version = source.shard_version(self.shard_id) or ""
        return part


def _jobs(given: Any, sample_type: type[Any] | None, out: Path | None) -> Iterator[_Job]:
    if isinstance(given, Dataset):
        parts = [(p.source, p.stored_type, p.cache) for p in leaves(given.chain)]
    else:
        parts = [(source_of(given), DictSample, None)]
    seen: set[tuple[int, str]] = set()
    for source, kind, cache in parts:
        known = SampleKind(sample_type or kind)
        for shard_id in source.list_shards():
            if (id(source), shard_id) in seen:
                continue
            seen.add((id(source), shard_id))
            path = source.local_path(shard_id) if isinstance(source, SupportsLocalPath) else None
            if path is None and out is None:
                raise ValueError(
                    f"{_shown(shard_id)} is no file of this machine\n"
                    "  Say where its manifest is to be kept: out='folder'"
                )
            place = path if out is None else out / _name(shard_id)
            assert place is not None
            yield _Job(source, shard_id, path, place, known, cache)


def _name(shard_id: str) -> str:
    """The last part of a shard's path or address."""
    name = shard_name(shard_id).rstrip("/").rpartition("/")[2]
    if name in ("", ".", "..") or "\0" in name:
        raise ValueError(f"{_shown(shard_id)} has no name that a manifest could have")
    return name


def _shown(shard_id: str) -> str:
    return printable(shard_name(shard_id))
