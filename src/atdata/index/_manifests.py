"""Manifests of shards that come into a catalogue: found beside them, or made."""

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from atdata._exceptions import ManifestError, ShardError, printable, redacted
from atdata._logging import get_logger
from atdata._protocols import DataSource, SupportsSidecars
from atdata.dataset import Dataset
from atdata.model.shard import SIDECARS, FinishedShard, beside
from atdata.pipeline.chain import Part
from atdata.sources.naming import local_path


def usable(source: DataSource, shard_id: str) -> list[tuple[str, bytes]]:
    """The files of a shard's manifest by their suffixes; none if it cannot be used."""
    if not isinstance(source, SupportsSidecars):
        return []
    try:
        found = [(suffix, source.read_sidecar(shard_id, suffix)) for suffix in SIDECARS]
        if all(data is None for _, data in found):
            return []
        reader = import_module("atdata.manifest.reader")  # loads Arrow
        reader.open_manifest(source, shard_id, remote_check="footer")
    except (ManifestError, ShardError) as error:
        get_logger().warning("a manifest is left out: %s", error)
        return []
    return [(suffix, data) for suffix, data in found if data is not None]


def build_missing(part: Part) -> None:
    """Make the manifests that shards of this machine lack, beside them.

    Raises:
        ValueError: A shard is elsewhere.
    """
    elsewhere = [one for one in part.source.list_shards() if local_path(part.source, one) is None]
    if elsewhere:
        raise ValueError(
            f"no manifest can be kept beside {printable(redacted(elsewhere[0]))}\n"
            "  Copy the shards, which are elsewhere: insert_dataset(..., copy=True, manifest=True)"
        )
    _build(Dataset(part.source, sample_type=part.stored_type))


def built(shard: FinishedShard, part: Part, path: Path) -> tuple[Path, ...]:
    """A manifest that is made now, of a shard that is here, under the names that follow a path."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        ds = Dataset(shard.path, sample_type=part.stored_type)
        (built,) = _build(ds, folder)
        finals = [Path(beside(str(path), suffix)) for suffix in SIDECARS]
        for file, final in zip((built.json, built.parquet), finals, strict=True):
            file.replace(final)
    return tuple(finals)


def _build(ds: Dataset[Any], out: str | None = None) -> list[Any]:
    builder = import_module("atdata.dataset._manifests")  # loads Arrow
    built: list[Any] = builder.build_manifests(ds, out=out, progress=False)
    return built
