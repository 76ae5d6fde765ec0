"""`atdata inspect` and `atdata preview`: what they take."""

from typing import Annotated

import typer

from atdata.cli.options import Db, Dsn, Json, Place, RedisUrl, ShardsOrRefs, Store, work

shard_app = typer.Typer(rich_markup_mode=None)


@shard_app.command()
def inspect(
    shards: ShardsOrRefs,
    *,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Read every sample, compare all digests, and report what is damaged."
        ),
    ] = False,
    db: Db = None,
    dsn: Dsn = None,
    redis: RedisUrl = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Show what shards hold, and check them.

    That is samples, keys, the first sample's fields, metadata and digests. The exit code is 1 if
    anything is damaged or missing.
    """
    place = Place(db, dsn, redis, store)
    work("inspect").inspect(shards, place, check=check, as_json=as_json)


@shard_app.command()
def preview(
    shards: ShardsOrRefs,
    *,
    n: Annotated[int, typer.Option("-n", min=1, help="How many samples.")] = 5,
    skip: Annotated[int, typer.Option(min=0, help="How many to pass over first.")] = 0,
    key: Annotated[
        str | None, typer.Option(help="Show the sample with this key.", show_default=False)
    ] = None,
    fields: Annotated[
        str | None,
        typer.Option(help="Show these fields only, separated by commas.", show_default=False),
    ] = None,
    db: Db = None,
    dsn: Dsn = None,
    redis: RedisUrl = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Show the first samples of shards."""
    place = Place(db, dsn, redis, store)
    work("preview").preview(shards, place, n=n, skip=skip, key=key, fields=fields, as_json=as_json)
