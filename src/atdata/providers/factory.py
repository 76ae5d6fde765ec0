"""Providers by name."""

from collections.abc import Callable
from importlib.metadata import entry_points
from os import PathLike
from typing import Any, cast

from atdata.providers.base import IndexProvider
from atdata.providers.memory import MemoryProvider
from atdata.providers.postgres import PostgresProvider
from atdata.providers.redis import RedisProvider
from atdata.providers.sqlite import SqliteProvider

_GROUP = "atdata.providers"
_BUILT_IN: dict[str, tuple[Callable[..., IndexProvider], str | None]] = {
    "memory": (MemoryProvider, None),
    "sqlite": (SqliteProvider, "path"),
    "postgres": (PostgresProvider, "dsn"),
    "redis": (RedisProvider, "redis"),
}
_ALSO = {"postgresql": "postgres"}


def create_provider(
    name: str,
    *,
    path: str | PathLike[str] | None = None,
    dsn: str | None = None,
    redis: Any = None,
    **kwargs: Any,
) -> IndexProvider:
    """A provider by its name.

    A name that is not built in is looked up among the entry points of the group
    `atdata.providers`; what it gives is called with all other arguments.

    Args:
        name: `"sqlite"`, `"postgres"`, `"redis"` or `"memory"`, in any case.
        path: The file, for SQLite.
        dsn: The address of the database, for PostgreSQL.
        redis: A client or a URL, for Redis.
        **kwargs: What else the provider takes.

    Raises:
        TypeError: An argument is not one that the provider takes.
        ValueError: There is no provider of that name, or it lacks its address.

    Examples:
        >>> create_provider("sqlite", path=tmp / "index.db").path.name
        'index.db'
        >>> create_provider("mysql")
        Traceback (most recent call last):
        ValueError: Unknown provider 'mysql'. Choose from: memory, postgres, redis, sqlite
    """
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"the name of a provider is a str, not {type(name).__name__}")
    wanted = name.strip().lower()
    wanted = _ALSO.get(wanted, wanted)
    places = {"path": path, "dsn": dsn, "redis": redis}
    given = {key: value for key, value in places.items() if value is not None} | kwargs
    if wanted not in _BUILT_IN:
        return _installed(wanted, name)(**given)
    make, place = _BUILT_IN[wanted]
    foreign = sorted(key for key in given if key in places and key != place)
    if foreign:
        takes = f"it takes {place}=" if place else "it takes no address"
        raise TypeError(f"the {wanted} provider does not take {', '.join(foreign)}; {takes}")
    if wanted == "postgres" and dsn is None:
        raise ValueError(
            "dsn is required for the postgres provider\n"
            "  Give dsn='postgresql://user:password@host/database'."
        )
    return make(**given)


def _installed(wanted: str, name: str) -> Callable[..., IndexProvider]:
    for entry in entry_points(group=_GROUP, name=wanted):
        return cast("Callable[..., IndexProvider]", entry.load())
    others = {entry.name for entry in entry_points(group=_GROUP)}
    choice = ", ".join(sorted(others | _BUILT_IN.keys()))
    # An address may hold a password.
    shown = repr(name.partition("://")[0] + "://…") if "://" in name else repr(name)
    raise ValueError(f"Unknown provider {shown}. Choose from: {choice}{_hint(name)}")


def _hint(name: str) -> str:
    """What to write for an address that stands where a name belongs."""
    if "://" in name:
        return "\n  For an address: dsn=, of PostgreSQL, or redis=, of Redis."
    if {"/", "\\"} & {*name} or name.strip().lower().endswith((".db", ".sqlite")):
        return f"\n  For a file: Index(path={name!r})."
    return ""
