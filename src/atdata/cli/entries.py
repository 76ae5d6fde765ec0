"""Entries of the catalogue as JSON documents and as rows for people."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from atdata.cli.tables import print_rows
from atdata.model.entry import DatasetEntry


def summary(entry: DatasetEntry) -> dict[str, Any]:
    """What a list says of a dataset.

    Examples:
        >>> entry = DatasetEntry("s", "atdata://local/schema/S@1.0.0", ["a.tar"])
        >>> found = summary(entry)
        >>> found["name"], found["n_shards"], found["n_samples"]
        ('s', 1, None)
    """
    return {
        "name": entry.name,
        "repo": entry.repo,
        "version": entry.version,
        "cid": entry.cid,
        "schema_ref": entry.schema_ref,
        "n_shards": len(entry.shards),
        "n_samples": entry.n_samples,
        "n_bytes": entry.n_bytes,
        "description": entry.description,
        "tags": list(entry.tags),
        "license": entry.license,
        "created_at": json_time(entry.created_at),
    }


def print_entries(entries: Iterable[tuple[str, DatasetEntry]]) -> None:
    """Print datasets, each under the name it was found by."""
    print_rows(
        ["name", "version", "shards", "samples", "bytes", "schema", "tags", "description"],
        [
            [
                name if entry.repo == "local" else f"@{entry.repo}/{name}",
                entry.version,
                len(entry.shards),
                entry.n_samples,
                entry.n_bytes,
                entry.schema_ref.rpartition("/")[2],
                ", ".join(entry.tags) or None,
                entry.description,
            ]
            for name, entry in entries
        ],
    )


def json_time(time: datetime | None) -> str | None:
    """A time as JSON has it."""
    return None if time is None else time.isoformat()


def text_time(time: datetime | None) -> str | None:
    """A time for people, to the second.

    Examples:
        >>> from datetime import UTC
        >>> text_time(datetime(2026, 11, 1, 12, tzinfo=UTC))
        '2026-11-01 12:00:00 UTC'
    """
    return None if time is None else f"{time:%Y-%m-%d %H:%M:%S %Z}".strip()
