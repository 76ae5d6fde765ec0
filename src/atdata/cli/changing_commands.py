"""`atdata add`, `label`, `rename`, `rm` and `gc`: what they take."""

from typing import Annotated

import typer

from atdata.cli.options import (
    Db,
    Description,
    Dsn,
    Json,
    Name,
    NewVersion,
    Place,
    RedisUrl,
    Ref,
    Shards,
    Store,
    work,
)

changing_app = typer.Typer(rich_markup_mode=None)


@changing_app.command()
def add(
    name: Name,
    shards: Shards,
    *,
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy the shards into the catalogue's store.")
    ] = False,
    checksums: Annotated[
        bool,
        typer.Option("--checksums", help="Read shards that stay for their SHA-256, for verify."),
    ] = False,
    schema: Annotated[
        str | None,
        typer.Option(
            "--schema",
            metavar="REF",
            help="Their schema; it must be there.",
            show_default=False,
        ),
    ] = None,
    version: NewVersion = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", help="A word to find it by; may be repeated.", show_default=False),
    ] = None,
    description: Description = None,
    license_: Annotated[
        str | None,
        typer.Option("--license", help="Its license, best from SPDX.", show_default=False),
    ] = None,
    db: Db = None,
    dsn: Dsn = None,
    redis: RedisUrl = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Catalogue shards that are there already, and make the catalogue if it is not there.

    They stay where they are unless --copy is given.
    """
    work("add").add(
        name,
        shards,
        Place(db, dsn, redis, store),
        copy=copy,
        checksums=checksums,
        schema=schema,
        said={
            "version": version,
            "tags": tag,
            "description": description,
            "license": license_,
        },
        as_json=as_json,
    )


@changing_app.command()
def label(
    name: Name,
    target: Annotated[
        str,
        typer.Argument(metavar="CID|REF", help="What it is to stand for.", show_default=False),
    ],
    *,
    version: Annotated[
        str | None,
        typer.Option(
            "--version",
            help="The name with this version; by default the name alone.",
            show_default=False,
        ),
    ] = None,
    description: Annotated[
        str | None,
        typer.Option("--description", help="What to say of the version.", show_default=False),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Move a semantic version all the same.")
    ] = False,
    db: Db = None,
    dsn: Dsn = None,
    redis: RedisUrl = None,
    as_json: Json = False,
) -> None:
    """Let a name, or a name with a version, stand for an entry of the catalogue."""
    work("label").label(
        name,
        target,
        Place(db, dsn, redis),
        version=version,
        description=description,
        force=force,
        as_json=as_json,
    )


@changing_app.command()
def rename(
    old: Ref,
    new: Annotated[
        str, typer.Argument(metavar="NEW", help="The name it gets.", show_default=False)
    ],
    *,
    db: Db = None,
    dsn: Dsn = None,
    redis: RedisUrl = None,
    as_json: Json = False,
) -> None:
    """Give a dataset, with all its versions, another name."""
    work("rename").rename(old, new, Place(db, dsn, redis), as_json=as_json)


@changing_app.command()
def rm(
    ref: Ref,
    *,
    keep_shards: Annotated[
        bool, typer.Option("--keep-shards", help="Leave the shards in the store.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Remove labels of other names that stand for it too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    db: Db = None,
    dsn: Dsn = None,
    redis: RedisUrl = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Remove a dataset with all its versions, or one version of it.

    Shards in the catalogue's own store go too, if no other dataset needs them.
    """
    work("rm").rm(
        ref,
        Place(db, dsn, redis, store),
        keep_shards=keep_shards,
        force=force,
        yes=yes,
        dry_run=dry_run,
        as_json=as_json,
    )


@changing_app.command()
def gc(
    *,
    remove: Annotated[
        bool, typer.Option("--remove", "--yes", "-y", help="Remove it; else it is only listed.")
    ] = False,
    older_than: Annotated[
        float,
        typer.Option(
            "--older-than",
            metavar="HOURS",
            min=0,
            max=1e6,
            help="When a write of another machine counts as ended.",
        ),
    ] = 24,
    db: Db = None,
    dsn: Dsn = None,
    redis: RedisUrl = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Find what writes that failed or were killed left in the store."""
    work("gc").gc(Place(db, dsn, redis, store), older_than, remove=remove, as_json=as_json)
