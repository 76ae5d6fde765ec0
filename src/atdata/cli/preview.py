"""`atdata preview`: the first samples of shards, or the one with a key."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields as fields_of
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from atdata._exceptions import AtdataError, SampleKeyError, printable
from atdata.cli.app import complain, print_json
from atdata.cli.options import Place
from atdata.cli.places import find
from atdata.cli.tables import print_plain
from atdata.cli.terminal import table
from atdata.cli.values import json_value, text_value
from atdata.dataset import Dataset
from atdata.sample.dynamic import DictSample

type Row = tuple[str, dict[str, Any]]
"""A sample's key, and its fields made fit for printing."""

_MOST_COLUMNS = 100
_NARROWEST = 12
"""A terminal with fewer characters a column than this shows each sample on its own."""


def preview(
    arguments: Sequence[str],
    place: Place,
    *,
    n: int,
    skip: int,
    key: str | None,
    fields: str | None,
    as_json: bool,
) -> None:
    """Print samples; those before one that cannot be read are printed all the same.

    Raises:
        AtdataError: A sample cannot be read.
        typer.BadParameter: The arguments do not go together.
        typer.Exit: With code 1, if no sample has the key or a field that was asked for.
    """
    wanted = _names(fields)
    if key is not None and skip:
        raise typer.BadParameter("a key names one sample: leave --skip out")
    first, *rest = _datasets(arguments, place)
    samples = _samples(first.concat(*rest) if rest else first, n, skip, key)
    shown, known, problem = _take(samples, wanted, as_json)
    if isinstance(problem, SampleKeyError):
        complain(f"no sample has the key {printable(repr(problem.key))}")
        raise typer.Exit(1)
    absent = [name for name in wanted or () if name not in known]
    if absent and shown:
        there = ", ".join(printable(name, 60) for name in known)
        complain(f"no sample has a field {printable(absent[0])}\n  Fields there are: {there}")
        raise typer.Exit(1)
    if as_json:
        print_json({"samples": [{"key": one, "sample": sample} for one, sample in shown]})
    elif shown:
        _print(wanted or list(known), shown)
    elif problem is None:
        complain("no samples")
    if problem is not None:
        raise problem


def _names(fields: str | None) -> list[str] | None:
    if fields is None:
        return None
    names = [name for name in map(str.strip, fields.split(",")) if name]
    if not names:
        raise typer.BadParameter("--fields names no field")
    return list(dict.fromkeys(names))


def _datasets(arguments: Sequence[str], place: Place) -> list[Dataset[Any]]:
    """The datasets; their samples are of the type that all have, or as they were stored."""
    found = find(arguments, place)
    types = {one.sample_type for one in found}
    sample_type: type[Any] = types.pop() if len(types) == 1 else DictSample
    return [Dataset(one.source, sample_type=sample_type) for one in found]


def _samples(ds: Dataset[Any], n: int, skip: int, key: str | None) -> Iterator[tuple[str, Any]]:
    if key is not None:
        yield key, ds.get(key)
    else:
        yield from ds.skip(skip).take(n).items()


def _take(
    samples: Iterable[tuple[str, Any]], wanted: list[str] | None, as_json: bool
) -> tuple[list[Row], dict[str, None], AtdataError | None]:
    """Samples fit for printing, all their fields' names, and what ended them early."""
    rows: list[Row] = []
    known: dict[str, None] = {}
    present = json_value if as_json else text_value
    try:
        for key, sample in samples:
            values = _values(sample)
            known.update(dict.fromkeys(values))
            names = values if wanted is None else [name for name in wanted if name in values]
            rows.append((key, {name: present(values[name]) for name in names}))
    except AtdataError as error:
        return rows, known, error
    return rows, known, None


def _values(sample: Any) -> dict[str, Any]:
    if isinstance(sample, DictSample):
        return {name: sample[name] for name in sample.keys()}  # noqa: SIM118
    return {field.name: getattr(sample, field.name) for field in fields_of(sample)}


def _print(names: Sequence[str], rows: Sequence[Row]) -> None:
    columns = names[:_MOST_COLUMNS]
    lines = [["key", *map(text_value, columns)]]
    lines += [[text_value(key), *(row.get(name, "") for name in columns)] for key, row in rows]
    console = Console(soft_wrap=False)
    if not console.is_terminal:
        print_plain(lines)
    elif console.width < _NARROWEST * (len(columns) + 1):
        for row in rows:
            console.print(_card(columns, row))
    else:
        console.print(table(lines))
    if len(names) > len(columns):
        complain(f"and {len(names) - len(columns)} more fields: name those you want with --fields")


def _card(names: Sequence[str], row: Row) -> Table:
    key, fields = row
    table = Table(box=SIMPLE_HEAD)
    table.add_column(Text("key"))
    table.add_column(Text(text_value(key)), overflow="fold")
    for name in names:
        if name in fields:
            table.add_row(Text(text_value(name)), Text(fields[name]))
    return table
