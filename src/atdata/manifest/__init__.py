"""What lies beside a shard and says what its samples hold, so that questions need not open it.

Names are loaded when they are first used: defining a sample type with `ManifestField` loads
nothing of Arrow.
"""

from importlib import import_module

_HOMES = {
    "AggregateKind": "atdata.manifest.fields",
    "CategoricalAggregate": "atdata.manifest.aggregates",
    "F": "atdata.predicate",
    "MANIFEST_FORMAT_VERSION": "atdata.manifest.shard_manifest",
    "Manifest": "atdata.manifest.manifest",
    "ManifestBuilder": "atdata.manifest.shard_manifest",
    "ManifestField": "atdata.manifest.fields",
    "ManifestWriter": "atdata.manifest.shard_manifest",
    "NumericAggregate": "atdata.manifest.aggregates",
    "Predicate": "atdata.predicate",
    "QueryExecutor": "atdata.manifest.query",
    "SampleLocation": "atdata.manifest.locations",
    "SetAggregate": "atdata.manifest.aggregates",
    "ShardManifest": "atdata.manifest.shard_manifest",
    "create_aggregate": "atdata.manifest.aggregates",
    "open_manifest": "atdata.manifest.reader",
    "open_manifests": "atdata.manifest.reader",
    "resolve_manifest_fields": "atdata.manifest.fields",
}

_OTHER_NAMES = {"FieldProxy": "Field", "query_fields": "fields_of"}
"""Older names of what `atdata.predicate` has."""


def __getattr__(name: str) -> object:
    value: object
    if name in _OTHER_NAMES:
        value = getattr(import_module("atdata.predicate"), _OTHER_NAMES[name])
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'atdata.manifest' has no attribute {name!r}", name=name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_OTHER_NAMES})
