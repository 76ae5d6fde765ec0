"""The web server that shards are read from by ranges."""

from tests.sources.conftest import server

__all__ = ["server"]
