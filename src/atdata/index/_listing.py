"""Listing the datasets of repositories, a page at a time."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import batched

from atdata._logging import get_logger
from atdata.index._cursor import read_cursor, write_cursor
from atdata.index._datasets import readable, seen
from atdata.model.entry import DatasetEntry
from atdata.model.record import ENTRY, LABEL, Row
from atdata.model.rows import LATEST, read_label
from atdata.repository import Mounted

_AT_ONCE = 200


class Page[T](list[T]):
    """Part of a list, and where the next part begins.

    Attributes:
        cursor: What to pass as `cursor=` for the next part, or None after the last.

    Examples:
        >>> page = Page([1, 2], cursor="…")
        >>> page, page.cursor
        ([1, 2], '…')
    """

    def __init__(self, items: "list[T] | tuple[T, ...]" = (), cursor: str | None = None) -> None:
        super().__init__(items)
        self.cursor = cursor


def every(mounted: Mounted) -> Iterator[DatasetEntry]:
    """All entries; a damaged record is logged and left out."""
    for row in mounted.provider.rows(ENTRY):
        entry = readable(lambda row: seen(mounted, row), row)
        if entry is not None:
            yield entry


def latest_entries(mounted: Mounted) -> Iterator[DatasetEntry]:
    """The latest entry of each name, in the order of names; names added meanwhile do not come."""
    for rows in batched(mounted.provider.rows(LABEL, ref=LATEST), _AT_ONCE):
        yield from filter(None, entries_behind(mounted, rows))


def entries_behind(mounted: Mounted, rows: Iterable[Row]) -> list[DatasetEntry | None]:
    """What labels stand for; None, with a word in the log, for a damaged record or nothing."""
    rows = list(rows)
    labels = [readable(read_label, row) for row in rows]
    targets = [(ENTRY, *label.target) for label in labels if label is not None]
    there = dict(zip(targets, mounted.provider.get_many(targets), strict=True))
    entries: list[DatasetEntry | None] = []
    for row, label in zip(rows, labels, strict=True):
        found = None if label is None else there[(ENTRY, *label.target)]
        if found is None:
            get_logger().warning("label %s stands for no entry that is there", row.name)
            entries.append(None)
        else:
            entries.append(readable(lambda row: seen(mounted, row), found))
    return entries


def listed(
    chosen: Sequence[Mounted], *, limit: int | None, cursor: str | None
) -> Page[DatasetEntry]:
    """A page of the latest entries of all names, repository by repository.

    Raises:
        ValueError: The limit is below 1, or the cursor is none of ours.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; a page holds at least one")
    start, after = _place(cursor, chosen)
    found: list[DatasetEntry] = []
    last: tuple[str, str] | None = None
    for mounted in chosen[start:]:
        while True:
            wanted = _AT_ONCE if limit is None else min(_AT_ONCE, limit - len(found) + 1)
            place = None if after is None else (after, "")
            rows = mounted.provider.page(LABEL, ref=LATEST, after=place, limit=wanted)
            if last is not None and rows and limit is not None and len(found) >= limit:
                return Page(found, write_cursor(*last))
            some = rows if limit is None else rows[: limit - len(found)]
            found += filter(None, entries_behind(mounted, some))
            if some:
                after = some[-1].name
                last = mounted.name, after
            if len(some) == len(rows) and len(rows) < wanted:
                break
        after = None
    return Page(found)


def _place(cursor: str | None, chosen: Sequence[Mounted]) -> tuple[int, str | None]:
    if cursor is None:
        return 0, None
    repo, name = read_cursor(cursor, 2) or (None, None)
    names = [mounted.name for mounted in chosen]
    if repo not in names or not isinstance(name, str):
        raise ValueError("the cursor is none that list_datasets gave for these repositories")
    return names.index(repo), name
