"""Searching several places at once, each as a backend of the same shape."""

from collections.abc import Sequence

from atdata._exceptions import AtdataError
from atdata._logging import get_logger
from atdata.index._index import Index
from atdata.index._search import SearchBackend, SearchResult, SearchResults


class LocalSearchBackend:
    """The repositories of an index, as a place to search in.

    Examples:
        >>> LocalSearchBackend(Index(path=tmp / "index.db")).search("mnist").items
        []
    """

    def __init__(self, index: Index) -> None:
        self._index = index

    @property
    def name(self) -> str:
        """`"local"`."""
        return "local"

    def search(  # noqa: PLR0917 - as the protocol has it
        self,
        text: str | None = None,
        tags: Sequence[str] | None = None,
        schema_ref: str | None = None,
        repo: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> SearchResults:
        """A page of what fits, as `Index.search` gives it."""
        return self._index.search(text, tags, schema_ref, repo, limit, cursor=cursor)

    def health_check(self) -> bool:
        """Whether every repository answers."""
        try:
            self._index.list_datasets(limit=1)
        except (AtdataError, OSError):
            return False
        return True


class SearchAggregator:
    """Several backends searched as one: what one of them lacks or fails at, the others give.

    Results are told apart by their address and their name as it is written. A backend that fails
    is named in `failed` and in the log.

    Args:
        backends: The places; of results with one address, that of the earlier backend is kept.

    Examples:
        >>> aggregator = SearchAggregator([LocalSearchBackend(Index(path=tmp / "index.db"))])
        >>> aggregator.search("mnist").total_hint
        0
    """

    def __init__(self, backends: Sequence[SearchBackend]) -> None:
        self.backends = list(backends)
        self.failed: list[str] = []

    def search(
        self,
        text: str | None = None,
        tags: Sequence[str] | None = None,
        schema_ref: str | None = None,
        repo: str | None = None,
        limit: int = 50,
    ) -> SearchResults:
        """The best of all backends, at most `limit`.

        Raises:
            ValueError: The limit is below 1.
        """
        if limit < 1:
            raise ValueError(f"limit is {limit}; a page holds at least one")
        self.failed = []
        found: dict[tuple[str, str], SearchResult] = {}
        for backend in self.backends:
            try:
                answer = _asked(backend, text, tags, schema_ref, repo, limit)
            except Exception as error:  # a backend may be anyone's
                self.failed.append(backend.name)
                get_logger().warning("search in %s failed: %s", backend.name, error)
                continue
            for item in answer.items:
                found.setdefault((item.uri, item.name), item)
        ranked = sorted(found.values(), key=lambda item: (-(item.score or 0.0), item.name))
        return SearchResults(ranked[:limit], None, len(ranked), "aggregated")


def _asked(  # noqa: PLR0917 - as the protocol has it
    backend: SearchBackend,
    text: str | None,
    tags: Sequence[str] | None,
    schema_ref: str | None,
    repo: str | None,
    limit: int,
) -> SearchResults:
    if not backend.health_check():
        raise ConnectionError("it does not answer")
    return backend.search(text, tags, schema_ref, repo, limit)
