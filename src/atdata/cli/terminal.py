"""Tables in a terminal; loaded only where one is there."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_table(lines: Sequence[Sequence[str]]) -> None:
    """Print cells as a table as wide as the terminal."""
    Console(soft_wrap=False).print(table(lines))


def table(lines: Sequence[Sequence[str]]) -> Table:
    """A table; the first line is its head."""
    head, *rows = lines
    drawn = Table(box=SIMPLE_HEAD)
    for name in head:
        drawn.add_column(Text(name), overflow="fold")
    for row in rows:
        drawn.add_row(*map(Text, row))
    return drawn
