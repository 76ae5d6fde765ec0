"""The commands with their arguments, and what a run ends with.

A command returns by itself when all is well. It raises `typer.Exit(1)` when it has said what
failed, and an `AtdataError` or `OSError` when it has not; arguments that make no sense are
`typer.BadParameter`. Results go to stdout, messages to stderr.
"""

import json
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version as version_of
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.main import get_command

from atdata._exceptions import AtdataError, printable
from atdata._version import __version__
from atdata.cli.changing_commands import changing_app
from atdata.cli.diagnose_commands import diagnose_app
from atdata.cli.finding_commands import finding_app
from atdata.cli.local_commands import local_app
from atdata.cli.manifest_commands import manifest_app
from atdata.cli.options import Json
from atdata.cli.query_commands import query_app
from atdata.cli.schema_commands import codegen_app, schema_app
from atdata.cli.shard_commands import shard_app

app = typer.Typer(
    help="Look at typed samples in tar shards, and keep a catalogue of them.",
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,  # plain help, at once: rich is for tables
    pretty_exceptions_enable=False,
)

for commands in (shard_app, query_app, finding_app, changing_app, codegen_app):
    app.add_typer(commands)
app.add_typer(manifest_app, name="manifest")
app.add_typer(schema_app, name="schema")
app.add_typer(local_app, name="local")
app.add_typer(local_app, name="infra", hidden=True)  # an alias
app.add_typer(diagnose_app, name="diagnose")


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
    typer.echo(harmless(message), err=True)


def harmless(message: str) -> str:
    r"""A message whose lines are lines, and all other control characters are escaped.

    Examples:
        >>> print(harmless("no such\x1b[1m name\n  Try another."))
        no such\x1b[1m name
          Try another.
    """
    return "\n".join(printable(line, 2000) for line in message.split("\n"))


def print_json(document: Any) -> None:
    """Print a document as JSON that any parser takes and no terminal obeys: in ASCII."""
    typer.echo(json.dumps(document, indent=2, allow_nan=False))


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
    """Look at typed samples in tar shards, and keep a catalogue of them."""


@app.command()
def version(*, as_json: Json = False) -> None:
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
