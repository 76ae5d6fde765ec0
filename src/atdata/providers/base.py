"""What every provider offers, whatever database it stands on."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from atdata._exceptions import RecordNotFoundError
from atdata._logging import get_logger
from atdata.model.entry import DatasetEntry, now
from atdata.model.label import Label
from atdata.model.record import (
    ENTRY,
    LABEL,
    LENS,
    SCHEMA,
    Change,
    Hit,
    Hits,
    Put,
    Row,
    SearchText,
)
from atdata.model.rows import entry_row, label_row, read_entry, read_label
from atdata.providers._changes import check_limit
from atdata.providers._terms import Match, Tier, read_cursor, tiers, write_cursor

_SEMVER = re.compile(r"(\d+)\.(\d+)\.(\d+)", re.ASCII)
_FIRST_PAGE, _LARGEST_PAGE = 16, 500
_PAGE_BYTES = 8 << 20


class IndexProvider(ABC):
    """A place that keeps records: the rows of a catalogue.

    A provider on another database implements `commit`, `get`, `page`, `newest`, `matches` and
    `close`, and passes `atdata.testing.ProviderSuite`. The rest stands on these. It may be used
    from several threads, after a fork, and after being pickled.

    Attributes:
        n_damaged: How many rows could not be read and were left out of a listing.

    Examples:
        >>> from atdata.providers import MemoryProvider
        >>> provider = MemoryProvider()
        >>> provider.store_label("mnist", "bafy", "1.0.0")
        >>> provider.get_label("mnist")
        ('bafy', '1.0.0')
    """

    n_damaged: int = 0

    @abstractmethod
    def commit(self, changes: Sequence[Change]) -> int:
        """Take all steps or none.

        Args:
            changes: The steps; none names a row that another names.

        Returns:
            The number of this commit, higher than any before; each row it stores has it as `seq`.

        Raises:
            ConflictError: A step expected something else than what is there.
            ValueError: Something cannot be stored.
            StorageError: The database refused or failed.
        """

    @abstractmethod
    def get(self, kind: str, name: str, tag: str = "") -> Row | None:
        """The row under that key, or None."""

    @abstractmethod
    def page(
        self,
        kind: str,
        *,
        name: str | None = None,
        ref: str | None = None,
        after: tuple[str, str] | None = None,
        limit: int = 100,
        upto: int | None = None,
    ) -> list[Row]:
        """Rows in the order of name and tag, by code point.

        Args:
            kind: Their kind.
            name: Only those of this name.
            ref: Only those with this ref.
            after: Only those after this name and tag.
            limit: How many at most. Fewer come only at the end.
            upto: Only those whose number, given when they were first stored, is at most this.
        """

    @abstractmethod
    def newest(self) -> int:
        """The highest number of a row so far, or 0; rows are counted as they are first stored."""

    @abstractmethod
    def matches(
        self, tier: Tier, *, refs: Sequence[str] = (), before: int | None = None, limit: int = 50
    ) -> list[Match]:
        """Rows of one tier of a search, the one that was stored last first.

        Args:
            tier: Which rows.
            refs: Refs that each of them has.
            before: Only those whose number is below this.
            limit: How many at most. Fewer come only at the end.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of connections and files; the next use opens them again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def get_many(self, keys: Sequence[tuple[str, str, str]]) -> list[Row | None]:
        """The rows under several keys, in their order; None where there is none.

        Args:
            keys: Kind, name and tag of each.

        Examples:
            >>> from atdata.providers import MemoryProvider
            >>> provider = MemoryProvider()
            >>> provider.store_schema("S", "1.0.0", "{}")
            >>> keys = [("schema", "S", "1.0.0"), ("lens", "S", "")]
            >>> [row is not None for row in provider.get_many(keys)]
            [True, False]
        """
        return [self.get(*key) for key in keys]

    def rows(self, kind: str, *, name: str | None = None, ref: str | None = None) -> Iterator[Row]:
        """Rows of a kind in the order of name and tag, read page by page.

        Rows may be changed meanwhile, also by the loop itself: each that was there at the
        beginning and stays comes once, and what is added later does not.

        Args:
            kind: Their kind.
            name: Only those of this name.
            ref: Only those with this ref.

        Examples:
            >>> from atdata.providers import MemoryProvider
            >>> provider = MemoryProvider()
            >>> provider.store_schema("S", "1.0.0", "{}")
            >>> [row.tag for row in provider.rows("schema")]
            ['1.0.0']
        """
        upto, after, limit = self.newest(), None, _FIRST_PAGE
        while True:
            page = self.page(kind, name=name, ref=ref, after=after, limit=limit, upto=upto)
            yield from page
            if len(page) < limit:
                return
            after = page[-1].name, page[-1].tag
            # Entries may be megabytes each: a page is bounded by what its rows are like.
            size = sum(len(row.body) for row in page) // len(page)
            limit = max(1, min(_LARGEST_PAGE, 4 * limit, _PAGE_BYTES // max(1, size)))

    def search(
        self,
        text: str = "",
        *,
        refs: Sequence[str] = (),
        limit: int = 50,
        cursor: str | None = None,
    ) -> Hits:
        """Find rows by words of their search text; each word may be the beginning of one.

        All words must be found. Best is a row of that very name, then one with all words in its
        name, then in its tags and fields as well, then anywhere; among equals the one that was
        catalogued last comes first. Without text, all rows that can be searched come.

        Args:
            text: Words to find, at most 32.
            refs: Refs that each row must have.
            limit: How many at most.
            cursor: Where to go on: the cursor of the page before.

        Raises:
            ValueError: `limit` is below 1, there are too many words, or `cursor` is not of this
                search.

        Examples:
            >>> from atdata.providers import MemoryProvider
            >>> provider = MemoryProvider()
            >>> provider.store_label("mnist", "bafy", description="Handwritten digits")
            >>> [(hit.row.name, hit.score) for hit in provider.search("digit").hits]
            [('mnist', 0.25)]
        """
        check_limit(limit)
        level, before = (0, None) if cursor is None else read_cursor(cursor, text, refs)
        found: dict[int, tuple[Tier, Match]] = {}
        for tier in tiers(text):
            if tier.level < level:
                continue
            bound = before if tier.level == level else None
            wanted = limit + 1 - len(found)
            for match in self.matches(tier, refs=refs, before=bound, limit=wanted):
                found.setdefault(match.doc, (tier, match))
            if len(found) > limit:
                break
        shown = list(found.values())[:limit]
        hits = [Hit(match.row, tier.score) for tier, match in shown]
        if len(found) <= limit:
            return Hits(hits)
        tier, match = shown[-1]
        return Hits(hits, write_cursor(tier.level, match.doc, text, refs))

    def store_entry(self, entry: DatasetEntry) -> None:
        """Store an entry; one of the same name and CID is replaced.

        Examples:
            >>> from atdata.providers import MemoryProvider
            >>> provider = MemoryProvider()
            >>> entry = DatasetEntry("s", "atdata://local/schema/S@1.0.0", ["a.tar"])
            >>> provider.store_entry(entry)
            >>> provider.get_entry_by_name("s") == entry
            True
        """
        self.commit([Put(entry_row(entry))])

    def get_entry_by_cid(self, cid: str) -> DatasetEntry:
        """The entry with that CID; the one stored last if several names share it.

        Raises:
            RecordNotFoundError: There is none.
        """
        row = _last(self.rows(ENTRY, ref=f"cid:{cid}"))
        if row is None:
            raise RecordNotFoundError("dataset", cid)
        return read_entry(row)

    def get_entry_by_name(self, name: str) -> DatasetEntry:
        """The entry of that name that was stored last.

        Raises:
            RecordNotFoundError: There is none.
        """
        row = _last(self.rows(ENTRY, name=name))
        if row is None:
            raise RecordNotFoundError("dataset", name)
        return read_entry(row)

    def iter_entries(self) -> Iterator[DatasetEntry]:
        """All entries in the order of their names."""
        return self._readable(self.rows(ENTRY), read_entry)

    def store_schema(self, name: str, version: str, schema_json: str) -> None:
        """Store a schema; one of the same name and version is replaced."""
        self.commit([Put(Row(SCHEMA, name, version, schema_json))])

    def get_schema_json(self, name: str, version: str) -> str | None:
        """A schema as JSON text, or None."""
        return _body(self.get(SCHEMA, name, version))

    def iter_schemas(self) -> Iterator[tuple[str, str, str]]:
        """Name, version and JSON text of all schemas."""
        return ((row.name, row.tag, row.body) for row in self.rows(SCHEMA))

    def store_label(
        self, name: str, cid: str, version: str | None = None, description: str | None = None
    ) -> None:
        """Store a label, which is then the latest of its name.

        Args:
            name: Its name.
            cid: The entry it stands for.
            version: Its version; None or nothing for the one without.
            description: What is said of it.
        """
        label = Label(name, cid, version or None, description=description, created_at=now())
        text = SearchText.of(name=name, description=description or "")
        self.commit([Put(label_row(label, text=text))])

    def get_label(self, name: str, version: str | None = None) -> tuple[str, str | None]:
        """CID and version of a label; without a version, of the one that was stored last.

        Raises:
            RecordNotFoundError: There is none.
        """
        if version is None:
            row = _last(self.rows(LABEL, name=name))
        else:
            row = self.get(LABEL, name, version)
        if row is None:
            raise RecordNotFoundError("label", f"{name}@{version}" if version else name)
        label = read_label(row)
        return label.cid, label.version or None

    def iter_labels(self) -> Iterator[tuple[str, str, str | None]]:
        """Name, CID and version of all labels."""
        labels = self._readable(self.rows(LABEL), read_label)
        return ((label.name, label.cid, label.version or None) for label in labels)

    def store_lens(self, name: str, version: str, lens_json: str) -> None:
        """Store a lens; one of the same name and version is replaced."""
        self.commit([Put(Row(LENS, name, version, lens_json))])

    def get_lens_json(self, name: str, version: str) -> str | None:
        """A lens as JSON text, or None."""
        return _body(self.get(LENS, name, version))

    def iter_lenses(self) -> Iterator[tuple[str, str, str]]:
        """Name, version and JSON text of all lenses."""
        return ((row.name, row.tag, row.body) for row in self.rows(LENS))

    def find_latest_version(self, name: str) -> str | None:
        """The highest version `x.y.z` of a schema, or None; other versions do not count.

        Examples:
            >>> from atdata.providers import MemoryProvider
            >>> provider = MemoryProvider()
            >>> for version in ("1.9.9", "1.10.0", "draft"):
            ...     provider.store_schema("S", version, "{}")
            >>> provider.find_latest_version("S")
            '1.10.0'
        """
        return _highest(row.tag for row in self.rows(SCHEMA, name=name))

    def find_latest_lens_version(self, name: str) -> str | None:
        """The highest version `x.y.z` of a lens, or None."""
        return _highest(row.tag for row in self.rows(LENS, name=name))

    def find_lenses_by_schemas(
        self, source_schema: str, view_schema: str | None = None
    ) -> list[tuple[str, str, str]]:
        """Name, version and JSON text of the lenses from one schema, and to another if given."""
        wanted = {"source_schema": source_schema}
        if view_schema is not None:
            wanted["view_schema"] = view_schema
        return [
            (row.name, row.tag, row.body)
            for row, data in self._readable(self.rows(LENS), _with_json)
            if isinstance(data, dict) and wanted.items() <= _texts(data).items()
        ]

    def _readable[T](self, rows: Iterator[Row], read: Callable[[Row], T]) -> Iterator[T]:
        for row in rows:
            try:
                found = read(row)
            except (ValueError, RecursionError) as error:
                self.n_damaged += 1
                get_logger().warning("left out of the listing: %s", error)
            else:
                yield found


def _last(rows: Iterator[Row]) -> Row | None:
    """The row of the newest commit, and the last of these in order."""
    return max(rows, key=lambda row: (row.seq, row.tag), default=None)


def _body(row: Row | None) -> str | None:
    return None if row is None else row.body


def _highest(versions: Iterator[str]) -> str | None:
    parsed = ((match, text) for text in versions if (match := _SEMVER.fullmatch(text)))
    numbered = ((tuple(map(int, match.groups())), text) for match, text in parsed)
    return max(numbered, default=(None, None))[1]


def _with_json(row: Row) -> tuple[Row, Any]:
    return row, json.loads(row.body)


def _texts(data: dict[str, Any]) -> dict[str, str]:
    return {key: value for key, value in data.items() if isinstance(value, str)}
