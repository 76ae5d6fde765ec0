"""An address of the local catalogue: its index, its stores and its sources live elsewhere."""

from atdata.index import BasicIndexEntry as BasicIndexEntry
from atdata.index import Index as Index
from atdata.index import LocalDatasetEntry as LocalDatasetEntry
from atdata.index import LocalSchemaRecord as LocalSchemaRecord
from atdata.index import SchemaField as SchemaField
from atdata.index import SchemaFieldType as SchemaFieldType
from atdata.index import SchemaNamespace as SchemaNamespace
from atdata.sources.s3 import S3Source as S3Source
from atdata.stores import LocalDiskStore as LocalDiskStore
from atdata.stores import S3DataStore as S3DataStore
from atdata.stores import ShardWriteResult as ShardWriteResult
