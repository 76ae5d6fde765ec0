"""Rows for people: a table in a terminal, aligned columns in a file or a pipe."""

import sys
from collections.abc import Sequence

import typer
from rich.cells import cell_len

from atdata.cli.options import work
from atdata.cli.values import text_value


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their columns; columns that nothing is known for are left out.

    Examples:
        >>> print_rows(["name", "samples", "tags"], [["mnist", 100, None], ["cifar-10", 7, None]])
        name      samples
        mnist     100
        cifar-10  7
    """
    cells = [["" if cell is None else text_value(cell) for cell in row] for row in rows]
    kept = [n for n in range(len(columns)) if any(row[n] for row in cells)]
    lines = [[columns[n] for n in kept], *([row[n] for n in kept] for row in cells)]
    if sys.stdout.isatty():
        work("terminal").print_table(lines)
    else:
        print_plain(lines)


def print_facts(title: str, facts: Sequence[tuple[str, object]]) -> None:
    """Print what is known of one thing, line by line.

    Examples:
        >>> print_facts("mnist", [("samples", 100), ("license", None), ("tags", "a, b")])
        mnist
          samples      100
          tags         a, b
    """
    typer.secho(text_value(title, 500), bold=True)
    for name, fact in facts:
        if fact is not None:
            typer.echo(f"  {name:<11}  {text_value(fact, 1000)}")


def print_plain(lines: Sequence[Sequence[str]]) -> None:
    """Print cells in columns that are as wide as they must be."""
    for line in aligned(lines):
        typer.echo(line)


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Cells in columns that are as wide as they must be; empty columns are left out.

    Examples:
        >>> aligned([["a", "", "1"], ["long", "", "2"]])
        ['a     1', 'long  2']
    """
    columns = [column for column in zip(*lines, strict=True) if any(column)]
    widths = [max(map(cell_len, column)) for column in columns]
    return [
        "  ".join(
            cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in zip(*columns, strict=True)
    ]
