"""Arguments and options that several commands take, and where a command's work is."""

from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer


class Place(NamedTuple):
    """Which catalogue is meant, as the options say it.

    Attributes:
        db: Path of a SQLite file.
        dsn: Address of a PostgreSQL database.
        redis: Address of a Redis server.
        store: Folder or `s3://bucket/prefix` that addresses in the catalogue are relative to.
    """

    db: str | None = None
    dsn: str | None = None
    redis: str | None = None
    store: str | None = None


def work(command: str) -> Any:
    """The module that does a command's work; with it come numpy and rich."""
    return import_module(f"atdata.cli.{command}")


def _complete(context: typer.Context, incomplete: str) -> list[str]:
    """Names of datasets, for the shell."""
    found: list[str] = work("completion").names(context.params, incomplete)
    return found


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Shards = Annotated[
    list[str],
    typer.Argument(
        metavar="SHARD",
        help="Paths, folders, or http(s) addresses; braces such as {000..010} stand for many.",
        show_default=False,
    ),
]
ShardsOrRefs = Annotated[
    list[str],
    typer.Argument(
        metavar="SHARD|REF",
        help="Paths, folders, or http(s) addresses; braces such as {000..010} stand for many; "
        "or datasets of the catalogue, such as @local/mnist.",
        show_default=False,
    ),
]
Ref = Annotated[
    str,
    typer.Argument(
        metavar="REF",
        help="A dataset: mnist, mnist@1.0.0 or @local/mnist.",
        show_default=False,
        autocompletion=_complete,
    ),
]
SchemaPlace = Annotated[
    str,
    typer.Argument(
        metavar="REF|SHARD",
        help="atdata://local/schema/Name@1.0.0, the dataset @local/mnist, or a shard.",
        show_default=False,
        autocompletion=_complete,
    ),
]
Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The dataset's name.", show_default=False),
]
NewVersion = Annotated[
    str | None, typer.Option("--version", help="A version, which must be new.", show_default=False)
]
Description = Annotated[
    str | None, typer.Option("--description", help="What it is.", show_default=False)
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="The most to show at once.")]
Cursor = Annotated[
    str | None,
    typer.Option("--cursor", help="Go on where the page before ended.", show_default=False),
]
Db = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="PATH",
        help="The catalogue is this SQLite file; without any of these options, what "
        "ATDATA_INDEX says, else the user's own.",
        show_default=False,
    ),
]
Dsn = Annotated[
    str | None,
    typer.Option(
        "--dsn", metavar="DSN", help="It is this PostgreSQL database.", show_default=False
    ),
]
RedisUrl = Annotated[
    str | None,
    typer.Option("--redis", metavar="URL", help="It is on this Redis server.", show_default=False),
]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PLACE",
        help="Its shards are in this folder, or s3://bucket/prefix with keys from AWS_…",
        show_default=False,
    ),
]
SampleSchema = Annotated[
    str | None,
    typer.Option(
        "--schema",
        metavar="REF",
        help="The samples of shards have this schema of the catalogue; without it, the fields "
        "they come with.",
        show_default=False,
    ),
]
Manifests = Annotated[
    str | None,
    typer.Option(
        "--manifests",
        metavar="DIR",
        help="The manifests are in this folder, and not beside the shards.",
        show_default=False,
    ),
]
