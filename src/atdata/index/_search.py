"""Searching repositories: the best hits of all of them, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from atdata.index._cursor import read_cursor, write_cursor
from atdata.index._listing import entries_behind
from atdata.index._schemas import UNTYPED, is_untyped
from atdata.model.entry import DatasetEntry
from atdata.model.record import Hit, Hits
from atdata.repository import Mounted


@dataclass(frozen=True)
class SearchResult:
    """A dataset that a search found.

    Attributes:
        uri: The entry's CID.
        name: The dataset's name.
        description: What it is.
        tags: Words to find it by.
        schema_ref: The schema of its samples.
        source: Where it was found: `"local"`.
        score: How well it fits, in (0, 1].
        record: The entry.
        repo: The repository it is in.

    Examples:
        >>> SearchResult("bafy…", "mnist", tags=["vision"], score=0.8).name
        'mnist'
    """

    uri: str
    name: str
    description: str | None = None
    tags: list[str] = field(default_factory=list[str])
    schema_ref: str | None = None
    source: str = "unknown"
    score: float | None = None
    record: DatasetEntry | None = None
    repo: str | None = None


@dataclass(frozen=True)
class SearchResults:
    """A page of what a search found.

    Attributes:
        items: The best first.
        cursor: What to pass as `cursor=` for the next page, or None after the last.
        total_hint: How many there may be in all, where that is known.
        source: Where the search looked.

    Examples:
        >>> [item.name for item in SearchResults([SearchResult("bafy…", "mnist")]).items]
        ['mnist']
    """

    items: list[SearchResult] = field(default_factory=list[SearchResult])
    cursor: str | None = None
    total_hint: int | None = None
    source: str = "unknown"


@runtime_checkable
class SearchBackend(Protocol):
    """A place that datasets are searched in."""

    @property
    def name(self) -> str:
        """What it is called in results."""
        ...

    def search(  # noqa: PLR0917 - as it is called elsewhere
        self,
        text: str | None = None,
        tags: Sequence[str] | None = None,
        schema_ref: str | None = None,
        repo: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> SearchResults:
        """A page of what fits all that is asked."""
        ...

    def health_check(self) -> bool:
        """Whether it can be searched now."""
        ...


def search(
    chosen: Sequence[Mounted],
    text: str | None,
    tags: Sequence[str],
    schema_ref: str | None,
    *,
    limit: int,
    cursor: str | None,
) -> SearchResults:
    """A page of hits of several repositories, the best first, none twice and none left out.

    Raises:
        ValueError: The limit is below 1, or the cursor is none of this search.
    """
    if limit < 1:
        raise ValueError(f"limit is {limit}; a page holds at least one")
    chosen = [one for one in chosen if schema_ref is None or _may_have(one, schema_ref)]
    if not chosen:
        return SearchResults(source="local")
    wanted = [_refs(one, tags, schema_ref) for one in chosen]
    places = _places(cursor, chosen)
    answers: dict[int, Hits] = {}
    for number, mounted in enumerate(chosen):
        if places[number] != _END:
            answers[number] = mounted.provider.search(
                text or "", refs=wanted[number], limit=limit, cursor=places[number]
            )
    found = [(hit, number) for number, answer in answers.items() for hit in answer.hits]
    # Sorting keeps the order of hits that are alike: the repositories' first, then each one's own.
    found.sort(key=lambda one: -one[0].score)
    taken = found[:limit]
    for number, answer in answers.items():
        n = sum(1 for _, whose in taken if whose == number)
        if n == len(answer.hits):
            places[number] = _END if answer.cursor is None else answer.cursor
        elif n:
            again = chosen[number].provider.search(
                text or "", refs=wanted[number], limit=n, cursor=places[number]
            )
            places[number] = _END if again.cursor is None else again.cursor
    over = all(place == _END for place in places)
    return SearchResults(
        _results(chosen, taken),
        None if over else write_cursor([one.name for one in chosen], places),
        source="local",
    )


_END = ""


def _refs(mounted: Mounted, tags: Sequence[str], schema_ref: str | None) -> list[str]:
    """What the rows of a repository must have."""
    refs = [f"tag:{tag}" for tag in tags]
    if schema_ref is not None:
        known = UNTYPED if is_untyped(schema_ref) else mounted.inside(schema_ref)
        refs.append(f"schema:{known}")
    return refs


def _may_have(mounted: Mounted, schema_ref: str) -> bool:
    """Whether a schema is this repository's: two repositories may give one name to two schemas."""
    return is_untyped(schema_ref) or mounted.outside(mounted.inside(schema_ref)) == schema_ref


def _results(chosen: Sequence[Mounted], taken: Sequence[tuple[Hit, int]]) -> list[SearchResult]:
    """The entries of the hits, asked for once in each repository."""
    entries: dict[int, DatasetEntry | None] = {}
    for number, mounted in enumerate(chosen):
        mine = [at for at, (_, whose) in enumerate(taken) if whose == number]
        entries |= zip(
            mine, entries_behind(mounted, [taken[at][0].row for at in mine]), strict=True
        )
    return [
        _result(chosen[number], hit, entry)
        for at, (hit, number) in enumerate(taken)
        if (entry := entries[at]) is not None
    ]


def _result(mounted: Mounted, hit: Hit, entry: DatasetEntry) -> SearchResult:
    return SearchResult(
        entry.cid,
        hit.row.name,
        entry.description,
        list(entry.tags),
        entry.schema_ref,
        "local",
        hit.score,
        entry,
        mounted.name,
    )


def _places(cursor: str | None, chosen: Sequence[Mounted]) -> list[str | None]:
    """Where each repository's hits go on; None is the beginning."""
    if cursor is None:
        return [None] * len(chosen)
    names, places = read_cursor(cursor, 2) or (None, None)
    known = [one.name for one in chosen]
    if names != known or not isinstance(places, list) or len(places) != len(known):
        raise ValueError("the cursor is none that this search gave; begin without one")
    return [None if place is None else str(place) for place in places]
