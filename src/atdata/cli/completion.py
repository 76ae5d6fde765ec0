"""Names of datasets for the shell, while somebody types one."""

from collections.abc import Iterator, Mapping
from itertools import islice, takewhile
from typing import Any

import typer

from atdata._exceptions import AtdataError
from atdata.cli.catalogue import index_of, is_missing
from atdata.cli.options import Place
from atdata.index import Index
from atdata.model.record import LABEL
from atdata.model.rows import LATEST
from atdata.providers import SqliteProvider

_MOST = 100
_PREFIX = "@local/"


def names(given: Mapping[str, Any], incomplete: str) -> list[str]:
    """The names, or the versions of a name, that begin as what was typed.

    A server is not asked: it may be far away, and the shell waits.

    Args:
        given: The options that stand before it.
        incomplete: What was typed.

    Examples:
        >>> import atdata
        >>> with atdata.Index(path=tmp / "typed.db") as index:
        ...     for name in ["mnist", "mnist-test", "cifar"]:
        ...         _ = index.write([atdata.DictSample(n=1)], name=name, version="1.0.0")
        >>> given = {"db": str(tmp / "typed.db")}
        >>> names(given, "mn"), names(given, "@local/mnist-"), names(given, "cifar@")
        (['mnist', 'mnist-test'], ['@local/mnist-test'], ['cifar@1.0.0'])
    """
    prefix = _PREFIX if incomplete.startswith(_PREFIX) else ""
    begun = incomplete.removeprefix(prefix)
    place = Place(*(given.get(option) for option in ("db", "dsn", "redis")))
    try:
        with index_of(place) as index:
            if not isinstance(index.provider, SqliteProvider) or is_missing(index):
                return []
            found = _versions(index, begun) if "@" in begun else _names(index, begun)
            fitting = takewhile(lambda text: text.startswith(begun), found)
            return [prefix + text for text in islice(fitting, _MOST) if text.isprintable()]
    except (AtdataError, OSError, ValueError, typer.BadParameter):
        return []  # the command itself will say it


def _names(index: Index, begun: str) -> Iterator[str]:
    """Names in their order, from the first that is not before what was typed."""
    if begun and index.provider.get(LABEL, begun) is not None:
        yield begun
    rows = index.provider.page(LABEL, ref=LATEST, after=(begun, ""), limit=_MOST)
    yield from (row.name for row in rows)


def _versions(index: Index, begun: str) -> Iterator[str]:
    name, _, version = begun.partition("@")
    tags = sorted(row.tag for row in index.provider.rows(LABEL, name=name) if row.tag)
    yield from (f"{name}@{tag}" for tag in tags if tag.startswith(version))
