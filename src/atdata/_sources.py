"""Address of the sources, which live in `atdata.sources`."""

from atdata.sources.s3 import S3Source
from atdata.sources.url import URLSource

__all__ = ["S3Source", "URLSource"]
