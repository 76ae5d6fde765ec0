"""`atdata local`: what it takes. The work is in `atdata.cli.local`."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

_DIR = typer.Option(
    "--dir", help="Where data and addresses lie.", show_default="the state folder of the user"
)
_JSON = typer.Option("--json", help="Print one JSON document instead of text.")
_DOCKER = typer.Option("--docker", help="Run them as containers, by docker compose.")

local_app = typer.Typer(
    help="Run Redis, PostgreSQL and S3 on this machine.", rich_markup_mode=None
)


def _work() -> Any:
    return import_module("atdata.cli.local")


@local_app.command()
def up(
    *,
    redis: Annotated[bool, typer.Option("--redis", help="Start Redis.")] = False,
    postgres: Annotated[bool, typer.Option("--postgres", help="Start PostgreSQL.")] = False,
    s3: Annotated[bool, typer.Option("--s3", help="Start S3.")] = False,
    folder: Annotated[Path | None, _DIR] = None,
    docker: Annotated[bool, _DOCKER] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Start servers that stay: those named, or all three.

    They listen on this machine alone, with passwords of their own, and keep their data. One that
    runs already is left as it is. If one does not start, none of them does.
    """
    named = {"redis": redis, "postgres": postgres, "s3": s3}
    kinds = [kind for kind, wanted in named.items() if wanted] or list(named)
    _work().up(kinds, folder, docker=docker, as_json=as_json)


@local_app.command()
def down(
    *,
    folder: Annotated[Path | None, _DIR] = None,
    volumes: Annotated[bool, typer.Option("--volumes", "-v", help="Delete the data too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Stop the servers; their data stay, unless `--volumes` is given."""
    _work().down(folder, volumes=volumes, yes=yes, as_json=as_json)


@local_app.command()
def status(
    *, folder: Annotated[Path | None, _DIR] = None, as_json: Annotated[bool, _JSON] = False
) -> None:
    """Show which servers run, and where."""
    _work().status(folder, as_json=as_json)
