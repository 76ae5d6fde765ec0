"""`atdata ls`, `search`, `show`, `versions` and `verify`: what they take."""

from typing import Annotated

import typer

from atdata.cli.options import (
    Cursor,
    Db,
    Dsn,
    Json,
    Limit,
    Place,
    RedisUrl,
    Ref,
    Store,
    work,
)

finding_app = typer.Typer(rich_markup_mode=None)


@finding_app.command()
def ls(
    *,
    repo: Annotated[
        str | None, typer.Option("--repo", help="Of this repository only.", show_default=False)
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="The most to show at once.", show_default="100"),
    ] = None,
    cursor: Cursor = None,
    everything: Annotated[bool, typer.Option("--all", help="Show all, without a limit.")] = False,
    db: Db = None,
    dsn: Dsn = None,
    redis: RedisUrl = None,
    as_json: Json = False,
) -> None:
    """List the datasets of the catalogue, by name."""
    if everything and limit is not None:
        raise typer.BadParameter("--all has no limit: leave --limit out")
    work("ls").ls(
        Place(db, dsn, redis),
        repo=repo,
        limit=None if everything else limit or 100,
        cursor=cursor,
        as_json=as_json,
    )


@finding_app.command()
def search(
    text: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT", help="Words, or how they begin; all must fit.", show_default=False
        ),
    ] = None,
    *,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", help="Only with this tag; may be repeated.", show_default=False),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option("--schema", metavar="REF", help="Only of this schema.", show_default=False),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    db: Db = None,
    dsn: Dsn = None,
    redis: RedisUrl = None,
    as_json: Json = False,
) -> None:
    """Find datasets by words, tags and schema, the best first."""
    work("search").search(
        " ".join(text or ()),
        Place(db, dsn, redis),
        tags=tag or [],
        schema=schema,
        limit=limit,
        cursor=cursor,
        as_json=as_json,
    )


@finding_app.command()
def show(
    ref: Ref,
    *,
    db: Db = None,
    dsn: Dsn = None,
    redis: RedisUrl = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Show what the catalogue says of a dataset, and where its shards are."""
    work("show").show(ref, Place(db, dsn, redis, store), as_json=as_json)


@finding_app.command()
def versions(
    ref: Ref,
    *,
    db: Db = None,
    dsn: Dsn = None,
    redis: RedisUrl = None,
    as_json: Json = False,
) -> None:
    """List the versions of a dataset."""
    work("versions").versions(ref, Place(db, dsn, redis), as_json=as_json)


@finding_app.command()
def verify(
    ref: Ref,
    *,
    db: Db = None,
    dsn: Dsn = None,
    redis: RedisUrl = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Read a dataset's shards and compare them with their SHA-256.

    The exit code is 1 if one differs or cannot be read.
    """
    work("verify").verify(ref, Place(db, dsn, redis, store), as_json=as_json)
