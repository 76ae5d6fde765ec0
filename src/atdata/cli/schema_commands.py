"""`atdata schema` and `atdata codegen`: what they take."""

from pathlib import Path
from typing import Annotated

import typer

from atdata.cli.options import Db, Dsn, Json, Place, RedisUrl, SchemaPlace, Store, work

schema_app = typer.Typer(help="List, show and compare schemas.", rich_markup_mode=None)
codegen_app = typer.Typer(rich_markup_mode=None)


@schema_app.command("list")
def list_schemas(
    *, db: Db = None, dsn: Dsn = None, redis: RedisUrl = None, as_json: Json = False
) -> None:
    """List the schemas of the catalogue."""
    work("schema").list_schemas(Place(db, dsn, redis), as_json=as_json)


@schema_app.command()
def show(
    ref: SchemaPlace,
    *,
    db: Db = None,
    dsn: Dsn = None,
    redis: RedisUrl = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Show a schema: the catalogue's, a dataset's, or one inferred from a shard's first sample."""
    work("schema").show(ref, Place(db, dsn, redis, store), as_json=as_json)


@schema_app.command()
def diff(
    old: SchemaPlace,
    new: SchemaPlace,
    *,
    db: Db = None,
    dsn: Dsn = None,
    redis: RedisUrl = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Compare two schemas, and say what it takes to read one as the other.

    The exit code is 0 if they are identical, 1 if they differ, and 2 if one cannot be had.
    """
    work("schema").compare(old, new, Place(db, dsn, redis, store), as_json=as_json)


@codegen_app.command()
def codegen(
    ref: SchemaPlace,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write it here.", show_default=False),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            "--check",
            metavar="FILE",
            help="Only say whether this file is up to date; if not, the exit code is 1.",
            show_default=False,
        ),
    ] = None,
    db: Db = None,
    dsn: Dsn = None,
    redis: RedisUrl = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Write a schema as a Python module that declares its sample type."""
    work("codegen").codegen(
        ref, Place(db, dsn, redis, store), output=output, check=check, as_json=as_json
    )
