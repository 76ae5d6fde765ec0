"""`atdata query`: what it takes."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from atdata.cli.options import (
    Db,
    Dsn,
    Json,
    Manifests,
    Place,
    RedisUrl,
    SampleSchema,
    Store,
    work,
)

query_app = typer.Typer(rich_markup_mode=None)


@query_app.command()
def query(
    ref: Annotated[
        str,
        typer.Argument(
            metavar="SHARD|REF",
            help="A dataset of the catalogue, such as @local/mnist; or a path, a folder, or an "
            "address, in which braces such as {000..010} stand for many shards.",
            show_default=False,
        ),
    ],
    question: Annotated[
        str,
        typer.Argument(
            metavar="QUESTION",
            help="Such as \"score > 0.9 and label in ('cat', 'dog')\".",
            show_default=False,
        ),
    ],
    *,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=1,
            help="The most to give.",
            show_default="20 on a terminal, else all",
        ),
    ] = None,
    select: Annotated[
        str | None,
        typer.Option(
            "--select",
            metavar="FIELDS",
            help="Give these fields too, separated by commas.",
            show_default=False,
        ),
    ] = None,
    count: Annotated[bool, typer.Option("--count", help="Say how many there are.")] = False,
    parquet: Annotated[
        Path | None,
        typer.Option(
            "--parquet", metavar="FILE", help="Write them to a Parquet file.", show_default=False
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say how they would be found and read.")
    ] = False,
    analyze: Annotated[
        bool, typer.Option("--analyze", help="The same, and read them to say what that took.")
    ] = False,
    missing: Annotated[
        Literal["error", "scan"],
        typer.Option(
            "--missing", help="Shards without a manifest are an error, or are read instead."
        ),
    ] = "error",
    manifests: Manifests = None,
    schema: SampleSchema = None,
    db: Db = None,
    dsn: Dsn = None,
    redis: RedisUrl = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Find the samples of which something is true: shard, key, and where they lie in it."""
    module = work("query")
    asked = module.Asked([ref], Place(db, dsn, redis, store), schema, manifests)
    wanted = module.Wanted(limit, select, count, parquet, explain or analyze, analyze, as_json)
    module.query(asked, question, wanted, missing=missing)
