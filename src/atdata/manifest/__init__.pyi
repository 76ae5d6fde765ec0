"""The names as type checkers see them; `__init__.py` loads each when it is first used."""

from atdata.manifest.aggregates import CategoricalAggregate as CategoricalAggregate
from atdata.manifest.aggregates import NumericAggregate as NumericAggregate
from atdata.manifest.aggregates import SetAggregate as SetAggregate
from atdata.manifest.aggregates import create_aggregate as create_aggregate
from atdata.manifest.fields import AggregateKind as AggregateKind
from atdata.manifest.fields import ManifestField as ManifestField
from atdata.manifest.fields import resolve_manifest_fields as resolve_manifest_fields
from atdata.manifest.locations import SampleLocation as SampleLocation
from atdata.manifest.manifest import Manifest as Manifest
from atdata.manifest.query import QueryExecutor as QueryExecutor
from atdata.manifest.reader import open_manifest as open_manifest
from atdata.manifest.reader import open_manifests as open_manifests
from atdata.manifest.shard_manifest import MANIFEST_FORMAT_VERSION as MANIFEST_FORMAT_VERSION
from atdata.manifest.shard_manifest import ManifestBuilder as ManifestBuilder
from atdata.manifest.shard_manifest import ManifestWriter as ManifestWriter
from atdata.manifest.shard_manifest import ShardManifest as ShardManifest
from atdata.predicate import F as F
from atdata.predicate import Field as FieldProxy
from atdata.predicate import Predicate as Predicate
from atdata.predicate import fields_of as query_fields

__all__ = ["FieldProxy", "query_fields"]
