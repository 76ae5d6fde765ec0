"""Opening the catalogue that the options name: that one, or none."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import typer

from atdata import stores
from atdata._exceptions import AtdataError, StorageError, printable, redacted
from atdata._protocols import AbstractDataStore
from atdata.cli.app import complain, harmless
from atdata.cli.options import Place
from atdata.index import Index
from atdata.model.names import Reference, parse_reference
from atdata.providers import SqliteProvider
from atdata.stores import LocalDiskStore

VARIABLE = "ATDATA_INDEX"
_SCHEMES = {
    "postgresql": "dsn",
    "postgres": "dsn",
    "redis": "redis",
    "rediss": "redis",
    "unix": "redis",
}


@contextmanager
def opened(place: Place, *, makes: bool = False) -> Generator[Index]:
    """The catalogue, closed at the end.

    Args:
        place: Which one.
        makes: Make it if it is not there.

    Raises:
        StorageError: It is not there, or cannot be used.
        typer.BadParameter: What the options say makes no sense.
        typer.Exit: With code 1: a record in it is damaged. It has been said.

    Examples:
        >>> with opened(Place(db=str(tmp / "new.db")), makes=True) as index:
        ...     list(index.datasets)
        []
        >>> with opened(Place(db=str(tmp / "none.db"))) as index:
        ...     list(index.datasets)
        Traceback (most recent call last):
        atdata._exceptions.StorageError: cannot use .../none.db
          reason  there is no such file
          Check the path; a catalogue is made by the first dataset: atdata add NAME SHARD...
    """
    with index_of(place) as index:
        if not makes and is_missing(index):
            raise StorageError(
                _shown(index),
                "there is no such file",
                "Check the path; a catalogue is made by the first dataset: "
                "atdata add NAME SHARD...",
            )
        try:
            yield index
        except AtdataError:
            raise
        except ValueError as error:
            complain(str(error))
            raise typer.Exit(1) from error


def index_of(place: Place) -> Index:
    """The catalogue, whether it is there or not; nothing is opened or made.

    Raises:
        typer.BadParameter: What the options say makes no sense.
    """
    found = where(place)
    try:
        return Index(
            path=found.get("path"),
            dsn=found.get("dsn"),
            redis=found.get("redis"),
            data_store=store_of(place.store),
        )
    except AtdataError:
        raise
    except ValueError as error:
        raise typer.BadParameter(harmless(str(error))) from error


def where(place: Place) -> dict[str, str]:
    """The argument that says to `Index` which catalogue: options first, then the environment.

    Raises:
        typer.BadParameter: More than one is named, or something that is none.

    Examples:
        >>> where(Place(db="lab.db")), where(Place(dsn="postgresql://db.example.org/lab"))
        ({'path': 'lab.db'}, {'dsn': 'postgresql://db.example.org/lab'})
    """
    options = {"path": place.db, "dsn": place.dsn, "redis": place.redis}
    given = {key: text for key, text in options.items() if text is not None}
    if len(given) > 1:
        raise typer.BadParameter(
            "--db, --dsn and --redis name one catalogue each: use one of them"
        )
    if not all(given.values()):
        raise typer.BadParameter("the catalogue's address is empty")
    said = os.environ.get(VARIABLE)
    if given or not said:
        return given
    scheme, found, _ = said.partition("://")
    if found and scheme not in _SCHEMES:
        raise typer.BadParameter(
            f"{VARIABLE} is a path, or begins with postgresql:// or redis://, "
            f"and not with {printable(scheme, 40)}://"
        )
    return {_SCHEMES[scheme] if found else "path": said}


def is_default(place: Place) -> bool:
    """Whether nobody says which catalogue is meant, so that it is the user's own."""
    return not where(place)


def is_missing(index: Index) -> bool:
    """Whether the catalogue is a file that is not there."""
    provider = index.provider
    return isinstance(provider, SqliteProvider) and not provider.path.exists()


def store_of(text: str | None) -> AbstractDataStore | None:
    """The store that an option names; the keys of an S3 server come from the environment.

    Raises:
        typer.BadParameter: It names none.
        ValueError: The environment lacks a key.

    Examples:
        >>> store_of("shards").root.name
        'shards'
    """
    if text is None:
        return None
    scheme, found, rest = text.partition("://")
    if not found and text:
        return LocalDiskStore(text)
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise typer.BadParameter(
            f"--store is a folder or s3://bucket/prefix, and not {printable(redacted(text))!r}"
        )
    store: AbstractDataStore = stores.S3DataStore(bucket=bucket, prefix=prefix)
    return store


def reference(text: str, *, versioned: bool = True) -> Reference:
    """A reference to a dataset, checked before anything is opened.

    Raises:
        typer.BadParameter: It is none, or has a version where none belongs.
    """
    try:
        found = parse_reference(text)
    except ValueError as error:
        raise typer.BadParameter(harmless(str(error))) from error
    if found.version is not None and not versioned:
        raise typer.BadParameter(
            f"{printable(text)} has a version, and here all versions are meant: "
            f"leave @{printable(found.version)} away"
        )
    return found


def argument[T](check: Any, value: T) -> T:
    """A value that a function of the library takes without a `ValueError`.

    Raises:
        typer.BadParameter: It does not.
    """
    try:
        check(value)
    except ValueError as error:
        raise typer.BadParameter(harmless(str(error))) from error
    return value


def _shown(index: Index) -> str:
    provider = index.provider
    return str(provider.path) if isinstance(provider, SqliteProvider) else repr(provider)
