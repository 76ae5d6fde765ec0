"""The catalogue: names, versions, schemas, labels and lenses of datasets, and their shards."""

from atdata.index._backends import LocalSearchBackend as LocalSearchBackend
from atdata.index._backends import SearchAggregator as SearchAggregator
from atdata.index._changes import Removed as Removed
from atdata.index._check import VerifyReport as VerifyReport
from atdata.index._check import verify_checksums as verify_checksums
from atdata.index._clean import GcReport as GcReport
from atdata.index._clean import Orphan as Orphan
from atdata.index._datasets import DatasetVersion as DatasetVersion
from atdata.index._default import get_default_index as get_default_index
from atdata.index._default import set_default_index as set_default_index
from atdata.index._index import Index as Index
from atdata.index._listing import Page as Page
from atdata.index._search import SearchBackend as SearchBackend
from atdata.index._search import SearchResult as SearchResult
from atdata.index._search import SearchResults as SearchResults
from atdata.index._types import SchemaNamespace as SchemaNamespace
from atdata.model.entry import DatasetEntry as DatasetEntry
from atdata.model.schema import Schema as Schema
from atdata.model.schema import SchemaField as SchemaField
from atdata.model.schema import SchemaFieldType as SchemaFieldType

LocalDatasetEntry = BasicIndexEntry = DatasetEntry
LocalSchemaRecord = Schema
