"""`atdata show`: all that the catalogue says of a dataset."""

import json
from typing import Any

import typer

from atdata._exceptions import printable, shard_name
from atdata.cli.app import print_json
from atdata.cli.catalogue import opened, reference
from atdata.cli.entries import summary, text_time
from atdata.cli.options import Place
from atdata.cli.tables import print_facts
from atdata.cli.values import json_value
from atdata.model.entry import DatasetEntry

_SHOWN = 10
"""How many shards are listed for people."""


def show(ref: str, place: Place, *, as_json: bool) -> None:
    """Print a dataset's entry.

    Raises:
        RecordNotFoundError: There is no such dataset or version.
    """
    reference(ref)
    with opened(place) as index:
        entry = index.get_dataset(ref)
    if as_json:
        print_json(document(entry))
    else:
        _print(entry)


def document(entry: DatasetEntry) -> dict[str, Any]:
    """All of an entry in JSON's types; addresses of shards are complete."""
    return summary(entry) | {
        "metadata": json_value(entry.metadata),
        "parents": list(entry.parents),
        "pipeline": json_value(entry.pipeline),
        "shards": [
            {
                "url": shard.url,
                "n_samples": shard.n_samples,
                "n_bytes": shard.n_bytes,
                "sha256": shard.sha256,
            }
            for shard in entry.shards
        ],
    }


def _print(entry: DatasetEntry) -> None:
    version = "" if entry.version is None else f"@{entry.version}"
    print_facts(
        f"@{entry.repo}/{entry.name}{version}",
        [
            ("cid", entry.cid),
            ("schema", entry.schema_ref),
            ("samples", entry.n_samples),
            ("bytes", entry.n_bytes),
            ("description", entry.description),
            ("tags", ", ".join(entry.tags) or None),
            ("license", entry.license),
            ("created", text_time(entry.created_at)),
            ("metadata", _json(entry.metadata)),
            ("pipeline", _json(entry.pipeline)),
            ("parents", ", ".join(entry.parents) or None),
            ("shards", len(entry.shards)),
        ],
    )
    for shard in entry.shards[:_SHOWN]:
        typer.echo(f"    {printable(shard_name(shard.url), 500)}")
    if len(entry.shards) > _SHOWN:
        typer.echo(f"    … {len(entry.shards) - _SHOWN} more")


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(json_value(value), ensure_ascii=False)
