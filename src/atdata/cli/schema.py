"""`atdata schema list`, `show` and `diff`: sample types as data."""

from dataclasses import replace

import typer

from atdata._exceptions import AtdataError, printable
from atdata.cli.app import complain, print_json
from atdata.cli.catalogue import opened
from atdata.cli.entries import json_time, text_time
from atdata.cli.options import Place
from atdata.cli.schema_places import FoundSchema, find_schema
from atdata.cli.tables import print_rows
from atdata.cli.values import json_value
from atdata.model.schema import Schema
from atdata.schema.diff import FieldChange, diff

_LONGEST = 300


def list_schemas(place: Place, *, as_json: bool) -> None:
    """Print the schemas of a catalogue by name and version."""
    with opened(place) as index:
        schemas = list(index.schemas)
    if as_json:
        documents = [
            {
                "ref": one.ref,
                "name": one.name,
                "version": one.version,
                "n_fields": len(one.fields),
                "description": one.description,
                "created_at": json_time(one.created_at),
            }
            for one in schemas
        ]
        print_json({"schemas": documents})
    elif schemas:
        print_rows(
            ["schema", "fields", "created", "description"],
            [
                [one.ref, len(one.fields), text_time(one.created_at), one.description]
                for one in schemas
            ],
        )
    else:
        complain("the catalogue has no schemas")


def show(text: str, place: Place, *, as_json: bool) -> None:
    """Print a schema.

    Raises:
        AtdataError: It cannot be had.
    """
    found = find_schema(text, place)
    if as_json:
        print_json(_document(found))
        return
    schema = found.schema
    typer.secho(printable(found.title, _LONGEST), bold=True)
    if schema.description:
        typer.echo(f"  {printable(schema.description, 1000)}")
    for field in schema.fields:
        typer.echo(f"  {printable(field, _LONGEST)}")
    for definition in schema.definitions:
        typer.echo(f"  {printable(definition.name)}: {definition.kind}")
        for field in definition.fields:
            typer.echo(f"    {printable(field, _LONGEST)}")
        for name, value in definition.members:
            typer.echo(f"    {printable(name)} = {printable(repr(value), _LONGEST)}")


def compare(old: str, new: str, place: Place, *, as_json: bool) -> None:
    """Print what lies between two schemas, and the lens that leads from one to the other.

    Raises:
        typer.Exit: With code 1 if they differ; with 2 if one cannot be had, which has been said.
    """
    try:
        one, other = find_schema(old, place), find_schema(new, place)
        found = diff(_named_as(one, other), _named_as(other, one))
        lens = found.suggest_lens() if found else None
    except AtdataError as error:
        complain(str(error))
        raise typer.Exit(2) from error
    except OSError as error:
        complain(f"{error.filename or old}: {error.strerror or error}")
        raise typer.Exit(2) from error
    if as_json:
        print_json(
            {
                "old": _document(one),
                "new": _document(other),
                "identical": not found,
                "verdict": found.verdict,
                "bump": found.bump,
                "added": [_change(change) for change in found.added],
                "removed": [_change(change) for change in found.removed],
                "changed": [_change(change) for change in found.changed],
                "notes": list(found.notes),
                "lens": lens,
            }
        )
    else:
        for line in str(found).splitlines():
            typer.echo(printable(line, _LONGEST))
        for line in (lens or "").splitlines():
            typer.echo(f"    {printable(line, _LONGEST)}")
    if found:
        raise typer.Exit(1)


def _named_as(found: FoundSchema, other: FoundSchema) -> Schema:
    """A schema; one that was inferred gets the name of the other, having none of its own."""
    if found.ref is not None:
        return found.schema
    return replace(found.schema, name=other.schema.name, description=other.schema.description)


def _document(found: FoundSchema) -> dict[str, object]:
    record: dict[str, object] = json_value(found.schema.to_dict())
    return {"ref": found.ref, "cid": found.schema.cid, "schema": record}


def _change(change: FieldChange) -> dict[str, object]:
    return {
        "path": change.path,
        "old": None if change.old is None else str(change.old),
        "new": None if change.new is None else str(change.new),
        "effect": change.effect,
        "reason": change.reason,
    }
