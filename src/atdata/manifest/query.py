"""Asking manifests in memory: which samples, and where they lie."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from atdata._exceptions import ManifestError, ShardError, SourceError, shard_name
from atdata.manifest.document import (
    JSON_SUFFIX,
    PARQUET_SUFFIX,
    DocumentError,
    read_document,
)
from atdata.manifest.files import identity_of
from atdata.manifest.freshness import compare_local
from atdata.manifest.locations import SampleLocation
from atdata.manifest.shard_manifest import ShardManifest
from atdata.manifest.table import KEY, OFFSET, SIZE
from atdata.model.shard import beside
from atdata.shard.tar import BLOCK
from atdata.transport.file import read_range


class QueryExecutor:
    """Asks manifests that are in memory. `Dataset.where` does it without reading all of them.

    Args:
        manifests: The manifests, in reading order.

    Examples:
        >>> import atdata
        >>> samples = [atdata.DictSample(n=n) for n in range(3)]
        >>> _ = atdata.write_samples(samples, tmp / "a.tar", manifest=True)
        >>> executor = QueryExecutor.from_directory(tmp)
        >>> [place.key for place in executor.query(lambda table: table["n"] > 0)]
        ['000000001', '000000002']
    """

    def __init__(self, manifests: Sequence[ShardManifest]) -> None:
        self._manifests = list(manifests)
        self._shards = [one.shard_id for one in self._manifests]

    def query(self, where: Callable[[Any], Any]) -> list[SampleLocation]:
        """Where the samples lie that a predicate selects, in reading order.

        Args:
            where: A `Predicate`, or any function from a `pandas.DataFrame` to a boolean series.

        Raises:
            ManifestError: A manifest has no table.
        """
        partial = {
            shard: "its manifest is partial: the Parquet file is missing"
            for shard, one in zip(self._shards, self._manifests, strict=True)
            if one.num_samples and not len(one.samples)
        }
        if partial:
            raise ManifestError(partial)
        found: list[SampleLocation] = []
        for shard, manifest in zip(self._shards, self._manifests, strict=True):
            if not len(manifest.samples):
                continue
            rows = manifest.samples[where(manifest.samples).to_numpy(dtype=bool)]
            places = zip(rows[KEY], rows[OFFSET], rows[SIZE], strict=True)
            found += [SampleLocation(shard, key, int(at), int(n)) for key, at, n in places]
        return found

    @classmethod
    def from_directory(cls, directory: str | Path) -> "QueryExecutor":
        """All manifests in a folder, in the order of their names.

        Raises:
            ManifestError: There is none, or one cannot be used.
        """
        folder = Path(directory)
        files = sorted(folder.glob(f"*{JSON_SUFFIX}"))
        if not files:
            raise ManifestError({str(folder): "the folder holds no manifests"})
        shards = [_shard_of(folder / file.name.removesuffix(JSON_SUFFIX)) for file in files]
        return cls._opened([str(shard) for shard in shards])

    @classmethod
    def from_shard_urls(cls, urls: Sequence[str]) -> "QueryExecutor":
        """The manifests that lie beside shards of this machine.

        Raises:
            ManifestError: A shard has none, or one that cannot be used.
        """
        return cls._opened(list(urls))

    @classmethod
    def _opened(cls, shards: list[str]) -> "QueryExecutor":
        manifests: list[ShardManifest] = []
        reasons: dict[str, str] = {}
        for shard in shards:
            path = shard.removeprefix("file://")
            text, table = (Path(beside(path, one)) for one in (JSON_SUFFIX, PARQUET_SUFFIX))
            try:
                if not text.exists():
                    reasons[shard] = "its manifest is missing"
                    continue
                one = (
                    ShardManifest.from_files(text, table)
                    if table.exists()
                    else ShardManifest.from_json_only(text)
                )
            except ManifestError as error:
                reasons[shard] = next(iter(error.reasons.values()))
                continue
            reason = _wrong(one, text, Path(path))
            if reason:
                reasons[shard] = reason
            manifests.append(one)
        if reasons:
            raise ManifestError(reasons)
        made = cls(manifests)
        made._shards = [shard_name(shard) for shard in shards]
        return made


def _shard_of(base: Path) -> Path:
    """The shard that a manifest of this name lies beside."""
    shard = base.with_name(f"{base.name}.tar")
    return base if base.is_file() and not shard.exists() else shard


def _wrong(manifest: ShardManifest, text: Path, shard: Path) -> str:
    """Why a manifest is not of the shard beside it; of the older layout one sees only so much."""
    with suppress(DocumentError):
        part = read_document(text.read_bytes()).shard
        try:
            compare_local(str(shard), shard, identity_of(shard), part)
        except ManifestError as error:
            return error.reasons[str(shard)]
        return ""
    if manifest.shard_id != shard.name.removesuffix(".tar"):
        return f"its manifest says that it is of shard {manifest.shard_id!r}"
    if manifest.num_samples == 0 and shard.suffix == ".tar" and _holds_members(shard):
        return "its manifest says that the shard is empty"
    return ""


def _holds_members(shard: Path) -> bool:
    """Whether an archive begins with a header and not with its end."""
    try:
        return any(read_range(shard, 0, BLOCK)[:1])
    except (ShardError, SourceError):
        return False
