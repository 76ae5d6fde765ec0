"""`atdata manifest build`, `show` and `check`: what they take."""

from typing import Annotated

import typer

from atdata.cli.options import (
    Db,
    Dsn,
    Json,
    Manifests,
    Place,
    RedisUrl,
    SampleSchema,
    ShardsOrRefs,
    Store,
    work,
)

manifest_app = typer.Typer(
    help="Build, show and check what lies beside shards and answers questions.",
    rich_markup_mode=None,
)


@manifest_app.command()
def build(
    shards: ShardsOrRefs,
    *,
    schema: SampleSchema = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Keep the manifests in this folder, and not beside the shards.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build also what is up to date.")] = False,
    db: Db = None,
    dsn: Dsn = None,
    redis: RedisUrl = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Build the manifests of shards, whoever wrote them.

    What is up to date is left alone, so that it can be stopped and run again. The exit code is 0
    only if all shards have a manifest in the end.
    """
    place = Place(db, dsn, redis, store)
    work("manifest_build").build(
        shards, place, schema=schema, out=out, force=force, as_json=as_json
    )


@manifest_app.command()
def show(
    shards: ShardsOrRefs,
    *,
    manifests: Manifests = None,
    db: Db = None,
    dsn: Dsn = None,
    redis: RedisUrl = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Show what the manifests of shards say of their fields."""
    place = Place(db, dsn, redis, store)
    work("manifest_show").show(shards, place, manifests=manifests, as_json=as_json)


@manifest_app.command()
def check(
    shards: ShardsOrRefs,
    *,
    manifests: Manifests = None,
    db: Db = None,
    dsn: Dsn = None,
    redis: RedisUrl = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Say of each shard whether its manifest is there, whole, and of the shard as it is now.

    The exit code is 1 if that is not so of one of them.
    """
    place = Place(db, dsn, redis, store)
    work("manifest_check").check(shards, place, manifests=manifests, as_json=as_json)
