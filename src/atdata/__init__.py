"""Typed samples in plain WebDataset shards: define a class, write samples, read them back fast.

::

    import atdata                       # light: a name is loaded when it is first used

    @atdata.packable                    # a sample is a dataclass
    class Digit: ...

    ds = atdata.write_samples(digits, "digits.tar")
    for batch in ds.shuffled(batch_size=32, seed=7): ...

`_HOMES` says where each public name lives. `__init__.pyi` says the same to type checkers.
"""

import sys
from importlib import import_module

from atdata._version import __version__ as __version__

# The one name that is loaded at once: were it lazy, the first import of the package `atdata.lens`
# would put the package in the function's place.
from atdata.lens import lens as lens

_HOMES = {
    "AbstractDataStore": "atdata._protocols",
    "AmbiguousLensError": "atdata._exceptions",
    "ArrayFormat": "atdata._protocols",
    "AtdataError": "atdata._exceptions",
    "ConflictError": "atdata._exceptions",
    "DamagedRecordError": "atdata._exceptions",
    "DataSource": "atdata._protocols",
    "Dataset": "atdata.dataset",
    "DatasetDict": "atdata.load",
    "DictSample": "atdata.sample.dynamic",
    "F": "atdata.predicate",
    "Field": "atdata.predicate",
    "Format": "atdata.codec.markers",
    "Index": "atdata.index",
    "IndexEntry": "atdata._protocols",
    "LawReport": "atdata.lens",
    "Lens": "atdata.lens",
    "LensNetwork": "atdata.lens",
    "LensNotFoundError": "atdata._exceptions",
    "LensRecordError": "atdata._exceptions",
    "LocalDiskStore": "atdata.stores.disk",
    "LocalSearchBackend": "atdata.index",
    "ManifestError": "atdata._exceptions",
    "ManifestField": "atdata.manifest.fields",
    "MissingExtraError": "atdata._exceptions",
    "Packable": "atdata._protocols",
    "PackableSample": "atdata.sample.base",
    "PartialFailureError": "atdata._exceptions",
    "Predicate": "atdata.predicate",
    "PredicateSyntaxError": "atdata._exceptions",
    "RecordExistsError": "atdata._exceptions",
    "RecordNotFoundError": "atdata._exceptions",
    "Repository": "atdata.repository",
    "SampleBatch": "atdata.sample.batch",
    "SampleKeyError": "atdata._exceptions",
    "SampleLocation": "atdata.manifest.locations",
    "SampleStream": "atdata.dataset",
    "SchemaError": "atdata._exceptions",
    "SearchAggregator": "atdata.index",
    "SearchBackend": "atdata.index",
    "SearchResult": "atdata.index",
    "SearchResults": "atdata.index",
    "Shape": "atdata.codec.markers",
    "ShardError": "atdata._exceptions",
    "ShardNotFoundError": "atdata._exceptions",
    "ShardWriteResult": "atdata.stores.writing",
    "SourceError": "atdata._exceptions",
    "StateError": "atdata._exceptions",
    "StorageError": "atdata._exceptions",
    "TooManyErrorsError": "atdata._exceptions",
    "URLSource": "atdata.sources.url",
    "UnknownFieldError": "atdata._exceptions",
    "UnsafeURLError": "atdata._exceptions",
    "UnsupportedTypeError": "atdata._exceptions",
    "World": "atdata.pipeline.world",
    "col": "atdata.predicate",
    "concat": "atdata.dataset",
    "configure_logging": "atdata._logging",
    "create_repository": "atdata.repository",
    "from_ray": "atdata.adapters.ray",
    "generate_cid": "atdata._cid",
    "get_default_index": "atdata.index",
    "get_logger": "atdata._logging",
    "lens": "atdata.lens",
    "load_dataset": "atdata.load",
    "log_operation": "atdata._logging",
    "main": "atdata.cli",
    "mix": "atdata.dataset",
    "pack": "atdata.sample.base",
    "packable": "atdata.sample.packable",
    "set_default_index": "atdata.index",
    "unpack": "atdata.sample.base",
    "verify_checksums": "atdata.index",
    "verify_cid": "atdata._cid",
    "write_samples": "atdata.dataset",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        this = sys.modules[__name__]  # lets Python propose the name that was meant
        raise AttributeError(f"module 'atdata' has no attribute {name!r}", name=name, obj=this)
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
