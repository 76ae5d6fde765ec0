"""From the arguments of a command to the shards they name."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import typer

from atdata._exceptions import AtdataError, ShardNotFoundError, printable
from atdata._protocols import DataSource
from atdata.cli.options import Place, work
from atdata.load._refs import is_reference
from atdata.model.schema import Schema
from atdata.sample.dynamic import DictSample
from atdata.shard.names import natural
from atdata.sources.registry import source_of
from atdata.transport import gate


@dataclass(frozen=True, slots=True)
class Found:
    """Shards that an argument names.

    Attributes:
        source: Where they are.
        sample_type: The type of their samples.
        schema: Its schema, if the catalogue has one.
        schema_ref: The schema's reference.
    """

    source: DataSource
    sample_type: type[Any] = DictSample
    schema: Schema | None = None
    schema_ref: str | None = None


def find(arguments: Sequence[str], place: Place) -> list[Found]:
    """What paths, folders, patterns, addresses and references name, in their order.

    Raises:
        typer.BadParameter: An argument makes no sense, or a catalogue is named and not used.
        AtdataError: There is no such dataset or folder, or an address may not be opened.
    """
    if any(place) and not any(map(is_reference, arguments)):
        raise typer.BadParameter(
            "a catalogue is named, and no dataset in it: write such as @local/mnist"
        )
    return list(_found(arguments, place))


def _found(arguments: Sequence[str], place: Place) -> Iterator[Found]:
    for named, several in groupby(arguments, is_reference):
        if named:
            yield from work("references").find(list(several), place)
        else:
            yield from map(Found, sources_of(list(several)))


def sources_of(arguments: Sequence[str]) -> list[DataSource]:
    """The sources of paths, folders, patterns and addresses, in their order.

    A folder stands for the `*.tar` in it, in natural order.

    Raises:
        typer.BadParameter: The braces of a pattern make no sense.
        AtdataError: A folder holds no shard, or an address may not be opened.

    Examples:
        >>> [source.list_shards() for source in sources_of(["a-{1..2}.tar", "b.tar"])]
        [['a-1.tar', 'a-2.tar', 'b.tar']]
    """
    named: list[str | Path] = []
    for argument in arguments:
        folder = _folder(argument)
        named += [argument] if folder is None else shards_in(folder)
    try:
        sources = [source_of(list(several)) for _, several in groupby(named, _kind)]
        for source in sources:
            source.list_shards()
    except AtdataError:
        raise
    except ValueError as error:
        raise typer.BadParameter(printable(error, 1000)) from error
    return sources


def shards_in(folder: Path) -> list[Path]:
    """The `*.tar` of a folder: `a-2.tar` before `a-10.tar`, hidden files left out.

    Raises:
        ShardNotFoundError: There is none.

    Examples:
        >>> shards_in(Path(__file__).parent)
        Traceback (most recent call last):
        atdata._exceptions.ShardNotFoundError: ...
          reason  the folder holds no *.tar
          Check the path; see what is there with ls.
    """
    names = [name for name in os.listdir(folder) if name.endswith(".tar") and name[0] != "."]
    if not names:
        raise ShardNotFoundError(str(folder), "the folder holds no *.tar")
    return [folder / name for name in sorted(names, key=natural)]


def _folder(argument: str) -> Path | None:
    if gate.scheme_of(argument) not in {None, "file"}:
        return None
    address = gate.check(argument)
    is_folder = isinstance(address, gate.FileAddress) and os.path.isdir(address.path)
    return address.path if isinstance(address, gate.FileAddress) and is_folder else None


def _kind(named: str | Path) -> str:
    """What one source can read together."""
    scheme = None if isinstance(named, Path) else gate.scheme_of(named)
    return "" if scheme in {None, "file", "http", "https"} else scheme or ""
