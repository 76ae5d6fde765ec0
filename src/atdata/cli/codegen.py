"""`atdata codegen`: a schema as a Python module, and whether a module is that of a schema."""

from pathlib import Path

import typer

from atdata._exceptions import printable
from atdata.cli.app import complain, print_json
from atdata.cli.options import Place
from atdata.cli.schema_places import find_schema
from atdata.schema.codegen import cid_of_module, generate_module, is_current


def codegen(
    ref: str, place: Place, *, output: Path | None, check: Path | None, as_json: bool
) -> None:
    """Print a module, write it to a file, or compare a file with it.

    Raises:
        AtdataError: The schema cannot be had.
        typer.BadParameter: The arguments do not go together.
        typer.Exit: With code 1: the file is not up to date, or is somebody's own.
    """
    if output is not None and check is not None:
        raise typer.BadParameter("--check writes nothing: leave --output out")
    schema = find_schema(ref, place).schema
    module = generate_module(schema)
    current = None if check is None else is_current(check, schema)
    if output is not None:
        _write(module, output)
    path = output or check
    if as_json:
        print_json(
            {
                "schema": schema.ref,
                "cid": schema.cid,
                "file": None if path is None else str(path),
                "current": current,
                "module": module,
            }
        )
    elif path is None:
        typer.echo(module, nl=False)
    elif current is not False:
        typer.echo(f"{printable(path, 500)}  {schema.ref}")
    if current is False:
        complain(
            f"{printable(check, 500)} is not up to date with {schema.ref}\n"
            f"  Write it again: atdata codegen {printable(ref, 500)} -o {printable(check, 500)}"
        )
        raise typer.Exit(1)


def _write(module: str, path: Path) -> None:
    """Write a file that is not there, or that was written so before; never anybody's own."""
    if path.exists() and cid_of_module(path) is None:
        complain(
            f"{printable(path, 500)} is there, and was not written by this command\n"
            "  Move it away, or name another file."
        )
        raise typer.Exit(1)
    path.write_text(module, encoding="utf-8")
