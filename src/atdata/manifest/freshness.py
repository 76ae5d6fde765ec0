"""Whether a manifest is of its shard as that is now."""

from pathlib import Path

from atdata._exceptions import ManifestError, ShardError, SourceError
from atdata._protocols import DataSource, SupportsRange, SupportsVersion
from atdata.manifest.document import ShardPart
from atdata.manifest.files import FOOTER, Identity, index_mark, local_content, local_mark
from atdata.shard.index import SUFFIX


def compare_local(shard_id: str, path: Path, shard: Identity | None, part: ShardPart) -> None:
    """Compare a file with what its manifest says of it.

    Args:
        shard_id: What to call the shard.
        path: Its file.
        shard: The state in which that is; None if there is none.
        part: What the manifest says.

    Raises:
        ManifestError: It is another, or missing.
    """
    if shard is None:
        raise ManifestError({shard_id: "the shard is missing"})
    if part.n_bytes != shard[2]:
        raise stale(shard_id, f"the shard has {shard[2]} bytes, not {part.n_bytes}")
    if part.index:
        mark = local_mark(path, shard)
        if mark != part.index:
            raise stale(shard_id, f"the shard ends in {mark or 'no index'}, not {part.index}")
    elif part.content:
        content = local_content(path, shard)
        if content != part.content:
            raise stale(shard_id, f"the shard's XXH3 is {content}, not {part.content}")
    else:
        raise stale(shard_id, "nothing tells which state of the shard it is of")


def compare_remote(source: DataSource, shard_id: str, part: ShardPart) -> None:
    """Compare a shard elsewhere with what its manifest says of it, by one request.

    Raises:
        ManifestError: It is another.
        SourceError: Its place failed or refused.
    """
    if part.index and isinstance(source, SupportsRange):
        try:
            footer = source.read_range(shard_id, part.n_bytes - SUFFIX, FOOTER)
        except SourceError as error:
            if error.status is None or error.status >= 400:
                raise
            footer = b""  # it answers, but not with parts
        except ShardError as error:
            raise stale(shard_id, f"the shard has no {part.n_bytes} bytes") from error
        if footer and index_mark(footer) != part.index:
            raise stale(shard_id, f"the shard does not end as one of {part.n_bytes} bytes would")
        if footer:
            return
    version = source.shard_version(shard_id) if isinstance(source, SupportsVersion) else None
    if part.version and version != part.version:
        raise stale(shard_id, f"the shard's version is {version}, not {part.version}")
    if isinstance(source, SupportsRange):
        n_bytes = source.shard_size(shard_id)
        if n_bytes != part.n_bytes:
            raise stale(shard_id, f"the shard has {n_bytes} bytes, not {part.n_bytes}")


def stale(shard_id: str, reason: str) -> ManifestError:
    """The error for a manifest of another state of its shard."""
    return ManifestError({shard_id: f"its manifest is stale: {reason}"})
