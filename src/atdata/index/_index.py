"""The catalogue's front: one call for each thing people do with a catalogue."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from atdata._exceptions import RecordNotFoundError
from atdata._protocols import AbstractDataStore, DataSource
from atdata.dataset import Dataset
from atdata.dataset._asking import Question
from atdata.index import (
    _changes,
    _check,
    _clean,
    _datasets,
    _inserting,
    _lenses,
    _listing,
    _opening,
    _schemas,
    _search,
    _writing,
)
from atdata.index._changes import Removed
from atdata.index._check import VerifyReport
from atdata.index._clean import GcReport
from atdata.index._datasets import DatasetVersion
from atdata.index._listing import Page
from atdata.index._older import OlderNames
from atdata.index._search import SearchResults
from atdata.index._types import SchemaNamespace
from atdata.index._writing import DEFAULT_COUNT, DEFAULT_SIZE, Said
from atdata.lens import Lens
from atdata.manifest.locations import SampleLocation
from atdata.model.entry import DatasetEntry
from atdata.model.names import LOCAL, Reference
from atdata.model.record import LABEL
from atdata.model.rows import read_entry, read_label
from atdata.model.schema import Schema
from atdata.model.schema_ref import SchemaRef
from atdata.model.shard import StoredShard
from atdata.pipeline.chosen import Missing
from atdata.providers.base import IndexProvider
from atdata.providers.factory import create_provider
from atdata.repository import Mounted, Mounts, Repository
from atdata.schema.diff import SchemaDiff, diff
from atdata.schema.stubs import StubManager


class _Unset:
    """What `atmosphere` is if nobody says anything of it."""

    def __repr__(self) -> str:
        return "…"


_UNSET = _Unset()
_CID = re.compile(r"bafyrei[a-z2-7]{52}")


class Index(OlderNames):
    """A catalogue of datasets: names, versions, schemas, labels, lenses, and where shards are.

    A repository called `"local"` is built in: by default an SQLite database and a folder of this
    user. Others are mounted under names of their own, and a reference says which is meant:
    `"mnist"`, `"lab/mnist"`, `"@lab/mnist@1.0.0"`.

    An index may be used by several threads, after a fork, and be sent to other processes.

    Args:
        provider: Keeps the records of `"local"`: `"sqlite"`, `"postgres"`, `"redis"`, `"memory"`,
            or a provider. By default SQLite.
        path: The SQLite database's file; made if it is not there. Shards are then kept in a
            folder beside it, unless `data_store` says otherwise.
        dsn: PostgreSQL's connection string.
        redis: A Redis client or URL.
        data_store: Keeps the shards of `"local"`.
        repos: Repositories by the names they are mounted under.
        atmosphere: None: no other account's repositories are ever asked.
        auto_stubs: Write a module for each schema that is loaded, so that editors know its type.
        stub_dir: Where those modules go; says `auto_stubs` as well.

    Raises:
        TypeError: An argument is of the wrong kind, or fits no other that was given.
        ValueError: A name or a combination makes no sense.

    Examples:
        >>> import atdata
        >>> @atdata.packable
        ... class Point:
        ...     name: str
        ...     x: float
        >>> index = Index(path=tmp / "index.db")
        >>> entry = index.write([Point("a", 1.0), Point("b", 2.0)], name="points", version="1.0.0")
        >>> entry.n_samples, [found.name for found in index.list_datasets()]
        (2, ['points'])
        >>> index.open("points@1.0.0", Point)[1]
        Point(name='b', x=2.0)
    """

    _ATMOSPHERE_DEFAULT = _UNSET

    def __init__(
        self,
        provider: IndexProvider | str | None = None,
        *,
        path: str | Path | None = None,
        dsn: str | None = None,
        redis: Any = None,
        data_store: AbstractDataStore | None = None,
        repos: Mapping[str, Repository] | None = None,
        atmosphere: object = _UNSET,
        auto_stubs: bool = False,
        stub_dir: str | Path | None = None,
    ) -> None:
        if atmosphere is not None and atmosphere is not _UNSET:
            raise TypeError(f"Expected Atmosphere, got {type(atmosphere).__name__}")
        local = Repository(_provider(provider, path, dsn, redis), data_store)
        self._mounts = Mounts(local, repos or {})
        self._stubs = StubManager(stub_dir) if auto_stubs or stub_dir is not None else None
        self._types = SchemaNamespace()

    # -- what it is

    @property
    def repos(self) -> dict[str, Repository]:
        """The mounted repositories by name, `"local"` first."""
        return self._mounts.as_dict()

    @property
    def provider(self) -> IndexProvider:
        """What keeps the records of `"local"`."""
        return self._local.provider

    @property
    def data_store(self) -> AbstractDataStore | None:
        """The store that was given for `"local"`, or None."""
        return self._local.repository.data_store

    @property
    def stub_dir(self) -> Path | None:
        """Where modules for editors are written, or None if they are not."""
        return None if self._stubs is None else self._stubs.stub_dir

    @property
    def types(self) -> SchemaNamespace:
        """The sample types loaded so far, by name."""
        return self._types

    @property
    def _local(self) -> Mounted:
        return self._mounts.named(LOCAL)

    def close(self) -> None:
        """Let go of connections and files; the next use opens them again."""
        for mounted in self._mounts:
            mounted.provider.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        others = [name for name in self._mounts.as_dict() if name != LOCAL]
        more = f", repos={others}" if others else ""
        return f"Index({self.provider!r}{more})"

    # -- writing

    def write[T](
        self,
        samples: Iterable[T],
        *,
        name: str,
        version: str | None = None,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        license: str | None = None,  # noqa: A002 - the field's usual name
        metadata: Mapping[str, Any] | None = None,
        parents: Iterable[str | DatasetEntry] = (),
        pipeline: object = None,
        maxcount: int | None = DEFAULT_COUNT,
        maxsize: int | None = DEFAULT_SIZE,
        key: str | Callable[[T], str] | None = None,
        schema_version: str | None = None,
        content_metadata: object = None,
        digest: bool = True,
        manifest: bool = True,
        data_store: AbstractDataStore | None = None,
        progress: bool | None = None,
    ) -> DatasetEntry:
        """Write samples as a dataset under a name, in one pass.

        Each sample is encoded once; each shard goes to the store while the next is written.
        Schema, entry and labels are committed together at the end: until then nobody sees
        anything, and if something fails nothing stays. The name then stands for what was
        written; what it stood for before keeps its version, if it has one.

        Args:
            samples: Samples of one type; read once.
            name: The dataset's name, such as `"mnist"`, or `"lab/mnist"` in the repository `lab`.
            version: A version such as `"1.0.0"`, which must be new.
            description: What it is.
            tags: Words to find it by.
            license: Its license, best as an SPDX identifier.
            metadata: What else to say of it: JSON values.
            parents: The datasets it was made from: references, CIDs or entries.
            pipeline: What made it, such as a program's name and version: JSON values.
            maxcount: Most samples in a shard.
            maxsize: Most bytes in a shard.
            key: Name of a `str` field, or a function, that gives each sample's key.
            schema_version: The schema's version, in place of the next that fits.
            content_metadata: What each shard says of the dataset.
            digest: Take SHA-256 of shards and BLAKE3 of blocks.
            manifest: Keep a manifest beside each shard, so that questions about its samples need
                not open it. It is made in the same pass, and the entry has its digest.
            data_store: Keeps the shards, in place of the repository's store.
            progress: Show progress on stderr; by default if that is a terminal.

        Returns:
            The entry.

        Raises:
            ValueError: There are no samples, or a name or an option makes no sense.
            SchemaError: A sample does not fit its type, or no schema describes the type.
            RecordExistsError: The version is there already.
            StorageError: The store or the database refused.

        Examples:
            >>> import atdata
            >>> index = Index(path=tmp / "index.db")
            >>> samples = (atdata.DictSample(n=i) for i in range(5))
            >>> entry = index.write(samples, name="count/five", tags=["numbers"], maxcount=2)
            >>> entry.n_samples, len(entry.shards), entry.tags
            (5, 3, ('numbers',))
        """
        mounted, said = self._said(
            name,
            version=version,
            description=description,
            tags=tags,
            license=license,
            metadata=metadata,
            parents=parents,
            pipeline=pipeline,
        )
        return _writing.write(
            mounted,
            samples,
            said,
            data_store=data_store,
            schema_version=schema_version,
            maxcount=maxcount,
            maxsize=maxsize,
            key=key,
            content_metadata=content_metadata,
            digest=digest,
            manifest=manifest,
            progress=progress,
        )

    write_samples = write

    def append[T](
        self,
        samples: Iterable[T],
        *,
        name: str,
        version: str | None = None,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        license: str | None = None,  # noqa: A002 - the field's usual name
        metadata: Mapping[str, Any] | None = None,
        pipeline: object = None,
        maxcount: int | None = DEFAULT_COUNT,
        maxsize: int | None = DEFAULT_SIZE,
        key: str | Callable[[T], str] | None = None,
        digest: bool = True,
        manifest: bool = True,
        progress: bool | None = None,
    ) -> DatasetEntry:
        """Write samples behind those of a dataset that is there.

        The result is a new entry: the shards of the latest, then the new ones. Versions stay what
        they are. Several may append at once; each one's samples are kept.

        Args:
            samples: Samples of the dataset's type.
            name: The dataset's name.
            version: A version for the result, which must be new.
            description: What it is; as before if left out, like `tags`, `license`, `metadata`.
            tags: Words to find it by.
            license: Its license.
            metadata: What else to say of it.
            pipeline: What made it.
            maxcount: Most samples in a shard.
            maxsize: Most bytes in a shard.
            key: As in `write`. By default keys go on counting behind the samples that are there;
                those of several who add at the same moment may be the same.
            digest: As in `write`.
            manifest: As in `write`.
            progress: As in `write`.

        Returns:
            The new entry.

        Raises:
            RecordNotFoundError: There is no such dataset.
            SchemaError: The samples are of another schema.

        Examples:
            >>> import atdata
            >>> index = Index(path=tmp / "index.db")
            >>> _ = index.write([atdata.DictSample(n=0)], name="log")
            >>> index.append([atdata.DictSample(n=1)], name="log").n_samples
            2
        """
        mounted, said = self._said(
            name,
            version=version,
            description=description,
            tags=tags,
            license=license,
            metadata=metadata,
            pipeline=pipeline,
        )
        return _writing.write(
            mounted,
            samples,
            said,
            data_store=None,
            schema_version=None,
            maxcount=maxcount,
            maxsize=maxsize,
            key=key,
            content_metadata=None,
            digest=digest,
            manifest=manifest,
            progress=progress,
            appends=True,
        )

    def insert_dataset(
        self,
        ds: Dataset[Any],
        *,
        name: str,
        version: str | None = None,
        schema_ref: str | None = None,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        license: str | None = None,  # noqa: A002 - the field's usual name
        metadata: Mapping[str, Any] | None = None,
        parents: Iterable[str | DatasetEntry] = (),
        pipeline: object = None,
        copy: bool = False,
        checksums: bool = False,
        manifest: bool | None = None,
        data_store: AbstractDataStore | None = None,
        progress: bool | None = None,
    ) -> DatasetEntry:
        """Catalogue a dataset whose shards are there already.

        They stay where they are, unless `copy` is said or a store is given. A view, such as a
        filtered dataset, has no shards of its own, and is written anew when it is copied.

        Args:
            ds: The dataset.
            name: Its name here.
            version: A version such as `"1.0.0"`, which must be new.
            schema_ref: The schema, which must be there, in place of that of the dataset's type.
            description: What it is.
            tags: Words to find it by.
            license: Its license.
            metadata: What else to say of it.
            parents: The datasets it was made from.
            pipeline: What made it.
            copy: Copy the shards into the repository's store.
            checksums: Read all shards that stay to take their SHA-256, so that they can be
                verified, and those of their manifests; copies are always read.
            manifest: By default shards keep the manifests that they have, and views are written
                with manifests. True also makes those that are missing: with copies, or beside
                shards that stay on this machine. False: none is copied, recorded or written.
            data_store: Copy the shards into this store.
            progress: Show progress on stderr, when samples are written anew.

        Returns:
            The entry.

        Raises:
            TypeError: It is no dataset.
            ValueError: It is a view, and is not to be copied.
            ShardError: A shard cannot be read.

        Examples:
            >>> import atdata
            >>> ds = atdata.write_samples([atdata.DictSample(n=7)], tmp / "seven.tar")
            >>> index = Index(path=tmp / "index.db")
            >>> index.insert_dataset(ds, name="seven").data_urls == ds.list_shards()
            True
        """
        if not isinstance(ds, Dataset):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"ds must be a Dataset, not {type(ds).__name__}; see index.write")
        mounted, said = self._said(
            name,
            version=version,
            description=description,
            tags=tags,
            license=license,
            metadata=metadata,
            parents=parents,
            pipeline=pipeline,
        )
        if schema_ref is not None:
            schema_ref = _schemas.own_ref(mounted, schema_ref)
        if not copy and data_store is None:
            return _inserting.insert(
                mounted, ds, said, schema_ref=schema_ref, checksums=checksums, manifest=manifest
            )
        part = _inserting.plain_part(ds)
        if part is not None:
            return _inserting.copy(
                mounted,
                part,
                said,
                schema_ref=schema_ref,
                data_store=data_store,
                manifest=manifest,
            )
        if schema_ref is not None:
            raise ValueError("the samples of a view have the schema of its type: omit schema_ref")
        return _writing.write(
            mounted,
            ds,
            said,
            data_store=data_store,
            schema_version=None,
            maxcount=DEFAULT_COUNT,
            maxsize=DEFAULT_SIZE,
            key=None,
            content_metadata=ds.content_metadata,
            digest=True,
            manifest=manifest is not False,
            progress=progress,
        )

    def _said(
        self,
        name: str,
        *,
        parents: Iterable[str | DatasetEntry] = (),
        **facts: Any,
    ) -> tuple[Mounted, Said]:
        mounted, ref = self._named(name)
        if isinstance(parents, str | DatasetEntry):
            parents = [parents]
        cids = tuple(self._cid_of(parent) for parent in parents)
        return mounted, Said.of(ref.name, parents=cids, **facts)

    def _named(self, name: str) -> tuple[Mounted, Reference]:
        """The repository, and a name in it."""
        mounted, ref = self._mounts.route(name)
        if ref.version is not None:
            raise ValueError(
                f"a name without a version is meant here, such as {ref.name!r}\n"
                f"  Where a version is to be given, say version={ref.version!r}."
            )
        return mounted, ref

    def _cid_of(self, parent: str | DatasetEntry) -> str:
        if isinstance(parent, DatasetEntry):
            return parent.cid
        return parent if _CID.fullmatch(parent) else self.get_dataset(parent).cid

    # -- finding

    def get_dataset(self, ref: str | DatasetEntry) -> DatasetEntry:
        """The entry that a reference stands for.

        Args:
            ref: A name, with `@version` if one is meant, and a repository in front if it is not
                `local`: `"mnist"`, `"mnist@1.0.0"`, `"lab/mnist"`, `"@lab/mnist@1.0.0"`. In place
                of a version an entry's CID may stand. An entry stands for itself.

        Raises:
            RecordNotFoundError: There is no such dataset or no such version; never another.
            ValueError: It is no reference.

        Examples:
            >>> Index(path=tmp / "index.db").get_dataset("mnist")
            Traceback (most recent call last):
            atdata._exceptions.RecordNotFoundError: no dataset 'mnist' in repository 'local'
              List all: index.list_datasets(), or look for one: index.search(...)
        """
        mounted, found = self._mounts.route(ref)
        return _datasets.seen(mounted, _datasets.entry_of(mounted, found.name, found.version))

    def open[T](
        self,
        ref: str | DatasetEntry,
        sample_type: type[T] | None = None,
        *,
        data_store: AbstractDataStore | None = None,
        where: Question | None = None,
        missing: Missing = "error",
    ) -> Dataset[Any]:
        """The dataset that a reference stands for, ready to be read.

        Args:
            ref: As in `get_dataset`.
            sample_type: The samples' type. By default it is built of the stored schema; where
                another is given, the lens between the two is looked up.
            data_store: Reads the shards, in place of the repository's store: the one that was
                given when they were written.
            where: Only the samples of which this is true, as with `Dataset.where`.
            missing: What to do about shards without a manifest that can be used: `"error"`, or
                `"scan"`, which reads all of their samples.

        Raises:
            RecordNotFoundError: There is no such dataset, version or schema.
            LensNotFoundError: No lens leads from the stored type to the one that was given.
            UnknownFieldError: The samples have no field that `where` names.

        Examples:
            >>> import atdata
            >>> index = Index(path=tmp / "index.db")
            >>> _ = index.write([atdata.DictSample(n=7)], name="seven")
            >>> index.open("seven")[0].n
            7
        """
        mounted, found = self._mounts.route(ref)
        entry = read_entry(_datasets.entry_of(mounted, found.name, found.version))
        ds = _opening.open_entry(mounted, entry, sample_type, data_store)
        return ds if where is None else ds.where(where, missing=missing)

    def query(
        self,
        ref: str | DatasetEntry,
        *questions: Question,
        data_store: AbstractDataStore | None = None,
        missing: Missing = "error",
    ) -> list[SampleLocation]:
        """Where the samples of a dataset are of which all predicates are true.

        Their shards are not opened: the manifests beside them say it.

        Args:
            ref: As in `get_dataset`.
            questions: Predicates about the stored fields, made of `atdata.F`; without any, where
                all samples are.
            data_store: As in `open`.
            missing: As in `open`.

        Returns:
            Shard, key, offset and size of each, in the order of the dataset.

        Raises:
            RecordNotFoundError: There is no such dataset, version or schema.
            UnknownFieldError: The samples have no such field.
            ManifestError: Shards have no manifest that can be used.

        Examples:
            >>> import atdata
            >>> index = Index(path=tmp / "index.db")
            >>> samples = [atdata.DictSample(n=i) for i in range(10)]
            >>> _ = index.write(samples, name="count", maxcount=4)
            >>> [found.key for found in index.query("count", atdata.F.n > 7)]
            ['000000008', '000000009']
        """
        return self.open(ref, data_store=data_store).query(*questions, missing=missing)

    def source_for(self, urls: Sequence[str], repo: str = LOCAL) -> DataSource:
        """What reads shards at these addresses, with the store's own access to what is its own.

        Args:
            urls: Addresses of shards.
            repo: The repository whose store is used.
        """
        store = self._mounts.named(repo).repository.store
        return _datasets.source_behind(store, list(map(StoredShard, urls)))

    @property
    def datasets(self) -> Iterator[DatasetEntry]:
        """The latest entry of each name, in all repositories; read as it is asked for."""
        for mounted in self._mounts:
            yield from _listing.latest_entries(mounted)

    def list_datasets(
        self, repo: str | None = None, *, limit: int | None = None, cursor: str | None = None
    ) -> Page[DatasetEntry]:
        """The latest entry of each name, by name.

        Args:
            repo: The repository; all of them if left out.
            limit: The most to give at once.
            cursor: Where to go on: the `cursor` of the page before.

        Returns:
            A list; its `cursor` is where the next page begins, or None.

        Raises:
            KeyError: No repository is mounted under that name.
            ValueError: The limit is below 1, or the cursor is of another list.

        Examples:
            >>> import atdata
            >>> index = Index(path=tmp / "index.db")
            >>> for name in "cab":
            ...     _ = index.write([atdata.DictSample(n=1)], name=name)
            >>> page = index.list_datasets(limit=2)
            >>> [entry.name for entry in page]
            ['a', 'b']
            >>> [entry.name for entry in index.list_datasets(limit=2, cursor=page.cursor)]
            ['c']
        """
        if repo == "_atmosphere":
            return Page()
        return _listing.listed(self._mounts.chosen(repo), limit=limit, cursor=cursor)

    @property
    def entries(self) -> Iterator[DatasetEntry]:
        """All entries of `"local"`, those that no name stands for any more as well."""
        yield from _listing.every(self._local)

    def list_entries(self) -> list[DatasetEntry]:
        """All entries of `"local"` as a list."""
        return list(self.entries)

    def get_entry(self, cid: str, repo: str = LOCAL) -> DatasetEntry:
        """The entry with that CID; the one catalogued last, if several names share it.

        Raises:
            RecordNotFoundError: There is none.
        """
        mounted = self._mounts.named(repo)
        return _datasets.seen(mounted, _datasets.by_cid(mounted, cid))

    def get_entry_by_name(self, name: str) -> DatasetEntry:
        """The entry that a name in `"local"` stands for.

        Raises:
            RecordNotFoundError: There is none.
        """
        return _datasets.seen(self._local, _datasets.entry_of(self._local, name, None))

    def versions(self, ref: str) -> list[DatasetVersion]:
        """All versions of a dataset in the order of semantic versioning, then what has none.

        Raises:
            RecordNotFoundError: There is no such dataset.

        Examples:
            >>> import atdata
            >>> index = Index(path=tmp / "index.db")
            >>> for version in ["1.10.0", "1.9.0"]:
            ...     _ = index.write([atdata.DictSample(n=1)], name="a", version=version)
            >>> [(one.version, one.is_latest) for one in index.versions("a")]
            [('1.9.0', True), ('1.10.0', False)]
        """
        mounted, found = self._named(ref)
        return _datasets.versions(mounted, found.name)

    def search(
        self,
        text: str | None = None,
        tags: Iterable[str] | None = None,
        schema_ref: str | None = None,
        repo: str | None = None,
        limit: int = 50,
        *,
        cursor: str | None = None,
    ) -> SearchResults:
        """Find datasets by words, tags and schema.

        Every word has to begin a word of the name, the tags, the schema, its fields or the
        description. The very name comes first, then words in the name, then in tags and fields,
        then in the description; among equals what was catalogued last.

        Args:
            text: Words; None or nothing for all datasets.
            tags: Tags that all must have.
            schema_ref: The schema of the samples.
            repo: The repository; all of them if left out.
            limit: The most to give at once.
            cursor: Where to go on: the `cursor` of the page before.

        Raises:
            KeyError: No repository is mounted under that name.
            ValueError: The limit is below 1, or the cursor is of another search.

        Examples:
            >>> import atdata
            >>> index = Index(path=tmp / "index.db")
            >>> _ = index.write([atdata.DictSample(n=1)], name="mnist", description="digits")
            >>> [(hit.name, hit.score) for hit in index.search("digit").items]
            [('mnist', 0.25)]
        """
        wanted = [tags] if isinstance(tags, str) else list(tags or ())
        return _search.search(
            self._mounts.chosen(repo), text, wanted, schema_ref, limit=limit, cursor=cursor
        )

    def provenance(self, ref: str | DatasetEntry) -> list[DatasetEntry]:
        """What a dataset was made from: its parents, their parents and so on, nearest first.

        Parents that are not catalogued in the same repository any more are left out.
        """
        mounted, found = self._mounts.route(ref)
        entry = read_entry(_datasets.entry_of(mounted, found.name, found.version))
        seen: dict[str, DatasetEntry] = {}
        todo = list(entry.parents)
        while todo:
            cid = todo.pop(0)
            if cid in seen or cid == entry.cid:
                continue
            try:
                seen[cid] = self.get_entry(cid, mounted.name)
            except RecordNotFoundError:
                continue
            todo += seen[cid].parents
        return list(seen.values())

    # -- labels

    def label(
        self,
        name: str,
        cid: str,
        *,
        version: str | None = None,
        description: str | None = None,
        force: bool = False,
    ) -> None:
        """Let a name, or a name with a version, stand for an entry.

        Without a version the bare name stands for the entry from now on. With one, the bare name
        follows only if the entry is newer than what it stands for.

        Args:
            name: The name.
            cid: The entry's CID; it must be there.
            version: A semantic version, which never changes, or a word, which may move.
            description: What to say of this version.
            force: Move a semantic version all the same.

        Raises:
            RecordNotFoundError: There is no such entry.
            RecordExistsError: The version stands for another entry.

        Examples:
            >>> import atdata
            >>> index = Index(path=tmp / "index.db")
            >>> entry = index.write([atdata.DictSample(n=1)], name="a")
            >>> index.label("a", entry.cid, version="1.0.0")
            >>> index.get_dataset("a@1.0.0").cid == entry.cid
            True
        """
        mounted, ref = self._named(name)
        _schemas.until_settled(
            lambda: _changes.label(mounted, ref.name, cid, version, description, force=force)
        )

    @property
    def labels(self) -> Iterator[tuple[str, str, str | None]]:
        """Name, CID and version of each label in all repositories; None is the latest."""
        for mounted in self._mounts:
            yield from self._labels(mounted)

    def list_labels(self, repo: str | None = None) -> list[tuple[str, str, str | None]]:
        """Name, CID and version of each label; None is the latest.

        Raises:
            KeyError: No repository is mounted under that name.
        """
        return [label for mounted in self._mounts.chosen(repo) for label in self._labels(mounted)]

    def _labels(self, mounted: Mounted) -> Iterator[tuple[str, str, str | None]]:
        for row in mounted.provider.rows(LABEL):
            label = _datasets.readable(read_label, row)
            if label is not None:
                yield label.name, label.cid, label.version

    def get_label(self, name: str, version: str | None = None) -> DatasetEntry:
        """The entry that a name, or a name with a version, stands for.

        Raises:
            RecordNotFoundError: There is none.
        """
        return self.get_dataset(name if version is None else f"{name}@{version}")

    # -- changing

    def rename(self, name: str, new: str) -> None:
        """Give a dataset, with all its versions, another name in its repository.

        Raises:
            RecordNotFoundError: There is no such dataset.
            RecordExistsError: The new name is taken.

        Examples:
            >>> import atdata
            >>> index = Index(path=tmp / "index.db")
            >>> _ = index.write([atdata.DictSample(n=1)], name="a", version="1.0.0")
            >>> index.rename("a", "b")
            >>> len(index.open("b@1.0.0"))
            1
        """
        mounted, old = self._mounts.route(name)
        there, ref = self._mounts.route(new)
        if there.name == LOCAL and not new.startswith(("@", "atdata://", f"{LOCAL}/")):
            there, ref = mounted, self._mounts.parse(f"@{mounted.name}/{new}")
        if there.name != mounted.name or ref.version or old.version:
            raise ValueError("a dataset keeps its repository, and all its versions are renamed")
        _schemas.until_settled(lambda: _changes.rename(mounted, old.name, ref.name))

    def delete_dataset(
        self,
        ref: str | DatasetEntry,
        *,
        keep_shards: bool = False,
        force: bool = False,
        dry_run: bool = False,
    ) -> Removed:
        """Remove a dataset with all its versions, or one version of it.

        Shards in the repository's own store go too, if no other entry needs them; shards
        elsewhere are never touched.

        Args:
            ref: The dataset, with `@version` for one version.
            keep_shards: Leave the shards.
            force: Remove labels of other names that stand for it as well.
            dry_run: Only say what would be removed.

        Raises:
            RecordNotFoundError: There is no such dataset or version.
            RecordExistsError: Other names stand for it.

        Examples:
            >>> import atdata
            >>> index = Index(path=tmp / "index.db")
            >>> entry = index.write([atdata.DictSample(n=1)], name="a")
            >>> removed = index.delete_dataset("a")
            >>> len(removed.keys), index.list_datasets()
            (1, [])
        """
        mounted, found = self._mounts.route(ref)
        return _schemas.until_settled(
            lambda: _changes.delete(
                mounted,
                found.name,
                found.version,
                keep_shards=keep_shards,
                force=force,
                dry_run=dry_run,
            )
        )

    def verify(self, ref: str | DatasetEntry, *, progress: bool | None = None) -> VerifyReport:
        """Read all shards of a dataset and compare them with their SHA-256.

        Raises:
            RecordNotFoundError: There is no such dataset.

        Examples:
            >>> import atdata
            >>> index = Index(path=tmp / "index.db")
            >>> _ = index.write([atdata.DictSample(n=1)], name="a")
            >>> print(index.verify("a"))
            a: 1 ok; beside them 2 ok
        """
        mounted, found = self._mounts.route(ref)
        entry = read_entry(_datasets.entry_of(mounted, found.name, found.version))
        return _check.verify(entry, mounted.repository.store, progress=progress)

    def gc(
        self,
        *,
        dry_run: bool = True,
        repo: str | None = None,
        older_than: timedelta = timedelta(days=1),
        data_store: AbstractDataStore | None = None,
    ) -> GcReport:
        """Find what writes that failed or were killed left in stores, and remove it.

        Only what the catalogue recorded of such writes is touched, so a store may be shared.

        Args:
            dry_run: Only say what there is.
            repo: The repository; all of them if left out.
            older_than: When a write of another machine counts as ended.
            data_store: A store that was passed to `write`, to look there as well.

        Examples:
            >>> Index(path=tmp / "index.db").gc().orphans
            ()
        """
        return _clean.collect(
            self._mounts.chosen(repo),
            dry_run=dry_run,
            older_than=older_than,
            data_store=data_store,
        )

    # -- schemas

    def publish_schema(
        self,
        sample_type: type[Any],
        *,
        version: str | None = None,
        description: str | None = None,
        repo: str = LOCAL,
    ) -> str:
        """Store the schema of a type and give its reference.

        The same content has one reference, however often it is published. Other content under
        the same name is a new version: patch if what is stored stays readable as it is, minor if
        a lens bridges the two, major if not.

        Args:
            sample_type: A packable class.
            version: The version, in place of the next that fits.
            description: What to say of it, in place of the class's docstring.
            repo: The repository.

        Raises:
            TypeError: It is no class, or no schema describes a field.
            ValueError: It is no dataclass.
            RecordExistsError: The version is there with another content.

        Examples:
            >>> import atdata
            >>> @atdata.packable
            ... class Point:
            ...     x: float
            >>> Index(path=tmp / "index.db").publish_schema(Point)
            'atdata://local/schema/Point@1.0.0'
        """
        mounted = self._mounts.named(repo)
        ref = _schemas.publish(
            mounted.provider, sample_type, version=version, description=description
        )
        return mounted.outside(ref)

    def get_schema(self, ref: str) -> dict[str, Any]:
        """The record of a schema, with its reference as `$ref`.

        Raises:
            RecordNotFoundError: There is none of that name and version.
            ValueError: It is no reference to a schema.
        """
        return self.get_schema_record(ref).to_dict() | {"$ref": str(SchemaRef.parse(ref))}

    def get_schema_record(self, ref: str) -> Schema:
        """The schema that a reference names.

        Raises:
            RecordNotFoundError: There is none of that name and version.
            SchemaError: What is stored is no schema.
            ValueError: It is no reference to a schema.
        """
        mounted = self._schema_repo(ref)
        schema = _schemas.find(mounted.provider, ref, repo=mounted.name)
        if self._stubs is not None:
            self._stubs.ensure_stub(schema, mounted.name)
        return schema

    def _schema_repo(self, ref: str) -> Mounted:
        return self._mounts.named(SchemaRef.parse(ref).authority)

    @property
    def schemas(self) -> Iterator[Schema]:
        """All schemas of `"local"`, by name and version."""
        return _schemas.every(self.provider)

    def list_schemas(self, repo: str | None = None) -> list[dict[str, Any]]:
        """All schemas as dictionaries, with their references as `$ref`.

        Args:
            repo: The repository; all of them if left out.
        """
        return [
            schema.to_dict() | {"$ref": mounted.outside(schema.ref)}
            for mounted in self._mounts.chosen(repo)
            for schema in _schemas.every(mounted.provider)
        ]

    def get_schema_type(self, ref: str, *, register: bool = True) -> type[Any]:
        """A sample type built of a schema's record; the same one for the same content.

        No code text is made or run for it.

        Args:
            ref: The schema's reference.
            register: Add it to `index.types`.

        Raises:
            RecordNotFoundError: There is none of that name and version.
            SchemaError: What is stored is no schema.

        Examples:
            >>> import atdata
            >>> @atdata.packable
            ... class Point:
            ...     x: float
            >>> index = Index(path=tmp / "index.db")
            >>> index.get_schema_type(index.publish_schema(Point))(x=1.5)
            Point(x=1.5)
        """
        mounted = self._schema_repo(ref)
        if self._stubs is not None and not _schemas.is_untyped(ref):
            self.get_schema_record(ref)
        sample_type = _schemas.sample_type_of(mounted.provider, ref, repo=mounted.name)
        if register:
            self._types.add(sample_type.__name__, sample_type)
        return sample_type

    def diff_schemas(self, old: str, new: str) -> SchemaDiff:
        """What differs between two schemas, and what it takes to read one as the other."""
        return diff(self.get_schema_record(old), self.get_schema_record(new))

    def get_import_path(self, ref: str) -> str | None:
        """The module that an editor finds the type of a schema in, or None without stubs."""
        if self._stubs is None:
            return None
        found = SchemaRef.parse(ref)
        return self._stubs.get_import_path(found.name, found.version, found.authority)

    def clear_stubs(self) -> int:
        """Remove the modules written for editors; gives how many there were."""
        return 0 if self._stubs is None else self._stubs.clear_stubs()

    # -- lenses

    def store_lens(
        self,
        lens_obj: Lens[Any, Any],
        *,
        name: str,
        version: str | None = None,
        description: str | None = None,
        source_schema: str | None = None,
        view_schema: str | None = None,
    ) -> str:
        """Keep a lens, with the schemas of its types, and give its reference.

        What maps and casts fields is kept as data. What runs code is kept as the name of the
        code, with a digest of its source.

        Args:
            lens_obj: The lens.
            name: Its name here.
            version: Its version; by default the next.
            description: What it does.
            source_schema: The source's schema, in place of that of the lens's type.
            view_schema: The view's schema, likewise.

        Raises:
            RecordExistsError: The version is there with another content.
        """
        mounted, ref = self._named(name)
        stored = _lenses.store(
            mounted,
            lens_obj,
            name=ref.name,
            version=version,
            description=description,
            source_schema=source_schema,
            view_schema=view_schema,
        )
        return mounted.outside(stored)

    def get_lens(self, ref: str) -> dict[str, Any]:
        """The record of a lens, with its reference as `$ref`.

        Raises:
            RecordNotFoundError: There is none.
            ValueError: It is no reference to a lens.
        """
        repo, name, version = _lenses.parse(ref)
        mounted = self._mounts.named(repo)
        return _lenses.as_dict(mounted, _lenses.find(mounted, name, version))

    def load_lens(
        self,
        ref: str,
        *,
        source_type: type[Any] | None = None,
        view_type: type[Any] | None = None,
        allowed_modules: Collection[str] = (),
        register: bool = False,
    ) -> Lens[Any, Any]:
        """Make a lens of its record.

        Args:
            ref: Its reference.
            source_type: The source's type; by default built of the schema.
            view_type: The view's type; likewise.
            allowed_modules: Modules that a lens may be imported from, such as `"lab.lenses"`, or
                `"lab.*"` for all below a package. By default none: no code is imported.
            register: Let `as_type` find it.

        Raises:
            LensRecordError: It runs code that is not allowed, or is not what was recorded.
            RecordNotFoundError: There is none.
        """
        repo, name, version = _lenses.parse(ref)
        mounted = self._mounts.named(repo)
        return _lenses.load(
            mounted,
            _lenses.find(mounted, name, version),
            source_type=source_type,
            view_type=view_type,
            allowed_modules=allowed_modules,
            register=register,
        )

    @property
    def lenses(self) -> Iterator[dict[str, Any]]:
        """The records of all lenses of `"local"`."""
        return _lenses.every(self._local)

    def list_lenses(self, repo: str = LOCAL) -> list[dict[str, Any]]:
        """The records of all lenses, with their references as `$ref`."""
        return list(_lenses.every(self._mounts.named(repo)))

    def find_lenses(
        self, source_schema: str, view_schema: str | None = None, *, repo: str = LOCAL
    ) -> list[dict[str, Any]]:
        """The records of the lenses that lead from one schema, and to another if one is given."""
        return list(_lenses.between(self._mounts.named(repo), source_schema, view_schema))


def _provider(
    provider: IndexProvider | str | None, path: str | Path | None, dsn: str | None, redis: Any
) -> IndexProvider:
    given = [
        name
        for name, value in (("path", path), ("dsn", dsn), ("redis", redis))
        if value is not None
    ]
    if isinstance(provider, IndexProvider):
        if given:
            raise TypeError(f"{given[0]}= makes a provider, and one was given: use one of the two")
        return provider
    if provider is not None and not isinstance(provider, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            "provider must be an IndexProvider or backend name string, got "
            f"{type(provider).__name__}"
        )
    if len(given) > 1:
        raise TypeError(
            f"{' and '.join(f'{name}=' for name in given)} belong to different providers"
        )
    kinds = {"path": "sqlite", "dsn": "postgres", "redis": "redis"}
    return create_provider(
        provider or (kinds[given[0]] if given else "sqlite"), path=path, dsn=dsn, redis=redis
    )
