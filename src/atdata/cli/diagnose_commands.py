"""`atdata diagnose`: what it takes. The work is in `atdata.cli.diagnose`."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

_JSON = typer.Option("--json", help="Print one JSON document instead of text.")

diagnose_app = typer.Typer(
    help="Check whether a place is fit to hold an index or shards.", rich_markup_mode=None
)


def _work() -> Any:
    return import_module("atdata.cli.diagnose")


@diagnose_app.command()
def sqlite(
    path: Annotated[
        Path | None, typer.Argument(help="The file.", show_default="the index of the user")
    ] = None,
    *,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Check a SQLite file: integrity, journal, and whether it can be written."""
    _work().sqlite(path, as_json=as_json)


@diagnose_app.command()
def redis(
    url: Annotated[
        str,
        typer.Argument(envvar="ATDATA_REDIS_URL", show_default=True, help="Its address."),
    ] = "redis://127.0.0.1:6379/0",
    *,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Check a Redis server: persistence, eviction, memory, and whether it can be written."""
    _work().redis(url, as_json=as_json)


@diagnose_app.command()
def postgres(
    dsn: Annotated[
        str,
        typer.Argument(envvar="ATDATA_POSTGRES_DSN", show_default=True, help="Its address."),
    ] = "postgresql://127.0.0.1:5432/postgres",
    *,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Check a PostgreSQL database: encoding, permissions, connections."""
    _work().postgres(dsn, as_json=as_json)


@diagnose_app.command()
def s3(
    bucket: Annotated[str, typer.Argument(help="A bucket, or s3://BUCKET/PREFIX.")],
    *,
    env_file: Annotated[
        Path | None,
        typer.Option(help="Take AWS_… from this file, not from the environment."),
    ] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Check a bucket: list, put, get, delete, clock, and create-only writes."""
    _work().s3(bucket, env_file, as_json=as_json)
