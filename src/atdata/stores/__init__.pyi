"""The public names as type checkers see them."""

from atdata.stores.disk import LocalDiskStore as LocalDiskStore
from atdata.stores.s3 import S3DataStore as S3DataStore
from atdata.stores.writing import ShardWriteResult as ShardWriteResult
