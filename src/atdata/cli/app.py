"""The commands with their arguments, and what a run ends with.

A command returns by itself when all is well. It raises `typer.Exit(1)` when it has said what
failed, and an `AtdataError` or `OSError` when it has not; arguments that make no sense are
`typer.BadParameter`. Results go to stdout, messages to stderr.
"""

import json
import platform
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version as version_of
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.main import get_command

from atdata._exceptions import AtdataError, printable
from atdata._version import __version__

_SHARDS = typer.Argument(
    metavar="SHARD",
    help="Paths, folders, or http(s) addresses; braces such as {000..010} stand for many.",
    show_default=False,
)
_JSON = typer.Option("--json", help="Print one JSON document instead of text.")

app = typer.Typer(
    help="Look at typed samples in tar shards.",
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,  # plain help, at once: rich is for tables
    pretty_exceptions_enable=False,
)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: The arguments; those of the process by default.

    Returns:
        The exit code: 0 if all went well, 1 if data or a place failed, 2 if the arguments make no
        sense, 130 if it was interrupted.

    Examples:
        >>> import atdata
        >>> ds = atdata.write_samples([atdata.DictSample(n=7)], tmp / "seven.tar")
        >>> atdata.main(["preview", str(tmp / "seven.tar")])
        key        n
        000000000  7
        0
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        get_command(app).main(None if args is None else list(args), prog_name="atdata")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except AtdataError as error:
        complain(str(error))
    except OSError as error:
        place = "" if error.filename is None else f"cannot read {error.filename}: "
        complain(f"{place}{error.strerror or error}")
    return 1


def complain(message: str) -> None:
    """Say on stderr what went wrong; control characters are escaped."""
    typer.echo("\n".join(printable(line, 2000) for line in message.split("\n")), err=True)


def print_json(document: Any) -> None:
    """Print a document as JSON that any parser takes and no terminal obeys: in ASCII."""
    typer.echo(json.dumps(document, indent=2, allow_nan=False))


def _work(command: str) -> Any:
    """The module that does a command's work; with it come numpy and rich."""
    return import_module(f"atdata.cli.{command}")


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"atdata {__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_say_version, is_eager=True),
    ] = False,
) -> None:
    """Look at typed samples in tar shards."""


@app.command()
def version(*, as_json: Annotated[bool, _JSON] = False) -> None:
    """Print the versions of atdata and what it runs on."""
    facts = {
        "atdata": __version__,
        "python": platform.python_version(),
        "numpy": version_of("numpy"),
        "platform": platform.platform(),
    }
    if as_json:
        print_json(facts)
        return
    for name, fact in facts.items():
        typer.echo(f"{name:<9} {fact}")


@app.command()
def inspect(
    shards: Annotated[list[str], _SHARDS],
    *,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Read every sample, compare all digests, and report what is damaged."
        ),
    ] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Show what shards hold, and check them.

    That is samples, keys, the first sample's fields, metadata and digests. The exit code is 1 if
    anything is damaged or missing.
    """
    _work("inspect").inspect(shards, check=check, as_json=as_json)


@app.command()
def preview(
    shards: Annotated[list[str], _SHARDS],
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
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Show the first samples of shards."""
    _work("preview").preview(shards, n=n, skip=skip, key=key, fields=fields, as_json=as_json)
