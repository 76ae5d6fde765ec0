"""Places that shards are kept in.

A store takes finished shards and gives each back under its key; it knows nothing of samples.
`LocalDiskStore` keeps them in a folder of this machine, `S3DataStore` in a bucket. A store of
one's own is any object with `put`, `url` and `source`; `atdata.testing.DataStoreSuite` tests it.
"""

from importlib import import_module
from typing import Any

from atdata.stores.disk import LocalDiskStore as LocalDiskStore
from atdata.stores.writing import ShardWriteResult as ShardWriteResult


def __getattr__(name: str) -> Any:
    if name != "S3DataStore":  # with it comes HTTP
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("atdata.stores.s3").S3DataStore
