"""Repositories: a provider that keeps records and a store that keeps shards, mounted by name."""

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from atdata._protocols import AbstractDataStore
from atdata.model.entry import DatasetEntry
from atdata.model.names import LOCAL, Reference, check_name, parse_reference
from atdata.providers.base import IndexProvider
from atdata.providers.factory import create_provider
from atdata.providers.memory import MemoryProvider
from atdata.providers.sqlite import SqliteProvider
from atdata.stores.disk import LocalDiskStore


@dataclass(frozen=True)
class Repository:
    """Where a team keeps its datasets: records in one place, shards in another.

    Attributes:
        provider: Keeps the records.
        data_store: Keeps the shards. None is the folder beside an SQLite database, a temporary
            one for records in memory, and else this machine's own folder for data.

    Examples:
        >>> from atdata.providers import SqliteProvider
        >>> from atdata.stores import LocalDiskStore
        >>> lab = Repository(SqliteProvider(tmp / "lab.db"), LocalDiskStore(tmp / "shards"))
    """

    provider: IndexProvider
    data_store: AbstractDataStore | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.provider, IndexProvider):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                "provider must be an IndexProvider or backend name string, got "
                f"{type(self.provider).__name__}"
            )
        store = self.data_store
        if store is not None and not isinstance(store, AbstractDataStore):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"data_store must keep shards (put, url, source), and a "
                f"{type(store).__name__} does not"
            )

    @cached_property
    def store(self) -> AbstractDataStore | None:
        """The store that addresses in the repository's entries are relative to, if it has one.

        Examples:
            >>> from atdata.providers import SqliteProvider
            >>> Repository(SqliteProvider(tmp / "lab.db")).store.root.name
            'lab-data'
        """
        if self.data_store is None and isinstance(self.provider, SqliteProvider):
            return _beside(self.provider)
        if self.data_store is None and isinstance(self.provider, MemoryProvider):
            return _for_now(self.provider)
        return self.data_store


def _beside(provider: SqliteProvider) -> LocalDiskStore:
    """The folder of an SQLite catalogue, which moves with it."""
    if provider.path == SqliteProvider().path:
        return LocalDiskStore()
    path = provider.path.resolve()  # a link to a database leads to its shards as well
    name = path.stem if path.suffix == ".db" else path.name
    return LocalDiskStore(path.with_name(f"{name}-data"))


def _for_now(owner: object) -> LocalDiskStore:
    """A folder that goes when its owner goes, as what is kept in memory does."""
    folder = tempfile.mkdtemp(prefix="atdata-memory-")
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return LocalDiskStore(folder)


def create_repository(
    provider: str = "sqlite",
    *,
    path: str | Path | None = None,
    dsn: str | None = None,
    redis: Any = None,
    data_store: AbstractDataStore | None = None,
    **options: Any,
) -> Repository:
    """Make a repository of a kind of provider, by its name.

    Args:
        provider: `"sqlite"`, `"postgres"`, `"redis"`, `"memory"`, or what an entry point of the
            group `atdata.providers` is called.
        path: The database's file, for SQLite.
        dsn: The connection string, for PostgreSQL.
        redis: A client or a URL, for Redis.
        data_store: Keeps the shards.
        **options: What else the provider takes.

    Raises:
        ValueError: There is no such provider, or it needs something else.

    Examples:
        >>> create_repository(path=tmp / "lab.db").provider.path.name
        'lab.db'
    """
    return Repository(
        create_provider(provider, path=path, dsn=dsn, redis=redis, **options), data_store
    )


@dataclass(frozen=True, slots=True)
class Mounted:
    """A repository under the name it has here.

    Attributes:
        name: The name, `"local"` for the one that is built in.
        repository: The repository.
    """

    name: str
    repository: Repository

    @property
    def provider(self) -> IndexProvider:
        """Keeps the records."""
        return self.repository.provider

    def outside(self, ref: str) -> str:
        """A reference to a schema or lens of this repository, as it is reached from here.

        Examples:
            >>> from atdata.providers import MemoryProvider
            >>> lab = Mounted("lab", Repository(MemoryProvider()))
            >>> lab.outside("atdata://local/schema/Digit@1.0.0")
            'atdata://lab/schema/Digit@1.0.0'
        """
        return _moved(ref, LOCAL, self.name)

    def inside(self, ref: str) -> str:
        """A reference as the repository itself keeps it, under whatever name it is mounted.

        Examples:
            >>> from atdata.providers import MemoryProvider
            >>> lab = Mounted("lab", Repository(MemoryProvider()))
            >>> lab.inside("atdata://lab/schema/Digit@1.0.0")
            'atdata://local/schema/Digit@1.0.0'
        """
        return _moved(ref, self.name, LOCAL)


def _moved(ref: str, old: str, new: str) -> str:
    begin = f"atdata://{old}/"
    return f"atdata://{new}/{ref.removeprefix(begin)}" if ref.startswith(begin) else ref


class Mounts:
    """Repositories by the names they are mounted under; `"local"` comes first.

    Examples:
        >>> from atdata.providers import MemoryProvider
        >>> mounts = Mounts(Repository(MemoryProvider()), {"lab": Repository(MemoryProvider())})
        >>> mounted, ref = mounts.route("@lab/mnist@1.0.0")
        >>> mounted.name, ref.name, ref.version
        ('lab', 'mnist', '1.0.0')
    """

    def __init__(self, local: Repository, repos: Mapping[str, Repository]) -> None:
        for name, repository in repos.items():
            if name == LOCAL:
                raise ValueError(f'"{LOCAL}" is reserved for the built-in repository')
            if check_name(name) and ("/" in name or name.startswith("_")):
                raise ValueError(f"{name!r} is no name of a repository: no / and no _ in front")
            if not isinstance(repository, Repository):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"repos[{name!r}] must be a Repository")
        self._by_name = {LOCAL: local, **repos}
        self._names = frozenset(self._by_name)

    def __iter__(self) -> Iterator[Mounted]:
        return (Mounted(name, repository) for name, repository in self._by_name.items())

    def as_dict(self) -> dict[str, Repository]:
        """A copy: the repositories by name."""
        return dict(self._by_name)

    def named(self, name: str) -> Mounted:
        """The repository of that name.

        Raises:
            KeyError: None is mounted under it.
        """
        if name not in self._by_name:
            shown = ", ".join(self._by_name)
            raise KeyError(f"Unknown repository {name!r}; mounted here: {shown}")
        return Mounted(name, self._by_name[name])

    def chosen(self, name: str | None) -> list[Mounted]:
        """The repository of that name, or all of them."""
        return list(self) if name is None else [self.named(name)]

    def parse(self, ref: object) -> Reference:
        """Take a reference apart, knowing what is mounted."""
        return parse_reference(ref, self._names)

    def route(self, ref: object) -> tuple[Mounted, Reference]:
        """The repository that a reference means, and the reference taken apart.

        An entry is a reference to itself.

        Raises:
            TypeError: It is no text.
            ValueError: It names nothing, or what is in another account's repository.
        """
        if isinstance(ref, DatasetEntry):
            return self.named(ref.repo), Reference(ref.repo, ref.name, ref.cid)
        found = self.parse(ref)
        if found.repo is None:
            raise ValueError(
                f"Atmosphere backend required for name {str(ref)[:200]!a}: no repository "
                f"{found.account or found.name[:80]!r} is mounted here\n"
                "  Mounted: " + ", ".join(sorted(self._names)) + ". Mount one: "
                "Index(repos={'lab': Repository(...)})"
            )
        return self.named(found.repo), found
