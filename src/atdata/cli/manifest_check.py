"""`atdata manifest check`: whether manifests are there, whole, and of the shards as they are."""

from collections.abc import Iterator, Sequence

import typer

from atdata._exceptions import ManifestError, printable, shard_name
from atdata._protocols import DataSource
from atdata.cli.app import print_json
from atdata.cli.manifest_places import NO_SHARD, Asked, refuse
from atdata.cli.options import Place
from atdata.manifest.manifest import Manifest
from atdata.manifest.reader import open_manifests

_AT_ONCE = 16
_MISSING = ("its manifest is missing", NO_SHARD)
_STALE = ("its manifest is stale", "its manifest is of the older layout")


def check(arguments: Sequence[str], place: Place, *, manifests: str | None, as_json: bool) -> None:
    """Print a line for each shard.

    Raises:
        typer.Exit: With code 1, if a manifest is not fresh. What mends it has been said.
    """
    asked = Asked(arguments, place, manifests=manifests)
    sources = [asked.source(named) for _, named in asked.found()]
    reasons: dict[str, str] = {}
    shards: list[dict[str, str | None]] = []
    for source in sources:
        for shard_id, found in states(source):
            reason = found if isinstance(found, str) else ""
            status = _status(reason)
            shards.append({"shard": shard_id, "status": status, "reason": reason or None})
            if reason:
                reasons[shard_id] = reason
            if not as_json:
                line = f"{status:<7}  {printable(shard_name(shard_id), 500)}"
                typer.echo(f"{line}  {printable(reason, 500)}" if reason else line)
    if as_json:
        print_json({"ok": not reasons, "shards": shards})
    if reasons:
        refuse(ManifestError(reasons), asked, sources)


def states(source: DataSource) -> Iterator[tuple[str, Manifest | str]]:
    """Each shard's manifest, or why it cannot be used.

    Both files are read, and compared with each other and with the shard.
    """
    shard_ids = source.list_shards()
    for start in range(0, len(shard_ids), _AT_ONCE):
        some = shard_ids[start : start + _AT_ONCE]
        opened = open_manifests(source, some, remote_check="footer")
        for shard_id, found in zip(some, opened, strict=True):
            try:
                yield shard_id, _read(found)
            except ManifestError as error:
                yield shard_id, error.reasons[shard_id]


def _read(found: Manifest | ManifestError) -> Manifest:
    """Read all of a manifest.

    Raises:
        ManifestError: It cannot be used, or its Parquet file cannot.
    """
    if isinstance(found, ManifestError):
        raise found
    if not len(found.at) == len(found.keys) == len(found):
        raise ManifestError({found.shard_id: "its manifest is damaged: rows are missing"})
    for path in found.columns:
        found.column(path)
    return found


def _status(reason: str) -> str:
    """One word for why a manifest cannot be used.

    Examples:
        >>> _status(""), _status("its manifest is stale: the shard has 7 bytes, not 8")
        ('fresh', 'stale')
    """
    if not reason:
        return "fresh"
    if reason in _MISSING:
        return "missing"
    return "stale" if reason.startswith(_STALE) else "damaged"
