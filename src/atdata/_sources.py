"""Address of the sources, which live in `atdata.sources`."""

from atdata.sources.url import URLSource

__all__ = ["URLSource"]
