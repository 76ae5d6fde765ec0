"""`atdata manifest show`: what manifests say of the fields of shards."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import typer

from atdata._exceptions import ManifestError, printable, shard_name
from atdata.cli.app import print_json
from atdata.cli.manifest_places import Asked, refuse
from atdata.cli.options import Place
from atdata.cli.tables import aligned
from atdata.cli.values import json_value, text_value
from atdata.manifest.manifest import Manifest
from atdata.manifest.reader import open_manifests

_FREQUENT = 10
"""How many of the most frequent values JSON has; text has fewer."""

_SHOWN = 3
_SHOWN_FIELDS = 100
_WIDEST = 24
"""Characters of a value in a table."""

_HEAD = ("field", "kind", "nulls", "NaN", "min", "max", "values")


def show(arguments: Sequence[str], place: Place, *, manifests: str | None, as_json: bool) -> None:
    """Print what is known of each shard; shards without a usable manifest are told at the end.

    Raises:
        typer.Exit: With code 1, if there are such shards. What mends it has been said.
    """
    asked = Asked(arguments, place, manifests=manifests)
    sources = [asked.source(named) for _, named in asked.found()]
    reasons: dict[str, str] = {}
    shards: list[dict[str, Any]] = []
    for source in sources:
        for found in open_manifests(source, source.list_shards(), remote_check="footer"):
            if isinstance(found, ManifestError):
                reasons |= found.reasons
                continue
            shards.append(document(found))
            if not as_json:
                _print(found)
    if as_json:
        print_json({"shards": shards})
    if reasons:
        refuse(ManifestError(reasons), asked, sources)


def document(manifest: Manifest) -> dict[str, Any]:
    """All that a manifest says as a whole, in JSON's types."""
    return {
        "shard": manifest.shard_id,
        "n_samples": manifest.n_samples,
        "n_bytes": manifest.n_bytes,
        "sample_type": manifest.schema_type,
        "created_at": manifest.document.created_at,
        "fields": [_field(manifest, path) for path in manifest.facts],
        "left_out": dict(manifest.left_out),
    }


def _field(manifest: Manifest, path: str) -> dict[str, Any]:
    facts, counts = manifest.facts[path], _frequent(manifest, path)
    return {
        "name": path,
        "kind": facts.kind,
        "is_column": manifest.is_exact(path),
        "n_nulls": facts.nulls,
        "n_nans": facts.nans,
        "min": json_plain(facts.low),
        "max": json_plain(facts.high),
        "n_values": None if counts is None else len(counts),
        "most_frequent": None
        if counts is None
        else [{"value": json_plain(value), "n": n} for value, n in counts[:_FREQUENT]],
        "bloom_filter": facts.bloom is not None,
    }


def json_plain(value: Any) -> Any:
    """A plain value in JSON's types: times in ISO 8601, durations in seconds.

    Examples:
        >>> json_plain(dt.date(2026, 1, 31)), json_plain(dt.timedelta(milliseconds=1500))
        ('2026-01-31', 1.5)
    """
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, list):
        items: list[Any] = value
        return [json_plain(one) for one in items]
    return json_value(value)


def _frequent(manifest: Manifest, path: str) -> list[tuple[Any, int]] | None:
    """Each value and how often it occurs, the most frequent first; None if that is not known."""
    counts = manifest.value_counts(path)
    if counts is None:
        return None
    return sorted(counts.items(), key=lambda one: (-one[1], str(one[0])))


def _print(manifest: Manifest) -> None:
    typer.secho(printable(shard_name(manifest.shard_id), 500), bold=True)
    samples = f"{manifest.n_samples} of {printable(manifest.schema_type)}"
    facts = [
        ("samples", samples),
        ("bytes", str(manifest.n_bytes)),
        ("built", printable(manifest.document.created_at)),
    ]
    fields = _table(manifest)
    facts += [("fields" if n == 0 else "", line) for n, line in enumerate(fields)]
    left_out = list(manifest.left_out.items())
    for n, (name, reason) in enumerate(left_out[:_SHOWN_FIELDS]):
        said = f"{printable(name)}: {printable(reason)}"
        facts.append(("left out" if n == 0 else "", said))
    if left_out[_SHOWN_FIELDS:]:
        facts.append(("", f"… {len(left_out) - _SHOWN_FIELDS} more"))
    typer.echo("\n".join(f"  {name:<11}  {text}".rstrip() for name, text in facts) + "\n")


def _table(manifest: Manifest) -> list[str]:
    rows = [_row(manifest, path) for path in list(manifest.facts)[:_SHOWN_FIELDS]]
    if not rows:
        return []
    kept = [n for n in range(len(_HEAD)) if any(row[n] for row in rows)]
    lines = aligned([[row[n] for n in kept] for row in (_HEAD, *rows)])
    more = len(manifest.facts) - len(rows)
    return lines + ([f"… {more} more"] if more else [])


def _row(manifest: Manifest, path: str) -> list[str]:
    facts, counts = manifest.facts[path], _frequent(manifest, path)
    values = "too many to count" if facts.bloom is not None else ""
    if counts is not None:
        often = [(value, n) for value, n in counts if n > 1 or len(counts) <= _SHOWN][:_SHOWN]
        shown = [f"{_short(value)} {n}" for value, n in often]
        more = [f"{len(counts)} in all"] if len(counts) > len(often) else []
        values = ", ".join(shown + more)
    return [
        text_value(path),
        facts.kind,
        str(facts.nulls or ""),
        str(facts.nans or ""),
        "" if facts.low is None else _short(facts.low),
        "" if facts.high is None else _short(facts.high),
        values,
    ]


def _short(value: object) -> str:
    """A value in a cell of a table.

    Examples:
        >>> _short("a" * 30)
        'aaaaaaaaaaaaaaaaaaaaaaa…'
    """
    text = text_value(value, 1000)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
