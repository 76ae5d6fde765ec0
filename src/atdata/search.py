"""An address of the search in catalogues, which lives in `atdata.index`."""

from atdata.index import LocalSearchBackend as LocalSearchBackend
from atdata.index import SearchAggregator as SearchAggregator
from atdata.index import SearchBackend as SearchBackend
from atdata.index import SearchResult as SearchResult
from atdata.index import SearchResults as SearchResults
