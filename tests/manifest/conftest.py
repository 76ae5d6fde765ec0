"""The web server that the tests of this folder read from."""

from tests.sources.conftest import server

__all__ = ["server"]
